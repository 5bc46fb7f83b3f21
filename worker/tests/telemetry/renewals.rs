//! Tests a worker that is renewed inside its process after every activity.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use simulator::{Account, Simulator};
use store::Store;
use temporalio_client::{
    Client, WorkflowExecutionInfo, WorkflowFetchHistoryOptions, WorkflowListOptions,
};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use workflows::balance::PollBalance;
use workflows::projects::SyncProjects;
use workflows::{NoInput, task_queue};

use crate::metrics::value;
use crate::scenario;

const ROUNDS: usize = 8;
const LIMIT: Duration = Duration::from_mins(1);

fn renewals(page: &str, purpose: &str) -> f64 {
    let name = "arcadia_worker_renewals_total";
    value(page, name, &[("purpose", purpose)]).unwrap()
}

/// Waits until the worker of a purpose has been renewed once more.
async fn wait_for_renewal(metrics: SocketAddr, purpose: &str, before: f64) {
    let started = Instant::now();
    while renewals(&scenario::page(metrics).await, purpose) <= before {
        assert!(started.elapsed() < LIMIT, "{purpose} is not renewed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the number of runs and their unexpected events: activity retries, and tasks that failed
/// or timed out.
async fn unexpected_events(client: &Client, namespace: &str) -> (usize, Vec<String>) {
    let runs: Vec<_> = client
        .list_workflows("", WorkflowListOptions::default())
        .try_collect()
        .await
        .unwrap();
    let mut unexpected = Vec::new();
    for run in &runs {
        let mut handle = WorkflowExecutionInfo::builder()
            .namespace(namespace)
            .workflow_id(run.id())
            .build();
        handle.run_id = Some(run.run_id().to_owned());
        let history = handle
            .bind_untyped(client.clone())
            .fetch_history(WorkflowFetchHistoryOptions::default())
            .into_events()
            .await
            .unwrap();
        for event in history {
            match event.attributes {
                Some(Attributes::ActivityTaskStartedEventAttributes(started))
                    if started.attempt > 1 =>
                {
                    unexpected.push(format!("{}: {started:?}", run.workflow_type()));
                }
                Some(
                    lost @ (Attributes::WorkflowTaskTimedOutEventAttributes(_)
                    | Attributes::WorkflowTaskFailedEventAttributes(_)
                    | Attributes::ActivityTaskTimedOutEventAttributes(_)),
                ) => unexpected.push(format!("{}: {lost:?}", run.workflow_type())),
                _ => {}
            }
        }
    }
    (runs.len(), unexpected)
}

#[test]
fn a_worker_renewed_after_every_activity_runs_each_exactly_once() {
    scenario::runtime().block_on(async {
        let database = devstack::testing::database().await;
        let store = Store::connect(&database.url(), worker::CONNECTIONS)
            .await
            .unwrap();
        store.migrate().await.unwrap();
        let simulator = Simulator::start(Account::demo()).await.unwrap();
        let (client, namespace) = scenario::new_namespace().await;
        let settings = worker::Settings {
            signing_key: None,
            renew_after: 1,
            ..scenario::settings(&store, simulator.url())
        };
        let (metrics, stop) = scenario::start_worker(namespace.clone(), settings);
        for _ in 0..ROUNDS {
            let before = scenario::page(metrics).await;
            let billing = task_queue::CLOUD_BILLING;
            scenario::finish(&client, PollBalance::run, NoInput, billing).await;
            let full = task_queue::CLOUD_SYNC_FULL;
            scenario::finish(&client, SyncProjects::run, NoInput, full).await;
            for purpose in ["cloud-billing", "cloud-sync-full"] {
                wait_for_renewal(metrics, purpose, renewals(&before, purpose)).await;
            }
        }
        // No activity ran on this queue, so there was no reason for a renewal.
        let page = scenario::page(metrics).await;
        assert!(renewals(&page, "cloud-sync-fast") < 1.0, "{page}");
        let (runs, unexpected) = unexpected_events(&client, &namespace).await;
        assert_eq!(runs, 2 * ROUNDS);
        // A pause of the machine between two activities starts a renewal within a run, and a task
        // of that moment can be lost and repeated.
        assert!(unexpected.len() <= ROUNDS / 2, "{unexpected:#?}");
        drop(stop);
    });
}
