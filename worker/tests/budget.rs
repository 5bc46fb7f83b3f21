//! Many workers, one token, a server that counts, and a real database between them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use devstack::testing::TestDatabase;
use digitalocean::budget::{RequestBudget, one_piece};
use digitalocean::{Client, Error, Purpose};
use futures::future::join_all;
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, RateLimit, Simulator};
use store::Store;
use store::budget::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use worker::budget::{SharedBudget, share_of};

const WORKERS: usize = 10;
/// More than a minute allows, together.
const REQUESTS_EACH: usize = 40;
/// So that a minute takes six seconds.
const TIMES_FASTER: u32 = 10;
const BALANCE: &str = r#"{"month_to_date_balance":"1.00","account_balance":"0.00","month_to_date_usage":"1.00","generated_at":"2026-11-01T00:00:00Z"}"#;
const LIMITS: Limits = Limits {
    per_minute: 240,
    per_hour: 4_500,
    times_faster: TIMES_FASTER,
};

/// A server with DigitalOcean's own limits, only faster.
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

/// A worker of its own: with connections of its own to both servers.
fn client(simulator: &Simulator) -> Client {
    Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap()
}

fn limited(simulator: &Simulator, store: &Store, limits: Limits) -> Client {
    let budget = SharedBudget::new(store.clone(), limits, Purpose::CloudBilling);
    client(simulator).limited_by(Arc::new(budget))
}

/// Each makes its requests one after the other, as fast as it may.
async fn work(clients: Vec<Client>) -> Vec<Error> {
    let working = clients.into_iter().map(|client| {
        tokio::spawn(async move {
            let mut errors = Vec::new();
            let mut left = REQUESTS_EACH;
            // As activities that are asked for again.
            while left > 0 {
                let piece = one_piece(async {
                    while left > 0 {
                        left -= 1;
                        client.get_balance().await?;
                    }
                    Ok(())
                });
                if let Err(error) = piece.await {
                    left += usize::from(matches!(error, Error::BudgetUsedUp { .. }));
                    errors.push(error);
                }
            }
            errors
        })
    });
    let errors = join_all(working).await.into_iter();
    errors.flat_map(Result::unwrap).collect()
}

fn answered(simulator: &Simulator, status: u16) -> usize {
    let all = simulator.requests();
    all.iter()
        .filter(|request| request.status == status)
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_at_once_of_all_purposes_draw_no_429() {
    let simulator = strict_server().await;
    let (database, _store) = database().await;
    let mut clients = Vec::new();
    for purpose in Purpose::ALL.into_iter().cycle().take(WORKERS) {
        let store = connect(&database).await;
        let budget = SharedBudget::new(store, LIMITS, purpose);
        clients.push(client(&simulator).limited_by(Arc::new(budget)));
    }
    let begun = Instant::now();
    let refused = work(clients).await;
    assert_eq!(answered(&simulator, 429), 0);
    assert_eq!(answered(&simulator, 200), WORKERS * REQUESTS_EACH);
    for error in refused {
        assert!(matches!(error, Error::BudgetUsedUp { .. }), "{error}");
    }
    // They were held back, and not for longer than it takes: 400 at 240 a minute.
    let took = begun.elapsed();
    let minute = Duration::from_mins(1) / TIMES_FASTER;
    assert!(took > minute && took < minute * 6, "{took:?}");
}

#[tokio::test]
async fn without_a_budget_the_same_ten_draw_429s() {
    let simulator = strict_server().await;
    work((0..WORKERS).map(|_| client(&simulator)).collect()).await;
    assert!(answered(&simulator, 429) > 0);
}

#[tokio::test]
async fn one_workers_429_keeps_the_others_from_asking() {
    let simulator = strict_server().await;
    let (database, store) = database().await;
    let other = limited(&simulator, &connect(&database).await, LIMITS);
    let first = limited(&simulator, &store, LIMITS);
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
async fn a_429_of_one_purpose_holds_up_the_others_of_its_process_at_once() {
    let simulator = strict_server().await;
    let (_database, store) = database().await;
    let full = SharedBudget::new(store, LIMITS, Purpose::CloudSyncFull);
    let billing = full.for_purpose(Purpose::CloudBilling);
    let (full, billing) = (Arc::new(full), Arc::new(billing));
    let full = client(&simulator).limited_by(full);
    let billing = client(&simulator).limited_by(billing);
    // Busy enough to have drawn some beforehand: of one, two and four, six are sent.
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
async fn requests_that_people_make_with_the_token_are_reckoned_with() {
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
    // Twenty are left, and a tenth of the hundred is the people's.
    let ours = limited(&simulator, &store, Limits::NONE);
    let error = loop {
        if let Err(error) = ours.get_balance().await {
            break error;
        }
    };
    assert!(matches!(error, Error::BudgetUsedUp { .. }), "{error}");
    let made = simulator.requests().len() - 80;
    assert!((5..=10).contains(&made), "{made}");
    people.get_balance().await.unwrap();
    assert_eq!(answered(&simulator, 429), 0);
}

/// A server whose clock is off by so much, and that has told of an hour with five requests left until a quarter of an hour from then.
async fn server_with_its_own_clock(off_by: TimeDelta) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let now = Utc::now() + off_by;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ndate: {}\r\nratelimit-limit: 100\r\nratelimit-remaining: 5\r\nratelimit-reset: {}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{BALANCE}",
        now.format("%a, %d %b %Y %H:%M:%S GMT"),
        (now + TimeDelta::minutes(15)).timestamp(),
        BALANCE.len(),
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = stream.read(&mut [0; 4096]).await.unwrap();
            assert!(asked > 0, "nothing is asked");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn a_clock_that_differs_from_digitaloceans_makes_no_hour_longer_or_shorter() {
    for off_by in [TimeDelta::hours(-1), TimeDelta::hours(1)] {
        let url = server_with_its_own_clock(off_by).await;
        let (_database, store) = database().await;
        let budget = SharedBudget::new(store, Limits::NONE, Purpose::CloudBilling);
        let client = Client::new(&url, DEMO_TOKEN.into()).unwrap();
        let client = client.limited_by(Arc::new(budget));
        client.get_balance().await.unwrap();
        // Five are fewer than the people's tenth.
        let error = client.get_balance().await.unwrap_err();
        let Error::BudgetUsedUp { retry_after, .. } = error else {
            panic!("{error}");
        };
        // Up to half as long again, so that not all come back at once.
        let minutes = retry_after.as_secs() / 60;
        assert!((14..=22).contains(&minutes), "{off_by}: {retry_after:?}");
    }
}

#[tokio::test]
async fn no_token_is_in_the_budgets_and_each_purpose_is() {
    let simulator = strict_server().await;
    let (database, store) = database().await;
    for purpose in Purpose::ALL {
        let budget = SharedBudget::new(store.clone(), LIMITS, purpose);
        let client = client(&simulator).limited_by(Arc::new(budget));
        client.get_balance().await.unwrap();
    }
    let left = store.budgets_left(&LIMITS, share_of).await.unwrap();
    let names: Vec<_> = left.iter().map(|left| left.purpose.as_str()).collect();
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
async fn a_database_that_is_away_is_waited_for_and_not_passed_by() {
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
