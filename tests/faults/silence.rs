//! Machines that lose their power, and wires that say nothing of it: whoever waits for an answer must not wait for ever, and what the
//! dead held must be let go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use devstack::testing::{OwnPostgres, TestDatabase};
use digitalocean::{Client, Error, Purpose};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use simulator::{Account, DEMO_TOKEN, Simulator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use store::budget::Limits;
use store::{Store, StoreError, Unfinished};
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use worker::budget::SharedBudget;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use super::proxy::Proxy;
use super::site::{Servers, Site, with_settings};
use crate::support::waiting::{LIMIT, eventually, within};

/// A migrated database, and a wire to it.
async fn wired() -> (TestDatabase, Proxy, String) {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 1).await.unwrap();
    store.migrate().await.unwrap();
    let mut url: reqwest::Url = database.url().parse().unwrap();
    let wire = Proxy::to(url.port().unwrap()).await;
    url.set_port(Some(wire.port())).unwrap();
    (database, wire, url.into())
}

async fn connect(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

/// A table that is kept from everybody else.
pub(crate) struct Kept {
    holder: PgConnection,
    /// Another, since a transaction sees the sessions as they were when it looked first.
    watcher: PgConnection,
}

impl Kept {
    pub(crate) async fn table(table: &str, database_url: &str) -> Self {
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

    /// Until a statement of the system waits for it.
    pub(crate) async fn until_it_is_waited_for(&mut self) {
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

    pub(crate) async fn give_back(mut self) {
        sqlx::raw_sql("commit")
            .execute(&mut self.holder)
            .await
            .unwrap();
    }

    /// Lets a statement of the system begin, and silences the wire before it is answered.
    async fn silence_in_the_middle(mut self, wire: &Proxy) {
        self.until_it_is_waited_for().await;
        wire.black_hole();
        self.give_back().await;
    }
}

/// A question that waits for a table, on a wire of its own.
struct Question {
    /// With one connection: whoever does not give it up leaves none.
    store: Store,
    asking: BoxFuture<'static, Result<Result<(), StoreError>, Unfinished>>,
    kept: Kept,
    wire: Proxy,
    _database: TestDatabase,
}

impl Question {
    /// Asked of a server that lets a statement take two seconds.
    async fn asked() -> Self {
        let (database, wire, url) = wired().await;
        let url = with_settings(&url, &[("statement_timeout", "2s")]);
        let store = Store::connect(&url, 1).await.unwrap();
        let kept = Kept::table("_sqlx_migrations", &database.url()).await;
        let asked = store.clone();
        let asking = store.run_to_completion(async move { asked.check_ready().await });
        Self {
            store,
            asking: asking.boxed(),
            kept,
            wire,
            _database: database,
        }
    }
}

async fn the_pool_has_a_connection_again(store: &Store) {
    let answers = async || store.now().await.ok();
    eventually("the pool has a connection again", answers).await;
}

#[tokio::test]
async fn a_statement_that_is_never_answered_ends_and_gives_its_connection_up() {
    let question = Question::asked().await;
    question.kept.silence_in_the_middle(&question.wire).await;
    let ended = within(Duration::from_mins(1), "the statement", question.asking).await;
    let error = ended.unwrap_err().stall().unwrap();
    assert!(error.is_transient(), "{error}");
    the_pool_has_a_connection_again(&question.store).await;
}

#[tokio::test]
async fn work_that_nobody_waits_for_any_more_is_ended_as_well() {
    let question = Question::asked().await;
    question.kept.silence_in_the_middle(&question.wire).await;
    drop(question.asking);
    the_pool_has_a_connection_again(&question.store).await;
}

#[tokio::test]
async fn a_long_statement_that_is_answered_is_no_silence() {
    let question = Question::asked().await;
    let refused = within(LIMIT, "the statement", question.asking)
        .await
        .unwrap();
    // By the server, so that the connection is as good as ever.
    let error = refused.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(matches!(error, StoreError::Database(_)), "{error}");
    question.store.now().await.unwrap();
    question.kept.give_back().await;
}

#[tokio::test]
async fn connections_that_died_while_nobody_used_them_cost_a_moment() {
    let (_database, wire, url) = wired().await;
    let store = Store::connect(&url, 4).await.unwrap();
    let all = std::iter::repeat_with(|| store.now());
    for answered in futures::future::join_all(all.take(4)).await {
        answered.unwrap();
    }
    wire.black_hole();
    let begun = Instant::now();
    store.now().await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_request_budget_that_does_not_answer_is_given_up_and_answers_the_next() {
    let (database, wire, url) = wired().await;
    let simulator = Simulator::start(Account::demo()).await.unwrap();
    let store = Store::connect(&url, 2).await.unwrap();
    let budget = SharedBudget::new(store, Limits::default(), Purpose::CloudBilling);
    let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
    let client = client.limited_by(Arc::new(budget));
    client.get_balance().await.unwrap();
    let kept = Kept::table("cloud_request_budgets", &database.url()).await;
    let asking = within(LIMIT, "the request", client.get_balance());
    let (error, ()) = tokio::join!(asking, kept.silence_in_the_middle(&wire));
    let error = error.unwrap_err();
    assert!(matches!(error, Error::BudgetUsedUp { .. }), "{error}");
    eventually("a request may be sent again", async || {
        client.get_balance().await.ok()
    })
    .await;
}

/// What a system's own clock would take hours to find.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_asks_within_half_a_minute_whether_a_silent_client_is_there() {
    let postgres = OwnPostgres::start().await;
    let store = Store::connect(&postgres.url(), 1).await.unwrap();
    store.now().await.unwrap();
    let server = format!("0100007F:{:04X}", postgres.port());
    // Of the server's established connections, the timers: 2 is keepalive's, 1 that of what has just been sent, in hundredths of
    // seconds (proc(5)).
    eventually("all of them are asked", async || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let timers = sockets.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_ours = fields.get(1) == Some(&&*server) && fields.get(3) == Some(&"01");
            let (kind, when) = fields.get(5)?.split_once(':')?;
            let seconds = u64::from_str_radix(when, 16).unwrap() / 100;
            is_ours.then(|| (kind.to_owned(), seconds))
        });
        let timers: Vec<_> = timers.collect();
        let is_asked = |(kind, seconds): &(String, u64)| kind == "02" && *seconds <= 30;
        (!timers.is_empty() && timers.iter().all(is_asked)).then_some(())
    })
    .await;
    postgres.end().await;
}

/// One worker, whose sessions end sooner than others' where nothing is heard of their client.
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

/// All kinds, and project and tenant of each resource: what needs every lock there is.
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

/// What sweeps write with all their locks in hand.
const EVENTS: &str = "cloud_resource_events";

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_machine_that_dies_in_mid_sweep_holds_nobody_up() {
    let mut site = Box::pin(site()).await;
    let events = Kept::table(EVENTS, &site.database_url).await;
    let client = site.client.clone();
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "sync").build();
    let syncing = client
        .start_workflow(SyncInventory::run, Input::Missing, options)
        .await
        .unwrap();
    events.silence_in_the_middle(&site.wire).await;
    // Temporal hears no more of its process than PostgreSQL does.
    site.workers[0].freeze_for_ever().unwrap();
    site.add_worker(None);
    let ended = syncing.get_result(WorkflowGetResultOptions::default());
    within(LIMIT * 2, "the sync", ended).await.unwrap();
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_wire_that_falls_silent_in_mid_sweep_holds_its_worker_up_for_a_moment() {
    let site = Box::pin(site()).await;
    let events = Kept::table(EVENTS, &site.database_url).await;
    let silencing = events.silence_in_the_middle(&site.wire);
    tokio::join!(silencing, sync_everything(&site));
    site.end().await;
}
