//! The system under test: a simulated account, a database, a worker, and a separate Temporal
//! namespace for each test.

mod namespaces;
mod waiting;

use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{Timelike as _, Utc};
use devstack::testing::TestDatabase;
use digitalocean::{Purpose, SpacesClient, SpacesKeys, Tokens};
use futures::TryStreamExt as _;
use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Simulator};
use sqlx::PgPool;
use store::Store;
use store::inventory::{Guard, Rules};
use store::rate_limit::Limits;
use temporalio_client::errors::WorkflowGetResultError;
use temporalio_client::{
    Client, RpcOptions, UntypedWorkflow, WorkflowExecution, WorkflowExecutionInfo,
    WorkflowExecutionStatus, WorkflowFetchHistoryOptions, WorkflowGetResultOptions,
    WorkflowListOptions, WorkflowStartOptions,
};
use temporalio_common::HasWorkflowDefinition;
use temporalio_common::data_converters::RawValue;
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use tokio::sync::oneshot;
use uuid::Uuid;
use worker::SigningKey;
use worker::schedules::{self, Installation};
use workflows::balance::{BalancePolled, PollBalance};
use workflows::inventory::{InventoryReport, InventoryScope, SyncInventory};
use workflows::invoices::{BillingHistory, BillingProgress, IngestInvoice, InvoiceIngested};
use workflows::maintenance::{Maintain, Maintained};
use workflows::projects::{ProjectsReport, SyncProjects};
use workflows::{Input, NoInput, task_queue};

use namespaces::{connect, new_namespace};
pub(crate) use waiting::{LIMIT, eventually, within};

/// Timeout of runs with retries: an unreadable invoice fails after a minute and a half
/// (`workflows/src/options.rs`).
pub(crate) const LIMIT_OF_RETRIES: Duration = Duration::from_mins(3);

pub(crate) const INTERNAL_PROJECT: &str = "skyai-internal";

pub(crate) struct TestSystem {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) simulator: Simulator,
    pub(crate) store: Store,
    /// For queries that the store does not provide.
    pub(crate) pool: PgPool,
    // Dropped in this order: the worker stops before its database is removed.
    _worker: RunningWorker,
    database: TestDatabase,
}

impl TestSystem {
    /// Starts everything; nothing is synced yet.
    pub(crate) async fn start(account: Account) -> Self {
        Self::start_with_token(account, DEMO_TOKEN).await
    }

    /// Like [`Self::start`], with another token, which the account must accept.
    pub(crate) async fn start_with_token(account: Account, token: &str) -> Self {
        Self::start_limited(account, token, Limits::NONE).await
    }

    /// Like [`Self::start_with_token`], with request limits.
    pub(crate) async fn start_limited(account: Account, token: &str, limits: Limits) -> Self {
        Self::start_with_tokens(account, Tokens::one(token.into()), limits).await
    }

    /// Like [`Self::start`], with a worker that polls only the task queues of these purposes.
    pub(crate) async fn start_serving(account: Account, purposes: &[Purpose]) -> Self {
        Self::start_with_tokens(account, tokens_of(purposes), Limits::NONE).await
    }

    /// Like [`Self::start_limited`], with the given tokens.
    pub(crate) async fn start_with_tokens(
        account: Account,
        tokens: Tokens,
        limits: Limits,
    ) -> Self {
        let database = devstack::testing::database().await;
        let store = Store::connect(&database.url(), worker::CONNECTIONS)
            .await
            .unwrap();
        store.migrate().await.unwrap();
        let pool = PgPool::connect(&database.url()).await.unwrap();
        let simulator = Simulator::start(account).await.unwrap();
        let (client, namespace) =
            new_namespace(devstack::testing::temporal().await.address()).await;
        let settings = settings(&store, &simulator, tokens, limits);
        let worker = RunningWorker::start(namespace.clone(), settings);
        Self {
            client,
            namespace,
            simulator,
            store,
            pool,
            _worker: worker,
            database,
        }
    }

    /// Starts a second worker for the task queues of these purposes. It stops when dropped.
    pub(crate) fn start_another_worker(&self, purposes: &[Purpose]) -> RunningWorker {
        let tokens = tokens_of(purposes);
        let settings = settings(&self.store, &self.simulator, tokens, Limits::NONE);
        RunningWorker::start(self.namespace.clone(), settings)
    }

    /// Starts a worker for billing that signs the statements of closed months.
    pub(crate) fn start_signing_worker(&self, key: SigningKey) -> RunningWorker {
        let tokens = tokens_of(&[Purpose::CloudBilling]);
        let settings = worker::Settings {
            signing_key: Some(key),
            ..settings(&self.store, &self.simulator, tokens, Limits::NONE)
        };
        RunningWorker::start(self.namespace.clone(), settings)
    }

    /// Like [`Self::start_another_worker`], with separate database connections, which break when
    /// the worker is killed.
    pub(crate) async fn start_killable_worker(&self, purposes: &[Purpose]) -> RunningWorker {
        let url = self.database.url();
        let store = Store::connect(&url, worker::CONNECTIONS).await.unwrap();
        let settings = settings(&store, &self.simulator, tokens_of(purposes), Limits::NONE);
        RunningWorker::start(self.namespace.clone(), settings)
    }

    /// Starts a workflow, waits for its end, and returns its result or its failure messages.
    pub(crate) async fn run<W>(
        &self,
        workflow: W,
        input: W::Input,
        queue: &str,
        workflow_id: &str,
    ) -> Result<W::Output, String>
    where
        W: HasWorkflowDefinition,
        W::Input: Send,
    {
        let options = WorkflowStartOptions::new(queue, workflow_id).build();
        let handle = self
            .client
            .start_workflow(workflow, input, options)
            .await
            .unwrap();
        let result = handle.get_result(WorkflowGetResultOptions::default());
        match within(LIMIT_OF_RETRIES, workflow_id, result).await {
            Ok(output) => Ok(output),
            Err(WorkflowGetResultError::Failed(error)) => {
                // The failure of an activity is in the cause of the run's failure.
                let failures = std::iter::successors(Some(error.failure()), |failure| {
                    failure.cause.as_deref()
                });
                let messages: Vec<_> = failures.map(|failure| failure.message.as_str()).collect();
                Err(messages.join(": "))
            }
            Err(other) => panic!("{workflow_id} neither completed nor failed: {other}"),
        }
    }

    /// Like [`Self::run`], for arguments that the workflow's input type does not permit.
    pub(crate) async fn run_with(
        &self,
        workflow_type: &str,
        queue: &str,
        arguments: &[&str],
    ) -> Result<(), String> {
        let payloads = arguments.iter().map(|json| json_payload(json)).collect();
        let id = format!("{workflow_type}-{}", Uuid::new_v4());
        let workflow = UntypedWorkflow::new(workflow_type);
        self.run(workflow, RawValue::new(payloads), queue, &id)
            .await
            .map(drop)
    }

    pub(crate) async fn sync_projects(&self) -> Result<ProjectsReport, String> {
        let id = format!("sync-projects-{}", Uuid::new_v4());
        let queue = task_queue::CLOUD_SYNC_FULL;
        self.run(SyncProjects::run, NoInput, queue, &id).await
    }

    /// Syncs all kinds.
    pub(crate) async fn sync_inventory(&self) -> Result<InventoryReport, String> {
        let id = format!("sync-inventory-{}", Uuid::new_v4());
        let scope = Input::Valid(InventoryScope::default());
        let queue = task_queue::CLOUD_SYNC_FULL;
        self.run(SyncInventory::run, scope, queue, &id).await
    }

    pub(crate) async fn poll_balance(&self) -> Result<BalancePolled, String> {
        let id = format!("poll-balance-{}", Uuid::new_v4());
        let queue = task_queue::CLOUD_BILLING;
        self.run(PollBalance::run, NoInput, queue, &id).await
    }

    pub(crate) async fn maintain(&self) -> Result<Maintained, String> {
        let id = format!("maintain-{}", Uuid::new_v4());
        let queue = task_queue::CLOUD_SYNC_FULL;
        self.run(Maintain::run, NoInput, queue, &id).await
    }

    pub(crate) async fn billing_history(&self) -> Result<BillingProgress, String> {
        let id = format!("billing-history-{}", Uuid::new_v4());
        let queue = task_queue::CLOUD_BILLING;
        self.run(BillingHistory::run, Input::Missing, queue, &id)
            .await
    }

    pub(crate) async fn ingest(&self, invoice: Uuid) -> Result<InvoiceIngested, String> {
        let id = format!("ingest-invoice-{invoice}");
        let input = Input::Valid(invoice.into());
        let queue = task_queue::CLOUD_BILLING;
        self.run(IngestInvoice::run, input, queue, &id).await
    }

    /// Returns all workflow runs so far, including those of Temporal's scheduler.
    pub(crate) async fn workflows(&self) -> Vec<WorkflowExecution> {
        self.client
            .list_workflows("", WorkflowListOptions::default())
            .try_collect()
            .await
            .unwrap()
    }

    /// Asserts that no run failed. Runs that the schedules started since then may be in progress.
    pub(crate) async fn assert_no_failed_run(&self) {
        let mut runs = self.workflows().await;
        assert!(!runs.is_empty());
        runs.retain(|run| {
            !matches!(
                run.status(),
                WorkflowExecutionStatus::Completed
                    | WorkflowExecutionStatus::Running
                    | WorkflowExecutionStatus::ContinuedAsNew
            )
        });
        let failed: Vec<_> = runs.iter().map(|run| (run.id(), run.status())).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }

    /// Returns the history of a workflow's latest run, or of the given run.
    pub(crate) async fn history(&self, id: &str, run_id: Option<&str>) -> Vec<HistoryEvent> {
        let mut handle = WorkflowExecutionInfo::builder()
            .namespace(&self.namespace)
            .workflow_id(id)
            .build();
        handle.run_id = run_id.map(str::to_owned);
        handle
            .bind_untyped(self.client.clone())
            .fetch_history(WorkflowFetchHistoryOptions::default())
            .into_events()
            .await
            .unwrap()
    }

    /// Returns the histories of all runs so far.
    pub(crate) async fn all_events(&self) -> Vec<HistoryEvent> {
        let mut events = Vec::new();
        for workflow in self.workflows().await {
            events.extend(self.history(workflow.id(), Some(workflow.run_id())).await);
        }
        events
    }

    /// Applies the schedules, triggers each once, and waits until all runs have ended.
    ///
    /// Triggers them within a minute: a run that starts with a minute is one of the schedule, and
    /// continues with the next minute.
    pub(crate) async fn run_every_schedule_once(&self) {
        eventually("a minute has begun and does not end soon", async || {
            (5..45).contains(&Utc::now().second()).then_some(())
        })
        .await;
        let installation = Installation::of(&self.store).await.unwrap();
        schedules::apply(&self.client, &installation).await.unwrap();
        schedules::trigger_all(&self.client).await.unwrap();
        for schedule in schedules::SCHEDULES {
            let handle = self.client.get_schedule_handle(schedule.id);
            eventually(schedule.id, async || {
                // A busy server can exceed the timeout of a request.
                let description = handle.describe(RpcOptions::default()).await.ok()?;
                let has_ended = description.running_actions().is_empty();
                (description.action_count() > 0 && has_ended).then_some(())
            })
            .await;
        }
    }

    /// Returns the URL of the database, for other programs.
    pub(crate) fn database_url(&self) -> String {
        self.database.url()
    }

    /// Returns the number that a query selects.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// Returns the rows of a query that selects one text column.
    pub(crate) async fn rows(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(&self.pool).await.unwrap()
    }

    /// Returns the number of requests with this method and path.
    pub(crate) fn requests(&self, method: &str, path: &str) -> usize {
        let all = self.simulator.requests();
        all.iter()
            .filter(|request| request.method == method && request.path == path)
            .count()
    }

    /// Returns the number of the account's projects with this name.
    pub(crate) fn projects_named(&self, name: &str) -> usize {
        self.simulator.read(|account| {
            let projects = account.projects().iter();
            projects.filter(|project| project.name == name).count()
        })
    }
}

fn settings(
    store: &Store,
    simulator: &Simulator,
    tokens: Tokens,
    limits: Limits,
) -> worker::Settings {
    worker::Settings {
        store: store.clone(),
        digitalocean_url: simulator.url(),
        tokens,
        request_limits: limits,
        internal_project: INTERNAL_PROJECT.to_owned(),
        rules: Rules {
            strike_interval: Duration::ZERO,
            guard: Guard::default(),
        },
        dns_records: true,
        look_back_months: 3,
        spaces: Some(spaces_client(simulator)),
        signing_key: None,
        renew_after: worker::RENEW_AFTER,
    }
}

fn tokens_of(purposes: &[Purpose]) -> Tokens {
    let variable = |name: &str| (name == "DO_API_TOKEN").then(|| DEMO_TOKEN.to_owned());
    Tokens::from_variables(purposes, &variable).unwrap()
}

/// Returns a client for the buckets of a simulated account.
fn spaces_client(simulator: &Simulator) -> SpacesClient {
    let (id, secret) = (DEMO_SPACES_KEY.to_owned(), DEMO_SPACES_SECRET.into());
    let keys = SpacesKeys::new(Some(id), Some(secret)).unwrap().unwrap();
    SpacesClient::new(&simulator.spaces_url(), keys).unwrap()
}

pub(crate) fn json_payload(json: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: json.as_bytes().to_vec(),
        ..Default::default()
    }
}

/// A worker on a separate thread, since workflow code does not move between threads.
pub(crate) struct RunningWorker {
    stop: Option<oneshot::Sender<()>>,
    kill: Option<oneshot::Sender<()>>,
}

impl RunningWorker {
    fn start(namespace: String, settings: worker::Settings) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (kill, killed) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let working = async {
                let temporal = devstack::testing::temporal().await;
                let client = connect(temporal.address(), &namespace).await?;
                let stopped = async {
                    // Sent or dropped, both mean stop.
                    let _ = stopped.await;
                };
                worker::run(client, settings, stopped).await
            };
            let outcome = runtime.block_on(async {
                tokio::select! {
                    Ok(()) = killed => Ok(()),
                    outcome = working => outcome,
                }
            });
            // Drops tasks that are still running.
            runtime.shutdown_background();
            outcome.context("the worker of a test failed").unwrap();
        });
        Self {
            stop: Some(stop),
            kill: Some(kill),
        }
    }

    /// Ends the worker like SIGKILL: running work is dropped, and no server is notified.
    pub(crate) fn kill(mut self) {
        if let Some(kill) = self.kill.take() {
            let _ = kill.send(());
        }
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        // Does not wait for the end, since the worker's remaining work does not affect other tests.
        drop(self.stop.take());
    }
}
