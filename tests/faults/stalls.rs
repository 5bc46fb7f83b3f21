//! Stalled connections, as after a power loss: callers must not wait forever, and locks of the dead
//! client must be released.

use std::sync::Arc;
use std::time::{Duration, Instant};

use devstack::testing::{OwnPostgres, TestDatabase};
use digitalocean::{Client, Error, Purpose};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use simulator::{Account, DEMO_TOKEN, Simulator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use store::rate_limit::Limits;
use store::{Store, StoreError, Unfinished};
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use worker::rate_limit::SharedBudget;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use super::proxy::Proxy;
use super::site::{Servers, Site, with_settings};
use crate::support::waiting::{LIMIT, eventually, within};

/// Returns a migrated database, a proxy in front of it, and the URL of the proxy.
async fn proxied_database() -> (TestDatabase, Proxy, String) {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 1).await.unwrap();
    store.migrate().await.unwrap();
    let mut url: reqwest::Url = database.url().parse().unwrap();
    let proxy = Proxy::to(url.port().unwrap()).await;
    url.set_port(Some(proxy.port())).unwrap();
    (database, proxy, url.into())
}

async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

/// An exclusive lock on a table.
pub(crate) struct LockedTable {
    holder: PgConnection,
    /// A second connection, since a transaction caches its first view of the sessions.
    watcher: PgConnection,
}

impl LockedTable {
    pub(crate) async fn lock(table: &str, database_url: &str) -> Self {
        let mut holder = connect(database_url).await;
        let statement = format!("begin; lock table {table} in access exclusive mode");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut holder)
            .await
            .unwrap();
        Self {
            holder,
            watcher: connect(database_url).await,
        }
    }

    /// Waits until a statement of the system waits for the lock.
    pub(crate) async fn wait_for_waiter(&mut self) {
        eventually("a statement waits for the table", async || {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database()
                 and application_name = 'arcadia' and wait_event_type = 'Lock'",
            )
            .fetch_one(&mut self.watcher)
            .await
            .unwrap();
            (waiting > 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn unlock(mut self) {
        sqlx::raw_sql("commit")
            .execute(&mut self.holder)
            .await
            .unwrap();
    }

    /// Waits until a statement of the system is in progress, and stalls its connection before the
    /// response.
    async fn stall_waiter(mut self, proxy: &Proxy) {
        self.wait_for_waiter().await;
        proxy.black_hole();
        self.unlock().await;
    }
}

/// A query that waits for a locked table, through a separate proxy.
struct BlockedQuery {
    /// Has one connection, so that a connection that is not released leaves none.
    store: Store,
    query: BoxFuture<'static, Result<Result<(), StoreError>, Unfinished>>,
    table: LockedTable,
    proxy: Proxy,
    _database: TestDatabase,
}

impl BlockedQuery {
    /// Starts the query with a statement timeout of two seconds.
    async fn start() -> Self {
        let (database, proxy, url) = proxied_database().await;
        let url = with_settings(&url, &[("statement_timeout", "2s")]);
        let store = Store::connect(&url, 1).await.unwrap();
        let table = LockedTable::lock("_sqlx_migrations", &database.url()).await;
        let used = store.clone();
        let query = store.run_to_completion(async move { used.check_ready().await });
        Self {
            store,
            query: query.boxed(),
            table,
            proxy,
            _database: database,
        }
    }
}

async fn wait_for_free_connection(store: &Store) {
    let now = async || store.now().await.ok();
    eventually("the pool has a free connection", now).await;
}

#[tokio::test]
async fn a_stalled_statement_fails_and_releases_its_connection() {
    let blocked = BlockedQuery::start().await;
    blocked.table.stall_waiter(&blocked.proxy).await;
    let ended = within(Duration::from_mins(1), "the statement", blocked.query).await;
    let error = ended.unwrap_err().stall().unwrap();
    assert!(error.is_transient(), "{error}");
    wait_for_free_connection(&blocked.store).await;
}

#[tokio::test]
async fn stalled_work_without_a_caller_is_aborted_as_well() {
    let blocked = BlockedQuery::start().await;
    blocked.table.stall_waiter(&blocked.proxy).await;
    drop(blocked.query);
    wait_for_free_connection(&blocked.store).await;
}

#[tokio::test]
async fn a_slow_statement_with_a_response_is_not_a_stall() {
    let blocked = BlockedQuery::start().await;
    let timed_out = within(LIMIT, "the statement", blocked.query).await.unwrap();
    // Cancelled by the server, so that the connection stays usable.
    let error = timed_out.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(matches!(error, StoreError::Database(_)), "{error}");
    blocked.store.now().await.unwrap();
    blocked.table.unlock().await;
}

#[tokio::test]
async fn idle_connections_that_died_delay_the_next_query_briefly() {
    let (_database, proxy, url) = proxied_database().await;
    let store = Store::connect(&url, 4).await.unwrap();
    let all = std::iter::repeat_with(|| store.now());
    for now in futures::future::join_all(all.take(4)).await {
        now.unwrap();
    }
    proxy.black_hole();
    let started = Instant::now();
    store.now().await.unwrap();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_stalled_budget_query_fails_and_the_next_one_succeeds() {
    let (database, proxy, url) = proxied_database().await;
    let simulator = Simulator::start(Account::demo()).await.unwrap();
    let store = Store::connect(&url, 2).await.unwrap();
    let budget = SharedBudget::new(store, Limits::default(), Purpose::CloudBilling);
    let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
    let client = client.limited_by(Arc::new(budget));
    client.get_balance().await.unwrap();
    let budgets = LockedTable::lock("cloud_request_budgets", &database.url()).await;
    let request = within(LIMIT, "the request", client.get_balance());
    let (error, ()) = tokio::join!(request, budgets.stall_waiter(&proxy));
    let error = error.unwrap_err();
    assert!(matches!(error, Error::BudgetUsedUp { .. }), "{error}");
    eventually("a request may be sent again", async || {
        client.get_balance().await.ok()
    })
    .await;
}

/// The operating system's default keepalive would take hours.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_probes_idle_clients_within_half_a_minute() {
    let postgres = OwnPostgres::start().await;
    let store = Store::connect(&postgres.url(), 1).await.unwrap();
    store.now().await.unwrap();
    let server = format!("0100007F:{:04X}", postgres.port());
    // Reads the timers of the server's established connections, in hundredths of seconds: 2 is the
    // keepalive timer, 1 the retransmission timer (proc(5)).
    eventually("all connections have a keepalive timer", async || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let timers = sockets.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_ours = fields.get(1) == Some(&&*server) && fields.get(3) == Some(&"01");
            let (kind, when) = fields.get(5)?.split_once(':')?;
            let seconds = u64::from_str_radix(when, 16).unwrap() / 100;
            is_ours.then(|| (kind.to_owned(), seconds))
        });
        let timers: Vec<_> = timers.collect();
        let is_probed = |(kind, seconds): &(String, u64)| kind == "02" && *seconds <= 30;
        (!timers.is_empty() && timers.iter().all(is_probed)).then_some(())
    })
    .await;
    postgres.end().await;
}

/// Starts a site with one worker. Its sessions have short timeouts.
async fn site() -> Site {
    let mut site = Site::start(Account::demo(), Servers::Own).await;
    site.set_in_sessions(&[
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "3s"),
    ]);
    site.add_worker(None);
    assert!(site.sync_projects().await.is_empty());
    site
}

/// Syncs all kinds with their projects and tenants, which requires every lock.
async fn sync_everything(site: &Site) {
    let all = InventoryScope::default();
    let syncing = Box::pin(site.sync_inventory(all, task_queue::CLOUD_SYNC_FULL));
    let setbacks = within(LIMIT * 2, "the sync", syncing).await;
    assert!(setbacks.is_empty(), "{setbacks:?}");
    let mut database = site.database().await;
    let droplets = "select count(*) from cloud_resources where kind = 'droplet'";
    let droplets: i64 = sqlx::query_scalar(droplets)
        .fetch_one(&mut database)
        .await
        .unwrap();
    let there = site.simulator.read(|account| account.droplets().len());
    assert_eq!(usize::try_from(droplets), Ok(there));
}

/// A table that sweeps write while they hold all their locks.
const EVENTS: &str = "cloud_resource_events";

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_machine_that_dies_during_a_sweep_blocks_no_other_worker() {
    let mut site = Box::pin(site()).await;
    let events = LockedTable::lock(EVENTS, &site.database_url).await;
    let client = site.client.clone();
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "sync").build();
    let syncing = client
        .start_workflow(SyncInventory::run, Input::Missing, options)
        .await
        .unwrap();
    events.stall_waiter(&site.proxy).await;
    // The process does not respond to Temporal either.
    site.workers[0].freeze_forever().unwrap();
    site.add_worker(None);
    let ended = syncing.get_result(WorkflowGetResultOptions::default());
    within(LIMIT * 2, "the sync", ended).await.unwrap();
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_connection_that_stalls_during_a_sweep_delays_it_briefly() {
    let site = Box::pin(site()).await;
    let events = LockedTable::lock(EVENTS, &site.database_url).await;
    let stalling = events.stall_waiter(&site.proxy);
    tokio::join!(stalling, sync_everything(&site));
    site.end().await;
}
