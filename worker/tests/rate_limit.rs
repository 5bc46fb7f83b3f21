//! The shared budget of many workers with one token, against a server with DigitalOcean's limits
//! and a real database.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use devstack::testing::TestDatabase;
use digitalocean::rate_limit::{RequestBudget, as_one_unit_of_work};
use digitalocean::{Client, Error, Purpose};
use futures::future::join_all;
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, RateLimit, Simulator};
use store::Store;
use store::rate_limit::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use worker::rate_limit::{SharedBudget, share_of};

const WORKERS: usize = 10;
/// All together exceed the limit per minute.
const REQUESTS_EACH: usize = 40;
/// Shortens the minute to six seconds.
const TIMES_FASTER: u32 = 10;
const BALANCE: &str = r#"{"month_to_date_balance":"1.00","account_balance":"0.00","month_to_date_usage":"1.00","generated_at":"2026-11-01T00:00:00Z"}"#;
const LIMITS: Limits = Limits {
    per_minute: 240,
    per_hour: 4_500,
    times_faster: TIMES_FASTER,
};

/// A server with DigitalOcean's limits and a shortened minute.
async fn strict_server() -> Simulator {
    let mut account = Account::demo();
    account.set_rate_limit(RateLimit {
        times_faster: TIMES_FASTER,
        ..RateLimit::DIGITALOCEAN
    });
    Simulator::start(account).await.unwrap()
}

async fn database() -> (TestDatabase, Store) {
    let database = devstack::testing::database().await;
    let store = connect(&database).await;
    store.migrate().await.unwrap();
    (database, store)
}

async fn connect(database: &TestDatabase) -> Store {
    Store::connect(&database.url(), 2).await.unwrap()
}

/// The client of a separate worker, which shares no connections.
fn client(simulator: &Simulator) -> Client {
    Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap()
}

fn limited_client(simulator: &Simulator, store: &Store, limits: Limits) -> Client {
    let budget = SharedBudget::new(store.clone(), limits, Purpose::CloudBilling);
    client(simulator).limited_by(Arc::new(budget))
}

/// Sends the requests of each client in sequence, as fast as the budget permits. Returns the
/// errors.
async fn send_requests(clients: Vec<Client>) -> Vec<Error> {
    let tasks = clients.into_iter().map(|client| {
        tokio::spawn(async move {
            let mut errors = Vec::new();
            let mut left = REQUESTS_EACH;
            // Retries as a workflow does.
            while left > 0 {
                let unit = as_one_unit_of_work(async {
                    while left > 0 {
                        left -= 1;
                        client.get_balance().await?;
                    }
                    Ok(())
                });
                if let Err(error) = unit.await {
                    left += usize::from(matches!(error, Error::BudgetUsedUp { .. }));
                    errors.push(error);
                }
            }
            errors
        })
    });
    let errors = join_all(tasks).await.into_iter();
    errors.flat_map(Result::unwrap).collect()
}

fn responses(simulator: &Simulator, status: u16) -> usize {
    let all = simulator.requests();
    all.iter()
        .filter(|request| request.status == status)
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_workers_of_all_purposes_cause_no_429() {
    let simulator = strict_server().await;
    let (database, _store) = database().await;
    let mut clients = Vec::new();
    for purpose in Purpose::ALL.into_iter().cycle().take(WORKERS) {
        let store = connect(&database).await;
        let budget = SharedBudget::new(store, LIMITS, purpose);
        clients.push(client(&simulator).limited_by(Arc::new(budget)));
    }
    let start = Instant::now();
    let errors = send_requests(clients).await;
    assert_eq!(responses(&simulator, 429), 0);
    assert_eq!(responses(&simulator, 200), WORKERS * REQUESTS_EACH);
    for error in errors {
        assert!(matches!(error, Error::BudgetUsedUp { .. }), "{error}");
    }
    // They waited as long as 400 requests at 240 a minute take, and not much longer.
    let elapsed = start.elapsed();
    let minute = Duration::from_mins(1) / TIMES_FASTER;
    assert!(elapsed > minute && elapsed < minute * 6, "{elapsed:?}");
}

#[tokio::test]
async fn without_a_budget_the_same_ten_workers_cause_429s() {
    let simulator = strict_server().await;
    send_requests((0..WORKERS).map(|_| client(&simulator)).collect()).await;
    assert!(responses(&simulator, 429) > 0);
}

#[tokio::test]
async fn a_429_of_one_worker_pauses_the_others() {
    let simulator = strict_server().await;
    let (database, store) = database().await;
    let other = limited_client(&simulator, &connect(&database).await, LIMITS);
    let first = limited_client(&simulator, &store, LIMITS);
    let fault = FaultKind::RateLimited { retry_after: 60 };
    simulator.fail(Fault::new(fault, "/v2/customers/my/balance").times(1));
    let error = first.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }), "{error}");
    for client in [other, first] {
        let error = client.get_balance().await.unwrap_err();
        let Error::BudgetUsedUp { retry_after, .. } = error else {
            panic!("{error}");
        };
        assert!(retry_after > Duration::from_secs(50), "{retry_after:?}");
    }
    assert_eq!(simulator.requests().len(), 1);
}

#[tokio::test]
async fn a_429_of_one_purpose_pauses_its_process_at_once() {
    let simulator = strict_server().await;
    let (_database, store) = database().await;
    let full = SharedBudget::new(store, LIMITS, Purpose::CloudSyncFull);
    let billing = full.for_purpose(Purpose::CloudBilling);
    let (full, billing) = (Arc::new(full), Arc::new(billing));
    let full = client(&simulator).limited_by(full);
    let billing = client(&simulator).limited_by(billing);
    // After leases of one, two and four requests, one is left.
    for _ in 0..6 {
        full.get_balance().await.unwrap();
    }
    let fault = FaultKind::RateLimited { retry_after: 60 };
    simulator.fail(Fault::new(fault, "/v2/customers/my/balance").times(1));
    billing.get_balance().await.unwrap_err();
    let error = full.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::BudgetUsedUp { .. }), "{error}");
}

#[tokio::test]
async fn requests_of_people_reduce_the_budget() {
    let mut account = Account::demo();
    account.set_rate_limit(RateLimit {
        per_hour: 100,
        per_minute: 100,
        times_faster: 1,
    });
    let simulator = Simulator::start(account).await.unwrap();
    let (_database, store) = database().await;
    let people = client(&simulator);
    for _ in 0..80 {
        people.get_balance().await.unwrap();
    }
    // Twenty remain, and a tenth of the hundred is reserved for people.
    let ours = limited_client(&simulator, &store, Limits::NONE);
    let error = loop {
        if let Err(error) = ours.get_balance().await {
            break error;
        }
    };
    assert!(matches!(error, Error::BudgetUsedUp { .. }), "{error}");
    let sent = simulator.requests().len() - 80;
    assert!((5..=10).contains(&sent), "{sent}");
    people.get_balance().await.unwrap();
    assert_eq!(responses(&simulator, 429), 0);
}

/// A server with a clock that is `offset` ahead. It reports five requests remaining, and a reset in
/// 15 minutes.
async fn server_with_clock_offset(offset: TimeDelta) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let now = Utc::now() + offset;
    let response = format!(
        "HTTP/1.1 200 OK\r\ndate: {}\r\nratelimit-limit: 100\r\nratelimit-remaining: 5\r\nratelimit-reset: {}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{BALANCE}",
        now.format("%a, %d %b %Y %H:%M:%S GMT"),
        (now + TimeDelta::minutes(15)).timestamp(),
        BALANCE.len(),
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let read = stream.read(&mut [0; 4096]).await.unwrap();
            assert!(read > 0, "empty request");
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn a_clock_offset_does_not_change_the_time_until_a_reset() {
    for offset in [TimeDelta::hours(-1), TimeDelta::hours(1)] {
        let url = server_with_clock_offset(offset).await;
        let (_database, store) = database().await;
        let budget = SharedBudget::new(store, Limits::NONE, Purpose::CloudBilling);
        let client = Client::new(&url, DEMO_TOKEN.into()).unwrap();
        let client = client.limited_by(Arc::new(budget));
        client.get_balance().await.unwrap();
        // Five are fewer than the tenth that is reserved for people.
        let error = client.get_balance().await.unwrap_err();
        let Error::BudgetUsedUp { retry_after, .. } = error else {
            panic!("{error}");
        };
        // With up to half of the wait added at random.
        let minutes = retry_after.as_secs() / 60;
        assert!((14..=22).contains(&minutes), "{offset}: {retry_after:?}");
    }
}

#[tokio::test]
async fn the_budgets_contain_each_purpose_and_no_token() {
    let simulator = strict_server().await;
    let (database, store) = database().await;
    for purpose in Purpose::ALL {
        let budget = SharedBudget::new(store.clone(), LIMITS, purpose);
        let client = client(&simulator).limited_by(Arc::new(budget));
        client.get_balance().await.unwrap();
    }
    let available = store.available_requests(&LIMITS, share_of).await.unwrap();
    let names: Vec<_> = available.iter().map(|one| one.purpose.as_str()).collect();
    assert_eq!(
        names,
        ["cloud-billing", "cloud-sync-fast", "cloud-sync-full"]
    );
    let pool = sqlx::PgPool::connect(&database.url()).await.unwrap();
    let budgets: Vec<String> = sqlx::query_scalar("select b::text from cloud_request_budgets b")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(budgets.len(), 1, "one token, one budget");
    assert!(!budgets[0].contains(DEMO_TOKEN), "{budgets:?}");
}

#[tokio::test]
async fn no_request_is_sent_without_the_database() {
    let simulator = strict_server().await;
    let (database, store) = database().await;
    let budget: Arc<dyn RequestBudget> =
        Arc::new(SharedBudget::new(store, LIMITS, Purpose::CloudBilling));
    let client = client(&simulator).limited_by(budget);
    let pool = sqlx::PgPool::connect(&database.url()).await.unwrap();
    sqlx::query("alter table cloud_request_budgets rename to elsewhere")
        .execute(&pool)
        .await
        .unwrap();
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::BudgetUsedUp { .. }), "{error}");
    assert!(simulator.requests().is_empty());
    sqlx::query("alter table elsewhere rename to cloud_request_budgets")
        .execute(&pool)
        .await
        .unwrap();
    client.get_balance().await.unwrap();
}
