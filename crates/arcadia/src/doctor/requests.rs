//! Checks the limits on requests to DigitalOcean and the requests that remain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::digitalocean::rate_limit::{BudgetExhausted, RequestBudget, TokenKey};
use ::digitalocean::{BaseUrl, Purpose, RateLimit};
use futures::future::BoxFuture;
use store::Store;
use store::rate_limit::Limits;
use worker::rate_limit::{SharedBudget, share_of};

use super::Report;
use crate::configuration::SyncArguments;

/// DigitalOcean's limits per token, from its API specification.
const DIGITALOCEANS: Limits = Limits {
    per_minute: 250,
    per_hour: 5_000,
    times_faster: 1,
};
/// If less than this percentage of an hour's requests remains, lists are not checked, because the
/// worker needs the requests.
const MIN_REMAINING_PERCENT: u64 = 10;
/// Maximum time for which all checks together wait for the request budget, because a user waits for
/// the output.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Checks that the configured limits do not exceed DigitalOcean's.
pub(super) fn check_limits(
    report: &mut Report,
    url: &BaseUrl,
    sync: &SyncArguments,
) -> anyhow::Result<()> {
    const CHECK: &str = "limits";
    let limits = sync.request_limits(url);
    let (per_minute, per_hour) = (limits.per_minute, limits.per_hour);
    if !url.is_digitalocean() && (per_minute, per_hour) == (0, 0) {
        return report.ok(
            CHECK,
            "not limited, because DIGITALOCEAN_API_URL is not DigitalOcean's; if it is a proxy of \
             DigitalOcean, set ARCADIA_REQUESTS_PER_MINUTE=240 and ARCADIA_REQUESTS_PER_HOUR=4500",
        );
    }
    let all = [
        ("minute", per_minute, DIGITALOCEANS.per_minute),
        ("hour", per_hour, DIGITALOCEANS.per_hour),
    ];
    let limits = all.map(|(time, ours, _)| match ours {
        0 => format!("unlimited requests per {time}"),
        ours => format!("{ours} requests per {time}"),
    });
    let finding = format!("all workers together: {} per token", limits.join(", "));
    let excessive = all
        .iter()
        .filter(|(_, ours, theirs)| *ours == 0 || ours > theirs);
    let fixes: Vec<_> = excessive
        .map(|(time, _, theirs)| {
            let variable = format!("ARCADIA_REQUESTS_PER_{}", time.to_uppercase());
            format!("{variable} to less than {theirs}")
        })
        .collect();
    if fixes.is_empty() {
        return report.ok(CHECK, finding);
    }
    report.warn(
        CHECK,
        format_args!(
            "{finding}, more than DigitalOcean allows, so it will reject requests: set {}",
            fixes.join(" and ")
        ),
    )
}

/// The workers' request budget, with a deadline for all waits.
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
            until: Instant::now() + MAX_WAIT,
        }
    }

    /// Returns the budget as a purpose uses it.
    pub(super) fn of(&self, purpose: Purpose) -> Arc<dyn RequestBudget> {
        Arc::new(WithDeadline {
            shared: SharedBudget::new(self.store.clone(), self.limits, purpose),
            until: self.until,
        })
    }

    /// Returns the number of requests that a purpose may make now; None if unknown or unlimited.
    async fn left(&self, purpose: Purpose) -> Option<u32> {
        let all = self
            .store
            .available_requests(&self.limits, share_of)
            .await
            .ok()?;
        let left = all.iter().find(|left| left.purpose == purpose.name())?;
        left.now()
    }
}

/// A budget that does not wait beyond the deadline.
struct WithDeadline {
    shared: SharedBudget,
    until: Instant,
}

impl RequestBudget for WithDeadline {
    fn take(
        &self,
        token: TokenKey,
        max_wait: Duration,
    ) -> BoxFuture<'_, Result<(), BudgetExhausted>> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.shared.take(token, max_wait.min(left))
    }

    fn record_reported(&self, token: TokenKey, rate_limit: RateLimit) {
        self.shared.record_reported(token, rate_limit);
    }

    fn close(&self, token: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()> {
        self.shared.close(token, retry_after)
    }
}

/// Returns true if enough requests remain to check the lists.
pub(super) fn is_enough(limit: RateLimit) -> bool {
    u64::from(limit.remaining) * 100 >= u64::from(limit.limit) * MIN_REMAINING_PERCENT
}

pub(super) async fn check_budget(
    report: &mut Report,
    purpose: Purpose,
    limit: Option<RateLimit>,
    budget: Option<&Budget>,
) -> anyhow::Result<()> {
    let check = format!("budget {purpose}");
    let Some(limit) = limit else {
        return report.warn(
            &check,
            "the response has no rate limit headers: check that DIGITALOCEAN_API_URL is DigitalOcean's",
        );
    };
    let mut left = format!(
        "{} of {} requests per hour remain",
        limit.remaining, limit.limit
    );
    if let Some(budget) = budget
        && let Some(ours) = budget.left(purpose).await
    {
        left = format!("{left}; the workers' budget allows {ours} now");
    }
    if is_enough(limit) {
        return report.ok(&check, left);
    }
    report.warn(
        &check,
        format_args!(
            "{left}, so the scopes were not checked: find the other users of this token, or set a \
             separate token in {}; the limit resets at {} UTC",
            purpose.variable(),
            limit.reset_at.format("%H:%M:%S")
        ),
    )
}
