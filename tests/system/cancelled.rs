//! A cancelled run ends at once. Its activity stores the responses it has and sends no further
//! requests.

use std::time::Duration;

use simulator::{Account, Fault, FaultKind};
use temporalio_client::{
    WorkflowCancelOptions, WorkflowDescribeOptions, WorkflowExecutionInfo,
    WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_common::protos::temporal::api::enums::v1::PendingActivityState;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use crate::support::{LIMIT_OF_RETRIES, TestSystem, eventually, within};

/// Waits until an activity of a run has started, according to Temporal, since the simulator records
/// a request only after its response.
pub(crate) async fn wait_until_started(system: &TestSystem, id: &str, activity: &str) {
    let info = WorkflowExecutionInfo::builder()
        .namespace(&system.namespace)
        .workflow_id(id)
        .build();
    let run = info.bind_untyped(system.client.clone());
    eventually(activity, async || {
        let described = run.describe(WorkflowDescribeOptions::default()).await;
        let described = described.unwrap();
        let pending = described.raw().pending_activities.iter();
        let started = pending.filter(|one| one.state() == PendingActivityState::Started);
        let mut types = started.filter_map(|one| one.activity_type.as_ref());
        types.any(|one| one.name == activity).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_activity_stores_its_responses_and_sends_no_requests() {
    let system = TestSystem::start(Account::demo()).await;
    // Longer than the delay until a heartbeat delivers the cancellation.
    let slow = FaultKind::Slow {
        delay: Duration::from_secs(15),
    };
    system
        .simulator
        .fail(Fault::new(slow, "/v2/droplets").times(1));
    let kinds = serde_json::from_str::<InventoryScope>(r#"{"kinds": ["droplet"]}"#).unwrap();
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "sync-cancelled").build();
    let run = system
        .client
        .start_workflow(SyncInventory::run, Input::Valid(kinds), options)
        .await
        .unwrap();
    wait_until_started(&system, "sync-cancelled", "inventory.sync_kind").await;
    run.cancel(WorkflowCancelOptions::default()).await.unwrap();
    let result = run.get_result(WorkflowGetResultOptions::default());
    let ended = within(LIMIT_OF_RETRIES, "the cancelled run", result).await;
    assert!(ended.is_err(), "it was cancelled");
    assert_eq!(system.count("select count(*) from cloud_listings").await, 0);

    let stored = eventually("the listing is stored", async || {
        let listings = system
            .rows("select complete::text from cloud_listings")
            .await;
        (!listings.is_empty()).then_some(listings)
    })
    .await;
    // Incomplete, since GPU droplets are a separate list.
    assert_eq!(stored, ["false"]);
    assert_eq!(system.requests("GET", "/v2/droplets"), 1);
    assert_eq!(
        system.count("select count(*) from cloud_resources").await,
        5
    );
    // The database connections are still usable.
    system.sync_inventory().await.unwrap();
}
