//! The progress query of runs, while they wait and after they ended.

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
async fn a_run_that_waits_too_long_fails_by_name_before_its_timeout() {
    let system = TestSystem::start(Account::demo()).await;
    // Stores projects, so that the second pass has members to list.
    system.sync_projects().await.unwrap();
    let refused = FaultKind::RateLimited { retry_after: 600 };
    system.simulator.fail(Fault::new(refused, "/v2/projects*"));
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "in-vain")
        .run_timeout(Duration::from_mins(1))
        .build();
    let starting = system
        .client
        .start_workflow(SyncProjects::run, NoInput, options);
    let run = starting.await.unwrap();
    let progress = async || {
        let query = run.query(SyncProjects::progress, (), WorkflowQueryOptions::default());
        query.await.unwrap()
    };
    wait_for_a_pause(&system).await;
    assert_eq!(progress().await.pass, Pass::Projects);

    let result = run.get_result(WorkflowGetResultOptions::default());
    let error = within(LIMIT_OF_RETRIES, "the waiting sync", result).await;
    let Err(WorkflowGetResultError::Failed(error)) = error else {
        panic!("{error:?}");
    };
    let reason = error.failure().cause.clone().unwrap().message;
    assert!(reason.contains("was not sent"), "{reason}");
    // Both passes waited, within one shared time limit.
    let progress = progress().await;
    assert_eq!(progress.pass, Pass::Memberships);
    let failed = progress.failed.unwrap();
    assert!(failed.contains("was not sent"), "{failed}");
}

#[tokio::test]
async fn the_progress_lists_the_kinds_in_progress_and_the_failed_ones() {
    let system = TestSystem::start(Account::demo()).await;
    close_budgets(&system, "30 seconds").await;
    let fault = Fault::new(FaultKind::Unauthorized, "/v2/volumes");
    system.simulator.fail(fault);
    let kinds = vec![ResourceKind::DROPLET, ResourceKind::VOLUME];
    let scope = InventoryScope {
        kinds: kinds.clone(),
        repeats: 0,
    };
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "sync-inventory").build();
    let starting = system
        .client
        .start_workflow(SyncInventory::run, Input::Valid(scope), options);
    let run = starting.await.unwrap();
    let progress = async || {
        let query = run.query(SyncInventory::progress, (), WorkflowQueryOptions::default());
        query.await.unwrap()
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
