//! Workers that poll some of the task queues.

use digitalocean::Purpose;
use simulator::Account;
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use workflows::projects::SyncProjects;
use workflows::{NoInput, task_queue};

use crate::support::{LIMIT, TestSystem, within};

#[tokio::test]
async fn what_a_worker_does_not_poll_for_waits_for_one_that_does() {
    let system = TestSystem::start_serving(Account::demo(), &[Purpose::CloudBilling]).await;
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, "waits").build();
    let waits = system
        .client
        .start_workflow(SyncProjects::run, NoInput, options)
        .await
        .unwrap();
    // Started later, and through with its work.
    system.poll_balance().await.unwrap();
    system.billing_history().await.unwrap();
    let started_only = system.history("waits", None).await.len();
    assert_eq!(started_only, 2, "a start, and a task that nobody took");

    let _another = system.start_another_worker(&[Purpose::CloudSyncFull]);
    let result = waits.get_result(WorkflowGetResultOptions::default());
    let report = within(LIMIT, "the sync", result).await.unwrap();
    assert!(report.projects.projects > 0);
}
