//! The tokens, what each may read, and the keys of Spaces.

use std::collections::BTreeMap;

use ::digitalocean::{BaseUrl, Client, Error, Need, Purpose, RateLimit, TokenSource};
use futures::stream::{self, StreamExt as _};
use store::budget::Limits;

use super::Report;
use super::settings::Checked;
use crate::configuration::{DigitalOcean, SyncArguments, variable};

/// Requests under way at a time.
const AT_A_TIME: usize = 4;
/// With less than this share of an hour's requests left, the lists are not tried: the worker needs them.
const LEAST_PERCENT_LEFT: u64 = 10;
/// What DigitalOcean allows a token (spec).
const DIGITALOCEANS: Limits = Limits {
    per_minute: 250,
    per_hour: 5_000,
    times_faster: 1,
};
/// The variable of the token for every purpose without one of its own.
const SHARED_TOKEN: &str = "DO_API_TOKEN";

/// Settings that cannot be read have been told already.
pub(super) async fn check(report: &mut Report, settings: Option<&Checked>) -> anyhow::Result<()> {
    let purposes = settings.map_or(&Purpose::ALL[..], |settings| &settings.purposes);
    let digitalocean = match DigitalOcean::from_environment(purposes) {
        Ok(digitalocean) => digitalocean,
        Err(error) => return report.error("digitalocean", error),
    };
    if let Some(settings) = settings {
        check_limits(report, &digitalocean.url, &settings.sync)?;
    }
    for (purpose, source) in digitalocean.tokens.iter() {
        check_token(report, digitalocean.url.as_str(), purpose, source).await?;
    }
    let mut sources = digitalocean.tokens.iter();
    let is_shared_used = sources.any(|(_, source)| source.name() == SHARED_TOKEN);
    if !is_shared_used && variable(SHARED_TOKEN).is_some() {
        report.warn(
            "tokens",
            "DO_API_TOKEN is set and used for nothing, since every purpose has its token elsewhere: unset it",
        )?;
    }
    check_spaces(report, &digitalocean).await
}

/// Whether our own limits keep below DigitalOcean's.
fn check_limits(report: &mut Report, url: &BaseUrl, sync: &SyncArguments) -> anyhow::Result<()> {
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

async fn check_token(
    report: &mut Report,
    url: &str,
    purpose: Purpose,
    source: &TokenSource,
) -> anyhow::Result<()> {
    let what = format!("token {purpose}");
    let client = match Client::new(url, source.clone()) {
        Ok(client) => client,
        Err(error) => return report.error(&what, error),
    };
    match client.check_token().await {
        Ok(()) => report.ok(&what, format_args!("valid, from {}", source.name()))?,
        Err(error @ Error::Network { .. }) => {
            return report.fail(
                &what,
                format_args!("{error}; look at DIGITALOCEAN_API_URL and this machine's way to it"),
            );
        }
        Err(error) => return report.error(&what, error),
    }
    if check_budget(report, purpose, client.rate_limit())? {
        check_scopes(report, &client, purpose).await?;
    }
    Ok(())
}

/// Whether there is enough left to try the lists.
fn check_budget(
    report: &mut Report,
    purpose: Purpose,
    limit: Option<RateLimit>,
) -> anyhow::Result<bool> {
    let what = format!("budget {purpose}");
    let Some(limit) = limit else {
        report.warn(
            &what,
            "the answer tells nothing of a rate limit: is DIGITALOCEAN_API_URL DigitalOcean's?",
        )?;
        return Ok(true);
    };
    let left = format!(
        "{} of {} requests an hour are left",
        limit.remaining, limit.limit
    );
    let is_enough = u64::from(limit.remaining) * 100 >= u64::from(limit.limit) * LEAST_PERCENT_LEFT;
    if is_enough {
        report.ok(&what, left)?;
    } else {
        report.warn(
            &what,
            format_args!(
                "{left}, so that its scopes are not tried: find what else uses this token, or give the purpose one of its own in {}; \
                 more are there from {} UTC",
                purpose.variable(),
                limit.reset_at.format("%H:%M:%S")
            ),
        )?;
    }
    Ok(is_enough)
}

async fn check_scopes(
    report: &mut Report,
    client: &Client,
    purpose: Purpose,
) -> anyhow::Result<()> {
    let what = format!("scopes {purpose}");
    let needs = purpose.needs();
    let count = needs.len();
    let tried: Vec<(Need, Result<(), Error>)> = stream::iter(needs)
        .map(|need| async move {
            let outcome = client.probe(&need).await;
            (need, outcome)
        })
        .buffered(AT_A_TIME)
        .collect()
        .await;
    let mut readable = 0;
    // One line for each scope, whatever the number of its lists.
    let mut missing: BTreeMap<&str, (Vec<&str>, bool)> = BTreeMap::new();
    for (need, outcome) in &tried {
        match outcome {
            Ok(()) => readable += 1,
            Err(Error::Forbidden { .. }) => {
                let (losses, is_essential) = missing.entry(need.scope).or_default();
                losses.push(&need.loss);
                *is_essential |= need.is_essential;
            }
            // A kind that this server does not have.
            Err(Error::NotFound { .. }) => report.warn(
                &what,
                format_args!(
                    "{} answered 404, so that {}: this server or account does not have it; nothing need be done",
                    need.path(),
                    need.loss
                ),
            )?,
            Err(error) => report.fail(
                &what,
                format_args!("{error}, so that {}; run the doctor again", need.loss),
            )?,
        }
    }
    for (scope, (losses, is_essential)) in missing {
        let line = format!("{}; grant {scope}", losses.join(", "));
        if is_essential {
            report.fail(&what, line)?;
        } else {
            report.warn(&what, line)?;
        }
    }
    if readable == count {
        report.ok(&what, format_args!("all {count} lists can be read"))?;
    }
    Ok(())
}

async fn check_spaces(report: &mut Report, digitalocean: &DigitalOcean) -> anyhow::Result<()> {
    let Some(spaces) = &digitalocean.spaces else {
        return report.ok(
            "spaces",
            "no keys, so that only buckets are known which projects and keys name; SPACES_ACCESS_KEY_ID and \
             SPACES_SECRET_ACCESS_KEY would list all",
        );
    };
    match spaces.list_buckets().await {
        Ok(buckets) => report.ok(
            "spaces",
            format_args!("the keys list {} buckets", buckets.len()),
        ),
        Err(error) => report.error("spaces", error),
    }
}
