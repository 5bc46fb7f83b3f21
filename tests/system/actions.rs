//! The activities and runs of unchanged syncs, which are billed as Temporal actions.

use std::time::Duration;

use chrono::{DateTime, Timelike as _, Utc};
use simulator::{Account, Fault, FaultKind};
use temporalio_client::{WorkflowStartOptions, WorkflowTerminateOptions};
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use crate::support::{LIMIT_OF_RETRIES, TestSystem, eventually, within};

/// Returns the types of the scheduled activities, in order.
fn activities(events: &[HistoryEvent]) -> Vec<&str> {
    let types = events.iter().filter_map(|event| match &event.attributes {
        Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)) => {
            scheduled.activity_type.as_ref()
        }
        _ => None,
    });
    types.map(|activity| activity.name.as_str()).collect()
}

async fn full_sync(system: &TestSystem, id: &str) -> Vec<HistoryEvent> {
    let (scope, queue) = (InventoryScope::default(), task_queue::CLOUD_SYNC_FULL);
    let run = system.run(SyncInventory::run, Input::Valid(scope), queue, id);
    let report = within(LIMIT_OF_RETRIES, id, run).await.unwrap();
    let kinds = digitalocean::kinds::listings().len();
    assert!(
        report.kinds.len() >= kinds,
        "{} of {kinds}",
        report.kinds.len()
    );
    system.history(id, None).await
}

#[tokio::test]
async fn a_full_sync_without_failures_executes_two_activities() {
    let system = TestSystem::start(Account::demo()).await;
    full_sync(&system, "first").await;
    let history = full_sync(&system, "unchanged").await;
    let expected = ["inventory.sync_all", "inventory.attribute"];
    assert_eq!(activities(&history), expected);

    // More failures than the client retries by itself.
    let fault = Fault::new(FaultKind::ServerError { status: 500 }, "/v2/volumes");
    system.simulator.fail(fault.times(4));
    let history = full_sync(&system, "failed-once").await;
    let expected = [
        "inventory.sync_all",
        "inventory.sync_kind",
        "inventory.attribute",
    ];
    assert_eq!(activities(&history), expected);
}

/// Waits until a minute starts, when the schedule would start the run.
async fn minute_starts() {
    let started = async || (Utc::now().second() == 0).then_some(());
    eventually("a minute starts", started).await;
}

#[tokio::test]
async fn a_repeated_run_continues_with_the_next_minute() {
    let system = TestSystem::start(Account::demo()).await;
    let scope = Input::Valid(InventoryScope {
        kinds: vec![domain::ResourceKind::DROPLET],
        repeats: 1,
    });
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FAST, "repeated").build();
    minute_starts().await;
    let starting = system
        .client
        .start_workflow(SyncInventory::run, scope, options);
    let first = starting.await.unwrap();
    let next = eventually("the run continues", async || {
        let history = system.history("repeated", first.run_id()).await;
        match &history.last()?.attributes {
            Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(next)) => {
                Some(next.new_execution_run_id.clone())
            }
            _ => None,
        }
    })
    .await;
    let history = system.history("repeated", Some(&next)).await;
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &history[0].attributes
    else {
        panic!("{history:?}");
    };
    let input = &started.input.as_ref().unwrap().payloads[0];
    let scope: InventoryScope = serde_json::from_slice(&input.data).unwrap();
    assert_eq!(scope.repeats, 0);
    let backoff = started.first_workflow_task_backoff.as_ref().unwrap();
    let wait = Duration::try_from(*backoff).unwrap();
    let continued_at = history[0].event_time.as_ref().unwrap().seconds;
    let starts = DateTime::from_timestamp(continued_at, 0).unwrap() + wait;
    // The time of the event is later than that from which the server computes the wait, and is
    // rounded down to a second.
    assert!(
        matches!(starts.second(), 55.. | ..=5),
        "the next run starts at {starts}"
    );
    let end = WorkflowTerminateOptions::default();
    first.terminate(end).await.unwrap();
}
