//! Checks DigitalOcean's tokens, their scopes and the keys of Spaces.

use std::ops::ControlFlow::{self, Break, Continue};

use ::digitalocean::{Client, Error, Purpose, TokenSource};
use store::Store;

use super::requests::Budget;
use super::settings::Checked;
use super::teams::Teams;
use super::{Report, lists, requests};
use crate::configuration::{DigitalOcean, variable};

/// The variable of the token for purposes without a separate token.
const SHARED_TOKEN: &str = "DO_API_TOKEN";

/// Checks all tokens and keys. `settings` is None if the settings are invalid, which was reported.
pub(super) async fn check(
    report: &mut Report,
    settings: Option<&Checked>,
    store: Option<Store>,
) -> anyhow::Result<()> {
    let purposes = settings.map_or_else(
        || Purpose::ALL.to_vec(),
        |settings| settings.worker.queues.purposes(),
    );
    let digitalocean = match DigitalOcean::from_environment(&purposes) {
        Ok(digitalocean) => digitalocean,
        Err(error) => return report.error("digitalocean", error),
    };
    if let Some(settings) = settings {
        requests::check_limits(report, &digitalocean.url, &settings.worker.sync)?;
    }
    let mut teams = Teams::from_database(store.as_ref()).await;
    let budget = settings.zip(store).map(|(settings, store)| {
        Budget::new(
            store,
            settings.worker.sync.request_limits(&digitalocean.url),
        )
    });
    for (purpose, source) in digitalocean.tokens.iter() {
        let url = digitalocean.url.as_str();
        let checked =
            check_token(report, url, purpose, source, budget.as_ref(), &mut teams).await?;
        let client = match checked {
            Continue(client) => client,
            // The other purposes use the same server.
            Break(()) => break,
        };
        if let (Some(client), Some(settings), Purpose::CloudSyncFull) = (client, settings, purpose)
        {
            let name = &settings.worker.sync.internal_project;
            lists::check_internal_project(report, &client, name).await?;
        }
    }
    let mut sources = digitalocean.tokens.iter();
    let is_shared_used = sources.any(|(_, source)| source.name() == SHARED_TOKEN);
    if !is_shared_used && variable(SHARED_TOKEN).is_some() {
        report.warn(
            "tokens",
            "DO_API_TOKEN is set but unused, because every purpose has a separate token: unset it",
        )?;
    }
    check_spaces(report, &digitalocean).await
}

/// Checks one token and its scopes.
///
/// Returns a client for further checks, or None if the token allows none. Breaks if the server is
/// unreachable or is not DigitalOcean.
async fn check_token(
    report: &mut Report,
    url: &str,
    purpose: Purpose,
    source: &TokenSource,
    budget: Option<&Budget>,
    teams: &mut Teams,
) -> anyhow::Result<ControlFlow<(), Option<Client>>> {
    let check = format!("token {purpose}");
    let mut client = match Client::new(url, source.clone()) {
        Ok(client) => client,
        Err(error) => return report.error(&check, error).map(|()| Continue(None)),
    };
    // Bypasses the budget, which leaves a reserve of requests, so that the token is checked even if
    // the budget is exhausted.
    let team = match client.check_token().await {
        Ok(team) => team,
        Err(error) if lists::is_about_the_token(&error) => {
            return report.error(&check, error).map(|()| Continue(None));
        }
        Err(error) => return report_server(report, &error).map(Break),
    };
    let limit = client.rate_limit();
    if let Some(budget) = budget {
        client = client.limited_by(budget.of(purpose));
    }
    let probed = if limit.is_none_or(requests::is_enough) {
        match lists::probe_all(&client, purpose).await {
            Ok(probed) => Some(probed),
            Err(error) => return report_server(report, &error).map(Break),
        }
    } else {
        None
    };
    report.ok(&check, format_args!("valid, from {}", source.name()))?;
    teams.check(report, purpose, source, team)?;
    requests::check_budget(report, purpose, limit, budget).await?;
    let Some(probed) = probed else {
        return Ok(Continue(None));
    };
    lists::report_scopes(report, purpose, &probed)?;
    Ok(Continue(Some(client)))
}

/// Reports a failure of the server in one line, which applies to all purposes and lists.
fn report_server(report: &mut Report, error: &Error) -> anyhow::Result<()> {
    let fix = match error {
        Error::Network { .. } => {
            "check DIGITALOCEAN_API_URL and the network between this machine and that server"
        }
        Error::Server { .. } => {
            "see https://status.digitalocean.com, or correct DIGITALOCEAN_API_URL"
        }
        _ => "this is not a response of DigitalOcean: correct DIGITALOCEAN_API_URL",
    };
    report.fail("digitalocean", format_args!("{error}; {fix}"))
}

async fn check_spaces(report: &mut Report, digitalocean: &DigitalOcean) -> anyhow::Result<()> {
    let Some(spaces) = &digitalocean.spaces else {
        return report.ok(
            "spaces",
            "no keys, so only buckets that projects, keys or recent invoices name are mirrored; to list \
             all, set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY",
        );
    };
    match spaces.list_buckets().await {
        Ok(buckets) => report.ok(
            "spaces",
            format_args!("the keys are valid and list {} buckets", buckets.len()),
        ),
        Err(error) => report.error("spaces", error),
    }
}
