//! Workers that poll only some task queues.

use digitalocean::Purpose;
use simulator::Account;
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use workflows::projects::SyncProjects;
use workflows::{NoInput, task_queue};

use crate::support::{LIMIT, TestSystem, within};

#[tokio::test]
async fn a_run_waits_for_a_worker_that_polls_its_task_queue() {
    let system = TestSystem::start_serving(Account::demo(), &[Purpose::CloudBilling]).await;
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "waits").build();
    let waits = system
        .client
        .start_workflow(SyncProjects::run, NoInput, options)
        .await
        .unwrap();
    // These start later and complete.
    system.poll_balance().await.unwrap();
    system.billing_history().await.unwrap();
    let started_only = system.history("waits", None).await.len();
    assert_eq!(started_only, 2, "the start, and a task without a worker");

    let _another = system.start_another_worker(&[Purpose::CloudSyncFull]);
    let result = waits.get_result(WorkflowGetResultOptions::default());
    let report = within(LIMIT, "the sync", result).await.unwrap();
    assert!(report.projects.projects > 0);
}
