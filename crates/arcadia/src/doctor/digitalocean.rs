//! The tokens, what each may read, and the keys of Spaces.

use std::ops::ControlFlow::{self, Break, Continue};

use ::digitalocean::{Client, Error, Purpose, TokenSource};
use store::Store;

use super::requests::Budget;
use super::settings::Checked;
use super::teams::Teams;
use super::{Report, lists, requests};
use crate::configuration::{DigitalOcean, variable};

/// The variable of the token for every purpose without one of its own.
const SHARED_TOKEN: &str = "DO_API_TOKEN";

/// Settings that cannot be read have been told already.
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
    let mut teams = Teams::known_to(store.as_ref()).await;
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
            // The other purposes ask the same server.
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
            "DO_API_TOKEN is set and used for nothing, since every purpose has its token elsewhere: unset it",
        )?;
    }
    check_spaces(report, &digitalocean).await
}

/// Breaks off where the server is away or is not DigitalOcean. Gives what to ask further with, if anything more may be asked.
async fn check_token(
    report: &mut Report,
    url: &str,
    purpose: Purpose,
    source: &TokenSource,
    budget: Option<&Budget>,
    teams: &mut Teams,
) -> anyhow::Result<ControlFlow<(), Option<Client>>> {
    let what = format!("token {purpose}");
    let mut client = match Client::new(url, source.clone()) {
        Ok(client) => client,
        Err(error) => return report.error(&what, error).map(|()| Continue(None)),
    };
    // One request past the budget, which leaves some for people: whether the token is valid is to be known also where it is used up.
    let team = match client.check_token().await {
        Ok(team) => team,
        Err(error) if lists::is_about_the_token(&error) => {
            return report.error(&what, error).map(|()| Continue(None));
        }
        Err(error) => return tell_server(report, &error).map(Break),
    };
    let limit = client.rate_limit();
    if let Some(budget) = budget {
        client = client.limited_by(budget.of(purpose));
    }
    let asked = if limit.is_none_or(requests::is_enough) {
        match lists::ask(&client, purpose).await {
            Ok(asked) => Some(asked),
            Err(error) => return tell_server(report, &error).map(Break),
        }
    } else {
        None
    };
    report.ok(&what, format_args!("valid, from {}", source.name()))?;
    teams.check(report, purpose, source, team)?;
    requests::check_budget(report, purpose, limit, budget).await?;
    let Some(asked) = asked else {
        return Ok(Continue(None));
    };
    lists::tell(report, purpose, &asked)?;
    Ok(Continue(Some(client)))
}

/// One line, however many purposes and lists it is about.
fn tell_server(report: &mut Report, error: &Error) -> anyhow::Result<()> {
    let cure = match error {
        Error::Network { .. } => "look at DIGITALOCEAN_API_URL and this machine's way to it",
        Error::Server { .. } => {
            "look at https://status.digitalocean.com, or correct DIGITALOCEAN_API_URL"
        }
        _ => "DigitalOcean would not answer so: correct DIGITALOCEAN_API_URL",
    };
    report.fail("digitalocean", format_args!("{error}; {cure}"))
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
