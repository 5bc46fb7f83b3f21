//! The tokens, what each may read, and the keys of Spaces.

use std::collections::BTreeMap;

use ::digitalocean::{Client, Error, Need, Purpose, RateLimit, TokenSource};
use futures::stream::{self, StreamExt as _};

use super::Report;
use crate::configuration::{DigitalOcean, variable};

/// Requests under way at a time.
const AT_A_TIME: usize = 4;
/// With less than this share of an hour's requests left, the lists are not tried: the worker needs them.
const LEAST_PERCENT_LEFT: u64 = 10;
/// The variable of the token for every purpose without one of its own.
const SHARED_TOKEN: &str = "DO_API_TOKEN";

pub(super) async fn check(report: &mut Report, purposes: &[Purpose]) -> anyhow::Result<()> {
    let digitalocean = match DigitalOcean::from_environment(purposes) {
        Ok(digitalocean) => digitalocean,
        Err(error) => return report.error("digitalocean", error),
    };
    for (purpose, source) in digitalocean.tokens.iter() {
        check_token(report, &digitalocean.url, purpose, source).await?;
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
