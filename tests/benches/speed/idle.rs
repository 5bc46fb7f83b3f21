//! A worker's start, its rest, and its end in the midst of work.

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
/// Until what was set up for the first work has been put away.
const SETTLING: Duration = Duration::from_secs(5);
const AT_REST: Duration = Duration::from_secs(20);
/// As the worker's own (`worker/src/lib.rs`).
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
    tokio::time::sleep(AT_REST).await;
    match (before, worker.seconds_of_cpu(), worker.memory()) {
        (Some(before), Some(after), Some(memory)) => {
            report.limited("at rest: memory", memory, 60.0, Unit::Megabytes)?;
            let share = (after - before) / AT_REST.as_secs_f64() * 100.0;
            report.limited("at rest: share of a core", share, 1.0, Unit::Percent)?;
        }
        _ => report.note("this system does not tell what a process uses")?,
    }
    worker.stop().await?;
    measure_end(report, &client, &servers).await
}

/// The database, Temporal and DigitalOcean.
type Servers<'a> = (String, &'a str, &'a str);

/// Seconds from the start of a process until a workflow task that waits for it is begun.
async fn first_task(client: &Client, servers: &Servers<'_>) -> anyhow::Result<f64> {
    let id = format!("first-{}", uuid::Uuid::new_v4());
    let scope: InventoryScope = serde_json::from_str(r#"{"kinds":["volume"]}"#)?;
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, id.as_str()).build();
    let run = client
        .start_workflow(SyncInventory::run, Input::Given(scope), options)
        .await?;
    let begun = SystemTime::now();
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
    let at = SystemTime::try_from(at.context("no workflow task was begun")?)?;
    Ok(at.duration_since(begun)?.as_secs_f64())
}

/// SIGTERM in the midst of a backfill, and another worker that brings it to its end.
async fn measure_end(
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
    let deadline = Instant::now() + Duration::from_secs(60);
    while database.number(ingested).await? < 20 {
        anyhow::ensure!(Instant::now() < deadline, "no 20 invoices within a minute");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let told = Instant::now();
    worker.terminate().await?;
    let took = told.elapsed().as_secs_f64();
    let before_the_end = database.number(ingested).await?;
    report.limited("SIGTERM to the end, under load", took, GRACE, Unit::Seconds)?;
    report.note(&format!(
        "{before_the_end} of {INVOICES} invoices were ingested by then"
    ))?;

    let another = child::worker(&database.url(), servers.1, servers.2).await?;
    let progress = run.get_result(WorkflowGetResultOptions::default()).await?;
    another.stop().await?;
    let lost = INVOICES - progress.ingested;
    report.limited(
        "invoices that another worker did not bring to their end",
        lost as f64,
        0.0,
        Unit::Count("invoices"),
    )?;
    let unlike =
        "select count(*) from cloud_invoices where ingest_status <> 'ingested' or version <> 1";
    report.limited(
        "invoices that are not ingested, or more than once",
        database.number(unlike).await? as f64,
        0.0,
        Unit::Count("invoices"),
    )
}
