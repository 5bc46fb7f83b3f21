//! How far runs are, asked while they wait and when they have ended.

use std::time::Duration;

use domain::ResourceKind;
use simulator::{Account, Fault, FaultKind};
use temporalio_client::errors::WorkflowGetResultError;
use temporalio_client::{WorkflowGetResultOptions, WorkflowQueryOptions, WorkflowStartOptions};
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::projects::{Pass, SyncProjects};
use workflows::{Input, NoInput, task_queue};

use crate::rate_limit::{close_budgets, wait_for_a_pause};
use crate::support::{LIMIT_OF_RETRIES, TestSystem, within};

#[tokio::test]
async fn a_run_that_waits_in_vain_fails_by_name_before_its_time_is_over() {
    let system = TestSystem::start(Account::demo()).await;
    // So that there are projects to walk.
    system.sync_projects().await.unwrap();
    let refused = FaultKind::RateLimited { retry_after: 600 };
    system.simulator.fail(Fault::new(refused, "/v2/projects*"));
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "in-vain")
        .run_timeout(Duration::from_secs(40))
        .build();
    let starting = system
        .client
        .start_workflow(SyncProjects::run, NoInput, options);
    let run = starting.await.unwrap();
    let progress = async || {
        let asking = run.query(SyncProjects::progress, (), WorkflowQueryOptions::default());
        asking.await.unwrap()
    };
    wait_for_a_pause(&system).await;
    assert_eq!(progress().await.pass, Pass::Projects);

    let result = run.get_result(WorkflowGetResultOptions::default());
    let error = within(LIMIT_OF_RETRIES, "the sync in vain", result).await;
    let Err(WorkflowGetResultError::Failed(error)) = error else {
        panic!("{error:?}");
    };
    let reason = error.failure().cause.clone().unwrap().message;
    assert!(reason.contains("has to wait"), "{reason}");
    // Both passes waited, and together no longer than one would.
    let progress = progress().await;
    assert_eq!(progress.pass, Pass::Memberships);
    let failed = progress.failed.unwrap();
    assert!(failed.contains("has to wait"), "{failed}");
}

#[tokio::test]
async fn a_sync_of_the_inventory_tells_which_kinds_are_under_way_and_which_failed() {
    let system = TestSystem::start(Account::demo()).await;
    close_budgets(&system, "10 seconds").await;
    let fault = Fault::new(FaultKind::Unauthorized, "/v2/volumes");
    system.simulator.fail(fault);
    let kinds = vec![ResourceKind::DROPLET, ResourceKind::VOLUME];
    let scope = InventoryScope {
        kinds: kinds.clone(),
    };
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "sync-inventory").build();
    let starting = system
        .client
        .start_workflow(SyncInventory::run, Input::Valid(scope), options);
    let run = starting.await.unwrap();
    let progress = async || {
        let asking = run.query(SyncInventory::progress, (), WorkflowQueryOptions::default());
        asking.await.unwrap()
    };
    wait_for_a_pause(&system).await;
    let waiting = progress().await;
    assert_eq!((waiting.kinds, waiting.in_progress), (2, kinds));

    let result = run.get_result(WorkflowGetResultOptions::default());
    let ended = within(LIMIT_OF_RETRIES, "the sync", result).await;
    assert!(ended.is_err(), "{ended:?}");
    let ended = progress().await;
    assert_eq!((ended.kinds, ended.synced), (2, 1));
    assert_eq!(ended.failed, [ResourceKind::VOLUME]);
    assert!(ended.in_progress.is_empty(), "{:?}", ended.in_progress);
}
