//! Workflows run to the end: as often as it takes, as schedules do.

use std::fmt;
use std::time::{Duration, Instant};

use temporalio_client::errors::{WorkflowGetResultError, WorkflowStartError};
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use temporalio_common::HasWorkflowDefinition;
use workflows::balance::PollBalance;
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::invoices::BillingHistory;
use workflows::projects::SyncProjects;
use workflows::{Input, NoInput, task_queue};

use super::site::{STEP_LIMIT, Site};
use crate::support::waiting::within;

const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// What kept a run from the end; the next one went on.
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
    /// Everything that the schedules do, once: projects, then all kinds with the droplets once more beside them, then the bill.
    /// In this order, so that what is found out when is the same in each run.
    pub(crate) async fn sync(&self, with_bill: bool) -> Vec<Setback> {
        let mut setbacks = self.sync_projects().await;
        let (all, droplets) = tokio::join!(
            self.sync_inventory(InventoryScope::default(), task_queue::CLOUD_SYNC_FULL),
            self.sync_inventory(
                InventoryScope {
                    kinds: vec![domain::ResourceKind::DROPLET],
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
        setbacks
    }

    pub(crate) async fn sync_projects(&self) -> Vec<Setback> {
        let queue = task_queue::CLOUD_SYNC_FULL;
        self.until_whole(
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
        let input = || (SyncInventory::run, Input::Given(scope.clone()));
        self.until_whole("SyncInventory", queue, input, |report| {
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
        self.until_whole(
            "PollBalance",
            queue,
            || (PollBalance::run, NoInput),
            |_| None,
        )
        .await
    }

    /// An invoice that could not be ingested is no failure of the run: the next one tries again.
    pub(crate) async fn billing_history(&self) -> Vec<Setback> {
        let deadline = Instant::now() + STEP_LIMIT;
        let mut setbacks = Vec::new();
        loop {
            let queue = task_queue::CLOUD_BILLING;
            let input = || (BillingHistory::run, Input::Missing);
            let more = self.until_whole("BillingHistory", queue, input, |progress| {
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
            tokio::time::sleep(BETWEEN_TRIES * 5).await;
        }
    }

    /// Until a run completes that has nothing to complain of.
    async fn until_whole<W>(
        &self,
        name: &'static str,
        queue: &str,
        start: impl Fn() -> (W, W::Input),
        complaint: impl Fn(&W::Output) -> Option<String>,
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
                Ok(output) => complaint(&output),
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
                "{name} does not come to a good end: {setbacks:?}"
            );
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
    }

    /// Starts a run and waits for its end, whatever becomes of Temporal meanwhile.
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
                // A start whose answer was lost has happened all the same.
                Ok(_) | Err(WorkflowStartError::AlreadyStarted { .. }) => break,
                Err(error) => {
                    assert!(Instant::now() < deadline, "{id} cannot be started: {error}");
                    tokio::time::sleep(BETWEEN_TRIES).await;
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
                        "{id} cannot be asked for: {error}"
                    );
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                Err(other) => panic!("{id} neither completed nor failed: {other}"),
            }
        }
    }
}
