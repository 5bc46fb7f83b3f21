//! The scenario of the telemetry tests: one account is synced, then a second sync fails. Metrics
//! pages and the log are recorded during both.

use std::io;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use digitalocean::Tokens;
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Simulator};
use store::Store;
use store::inventory::{Guard, Rules};
use store::rate_limit::Limits;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::IntoRequest as _;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowGetResultOptions,
    WorkflowStartOptions,
};
use temporalio_common::HasWorkflowDefinition;
use temporalio_common::protos::temporal::api::workflowservice::v1::RegisterNamespaceRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Uuid;
use worker::metrics::Metrics;
use workflows::balance::PollBalance;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::invoices::BillingHistory;
use workflows::projects::SyncProjects;
use workflows::{Input, NoInput, task_queue};

/// Timeout of each step, with a margin for a busy machine.
const LIMIT: Duration = Duration::from_mins(3);
/// The default log filter of `arcadia`.
const LOGGED: &str = "info,sqlx=warn,temporalio=warn,temporalio_sdk=warn,temporalio_sdk_core=warn,temporalio_client=warn";

/// The recorded pages and log.
pub(crate) struct Telemetry {
    /// The worker's page before the first run, after successful syncs, and after a sync in which
    /// one list returned 401.
    pub(crate) worker_at_first: String,
    pub(crate) worker_synced: String,
    pub(crate) worker_failed: String,
    /// The API's pages after the successful syncs, and after the failed one.
    pub(crate) api_synced: String,
    pub(crate) api_failed: String,
    /// One JSON document per line.
    pub(crate) log: String,
}

/// The telemetry of the scenario, which runs once for all tests.
pub(crate) static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(|| {
    // On a separate thread, since the calling test may already have a runtime.
    let outcome = thread::spawn(|| runtime().block_on(run())).join();
    outcome.expect("the scenario completes")
});

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn run() -> Telemetry {
    tracing_subscriber::registry()
        .with(EnvFilter::new(LOGGED))
        .with(tracing_subscriber::fmt::layer().json().with_writer(|| Log))
        .init();
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), worker::CONNECTIONS)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let simulator = Simulator::start(Account::demo()).await.unwrap();
    let (client, namespace) = new_namespace().await;
    let (metrics_address, stop) = start_worker(namespace, settings(&store, simulator.url()));

    let worker_at_first = page(metrics_address).await;
    finish(
        &client,
        SyncProjects::run,
        NoInput,
        task_queue::CLOUD_SYNC_FULL,
    )
    .await;
    let everything = || Input::Valid(InventoryScope::default());
    let full = task_queue::CLOUD_SYNC_FULL;
    finish(&client, SyncInventory::run, everything(), full).await;
    finish(
        &client,
        PollBalance::run,
        NoInput,
        task_queue::CLOUD_BILLING,
    )
    .await;
    finish(
        &client,
        BillingHistory::run,
        Input::Missing,
        task_queue::CLOUD_BILLING,
    )
    .await;
    // The worker reads the remaining budgets periodically.
    let worker_synced = page_with(metrics_address, "arcadia_request_budget_left").await;
    let api_synced = api_page(&store).await;

    simulator.fail(Fault::new(FaultKind::Unauthorized, "/v2/volumes"));
    let succeeded = succeeds(&client, SyncInventory::run, everything(), full).await;
    assert!(!succeeded, "a list that returns 401 fails the run");
    let telemetry = Telemetry {
        worker_at_first,
        worker_synced,
        // The SDK increments its counter only after it has reported the end of the run.
        worker_failed: page_with(metrics_address, "temporal_workflow_failed_total").await,
        api_synced,
        api_failed: api_page(&store).await,
        log: String::from_utf8(LOG.lock().unwrap().clone()).unwrap(),
    };
    drop(stop);
    telemetry
}

pub(crate) fn settings(store: &Store, digitalocean_url: String) -> worker::Settings {
    worker::Settings {
        store: store.clone(),
        digitalocean_url,
        tokens: Tokens::one(DEMO_TOKEN.into()),
        // More requests than the scenario sends.
        request_limits: Limits {
            per_minute: 100_000,
            per_hour: 100_000,
            ..Limits::default()
        },
        internal_project: "skyai-internal".to_owned(),
        rules: Rules {
            strike_interval: Duration::ZERO,
            guard: Guard::default(),
        },
        dns_records: false,
        look_back_months: 3,
        spaces: None,
        signing_key: None,
        renew_after: worker::RENEW_AFTER,
    }
}

/// Starts a worker on a separate thread, since workflow code does not move between threads. The
/// worker stops when the sender is dropped.
pub(crate) fn start_worker(
    namespace: String,
    settings: worker::Settings,
) -> (SocketAddr, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (send_address, address) = std::sync::mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let metrics = Metrics::serve(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            let client = connect(&namespace).await;
            send_address.send(metrics.address()).unwrap();
            let stopped = async {
                // Sent or dropped, both mean stop.
                let _ = stopped.await;
            };
            let telemetry = worker::Telemetry {
                metrics: Some(metrics),
                ..worker::Telemetry::default()
            };
            worker::run_with_telemetry(client, settings, telemetry, stopped)
                .await
                .unwrap();
        });
    });
    (address.recv().unwrap(), stop)
}

pub(crate) async fn finish<W>(client: &Client, workflow: W, input: W::Input, queue: &str)
where
    W: HasWorkflowDefinition,
    W::Input: Send,
{
    assert!(succeeds(client, workflow, input, queue).await, "{queue}");
}

async fn succeeds<W>(client: &Client, workflow: W, input: W::Input, queue: &str) -> bool
where
    W: HasWorkflowDefinition,
    W::Input: Send,
{
    let id = Uuid::new_v4().to_string();
    let options = WorkflowStartOptions::new(queue, id).build();
    let handle = client
        .start_workflow(workflow, input, options)
        .await
        .unwrap();
    let result = handle.get_result(WorkflowGetResultOptions::default());
    tokio::time::timeout(LIMIT, result).await.unwrap().is_ok()
}

async fn connect(namespace: &str) -> Client {
    let address = devstack::testing::temporal().await.address();
    let target: temporalio_client::Url = format!("http://{address}").parse().unwrap();
    let connection = Connection::connect(ConnectionOptions::new(target).build())
        .await
        .unwrap();
    Client::new(connection, ClientOptions::new(namespace).build()).unwrap()
}

pub(crate) async fn new_namespace() -> (Client, String) {
    let namespace = format!("test-{}", Uuid::new_v4());
    let client = connect(&namespace).await;
    let request = RegisterNamespaceRequest {
        namespace: namespace.clone(),
        workflow_execution_retention_period: Duration::from_hours(24).try_into().ok(),
        ..Default::default()
    };
    WorkflowService::register_namespace(&mut client.clone(), request.into_request())
        .await
        .unwrap();
    // The parts of the server receive the new namespace at different times.
    let usable = async {
        while client
            .count_workflows("", temporalio_client::WorkflowCountOptions::default())
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, usable).await.unwrap();
    (client, namespace)
}

/// Returns the metrics page of a new API process that has handled one request. New, since a process
/// caches the page for a moment.
async fn api_page(store: &Store) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let metrics_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics_address = metrics_listener.local_addr().unwrap();
    let settings = api::Settings {
        metrics_listener: Some(metrics_listener),
        ..api::Settings::from(store.clone())
    };
    tokio::spawn(api::serve(listener, settings, std::future::pending()));
    get(address, "/healthz").await;
    let (head, _) = request(address, "/api/v1/projects").await;
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
    page(metrics_address).await
}

/// Waits until the metrics page contains a name, and returns the page.
async fn page_with(address: SocketAddr, name: &str) -> String {
    let polling = async {
        loop {
            let page = page(address).await;
            if page.contains(name) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, polling).await.unwrap()
}

/// Returns the metrics page, which needs no authentication.
pub(crate) async fn page(address: SocketAddr) -> String {
    get(address, "/metrics").await
}

async fn get(address: SocketAddr, path: &str) -> String {
    let (head, body) = request(address, path).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body
}

async fn request(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
