//! The lists that a purpose reads: which of them its token may.

use std::collections::BTreeMap;

use ::digitalocean::budget::one_piece;
use ::digitalocean::{Client, Error, Need, Purpose};
use domain::Completeness;
use futures::stream::{self, StreamExt as _};

use super::Report;

/// Requests under way at a time.
const AT_A_TIME: usize = 4;

/// What a list answered.
type Asked = (Need, Result<(), Error>);

/// Asks each list once. An error where one without which the purpose comes to nothing is not there at all: then nobody else's lists
/// are either.
pub(super) async fn ask(client: &Client, purpose: Purpose) -> Result<Vec<Asked>, Error> {
    // Once the budget has refused one, nothing comes of asking it for the others.
    one_piece(ask_each(client, purpose)).await
}

async fn ask_each(client: &Client, purpose: Purpose) -> Result<Vec<Asked>, Error> {
    let needs = purpose.needs();
    let (essential, others) = needs.into_iter().partition(|need| need.is_essential);
    let mut asked = probe(client, essential).await;
    let amiss = asked.iter().position(|(_, outcome)| {
        outcome
            .as_ref()
            .is_err_and(|error| !is_about_the_token(error))
    });
    if let Some((_, Err(error))) = amiss.map(|amiss| asked.swap_remove(amiss)) {
        return Err(error);
    }
    asked.extend(probe(client, others).await);
    Ok(asked)
}

async fn probe(client: &Client, needs: Vec<Need>) -> Vec<Asked> {
    stream::iter(needs)
        .map(|need| async move {
            let outcome = client.probe(&need).await;
            (need, outcome)
        })
        .buffered(AT_A_TIME)
        .collect()
        .await
}

/// Whether it says something of this token, rather than of the server that was asked.
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

/// Says what cannot be read and what that costs.
pub(super) fn tell(report: &mut Report, purpose: Purpose, asked: &[Asked]) -> anyhow::Result<()> {
    let what = format!("scopes {purpose}");
    let mut readable = 0;
    // One line for each scope, whatever the number of its lists.
    let mut missing: BTreeMap<&str, (Vec<&str>, bool)> = BTreeMap::new();
    let (mut not_asked, mut put_off) = (Vec::new(), Vec::new());
    for (need, outcome) in asked {
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
            // The syncs refuse it as well.
            Err(error @ Error::UnexpectedBody { .. }) => {
                let loss = &need.loss;
                report.fail(&what, format_args!("{error}, so that {loss}: run the doctor again"))?;
            }
            Err(error @ Error::BudgetUsedUp { .. }) => put_off.push(error),
            Err(error) => not_asked.push(error),
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
    if let Some(first) = not_asked.first() {
        report.fail(
            &what,
            format_args!(
                "{} of {} lists could not be tried ({first}): run the doctor again",
                not_asked.len(),
                asked.len()
            ),
        )?;
    }
    if let Some(first) = put_off.first() {
        report.warn(
            &what,
            format_args!(
                "{} of {} lists were not tried, since the workers need the requests ({first}): run the doctor again then",
                put_off.len(),
                asked.len()
            ),
        )?;
    }
    if readable == asked.len() {
        report.ok(&what, format_args!("all {readable} lists can be read"))?;
    }
    Ok(())
}

/// Looks for the project that must exist, and makes none.
pub(super) async fn check_internal_project(
    report: &mut Report,
    client: &Client,
    name: &str,
) -> anyhow::Result<()> {
    const WHAT: &str = "internal project";
    let listed = client.list_projects().await;
    if listed.items.iter().any(|project| project.name == name) {
        return report.ok(WHAT, format_args!("{name} is there"));
    }
    match (listed.completeness, listed.failure) {
        (Completeness::Complete, _) => report.warn(
            WHAT,
            format_args!(
                "there is no project {name} yet: the first sync makes it, for which the token needs project:create. Whether it has that \
                 cannot be tried without making one; a project of that name made by hand is as good"
            ),
        ),
        // Told already, of the lists.
        (
            Completeness::Incomplete(_),
            Some(Error::Forbidden { .. } | Error::BudgetUsedUp { .. }),
        ) => Ok(()),
        (Completeness::Incomplete(reason), _) => report.warn(
            WHAT,
            format_args!("whether {name} is there could not be checked ({reason}): run the doctor again"),
        ),
    }
}
