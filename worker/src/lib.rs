//! The worker: registers workflows and activities on the task queue of each purpose, each with its
//! own DigitalOcean token, and defines the schedules.

mod log;
pub mod metrics;
pub mod rate_limit;
mod renewal;
pub mod schedules;
pub mod search_attributes;
pub mod team;
pub mod temporal;
pub mod traces;

use std::sync::Arc;
use std::time::Duration;

use activities::AttemptBudget;
use activities::balance::BalanceActivities;
use activities::costs::CostActivities;
use activities::held_deletions::HeldDeletionActivities;
use activities::inventory::InventoryActivities;
use activities::invoices::InvoiceActivities;
use activities::ledger::LedgerActivities;
use activities::maintenance::MaintenanceActivities;
use activities::months::MonthActivities;
use activities::projects::ProjectActivities;
use activities::reallocations::ReallocationActivities;
use digitalocean::{Purpose, SpacesClient, Tokens};
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, try_join_all};
use store::Store;
use store::inventory::Rules;
use store::rate_limit::Limits;
use temporalio_client::Client;
use temporalio_sdk::runtime::RuntimeOptions;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::{Runtime, WorkerOptions};
use tokio_util::sync::CancellationToken;
use workflows::balance::PollBalance;
use workflows::held_deletions::HeldDeletion;
use workflows::inventory::SyncInventory;
use workflows::invoices::{BillingHistory, IngestInvoice};
use workflows::maintenance::Maintain;
use workflows::months::CloseMonth;
use workflows::projects::SyncProjects;
use workflows::reallocations::Reallocate;
use workflows::task_queue;

use crate::log::ActivitySpan;
use crate::metrics::Metrics;
use crate::rate_limit::SharedBudget;
use crate::renewal::Renewal;
use crate::team::MirroredTeamGate;
use crate::traces::Traces;

pub use crate::renewal::RENEW_AFTER;
pub use activities::{InvalidSigningKey, SigningKey};

/// The dependencies and options of a worker, apart from its Temporal client.
pub struct Settings {
    pub store: Store,
    /// Base URL of the DigitalOcean API.
    pub digitalocean_url: String,
    /// One task queue is polled for each purpose that has a token.
    pub tokens: Tokens,
    /// Request limits of each token, across all workers.
    pub request_limits: Limits,
    /// The name of the project that must exist.
    pub internal_project: String,
    pub rules: Rules,
    /// Whether DNS records are mirrored, at the cost of one request per zone.
    pub dns_records: bool,
    /// Number of months before the current one for which invoices are rechecked daily.
    pub look_back_months: u32,
    /// Lists Spaces buckets; none without Spaces keys.
    pub spaces: Option<SpacesClient>,
    /// Signs the statements of closed months; none leaves them unsigned.
    pub signing_key: Option<SigningKey>,
    /// Number of activities after which the worker of a task queue is replaced once it is idle
    /// ([`RENEW_AFTER`]).
    pub renew_after: u64,
}

const WORKFLOW_SLOTS: usize = 40;
/// Concurrent activities of a task queue.
const ACTIVITY_SLOTS: usize = 10;
/// Connections for work outside of activities: leases of the request budget, and metrics.
const OTHER_CONNECTIONS: u32 = 2;

/// Maximum number of database connections of a worker: one for each activity slot, so that no
/// activity waits for another one's connection, and a few for other work. Connections are opened
/// when they are needed.
pub const CONNECTIONS: u32 = connections();

const fn connections() -> u32 {
    let (mut connections, mut slots) = (OTHER_CONNECTIONS, 0);
    while slots < Purpose::ALL.len() * ACTIVITY_SLOTS {
        connections += 1;
        slots += 1;
    }
    connections
}

/// Number of running workflows cached between their tasks. Exceeds the usual number of concurrent
/// runs, most of which are children of one `BillingHistory`.
const CACHED_WORKFLOWS: usize = 200;

/// Runs a worker on the task queue of every purpose that has a token, until `shutdown` resolves.
/// Running activities then have 20 seconds to complete.
///
/// The future is not `Send`: workflow code runs on the thread that polls it.
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
    run_boxed(client, settings, telemetry, shutdown.boxed_local())
}

/// Not generic, so that the worker is compiled in this crate and not in each caller.
fn run_boxed(
    client: Client,
    settings: Settings,
    telemetry: Telemetry,
    shutdown: LocalBoxFuture<'_, ()>,
) -> LocalBoxFuture<'_, anyhow::Result<()>> {
    run_workers(client, settings, telemetry, shutdown).boxed_local()
}

async fn run_workers(
    client: Client,
    settings: Settings,
    telemetry: Telemetry,
    shutdown: LocalBoxFuture<'_, ()>,
) -> anyhow::Result<()> {
    let Telemetry { metrics, traces } = telemetry;
    let telemetry = metrics.as_ref().map(Metrics::telemetry);
    let runtime_options = RuntimeOptions::builder()
        .telemetry_options(telemetry.unwrap_or_default())
        .build()
        .map_err(anyhow::Error::msg)?;
    let runtime = Runtime::from_current_tokio(runtime_options)?;
    let budget = SharedBudget::new(
        settings.store.clone(),
        settings.request_limits,
        Purpose::CloudSyncFull,
    );
    if let Some(key) = &settings.signing_key {
        tracing::info!(
            "statements of closed months are signed by the key {}",
            key.fingerprint()
        );
    }
    let stop = CancellationToken::new();
    let mut workers = Vec::new();
    for (purpose, token) in settings.tokens.iter() {
        let api = digitalocean::Client::new(&settings.digitalocean_url, token.clone())?
            .limited_by(Arc::new(AttemptBudget(budget.for_purpose(purpose))))
            .admitted_by(Arc::new(MirroredTeamGate(settings.store.clone())));
        let observers = [
            metrics.as_ref().map(|metrics| metrics.observer(purpose)),
            traces.as_ref().map(Traces::of_requests),
        ];
        let observers = observers.into_iter().flatten();
        let api = observers.fold(api, digitalocean::Client::observed_by);
        let options = {
            let (settings, traces) = (&settings, &traces);
            move || {
                let mut options = worker_options(purpose, api.clone(), settings)?;
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
            "shutting down: running activities have {} s to complete",
            GRACE.as_secs()
        );
        stop.cancel();
        Ok(())
    };
    let working = futures::future::try_join(try_join_all(workers), stop_all);
    let reporting = async {
        if let Some(metrics) = &metrics {
            let limits = settings.request_limits;
            rate_limit::metrics::record(metrics, &settings.store, limits).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        result = working => result.map(drop),
        never = reporting => never,
    }
}

/// Returns the options of the worker on a purpose's task queue, with its workflows and activities
/// registered. The activities use the given DigitalOcean client.
fn worker_options(
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
            worker = base_options(task_queue::CLOUD_SYNC_FULL);
            worker
                .register_workflow::<SyncProjects>()?
                .register_workflow::<SyncInventory>()?
                .register_workflow::<HeldDeletion>()?
                .register_workflow::<Maintain>()?
                .register_activities(MaintenanceActivities {
                    store: store.clone(),
                })
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
            worker = base_options(task_queue::CLOUD_SYNC_FAST);
            worker
                .register_workflow::<SyncInventory>()?
                .register_activities(inventory(digitalocean));
        }
        Purpose::CloudBilling => {
            worker = base_options(task_queue::CLOUD_BILLING);
            worker
                .register_workflow::<PollBalance>()?
                .register_workflow::<BillingHistory>()?
                .register_workflow::<IngestInvoice>()?
                .register_workflow::<Reallocate>()?
                .register_workflow::<CloseMonth>()?
                .register_activities(MonthActivities {
                    store: store.clone(),
                    signing_key: settings.signing_key.clone(),
                })
                .register_activities(ReallocationActivities {
                    store: store.clone(),
                })
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

/// Time that running activities have to complete after shutdown starts; they are then cancelled.
const GRACE: Duration = Duration::from_secs(20);
/// Time that cancelled activities have to return before the worker stops without them.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

fn base_options(task_queue: &str) -> WorkerOptions {
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
