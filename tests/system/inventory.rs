//! Syncs of the inventory: failed kinds, concurrent syncs, deletions and moves.

use std::time::Duration;

use domain::ResourceKind;
use simulator::{Account, Fault, FaultKind};
use workflows::inventory::{InventoryReport, InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use crate::support::TestSystem;

async fn events_of(system: &TestSystem, name: &str) -> Vec<String> {
    sqlx::query_scalar(
        "select event from cloud_resource_events
         join cloud_resources on cloud_resources.id = resource_id where name = $1 order by cloud_resource_events.id",
    )
    .bind(name)
    .fetch_all(&system.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_kind_that_cannot_be_listed_is_named_and_affects_no_other() {
    let system = TestSystem::start(Account::demo()).await;
    let fault = Fault::new(FaultKind::Unauthorized, "/v2/volumes");
    system.simulator.fail(fault);
    let message = system.sync_inventory().await.unwrap_err();
    assert!(
        message.contains("not synced: volume: GET /v2/volumes") && message.contains("401"),
        "{message}"
    );
    assert!(
        message.contains("synced: droplet,") && message.contains("dns_zone"),
        "{message}"
    );
    let kinds = "select kind || ' ' || count(*) from cloud_resources group by kind order by kind";
    assert_eq!(system.rows(kinds).await, ["dns_zone 7", "droplet 5"]);
    let state = "select last_state from cloud_kind_freshness where kind = 'volume'";
    assert_eq!(system.rows(state).await, ["unauthorized"]);
}

#[tokio::test]
async fn an_unreadable_kind_is_reported_and_does_not_fail_the_run() {
    let system = TestSystem::start(Account::demo()).await;
    system
        .simulator
        .fail(Fault::new(FaultKind::Forbidden, "/v2/volumes"));
    system
        .simulator
        .fail(Fault::new(FaultKind::NotFound, "/v2/apps"));
    let report = system.sync_inventory().await.unwrap();
    let not_readable: Vec<_> = report
        .kinds
        .iter()
        .filter(|kind| kind.not_readable)
        .map(|kind| kind.kind.as_str())
        .collect();
    assert_eq!(not_readable, ["volume", "app"]);
    let states = "select kind || ' ' || last_state from cloud_kind_freshness
        where last_state <> 'complete' and kind <> 'spaces_bucket' order by kind";
    assert_eq!(
        system.rows(states).await,
        ["app not_readable", "volume not_readable"]
    );
}

#[tokio::test]
async fn concurrent_fast_and_full_syncs_equal_sequential_ones() {
    let mut account = Account::empty();
    let droplets: Vec<u64> = (0..250)
        .map(|number| account.add_droplet(&format!("web-{number}"), "s-1vcpu-1gb", "syd1"))
        .collect();
    let system = TestSystem::start(account).await;
    let fast = async || {
        let scope = Input::Valid(InventoryScope {
            kinds: vec![ResourceKind::DROPLET],
            repeats: 0,
        });
        let id = format!("sync-droplets-{}", uuid::Uuid::new_v4());
        system
            .run(SyncInventory::run, scope, task_queue::CLOUD_SYNC_FAST, &id)
            .await
            .unwrap()
    };
    let (one, two, full) = tokio::join!(fast(), fast(), system.sync_inventory());
    let discovered = |report: &InventoryReport| report.kinds[0].discovered;
    assert_eq!(
        discovered(&one) + discovered(&two) + discovered(&full.unwrap()),
        250
    );
    system.simulator.change(|account| {
        for id in &droplets[..5] {
            account.rename_droplet(*id, "renamed");
        }
        account.remove_droplet(droplets[249]);
    });
    // Slow enough that the three listings overlap.
    let delay = Duration::from_secs(3);
    let slow = Fault::new(FaultKind::Slow { delay }, "/v2/droplets*");
    system.simulator.fail(slow);
    let (_, _, full) = tokio::join!(fast(), fast(), system.sync_inventory());
    full.unwrap();
    system.simulator.clear_faults();
    let strikes = "select 'deleted' from cloud_resources where deleted_at is not null";
    assert!(
        system.rows(strikes).await.is_empty(),
        "concurrent listings are one strike"
    );
    for _ in 0..2 {
        fast().await;
    }
    let events =
        "select event || ' ' || count(*) from cloud_resource_events group by event order by event";
    let events = system.rows(events).await;
    assert_eq!(events[..2], ["deleted 1", "discovered 250"]);
    assert_eq!(events[2..], ["updated 5"]);
}

#[tokio::test]
async fn a_droplet_missing_from_three_listings_is_deleted_and_restorable() {
    let mut account = Account::empty();
    account.add_droplet("kept", "s-1vcpu-1gb", "syd1");
    let removed = account.add_droplet("removed", "s-1vcpu-1gb", "syd1");
    let system = TestSystem::start(account).await;
    system.sync_inventory().await.unwrap();
    let droplet = system
        .simulator
        .read(|account| account.droplet(removed).unwrap().clone());
    system
        .simulator
        .change(|account| account.remove_droplet(removed));

    let unreadable = Fault::new(FaultKind::Forbidden, "/v2/droplets?type=gpus").times(1);
    system.simulator.fail(unreadable);
    system.sync_inventory().await.unwrap();
    for _ in 0..2 {
        system.sync_inventory().await.unwrap();
    }
    // Two strikes: the incomplete listing does not count.
    assert_eq!(events_of(&system, "removed").await, ["discovered"]);
    system.sync_inventory().await.unwrap();
    assert_eq!(
        events_of(&system, "removed").await,
        ["discovered", "deleted"]
    );

    system
        .simulator
        .change(|account| account.insert_droplet(droplet));
    system.sync_inventory().await.unwrap();
    assert_eq!(
        events_of(&system, "removed").await,
        ["discovered", "deleted", "restored"]
    );
    assert_eq!(events_of(&system, "kept").await, ["discovered"]);
}

#[tokio::test]
async fn a_droplet_moved_between_projects_is_recorded_as_drift() {
    let mut account = Account::empty();
    let shop = account.add_project("shop");
    let droplet = account.add_droplet("web-1", "s-1vcpu-1gb", "syd1");
    let system = TestSystem::start(account).await;
    system.sync_inventory().await.unwrap();
    system.sync_projects().await.unwrap();
    system
        .simulator
        .change(|account| account.assign(shop, &format!("do:droplet:{droplet}")));
    let report = system.sync_projects().await.unwrap();
    assert_eq!(report.memberships.moved, 1);
    assert_eq!(
        events_of(&system, "web-1").await.last().map(String::as_str),
        Some("drift_detected")
    );
    let project =
        "select p.name from cloud_resources r join cloud_projects p on p.id = r.cloud_project_id";
    assert_eq!(system.rows(project).await, ["shop"]);
}
