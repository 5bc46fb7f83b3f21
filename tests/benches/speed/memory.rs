//! Measures a worker's memory during syncs of a large inventory, new and unchanged. The limit is in
//! MB.

use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use workflows::inventory::SyncInventory;
use workflows::{Input, task_queue};

use crate::backfill::largest_event;
use crate::child::{self, Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit};

pub(crate) async fn measure(
    report: &mut Report,
    contents: Contents,
    limit: f64,
) -> anyhow::Result<()> {
    let temporal = devstack::testing::temporal().await;
    let client = worker::temporal::connect_to(temporal.address()).await?;
    let simulator = SimulatorProcess::start(contents).await?;
    let database = Database::new().await?;
    let worker = child::worker(&database.url(), temporal.address(), &simulator.url).await?;
    for state in ["all resources new", "all resources unchanged"] {
        let id = format!("sync-inventory-{}", uuid::Uuid::new_v4());
        client
            .start_workflow(
                SyncInventory::run,
                Input::Missing,
                WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, id.as_str()).build(),
            )
            .await?
            .get_result(WorkflowGetResultOptions::default())
            .await?;
        match worker.peak_memory() {
            Some(peak) => report.limited(
                &format!("peak memory of the worker so far, {state}"),
                peak,
                limit,
                Unit::Megabytes,
            )?,
            None => report.note("this system does not report the worker's memory")?,
        }
        let largest = largest_event::<SyncInventory>(&client, &id).await?;
        report.limited(
            "largest event of the history, including payloads",
            largest as f64,
            100_000.0,
            Unit::Bytes,
        )?;
    }
    worker.stop().await
}
