//! Checks with one request per list that a purpose's token may read all lists of the purpose.

use std::collections::BTreeMap;

use ::digitalocean::rate_limit::as_one_unit_of_work;
use ::digitalocean::{Client, Error, Need, Purpose};
use domain::Completeness;
use futures::stream::{self, StreamExt as _};

use super::Report;

/// Maximum concurrent requests.
const CONCURRENCY: usize = 4;

/// A list and the outcome of its request.
type Probed = (Need, Result<(), Error>);

/// Requests each list once. Fails if an essential list fails for another reason than the token:
/// the server is then unreachable or is not DigitalOcean, so all other lists would fail too.
pub(super) async fn probe_all(client: &Client, purpose: Purpose) -> Result<Vec<Probed>, Error> {
    // After the budget has refused one request, it is not queried for the others.
    as_one_unit_of_work(probe_each(client, purpose)).await
}

async fn probe_each(client: &Client, purpose: Purpose) -> Result<Vec<Probed>, Error> {
    let needs = purpose.needs();
    let (essential, others) = needs.into_iter().partition(|need| need.is_essential);
    let mut probed = probe(client, essential).await;
    let failed = probed.iter().position(|(_, outcome)| {
        outcome
            .as_ref()
            .is_err_and(|error| !is_about_the_token(error))
    });
    if let Some((_, Err(error))) = failed.map(|failed| probed.swap_remove(failed)) {
        return Err(error);
    }
    probed.extend(probe(client, others).await);
    Ok(probed)
}

async fn probe(client: &Client, needs: Vec<Need>) -> Vec<Probed> {
    stream::iter(needs)
        .map(|need| async move {
            let outcome = client.probe(&need).await;
            (need, outcome)
        })
        .buffered(CONCURRENCY)
        .collect()
        .await
}

/// Returns true if the error is due to this token, not to the server.
pub(super) fn is_about_the_token(error: &Error) -> bool {
    matches!(
        error,
        Error::Unauthorized { .. }
            | Error::Forbidden { .. }
            | Error::RateLimited { .. }
            | Error::BudgetUsedUp { .. }
            | Error::InvalidToken
            | Error::Token(_)
    )
}

/// Reports the lists that the token cannot read, and the data that are therefore not mirrored.
pub(super) fn report_scopes(
    report: &mut Report,
    purpose: Purpose,
    probed: &[Probed],
) -> anyhow::Result<()> {
    let check = format!("scopes {purpose}");
    let mut readable = 0;
    // One line per scope, which may cover several lists.
    let mut missing: BTreeMap<&str, (Vec<&str>, bool)> = BTreeMap::new();
    let (mut failed, mut skipped) = (Vec::new(), Vec::new());
    for (need, outcome) in probed {
        match outcome {
            Ok(()) => readable += 1,
            Err(Error::Forbidden { .. }) => {
                let (losses, is_essential) = missing.entry(need.scope).or_default();
                losses.push(&need.loss);
                *is_essential |= need.is_essential;
            }
            // This server does not offer the kind.
            Err(Error::NotFound { .. }) => report.warn(
                &check,
                format_args!(
                    "{} returned 404, so {}: this server or account does not offer it; no action needed",
                    need.path(),
                    need.loss
                ),
            )?,
            // The syncs reject it too.
            Err(error @ Error::UnexpectedBody { .. }) => {
                let loss = &need.loss;
                report.fail(
                    &check,
                    format_args!("{error}, so {loss}: run `arcadia doctor` again"),
                )?;
            }
            Err(error @ Error::BudgetUsedUp { .. }) => skipped.push(error),
            Err(error) => failed.push(error),
        }
    }
    for (scope, (losses, is_essential)) in missing {
        let line = format!("{}; grant {scope}", losses.join(", "));
        if is_essential {
            report.fail(&check, line)?;
        } else {
            report.warn(&check, line)?;
        }
    }
    if let Some(first) = failed.first() {
        report.fail(
            &check,
            format_args!(
                "{} of {} lists could not be checked ({first}): run `arcadia doctor` again",
                failed.len(),
                probed.len()
            ),
        )?;
    }
    if let Some(first) = skipped.first() {
        report.warn(
            &check,
            format_args!(
                "{} of {} lists were skipped to leave requests to the workers ({first}): run `arcadia \
                 doctor` again later",
                skipped.len(),
                probed.len()
            ),
        )?;
    }
    if readable == probed.len() {
        report.ok(&check, format_args!("all {readable} lists can be read"))?;
    }
    Ok(())
}

/// Checks that the internal project exists, without creating it.
pub(super) async fn check_internal_project(
    report: &mut Report,
    client: &Client,
    name: &str,
) -> anyhow::Result<()> {
    const CHECK: &str = "internal project";
    let listed = client.list_projects().await;
    if listed.items.iter().any(|project| project.name == name) {
        return report.ok(CHECK, format_args!("{name} exists"));
    }
    match (listed.completeness, listed.failure) {
        (Completeness::Complete, _) => report.warn(
            CHECK,
            format_args!(
                "project {name} does not exist yet: the first sync creates it if the token has the scope \
                 project:create, which cannot be checked without creating a project; alternatively, \
                 create the project by hand"
            ),
        ),
        // Reported by the check of the scopes.
        (
            Completeness::Incomplete(_),
            Some(Error::Forbidden { .. } | Error::BudgetUsedUp { .. }),
        ) => Ok(()),
        (Completeness::Incomplete(reason), _) => report.warn(
            CHECK,
            format_args!("could not list projects to find {name} ({reason}): run `arcadia doctor` again"),
        ),
    }
}
