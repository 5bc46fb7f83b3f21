//! How many requests may be made, and how many are left.

use ::digitalocean::{BaseUrl, Purpose, RateLimit};
use store::budget::Limits;

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

/// Whether so many are left that the lists may be tried.
pub(super) fn is_enough(limit: RateLimit) -> bool {
    u64::from(limit.remaining) * 100 >= u64::from(limit.limit) * LEAST_PERCENT_LEFT
}

pub(super) fn check_budget(
    report: &mut Report,
    purpose: Purpose,
    limit: Option<RateLimit>,
) -> anyhow::Result<()> {
    let what = format!("budget {purpose}");
    let Some(limit) = limit else {
        return report.warn(
            &what,
            "the answer tells nothing of a rate limit: is DIGITALOCEAN_API_URL DigitalOcean's?",
        );
    };
    let left = format!(
        "{} of {} requests an hour are left",
        limit.remaining, limit.limit
    );
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
