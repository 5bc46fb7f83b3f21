//! A long listing resumes after its worker died or a page failed.

use std::collections::BTreeMap;
use std::time::Duration;

use digitalocean::Purpose;
use simulator::{Account, Fault, FaultKind};
use temporalio_client::{
    Client, WorkflowDescribeOptions, WorkflowGetResultOptions, WorkflowHandle, WorkflowStartOptions,
};
use workflows::inventory::{InventoryReport, InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use crate::support::{LIMIT_OF_RETRIES, TestSystem, eventually, within};

/// 15 pages of 200 droplets.
const DROPLETS: usize = 3_000;

type Syncing = WorkflowHandle<Client, SyncInventory>;

async fn sync_droplets(system: &TestSystem) -> Syncing {
    let scope = serde_json::from_str::<InventoryScope>(r#"{"kinds": ["droplet"]}"#).unwrap();
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "sync").build();
    let client = &system.client;
    client
        .start_workflow(SyncInventory::run, Input::Valid(scope), options)
        .await
        .unwrap();
    client.get_workflow_handle("sync")
}

async fn report_of(syncing: &Syncing) -> InventoryReport {
    let result = syncing.get_result(WorkflowGetResultOptions::default());
    within(LIMIT_OF_RETRIES, "the sync", result).await.unwrap()
}

/// Returns the number of successful responses for each page of droplets.
fn pages_returned(system: &TestSystem) -> BTreeMap<u32, usize> {
    let mut returned = BTreeMap::new();
    for request in system.simulator.requests() {
        let is_page = request.path == "/v2/droplets"
            && request.status == 200
            && !request.query.contains("type=gpus");
        let mut parameters = request.query.split('&');
        let page = parameters.find_map(|parameter| parameter.strip_prefix("page="));
        if let Some(page) = page.filter(|_| is_page) {
            *returned.entry(page.parse().unwrap()).or_default() += 1;
        }
    }
    returned
}

/// Returns the heartbeat details of the running activity.
async fn heartbeat(syncing: &Syncing) -> Option<serde_json::Value> {
    let options = WorkflowDescribeOptions::default();
    let described = syncing.describe(options).await.unwrap();
    let pending = described.raw().pending_activities.first()?;
    let details = pending.heartbeat_details.as_ref()?;
    serde_json::from_slice(&details.payloads.first()?.data).ok()
}

async fn assert_mirrored(system: &TestSystem, droplets: i64) {
    let live =
        "select count(*) from cloud_resources where deleted_at is null and stale_strike_count = 0";
    assert_eq!(system.count(live).await, droplets);
    let all = "select count(*) from cloud_resources";
    assert_eq!(system.count(all).await, droplets);
    let discovered = "select count(*) from cloud_resource_events where event = 'discovered'";
    assert_eq!(system.count(discovered).await, droplets);
    let left = "select (select count(*) from cloud_resumable_listings) + (select count(*) from cloud_listing_pages)
        + (select count(*) from cloud_staged_resources)";
    assert_eq!(system.count(left).await, 0);
}

#[tokio::test]
async fn a_listing_of_a_killed_worker_is_resumed_by_another() {
    let account = Account::with_droplets(DROPLETS);
    let system = TestSystem::start_serving(account, &[Purpose::CloudBilling]).await;
    let first = system
        .start_killable_worker(&[Purpose::CloudSyncFull])
        .await;
    let never = FaultKind::Slow {
        delay: Duration::from_mins(5),
    };
    system
        .simulator
        .fail(Fault::new(never, "/v2/droplets?page=13"));
    let syncing = sync_droplets(&system).await;
    let expected = serde_json::json!({ "list": "/v2/droplets", "page": 12, "of": 15 });
    eventually("the heartbeat has page 12", async || {
        let details = heartbeat(&syncing).await?;
        (details == expected).then_some(())
    })
    .await;
    first.kill();
    system.simulator.clear_faults();

    let _another = system.start_another_worker(&[Purpose::CloudSyncFull]);
    let report = report_of(&syncing).await;
    let returned = pages_returned(&system);
    for page in 1..=11 {
        assert_eq!(returned[&page], 1, "page {page} was refetched");
    }
    // Refetches the last stored page to verify that no item has moved, then fetches the remaining
    // three and the list of GPU droplets.
    assert_eq!((returned[&12], report.requests), (2, 5));
    assert_eq!(report.kinds[0].seen, DROPLETS);
    assert_eq!(report.kinds[0].incomplete, None);
    assert_mirrored(&system, 3_000).await;
}

#[tokio::test]
async fn a_list_that_changed_meanwhile_is_reread_from_its_start() {
    let system = TestSystem::start(Account::with_droplets(DROPLETS)).await;
    let wait = FaultKind::RateLimited { retry_after: 5 };
    system
        .simulator
        .fail(Fault::new(wait, "/v2/droplets?page=13").times(1));
    let syncing = sync_droplets(&system).await;
    eventually("the listing fails", async || {
        let failed = system
            .count("select count(*) from cloud_listings where state = 'failed'")
            .await;
        (failed == 1).then_some(())
    })
    .await;
    // One droplet of the first page is removed and another one added: the total is unchanged.
    system.simulator.change(|account| {
        let first = account.droplets()[0].id;
        account.remove_droplet(first);
        account.add_droplet("added", "s-1vcpu-1gb", "syd1");
    });
    let report = report_of(&syncing).await;
    assert_eq!(report.kinds[0].incomplete, None);
    let returned = pages_returned(&system);
    for page in 1..=11 {
        assert_eq!(returned[&page], 2, "page {page}");
    }
    // The removed droplet was seen by the first attempt, so it existed after the listing started.
    assert_mirrored(&system, 3_001).await;
    let next = system.sync_inventory().await.unwrap();
    let droplets = next
        .kinds
        .iter()
        .find(|kind| kind.kind.as_str() == "droplet");
    assert_eq!(droplets.map(|kind| kind.struck), Some(1));
}
