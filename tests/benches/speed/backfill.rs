//! Measures the backfill of the demo account's 137 invoices by a separate worker.

use std::time::Instant;

use temporalio_client::{
    Client, WorkflowFetchHistoryOptions, WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_common::HasWorkflowDefinition;
use workflows::Input;
use workflows::invoices::{BillingHistory, IngestInvoice};
use workflows::task_queue;

use crate::child::{self, Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit, median};

const RUNS: usize = 3;
const INVOICES: i64 = 137;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let temporal = devstack::testing::temporal().await;
    let client = worker::temporal::connect_to(temporal.address()).await?;
    let simulator = SimulatorProcess::start(Contents::Demo).await?;
    let (mut seconds, mut memory, mut largest) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        let database = Database::new().await?;
        let worker = child::worker(&database.url(), temporal.address(), &simulator.url).await?;
        let id = format!("billing-history-{}", uuid::Uuid::new_v4());
        let started = Instant::now();
        let progress = client
            .start_workflow(
                BillingHistory::run,
                Input::Missing,
                WorkflowStartOptions::new(task_queue::CLOUD_BILLING, id.as_str()).build(),
            )
            .await?
            .get_result(WorkflowGetResultOptions::default())
            .await?;
        seconds.push(started.elapsed().as_secs_f64());
        anyhow::ensure!(
            progress.ingested == usize::try_from(INVOICES)? && progress.failed == 0,
            "{progress:?}"
        );
        memory.extend(worker.peak_memory());
        largest = largest.max(largest_event::<BillingHistory>(&client, &id).await?);
        for invoice in invoices(&database).await? {
            let id = format!("ingest-invoice-{invoice}");
            largest = largest.max(largest_event::<IngestInvoice>(&client, &id).await?);
        }
        worker.stop().await?;
    }
    report.limited(
        "137 invoices, from start to result",
        median(seconds),
        30.0,
        Unit::Seconds,
    )?;
    report.limited(
        "largest event of any history, including payloads",
        largest as f64,
        100_000.0,
        Unit::Bytes,
    )?;
    if memory.is_empty() {
        return report.note("this system does not report the worker's memory");
    }
    report.limited(
        "peak memory of the worker",
        median(memory),
        150.0,
        Unit::Megabytes,
    )
}

async fn invoices(database: &Database) -> anyhow::Result<Vec<uuid::Uuid>> {
    let invoices = sqlx::query_scalar("select invoice_uuid from cloud_invoices")
        .fetch_all(&database.pool)
        .await?;
    Ok(invoices)
}

/// Returns the size in bytes of the largest event in a workflow's history.
pub(crate) async fn largest_event<W: HasWorkflowDefinition>(
    client: &Client,
    workflow_id: &str,
) -> anyhow::Result<usize> {
    let events = client
        .get_workflow_handle::<W>(workflow_id)
        .fetch_history(WorkflowFetchHistoryOptions::default())
        .into_events()
        .await?;
    let sizes = events.iter().map(prost::Message::encoded_len);
    Ok(sizes.max().unwrap_or_default())
}
