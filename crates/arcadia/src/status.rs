//! `arcadia status`: prints the verdict on the mirror with its reasons.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use api::status::{Code, Reason, Schedules, Status, Verdict, reasons_of_schedules, verdict};
use api::{ScheduleSource as _, ScheduleStatus};
use chrono::SecondsFormat;
use store::Store;
use temporalio_client::Client;

use crate::failure;
use crate::instance::InstanceArguments;
use crate::schedule_status;

/// Show whether the mirror is up to date, and the reasons if it is not.
///
/// Reports the same verdict as `GET /api/v1/sync`, read from the database and Temporal without the
/// API.
#[derive(clap::Args)]
#[command(
    after_help = "Uses the Temporal server of Temporal's own variables (TEMPORAL_ADDRESS, \
                  TEMPORAL_NAMESPACE, ...) and the database of DATABASE_URL, or both of --state-dir, and \
                  prints them on stderr. The exit status is 0 if the mirror is ok, 1 if it is degraded, \
                  and 2 if it is failing or the database or Temporal is unreachable, as for monitoring \
                  plugins."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    instance: InstanceArguments,
}

/// Temporal counts as unreachable if it does not respond within this time.
const TEMPORAL_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let instance = &arguments.instance;
    let (database, client) = tokio::join!(database(instance), temporal(instance));
    let schedules = match (client, &database) {
        (Err(problem), _) => Err(problem),
        (Ok(client), Ok(store)) => schedules(client, store.clone()).await,
        // Without the database, the expected installation is unknown.
        (Ok(_), Err(_)) => Ok(Vec::new()),
    };
    let schedules = match &schedules {
        Ok(schedules) => Schedules::Known(schedules),
        Err(problem) => Schedules::Unreachable(problem),
    };
    let facts = match database {
        Ok(store) => store.status_facts().await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    let verdict = match facts {
        Ok(facts) => verdict(&facts, schedules),
        Err(error) => {
            let detail = format!("the database cannot be read: {}", failure::one_line(&error));
            let mut reasons = reasons_of_schedules(schedules);
            reasons.push(Reason::new(Code::DatabaseUnreachable, detail));
            Verdict::from(reasons)
        }
    };
    print(&verdict)?;
    Ok(exit_code(verdict.status))
}

async fn database(instance: &InstanceArguments) -> anyhow::Result<Store> {
    let database = instance.database(1).await?;
    eprintln!("database: {}", database.description);
    database.store.check_ready().await?;
    Ok(database.store)
}

async fn temporal(instance: &InstanceArguments) -> Result<Client, String> {
    let temporal = in_time(Box::pin(instance.temporal())).await?;
    eprintln!("temporal: {}", temporal.description);
    Ok(temporal.client)
}

async fn schedules(client: Client, store: Store) -> Result<Vec<ScheduleStatus>, String> {
    let source = schedule_status::Schedules::of(client, store);
    in_time(async { source.schedules().await.map_err(anyhow::Error::msg) }).await
}

/// Returns the result of a request to Temporal, or the problem in one line.
async fn in_time<T>(request: impl Future<Output = anyhow::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(TEMPORAL_TIMEOUT, request).await {
        Ok(outcome) => outcome.map_err(|error| failure::one_line(&error)),
        Err(_) => Err(format!(
            "no response within {} s",
            TEMPORAL_TIMEOUT.as_secs()
        )),
    }
}

fn print(verdict: &Verdict) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "status: {}", verdict.status)?;
    for reason in &verdict.reasons {
        let code = serde_json::to_value(reason.code).context("a code is not JSON")?;
        let code = code.as_str().unwrap_or_default();
        let since = reason.since.map_or_else(String::new, |since| {
            format!(
                " (since {})",
                since.to_rfc3339_opts(SecondsFormat::Secs, true)
            )
        });
        let detail = reason.detail.replace('\n', " ");
        writeln!(out, "{:<8}  {code}: {detail}{since}", reason.severity)?;
    }
    Ok(())
}

fn exit_code(status: Status) -> ExitCode {
    ExitCode::from(match status {
        Status::Ok => 0,
        Status::Degraded => 1,
        Status::Failing => 2,
    })
}
