//! Wiring: which workflows and activities run on which task queue, with which DigitalOcean token; the schedules as a table.

pub mod budget;
mod log;
pub mod metrics;
mod renewal;
pub mod schedules;
pub mod search_attributes;
pub mod team;
pub mod temporal;
pub mod traces;

use std::sync::Arc;
use std::time::Duration;

use activities::ByAttempts;
use activities::balance::BalanceActivities;
use activities::costs::CostActivities;
use activities::held_deletions::HeldDeletionActivities;
use activities::inventory::InventoryActivities;
use activities::invoices::InvoiceActivities;
use activities::ledger::LedgerActivities;
use activities::projects::ProjectActivities;
use digitalocean::{Purpose, SpacesClient, Tokens};
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, try_join_all};
use store::Store;
use store::budget::Limits;
use store::inventory::Rules;
use temporalio_client::Client;
use temporalio_sdk::runtime::RuntimeOptions;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::{Runtime, WorkerOptions};
use tokio_util::sync::CancellationToken;
use workflows::balance::PollBalance;
use workflows::held_deletions::HeldDeletion;
use workflows::inventory::SyncInventory;
use workflows::invoices::{BillingHistory, IngestInvoice};
use workflows::projects::SyncProjects;
use workflows::task_queue;

use crate::budget::SharedBudget;
use crate::log::ActivitySpan;
use crate::metrics::Metrics;
use crate::renewal::Renewal;
use crate::team::MirroredOnly;
use crate::traces::Traces;

pub use crate::renewal::RENEW_AFTER;

/// What a worker needs beside Temporal.
pub struct Settings {
    pub store: Store,
    /// Base of the DigitalOcean API.
    pub digitalocean_url: String,
    /// Their purposes say which task queues are polled.
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
    /// After so many activities a task queue's worker is built anew, as soon as none runs ([`RENEW_AFTER`]).
    pub renew_after: u64,
}

/// Database connections a worker uses at most: as many as its activities can hold at once on two queues, so that none waits long.
pub const CONNECTIONS: u32 = 20;

const WORKFLOW_SLOTS: usize = 40;
const ACTIVITY_SLOTS: usize = 10;
/// Running workflows kept in memory between their tasks. More than run at once: the children of one `BillingHistory`.
const CACHED_WORKFLOWS: usize = 200;

/// Runs a worker on the task queue of every purpose that has a token, until `shutdown` resolves; activities then have 20 seconds to end.
///
/// The future is not `Send`: workflow code runs on the thread that polls it. It is boxed, so that the worker is compiled in this crate
/// and not once more in each that calls it.
pub fn run<'a>(
    client: Client,
    settings: Settings,
    shutdown: impl Future<Output = ()> + 'a,
) -> LocalBoxFuture<'a, anyhow::Result<()>> {
    run_with_telemetry(client, settings, Telemetry::default(), shutdown)
}

/// Metrics and traces of a worker.
#[derive(Default)]
pub struct Telemetry {
    pub metrics: Option<Metrics>,
    pub traces: Option<Traces>,
}

/// Like [`run`], with metrics and traces.
pub fn run_with_telemetry<'a>(
    client: Client,
    settings: Settings,
    telemetry: Telemetry,
    shutdown: impl Future<Output = ()> + 'a,
) -> LocalBoxFuture<'a, anyhow::Result<()>> {
    work(client, settings, telemetry, shutdown.boxed_local()).boxed_local()
}

async fn work(
    client: Client,
    settings: Settings,
    telemetry: Telemetry,
    shutdown: LocalBoxFuture<'_, ()>,
) -> anyhow::Result<()> {
    let Telemetry { metrics, traces } = telemetry;
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
    let stop = CancellationToken::new();
    let mut workers = Vec::new();
    for (purpose, token) in settings.tokens.iter() {
        let api = digitalocean::Client::new(&settings.digitalocean_url, token.clone())?
            .limited_by(Arc::new(ByAttempts(budget.for_purpose(purpose))))
            .admitted_by(Arc::new(MirroredOnly(settings.store.clone())));
        let observers = [
            metrics.as_ref().map(|metrics| metrics.observer(purpose)),
            traces.as_ref().map(Traces::of_requests),
        ];
        let observers = observers.into_iter().flatten();
        let api = observers.fold(api, digitalocean::Client::observed_by);
        let options = {
            let (settings, traces) = (&settings, &traces);
            move || {
                let mut options = serving(purpose, api.clone(), settings)?;
                if let Some(traces) = traces {
                    options
                        .activity_inbound_interceptor(traces.of_activities())
                        .workflow_interceptor(traces.of_runs());
                }
                Ok(options)
            }
        };
        let renewal = Renewal {
            after: settings.renew_after,
            metrics: metrics.as_ref(),
        };
        workers.push(renewal::run(
            &runtime, &client, purpose, options, renewal, &stop,
        ));
    }
    let stop_all = async {
        shutdown.await;
        tracing::info!(
            "stopping: running activities have {} s to end",
            GRACE.as_secs()
        );
        stop.cancel();
        Ok(())
    };
    let working = futures::future::try_join(try_join_all(workers), stop_all);
    let telling = async {
        if let Some(metrics) = &metrics {
            let limits = settings.request_limits;
            metrics.tell_budgets(&settings.store, limits).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        worked = working => worked.map(drop),
        never = telling => never,
    }
}

/// The worker of a purpose's task queue: what runs there, with this client of DigitalOcean.
fn serving(
    purpose: Purpose,
    digitalocean: digitalocean::Client,
    settings: &Settings,
) -> anyhow::Result<WorkerOptions> {
    let store = settings.store.clone();
    let inventory = |digitalocean| InventoryActivities {
        digitalocean,
        store: store.clone(),
        rules: settings.rules,
        dns_records: settings.dns_records,
        spaces: settings.spaces.clone(),
    };
    let mut worker;
    match purpose {
        Purpose::CloudSyncFull => {
            worker = options(task_queue::CLOUD_SYNC_FULL);
            worker
                .register_workflow::<SyncProjects>()?
                .register_workflow::<SyncInventory>()?
                .register_workflow::<HeldDeletion>()?
                .register_activities(HeldDeletionActivities {
                    store: store.clone(),
                })
                .register_activities(ProjectActivities {
                    digitalocean: digitalocean.clone(),
                    store: store.clone(),
                    internal_project: settings.internal_project.clone(),
                    rules: settings.rules,
                })
                .register_activities(inventory(digitalocean));
        }
        Purpose::CloudSyncFast => {
            worker = options(task_queue::CLOUD_SYNC_FAST);
            worker
                .register_workflow::<SyncInventory>()?
                .register_activities(inventory(digitalocean));
        }
        Purpose::CloudBilling => {
            worker = options(task_queue::CLOUD_BILLING);
            worker
                .register_workflow::<PollBalance>()?
                .register_workflow::<BillingHistory>()?
                .register_workflow::<IngestInvoice>()?
                .register_activities(BalanceActivities {
                    digitalocean: digitalocean.clone(),
                    store: store.clone(),
                })
                .register_activities(LedgerActivities {
                    digitalocean: digitalocean.clone(),
                    store: store.clone(),
                })
                .register_activities(CostActivities {
                    store: store.clone(),
                })
                .register_activities(InvoiceActivities {
                    digitalocean,
                    store: store.clone(),
                    look_back_months: settings.look_back_months,
                });
        }
    }
    Ok(worker)
}

const GRACE: Duration = Duration::from_secs(20);
/// So long after they were cancelled, activities are not waited for any more.
const LAST_GRACE: Duration = Duration::from_secs(5);

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
