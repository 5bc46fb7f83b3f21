//! Runs workflows until they succeed, like schedules.

use std::fmt;
use std::time::{Duration, Instant};

use temporalio_client::errors::{WorkflowGetResultError, WorkflowStartError};
use temporalio_client::{
    UntypedWorkflow, WorkflowDescribeOptions, WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_common::HasWorkflowDefinition;
use workflows::balance::PollBalance;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::invoices::BillingHistory;
use workflows::maintenance::Maintain;
use workflows::projects::SyncProjects;
use workflows::{Input, NoInput, task_queue};

use super::site::{STEP_LIMIT, Site};
use crate::support::waiting::{eventually, within};

const RETRY_DELAY: Duration = Duration::from_millis(200);

/// A run that failed or was incomplete, and was followed by another.
#[derive(Debug, Clone)]
pub(crate) struct Setback {
    pub(crate) workflow: &'static str,
    pub(crate) reason: String,
}

impl fmt::Display for Setback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.workflow, self.reason)
    }
}

impl Site {
    /// Runs the workflow of every schedule once: projects, then all kinds concurrently with a
    /// second sync of droplets, then the bill. The order makes runs comparable.
    pub(crate) async fn sync(&self, with_bill: bool) -> Vec<Setback> {
        let mut setbacks = self.sync_projects().await;
        let (all, droplets) = tokio::join!(
            self.sync_inventory(InventoryScope::default(), task_queue::CLOUD_SYNC_FULL),
            self.sync_inventory(
                InventoryScope {
                    kinds: vec![domain::ResourceKind::DROPLET],
                    repeats: 0,
                },
                task_queue::CLOUD_SYNC_FAST
            ),
        );
        setbacks.extend(all);
        setbacks.extend(droplets);
        if with_bill {
            setbacks.extend(self.poll_balance().await);
            setbacks.extend(self.billing_history().await);
        }
        setbacks.extend(self.maintain().await);
        setbacks
    }

    async fn maintain(&self) -> Vec<Setback> {
        let start = || (Maintain::run, NoInput);
        self.until_complete("Maintain", task_queue::CLOUD_SYNC_FULL, start, |_| None)
            .await
    }

    pub(crate) async fn sync_projects(&self) -> Vec<Setback> {
        let queue = task_queue::CLOUD_SYNC_FULL;
        self.until_complete(
            "SyncProjects",
            queue,
            || (SyncProjects::run, NoInput),
            |report| {
                let passes = [&report.projects.incomplete, &report.memberships.incomplete];
                passes.into_iter().flatten().next().cloned()
            },
        )
        .await
    }

    pub(crate) async fn sync_inventory(
        &self,
        scope: InventoryScope,
        queue: &'static str,
    ) -> Vec<Setback> {
        let input = || (SyncInventory::run, Input::Valid(scope.clone()));
        self.until_complete("SyncInventory", queue, input, |report| {
            let mut reasons = report
                .kinds
                .iter()
                .filter_map(|kind| kind.incomplete.as_ref());
            reasons.next().cloned()
        })
        .await
    }

    async fn poll_balance(&self) -> Vec<Setback> {
        let queue = task_queue::CLOUD_BILLING;
        self.until_complete(
            "PollBalance",
            queue,
            || (PollBalance::run, NoInput),
            |_| None,
        )
        .await
    }

    /// Repeats the run until all invoices are ingested: a failed invoice does not fail the run, and
    /// the next run retries it.
    pub(crate) async fn billing_history(&self) -> Vec<Setback> {
        let deadline = Instant::now() + STEP_LIMIT;
        let mut setbacks = Vec::new();
        loop {
            let queue = task_queue::CLOUD_BILLING;
            let input = || (BillingHistory::run, Input::Missing);
            let more = self.until_complete("BillingHistory", queue, input, |progress| {
                let ledger = progress.ledger.as_ref();
                let ledger = ledger.and_then(|ledger| ledger.incomplete.clone());
                progress.incomplete.clone().or(ledger)
            });
            setbacks.extend(more.await);
            let open: i64 = sqlx::query_scalar(
                "select count(*) from cloud_invoices where ingest_status <> 'ingested' or check_failed_since is not null",
            )
            .fetch_one(&mut self.database().await)
            .await
            .unwrap_or(-1);
            if open == 0 {
                return setbacks;
            }
            assert!(
                Instant::now() < deadline,
                "{open} invoices are not ingested: {setbacks:?}"
            );
            let reason = format!("{open} invoices have no lines yet");
            setbacks.push(Setback {
                workflow: "BillingHistory",
                reason,
            });
            tokio::time::sleep(RETRY_DELAY * 5).await;
        }
    }

    /// Repeats a workflow until a run completes without an incomplete part.
    async fn until_complete<W>(
        &self,
        name: &'static str,
        queue: &str,
        start: impl Fn() -> (W, W::Input),
        incomplete: impl Fn(&W::Output) -> Option<String>,
    ) -> Vec<Setback>
    where
        W: HasWorkflowDefinition,
        W::Input: Send,
    {
        let deadline = Instant::now() + STEP_LIMIT;
        let mut setbacks = Vec::new();
        loop {
            let run = Box::pin(self.run_once(name, queue, &start, deadline));
            let outcome = match within(STEP_LIMIT, name, run).await {
                Ok(output) => incomplete(&output),
                Err(reason) => Some(reason),
            };
            let Some(reason) = outcome else {
                return setbacks;
            };
            setbacks.push(Setback {
                workflow: name,
                reason,
            });
            assert!(
                Instant::now() < deadline,
                "{name} does not succeed: {setbacks:?}"
            );
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Starts a run without waiting for its end, and returns its id.
    pub(crate) async fn start_run<W>(
        &self,
        name: &str,
        queue: &str,
        start: impl Fn() -> (W, W::Input),
    ) -> String
    where
        W: HasWorkflowDefinition,
        W::Input: Send,
    {
        let id = self.workflow_id(name);
        eventually("Temporal starts the run", async || {
            let (workflow, input) = start();
            let options = WorkflowStartOptions::new(queue, &id).build();
            let started = self.client.start_workflow(workflow, input, options).await;
            started.ok().map(drop)
        })
        .await;
        id
    }

    /// Returns the activities of a run that have not ended, each with its attempt.
    pub(crate) async fn pending_activities(&self, id: &str) -> Vec<(String, i32)> {
        let handle = self.client.get_workflow_handle::<UntypedWorkflow>(id);
        let described = eventually("Temporal describes the run", async || {
            let described = handle.describe(WorkflowDescribeOptions::default()).await;
            described.ok()
        })
        .await;
        let pending = described.raw().pending_activities.iter();
        pending
            .map(|activity| (activity.activity_id.clone(), activity.attempt))
            .collect()
    }

    /// Waits for the end of a run with any result.
    pub(crate) async fn wait_for_run(&self, id: &str) {
        let handle = self.client.get_workflow_handle::<UntypedWorkflow>(id);
        let result = handle.get_result(WorkflowGetResultOptions::default());
        drop(within(STEP_LIMIT, id, result).await);
    }

    /// Starts a run and waits for its end, even if Temporal is unavailable meanwhile.
    async fn run_once<W>(
        &self,
        name: &str,
        queue: &str,
        start: &impl Fn() -> (W, W::Input),
        deadline: Instant,
    ) -> Result<W::Output, String>
    where
        W: HasWorkflowDefinition,
        W::Input: Send,
    {
        let id = &self.workflow_id(name);
        loop {
            let (workflow, input) = start();
            let options = WorkflowStartOptions::new(queue, id).build();
            match self.client.start_workflow(workflow, input, options).await {
                // The start may have succeeded although its response was lost.
                Ok(_) | Err(WorkflowStartError::AlreadyStarted { .. }) => break,
                Err(error) => {
                    assert!(Instant::now() < deadline, "could not start {id}: {error}");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
        let handle = self.client.get_workflow_handle::<W>(id);
        loop {
            match handle.get_result(WorkflowGetResultOptions::default()).await {
                Ok(output) => return Ok(output),
                Err(WorkflowGetResultError::Failed(error)) => {
                    return Err(error.failure().message.clone());
                }
                Err(WorkflowGetResultError::Rpc(error)) => {
                    assert!(
                        Instant::now() < deadline,
                        "could not read the result of {id}: {error}"
                    );
                    tokio::time::sleep(RETRY_DELAY).await;
                }
                Err(other) => panic!("{id} neither completed nor failed: {other}"),
            }
        }
    }
}
