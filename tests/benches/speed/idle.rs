//! Measures a worker's start, its resources while idle, and its shutdown under load.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use temporalio_client::{
    Client, WorkflowFetchHistoryOptions, WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::invoices::BillingHistory;
use workflows::{Input, task_queue};

use crate::child::{self, Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit, median};

const STARTS: usize = 5;
/// Time until the resources of the start are released.
const SETTLING: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(20);
/// The worker's grace period in seconds (`worker/src/lib.rs`).
const GRACE: f64 = 20.0;
const INVOICES: usize = 137;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let temporal = devstack::testing::temporal().await;
    let client = worker::temporal::connect_to(temporal.address()).await?;
    let simulator = SimulatorProcess::start(Contents::Demo).await?;
    let database = Database::new().await?;
    let servers = (database.url(), temporal.address(), simulator.url.as_str());

    let mut seconds = Vec::new();
    for _ in 0..STARTS {
        seconds.push(first_task(&client, &servers).await?);
    }
    report.limited(
        "start of the process to its first task",
        median(seconds),
        1.0,
        Unit::Seconds,
    )?;

    let worker = child::worker(&servers.0, servers.1, servers.2).await?;
    tokio::time::sleep(SETTLING).await;
    let before = worker.seconds_of_cpu();
    tokio::time::sleep(IDLE).await;
    match (before, worker.seconds_of_cpu(), worker.memory()) {
        (Some(before), Some(after), Some(memory)) => {
            report.limited("idle: memory", memory, 60.0, Unit::Megabytes)?;
            let share = (after - before) / IDLE.as_secs_f64() * 100.0;
            report.limited("idle: share of a core", share, 1.0, Unit::Percent)?;
        }
        _ => report.note("this system does not report the resources of a process")?,
    }
    worker.stop().await?;
    measure_shutdown(report, &client, &servers).await
}

/// The URL of the database, the address of Temporal, and the URL of DigitalOcean.
type Servers<'a> = (String, &'a str, &'a str);

/// Returns the seconds from the start of a process until its first workflow task starts.
async fn first_task(client: &Client, servers: &Servers<'_>) -> anyhow::Result<f64> {
    let id = format!("first-{}", uuid::Uuid::new_v4());
    let scope: InventoryScope = serde_json::from_str(r#"{"kinds":["volume"]}"#)?;
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, id.as_str()).build();
    let run = client
        .start_workflow(SyncInventory::run, Input::Valid(scope), options)
        .await?;
    let process_started = SystemTime::now();
    let worker = child::worker(&servers.0, servers.1, servers.2).await?;
    run.get_result(WorkflowGetResultOptions::default()).await?;
    worker.stop().await?;
    let events = run
        .fetch_history(WorkflowFetchHistoryOptions::default())
        .into_events()
        .await?;
    let mut started = events
        .iter()
        .filter(|event| event.event_type() == EventType::WorkflowTaskStarted);
    let at = started.next().and_then(|event| event.event_time);
    let at = SystemTime::try_from(at.context("no workflow task was started")?)?;
    Ok(at.duration_since(process_started)?.as_secs_f64())
}

/// Sends SIGTERM during a backfill, and starts another worker that completes it.
async fn measure_shutdown(
    report: &mut Report,
    client: &Client,
    servers: &Servers<'_>,
) -> anyhow::Result<()> {
    let database = Database::new().await?;
    let worker = child::worker(&database.url(), servers.1, servers.2).await?;
    let id = format!("billing-history-{}", uuid::Uuid::new_v4());
    let options = WorkflowStartOptions::new(task_queue::CLOUD_BILLING, id.as_str()).build();
    let run = client
        .start_workflow(BillingHistory::run, Input::Missing, options)
        .await?;
    let ingested = "select count(*) from cloud_invoices where ingest_status = 'ingested'";
    let deadline = Instant::now() + Duration::from_mins(1);
    while database.number(ingested).await? < 20 {
        anyhow::ensure!(Instant::now() < deadline, "no 20 invoices within a minute");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let signalled = Instant::now();
    worker.terminate().await?;
    let took = signalled.elapsed().as_secs_f64();
    let ingested_before = database.number(ingested).await?;
    report.limited("SIGTERM to exit, under load", took, GRACE, Unit::Seconds)?;
    report.note(&format!(
        "{ingested_before} of {INVOICES} invoices were ingested before the exit"
    ))?;

    let another = child::worker(&database.url(), servers.1, servers.2).await?;
    let progress = run.get_result(WorkflowGetResultOptions::default()).await?;
    another.stop().await?;
    let lost = INVOICES - progress.ingested;
    report.limited(
        "invoices that the next worker did not ingest",
        lost as f64,
        0.0,
        Unit::Count("invoices"),
    )?;
    let wrong =
        "select count(*) from cloud_invoices where ingest_status <> 'ingested' or version <> 1";
    report.limited(
        "invoices ingested not at all or more than once",
        database.number(wrong).await? as f64,
        0.0,
        Unit::Count("invoices"),
    )
}
