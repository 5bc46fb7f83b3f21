//! Wiring: which workflows and activities run on which task queue, with which DigitalOcean token; the schedules as a table.

pub mod budget;
mod log;
pub mod metrics;
pub mod schedules;
pub mod temporal;

use std::sync::Arc;
use std::time::Duration;

use activities::balance::BalanceActivities;
use activities::costs::CostActivities;
use activities::held_deletions::HeldDeletionActivities;
use activities::inventory::InventoryActivities;
use activities::invoices::InvoiceActivities;
use activities::ledger::LedgerActivities;
use activities::projects::ProjectActivities;
use digitalocean::{Purpose, SpacesClient, Tokens};
use store::Store;
use store::budget::Limits;
use store::inventory::Rules;
use temporalio_client::Client;
use temporalio_sdk::runtime::RuntimeOptions;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use workflows::balance::PollBalance;
use workflows::held_deletions::HeldDeletion;
use workflows::inventory::SyncInventory;
use workflows::invoices::{BillingHistory, IngestInvoice};
use workflows::projects::SyncProjects;
use workflows::task_queue;

use crate::budget::SharedBudget;
use crate::log::ActivitySpan;
use crate::metrics::Metrics;

/// What a worker needs beside Temporal.
pub struct Settings {
    pub store: Store,
    /// Base of the DigitalOcean API.
    pub digitalocean_url: String,
    pub tokens: Tokens,
    /// How many requests all workers together may make with each token.
    pub request_limits: Limits,
    /// The name of the project that must exist.
    pub internal_project: String,
    pub rules: Rules,
    /// Whether DNS records are mirrored too: a request for each zone.
    pub dns_records: bool,
    /// Invoices of so many months before the present one are looked at again every day.
    pub look_back_months: u32,
    /// Lists Spaces buckets, where keys for that are configured.
    pub spaces: Option<SpacesClient>,
}

/// Database connections a worker uses at most: as many as its activities can hold at once on two queues, so that none waits long.
pub const CONNECTIONS: u32 = 20;

const WORKFLOW_SLOTS: usize = 40;
const ACTIVITY_SLOTS: usize = 10;
/// Running workflows kept in memory between their tasks. More than run at once: the children of one `BillingHistory`.
const CACHED_WORKFLOWS: usize = 200;

/// Runs a worker on every task queue until `shutdown` resolves; activities then have 20 seconds to end.
///
/// The future is not `Send`: workflow code runs on the thread that polls it.
pub async fn run(
    client: Client,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    run_measured(client, settings, None, shutdown).await
}

/// The same with metrics, if any.
pub async fn run_measured(
    client: Client,
    settings: Settings,
    metrics: Option<Metrics>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let telemetry = metrics.as_ref().map(Metrics::telemetry);
    let options_of_runtime = RuntimeOptions::builder()
        .telemetry_options(telemetry.unwrap_or_default())
        .build()
        .map_err(anyhow::Error::msg)?;
    let runtime = Runtime::from_current_tokio(options_of_runtime)?;
    let budget = SharedBudget::new(
        settings.store.clone(),
        settings.request_limits,
        Purpose::CloudSyncFull,
    );
    let api = |purpose| {
        let client = digitalocean::Client::new(
            &settings.digitalocean_url,
            settings.tokens.token(purpose).clone(),
        )?;
        let client = client.limited_by(Arc::new(budget.for_purpose(purpose)));
        Ok::<_, digitalocean::Error>(match &metrics {
            Some(metrics) => client.observed_by(metrics.observer(purpose)),
            None => client,
        })
    };
    let inventory = |digitalocean| InventoryActivities {
        digitalocean,
        store: settings.store.clone(),
        rules: settings.rules,
        dns_records: settings.dns_records,
        spaces: settings.spaces.clone(),
    };

    let api_full = api(Purpose::CloudSyncFull)?;
    let mut full = options(task_queue::CLOUD_SYNC_FULL);
    full.register_workflow::<SyncProjects>()?
        .register_workflow::<SyncInventory>()?
        .register_workflow::<HeldDeletion>()?
        .register_activities(HeldDeletionActivities {
            store: settings.store.clone(),
        })
        .register_activities(ProjectActivities {
            digitalocean: api_full.clone(),
            store: settings.store.clone(),
            internal_project: settings.internal_project.clone(),
            rules: settings.rules,
        })
        .register_activities(inventory(api_full));
    let mut fast = options(task_queue::CLOUD_SYNC_FAST);
    fast.register_workflow::<SyncInventory>()?
        .register_activities(inventory(api(Purpose::CloudSyncFast)?));
    let api_billing = api(Purpose::CloudBilling)?;
    let mut billing = options(task_queue::CLOUD_BILLING);
    billing
        .register_workflow::<PollBalance>()?
        .register_workflow::<BillingHistory>()?
        .register_workflow::<IngestInvoice>()?
        .register_activities(BalanceActivities {
            digitalocean: api_billing.clone(),
            store: settings.store.clone(),
        })
        .register_activities(LedgerActivities {
            digitalocean: api_billing.clone(),
            store: settings.store.clone(),
        })
        .register_activities(CostActivities {
            store: settings.store.clone(),
        })
        .register_activities(InvoiceActivities {
            digitalocean: api_billing,
            store: settings.store.clone(),
            look_back_months: settings.look_back_months,
        });

    let mut full = Worker::new(&runtime, client.clone(), full)?;
    let mut fast = Worker::new(&runtime, client.clone(), fast)?;
    let mut billing = Worker::new(&runtime, client, billing)?;
    let stops = [
        full.shutdown_handle(),
        fast.shutdown_handle(),
        billing.shutdown_handle(),
    ];
    let stop_all = async {
        shutdown.await;
        tracing::info!(
            "stopping: running activities have {} s to end",
            GRACE.as_secs()
        );
        for stop in &stops {
            stop();
        }
        Ok(())
    };
    let (full, fast, billing, ()) = futures::try_join!(
        async { full.run().await.map_err(anyhow::Error::from) },
        async { fast.run().await.map_err(anyhow::Error::from) },
        async { billing.run().await.map_err(anyhow::Error::from) },
        stop_all,
    )?;
    let ((), (), ()) = (full, fast, billing);
    Ok(())
}

const GRACE: Duration = Duration::from_secs(20);

fn options(task_queue: &str) -> WorkerOptions {
    WorkerOptions::new(task_queue)
        .tuner(
            TunerHolder::builder()
                .workflow_task_slot_supplier(FixedSizeSlotSupplier::new(WORKFLOW_SLOTS))
                .activity_task_slot_supplier(FixedSizeSlotSupplier::new(ACTIVITY_SLOTS))
                .local_activity_task_slot_supplier(FixedSizeSlotSupplier::new(1))
                .nexus_task_slot_supplier(FixedSizeSlotSupplier::new(1))
                .build(),
        )
        .max_cached_workflows(CACHED_WORKFLOWS)
        .graceful_shutdown_period(GRACE)
        .activity_inbound_interceptor(ActivitySpan)
        .build()
}
