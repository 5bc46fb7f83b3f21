//! Work that has to wait for requests, and what is kept back for the fast lane.

use domain::ResourceKind;
use rust_decimal::Decimal;
use simulator::{Account, DEMO_TOKEN, Invoice, InvoiceLine, RateLimit};
use store::budget::Limits;
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

/// Keeps everybody from asking for so long, as a 429 does.
pub(crate) async fn close_budgets(system: &TestSystem, time: &'static str) {
    // Opens the token's budget.
    system.poll_balance().await.unwrap();
    eventually("what was drawn and not sent is lost", async || {
        let lost = "select count(*) from cloud_request_budgets where used_at < clock_timestamp() - interval '5 seconds'";
        (system.count(lost).await == 1).then_some(())
    })
    .await;
    let sql = "update cloud_request_budgets set closed_until = clock_timestamp() + $1::interval";
    let closed = sqlx::query(sql).bind(time).execute(&system.pool);
    assert_eq!(closed.await.unwrap().rows_affected(), 1);
}

/// Of the activities that failed: the failure's type, and the timers' lengths in seconds.
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
    eventually("a workflow has to wait", async || {
        let events = system.all_events().await;
        (!pauses(&events).1.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_invoice_waits_for_requests_and_is_ingested() {
    let (account, uuids) = account_with_invoices(1);
    let system = TestSystem::start(account).await;
    close_budgets(&system, "10 seconds").await;
    let asked_before = system.simulator.requests().len();
    let ingested = system.ingest(uuids[0]).await.unwrap();
    assert_eq!(ingested.lines, 1);

    let id = format!("ingest-invoice-{}", uuids[0]);
    let (failures, timers) = pauses(&system.history(&id, None).await);
    assert_eq!(failures, ["BudgetUsedUp"]);
    // Nothing runs meanwhile: neither an attempt nor a worker's slot is used up by waiting.
    assert!(matches!(timers[..], [15..=23]), "{timers:?}");
    let asked = system.simulator.requests().split_off(asked_before);
    let csv = format!("/v2/customers/my/invoices/{}/csv", uuids[0]);
    let of_csv = asked.iter().filter(|request| request.path == csv);
    assert_eq!(of_csv.count(), 1);
}

#[tokio::test]
async fn a_sync_that_waits_has_not_failed_to_list_anything() {
    let system = TestSystem::start(Account::demo()).await;
    close_budgets(&system, "10 seconds").await;
    let waiting = async {
        wait_for_a_pause(&system).await;
        system.rows("select kind from cloud_listings").await
    };
    let (synced, listed_meanwhile) = tokio::join!(system.sync_inventory(), waiting);
    assert_eq!(listed_meanwhile, Vec::<String>::new());
    assert!(synced.unwrap().kinds.len() > 30);
}

/// So that a minute takes ten seconds.
const TIMES_FASTER: u32 = 6;

/// More to ask for than a minute allows, of a server with DigitalOcean's own limits.
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
async fn without_limits_of_our_own_the_same_backfill_draws_429s() {
    let (account, _) = busy_account();
    let system = TestSystem::start_limited(account, DEMO_TOKEN, Limits::NONE).await;
    let refused = eventually("a request is refused", async || {
        let requests = system.simulator.requests();
        let mut statuses = requests.iter().map(|request| request.status);
        statuses.any(|status| status == 429).then_some(())
    });
    tokio::select! {
        () = refused => {}
        ended = system.billing_history() => panic!("it was not refused anything: {ended:?}"),
    }
}

#[tokio::test]
async fn a_backfill_and_syncs_on_one_token_draw_no_429_and_lose_nothing() {
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
    let refused = requests.iter().filter(|request| request.status == 429);
    assert_eq!(refused.count(), 0);
    // More than DigitalOcean lets through in a minute, so that they had to be held back.
    let a_minutes = usize::try_from(RateLimit::DIGITALOCEAN.per_minute).unwrap();
    assert!(requests.len() > a_minutes, "{}", requests.len());
}

#[tokio::test]
async fn the_fast_lane_gets_its_requests_while_others_wait() {
    let (account, _) = account_with_invoices(40);
    // Twelve at once, and then one in half a minute: the backfill waits from there on.
    let limits = Limits {
        per_minute: 0,
        per_hour: 96,
        times_faster: 1,
    };
    let system = TestSystem::start_limited(account, DEMO_TOKEN, limits).await;
    let fast = async {
        wait_for_a_pause(&system).await;
        let scope = Input::Given(InventoryScope {
            kinds: vec![ResourceKind::DROPLET],
        });
        let queue = task_queue::CLOUD_SYNC_FAST;
        let synced = system.run(SyncInventory::run, scope, queue, "fast");
        assert_eq!(synced.await.unwrap().requests, 2);
        pauses(&system.history("fast", None).await)
    };
    tokio::select! {
        (failures, timers) = fast => assert!(failures.is_empty() && timers.is_empty(), "{timers:?}"),
        ended = system.billing_history() => panic!("so few requests are not enough: {ended:?}"),
    }
}
