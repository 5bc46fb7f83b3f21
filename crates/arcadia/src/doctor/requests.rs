//! How many requests may be made, and how many are left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::digitalocean::budget::{RequestBudget, TokenKey, UsedUp};
use ::digitalocean::{BaseUrl, Purpose, RateLimit};
use futures::future::BoxFuture;
use store::Store;
use store::budget::Limits;
use worker::budget::{SharedBudget, share_of};

use super::Report;
use crate::configuration::SyncArguments;

/// What DigitalOcean allows a token (spec).
const DIGITALOCEANS: Limits = Limits {
    per_minute: 250,
    per_hour: 5_000,
    times_faster: 1,
};
/// With less than this share of an hour's requests left, the lists are not tried: the worker needs them.
const LEAST_PERCENT_LEFT: u64 = 10;
/// How long the requests of all checks together are waited for: whoever asks sits in front of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether our own limits keep below DigitalOcean's.
pub(super) fn check_limits(
    report: &mut Report,
    url: &BaseUrl,
    sync: &SyncArguments,
) -> anyhow::Result<()> {
    const WHAT: &str = "limits";
    let limits = sync.request_limits(url);
    let (per_minute, per_hour) = (limits.per_minute, limits.per_hour);
    if !url.is_digitaloceans() && (per_minute, per_hour) == (0, 0) {
        return report.ok(
            WHAT,
            "none of our own, since DIGITALOCEAN_API_URL is not DigitalOcean's; for a proxy that leads there, set \
             ARCADIA_REQUESTS_PER_MINUTE=240 and ARCADIA_REQUESTS_PER_HOUR=4500",
        );
    }
    let all = [
        ("minute", per_minute, DIGITALOCEANS.per_minute),
        ("hour", per_hour, DIGITALOCEANS.per_hour),
    ];
    let told = all.map(|(time, ours, _)| match ours {
        0 => format!("any number of requests per {time}"),
        ours => format!("{ours} requests per {time}"),
    });
    let told = format!(
        "all workers together make {} with a token",
        told.join(" and ")
    );
    let too_many = all
        .iter()
        .filter(|(_, ours, theirs)| *ours == 0 || ours > theirs);
    let cures: Vec<_> = too_many
        .map(|(time, _, theirs)| {
            let variable = format!("ARCADIA_REQUESTS_PER_{}", time.to_uppercase());
            format!("{variable} below the {theirs} that DigitalOcean allows")
        })
        .collect();
    if cures.is_empty() {
        return report.ok(WHAT, told);
    }
    report.warn(
        WHAT,
        format_args!(
            "{told}, which gets them refused: set {}",
            cures.join(" and ")
        ),
    )
}

/// The budget that the workers draw on, as somebody draws on it who does not wait for long.
pub(super) struct Budget {
    store: Store,
    limits: Limits,
    until: Instant,
}

impl Budget {
    pub(super) fn new(store: Store, limits: Limits) -> Self {
        Self {
            store,
            limits,
            until: Instant::now() + PATIENCE,
        }
    }

    /// As a purpose draws on it.
    pub(super) fn of(&self, purpose: Purpose) -> Arc<dyn RequestBudget> {
        Arc::new(Impatient {
            shared: SharedBudget::new(self.store.clone(), self.limits, purpose),
            until: self.until,
        })
    }

    /// How many requests a purpose may make now; none where that is not known or not limited.
    async fn left(&self, purpose: Purpose) -> Option<u32> {
        let all = self.store.budgets_left(&self.limits, share_of).await.ok()?;
        let left = all.iter().find(|left| left.purpose == purpose.name())?;
        left.least()
    }
}

struct Impatient {
    shared: SharedBudget,
    until: Instant,
}

impl RequestBudget for Impatient {
    fn take(&self, token: TokenKey, patience: Duration) -> BoxFuture<'_, Result<(), UsedUp>> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.shared.take(token, patience.min(left))
    }

    fn told(&self, token: TokenKey, rate_limit: RateLimit) {
        self.shared.told(token, rate_limit);
    }

    fn refused(&self, token: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()> {
        self.shared.refused(token, retry_after)
    }
}

/// Whether so many are left that the lists may be tried.
pub(super) fn is_enough(limit: RateLimit) -> bool {
    u64::from(limit.remaining) * 100 >= u64::from(limit.limit) * LEAST_PERCENT_LEFT
}

pub(super) async fn check_budget(
    report: &mut Report,
    purpose: Purpose,
    limit: Option<RateLimit>,
    budget: Option<&Budget>,
) -> anyhow::Result<()> {
    let what = format!("budget {purpose}");
    let Some(limit) = limit else {
        return report.warn(
            &what,
            "the answer tells nothing of a rate limit: is DIGITALOCEAN_API_URL DigitalOcean's?",
        );
    };
    let mut left = format!(
        "{} of {} requests an hour are left",
        limit.remaining, limit.limit
    );
    if let Some(budget) = budget
        && let Some(ours) = budget.left(purpose).await
    {
        left = format!("{left}, and our own budget has {ours} for this moment");
    }
    if is_enough(limit) {
        return report.ok(&what, left);
    }
    report.warn(
        &what,
        format_args!(
            "{left}, so that its scopes are not tried: find what else uses this token, or give the purpose one of its own in {}; \
             more are there from {} UTC",
            purpose.variable(),
            limit.reset_at.format("%H:%M:%S")
        ),
    )
}
