//! Work that waits for the rate limit, and the reserve of the fast lane.

use domain::ResourceKind;
use rust_decimal::Decimal;
use simulator::{Account, DEMO_TOKEN, Invoice, InvoiceLine, RateLimit};
use store::rate_limit::Limits;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use uuid::Uuid;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use crate::support::{TestSystem, eventually};

fn account_with_invoices(months: u32) -> (Account, Vec<Uuid>) {
    let mut account = Account::empty();
    let uuids = (0..months)
        .map(|month| {
            let line = InvoiceLine::new("Droplets", "web-1 (s-1vcpu-1gb)", Decimal::new(600, 2));
            let year = 2020 + i32::try_from(month / 12).unwrap();
            account.add_invoice(Invoice::for_month(year, month % 12 + 1, vec![line]))
        })
        .collect();
    (account, uuids)
}

/// Closes the budgets of all tokens for `time`, as a 429 does.
pub(crate) async fn close_budgets(system: &TestSystem, time: &'static str) {
    // Opens the token's budget.
    system.poll_balance().await.unwrap();
    eventually("requests that are leased but not sent expire", async || {
        let expired = "select count(*) from cloud_request_budgets where used_at < clock_timestamp() - interval '5 seconds'";
        (system.count(expired).await == 1).then_some(())
    })
    .await;
    let sql = "update cloud_request_budgets set closed_until = clock_timestamp() + $1::interval";
    let closed = sqlx::query(sql).bind(time).execute(&system.pool);
    assert_eq!(closed.await.unwrap().rows_affected(), 1);
}

/// Returns the failure types of failed activities, and the durations of timers in seconds.
pub(crate) fn pauses(events: &[HistoryEvent]) -> (Vec<String>, Vec<i64>) {
    let (mut failures, mut timers) = (Vec::new(), Vec::new());
    for event in events {
        match &event.attributes {
            Some(Attributes::ActivityTaskFailedEventAttributes(failed)) => {
                let failure = failed.failure.clone().unwrap();
                failures.push(failure.maybe_application_failure().unwrap().r#type.clone());
            }
            Some(Attributes::TimerStartedEventAttributes(timer)) => {
                timers.push(timer.start_to_fire_timeout.unwrap().seconds);
            }
            _ => {}
        }
    }
    (failures, timers)
}

pub(crate) async fn wait_for_a_pause(system: &TestSystem) {
    eventually("a workflow waits", async || {
        let events = system.all_events().await;
        (!pauses(&events).1.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_invoice_waits_for_requests_and_is_ingested() {
    let (account, uuids) = account_with_invoices(1);
    let system = TestSystem::start(account).await;
    close_budgets(&system, "30 seconds").await;
    let sent_before = system.simulator.requests().len();
    let ingested = system.ingest(uuids[0]).await.unwrap();
    assert_eq!(ingested.lines, 1);

    let id = format!("ingest-invoice-{}", uuids[0]);
    let (failures, timers) = pauses(&system.history(&id, None).await);
    assert_eq!(failures, ["BudgetUsedUp"]);
    // The wait uses neither an attempt nor a worker's slot.
    assert!(matches!(timers[..], [15..=45]), "{timers:?}");
    let sent = system.simulator.requests().split_off(sent_before);
    let csv = format!("/v2/customers/my/invoices/{}/csv", uuids[0]);
    let of_csv = sent.iter().filter(|request| request.path == csv);
    assert_eq!(of_csv.count(), 1);
}

#[tokio::test]
async fn a_waiting_sync_records_no_failed_listing() {
    let system = TestSystem::start(Account::demo()).await;
    close_budgets(&system, "30 seconds").await;
    let during_the_wait = async {
        wait_for_a_pause(&system).await;
        system.rows("select kind from cloud_listings").await
    };
    let (synced, listings) = tokio::join!(system.sync_inventory(), during_the_wait);
    assert_eq!(listings, Vec::<String>::new());
    assert!(synced.unwrap().kinds.len() > 30);
}

/// Shortens the minute to ten seconds.
const TIMES_FASTER: u32 = 6;

/// An account that takes more requests than a minute allows, with DigitalOcean's limits.
fn busy_account() -> (Account, Vec<Uuid>) {
    let (mut account, uuids) = account_with_invoices(130);
    for number in 0..300 {
        account.add_droplet(&format!("web-{number}"), "s-1vcpu-1gb", "syd1");
    }
    account.set_rate_limit(RateLimit {
        times_faster: TIMES_FASTER,
        ..RateLimit::DIGITALOCEAN
    });
    (account, uuids)
}

#[tokio::test]
async fn without_a_budget_the_same_backfill_causes_429s() {
    let (mut account, _) = busy_account();
    // Also on a machine that needs a minute for the backfill.
    account.set_rate_limit(RateLimit {
        per_minute: 40,
        ..RateLimit::DIGITALOCEAN
    });
    let system = TestSystem::start_limited(account, DEMO_TOKEN, Limits::NONE).await;
    let rejected = eventually("a request is rejected", async || {
        let requests = system.simulator.requests();
        let mut statuses = requests.iter().map(|request| request.status);
        statuses.any(|status| status == 429).then_some(())
    });
    tokio::select! {
        () = rejected => {}
        ended = system.billing_history() => panic!("no request was rejected: {ended:?}"),
    }
}

#[tokio::test]
async fn a_backfill_and_syncs_with_one_token_complete_without_429() {
    let (account, uuids) = busy_account();
    let limits = Limits {
        times_faster: TIMES_FASTER,
        ..Limits::default()
    };
    let system = TestSystem::start_limited(account, DEMO_TOKEN, limits).await;
    let (billing, projects, inventory) = tokio::join!(
        system.billing_history(),
        system.sync_projects(),
        system.sync_inventory(),
    );
    let (billing, _, inventory) = (billing.unwrap(), projects.unwrap(), inventory.unwrap());
    assert_eq!((billing.ingested, billing.failed), (uuids.len(), 0));
    let droplets = inventory.kinds.iter().find(|kind| kind.seen == 300);
    assert!(droplets.is_some_and(|kind| kind.incomplete.is_none()));

    let requests = system.simulator.requests();
    let rejected = requests.iter().filter(|request| request.status == 429);
    assert_eq!(rejected.count(), 0);
    // They exceed the limit per minute, so the budget delayed them.
    let per_minute = usize::try_from(RateLimit::DIGITALOCEAN.per_minute).unwrap();
    assert!(requests.len() > per_minute, "{}", requests.len());
}

#[tokio::test]
async fn the_fast_lane_gets_its_requests_while_others_wait() {
    let (account, _) = account_with_invoices(40);
    // A burst of 12, then one request in about 43 seconds: the backfill waits after the burst.
    let limits = Limits {
        per_minute: 0,
        per_hour: 96,
        times_faster: 1,
    };
    let system = TestSystem::start_limited(account, DEMO_TOKEN, limits).await;
    let fast = async {
        wait_for_a_pause(&system).await;
        let scope = Input::Valid(InventoryScope {
            kinds: vec![ResourceKind::DROPLET],
            repeats: 0,
        });
        let queue = task_queue::CLOUD_SYNC_FAST;
        let synced = system.run(SyncInventory::run, scope, queue, "fast");
        assert_eq!(synced.await.unwrap().requests, 2);
        pauses(&system.history("fast", None).await)
    };
    tokio::select! {
        (failures, timers) = fast => assert!(failures.is_empty() && timers.is_empty(), "{timers:?}"),
        ended = system.billing_history() => panic!("the backfill did not wait: {ended:?}"),
    }
}
