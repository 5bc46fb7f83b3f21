//! Starts workflows for people who use the pages, and describes their runs.

mod months;

use std::collections::HashSet;
use std::time::Duration;

use api::{
    CloseApproval, DescribeFuture, RunDescription, StartFuture, WorkflowError, WorkflowRun,
    WorkflowStarter,
};
use chrono::{DateTime, NaiveDate, Utc};
use digitalocean::ResourceListing;
use digitalocean::kinds::{listings, zones_with_records};
use domain::ResourceKind;
use temporalio_client::errors::{
    WorkflowGetResultError, WorkflowInteractionError, WorkflowStartError,
};
use temporalio_client::schedules::{
    ScheduleDescription, ScheduleError, ScheduleOverlapPolicy, TriggerScheduleOptions,
};
use temporalio_client::tonic::Code;
use temporalio_client::{
    Client, NamespacedClient as _, RpcOptions, UntypedWorkflowHandle, WorkflowDescribeOptions,
    WorkflowExecutionInfo, WorkflowGetResultOptions, WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::{HasWorkflowDefinition, MemoValues};
use uuid::Uuid;
use worker::schedules::{self, Installation, MEMO, SCHEDULES, Schedule};
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::invoices::IngestInvoice;
use workflows::reallocations::{self, Reallocate};
use workflows::{Input, search_attributes, task_queue};

use crate::schedule_status::{Schedules, status_name};

/// The schedule with runs that list all kinds.
const INVENTORY: &str = "sync-inventory";
/// The schedule with runs that ingest invoices.
const BILLING: &str = "billing-history";

/// Time limit for the run of a triggered schedule to appear: the server starts it asynchronously.
const APPEARS_WITHIN: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(100);

impl WorkflowStarter for Schedules {
    fn schedule_ids(&self) -> Vec<String> {
        let schedules = SCHEDULES.iter();
        schedules.map(|schedule| schedule.id.to_owned()).collect()
    }

    fn kinds(&self) -> Vec<String> {
        let listings = listings().iter().chain([zones_with_records()]);
        let kinds = listings.flat_map(ResourceListing::kinds);
        kinds.map(|kind| kind.as_str().to_owned()).collect()
    }

    fn trigger<'a>(&'a self, schedule: &'a str) -> StartFuture<'a> {
        Box::pin(async move {
            let schedule = defined(schedule)?;
            let client = self.connected().await?;
            let (_, before) = self.own_schedule(client, schedule.id).await?;
            let before = before.ok_or_else(|| missing(schedule.id))?;
            if let Some(running) = before.running_actions().into_iter().next() {
                return Ok(WorkflowRun {
                    workflow_id: running.workflow_id,
                    run_id: running.run_id,
                });
            }
            let known: HashSet<String> = runs(&before).map(|run| run.run_id).collect();
            let handle = client.get_schedule_handle(schedule.id);
            let options = TriggerScheduleOptions::default();
            let triggered = handle.trigger(ScheduleOverlapPolicy::Skip, options).await;
            triggered.map_err(unavailable)?;
            let new_run = async {
                loop {
                    let now = handle.describe(RpcOptions::default()).await;
                    let now = now.map_err(unavailable)?;
                    if let Some(run) = runs(&now).find(|run| !known.contains(&run.run_id)) {
                        return Ok(run);
                    }
                    tokio::time::sleep(INTERVAL).await;
                }
            };
            tokio::time::timeout(APPEARS_WITHIN, new_run)
                .await
                .unwrap_or_else(|_| {
                    Err(WorkflowError::Unavailable(format!(
                        "Temporal accepted the start of {}, but the run did not appear within {} s: see \
                         its last runs on the page Sync",
                        schedule.id,
                        APPEARS_WITHIN.as_secs()
                    )))
                })
        })
    }

    fn sync_kind<'a>(&'a self, kind: &'a str) -> StartFuture<'a> {
        Box::pin(async move {
            if !self.kinds().iter().any(|listed| listed == kind) {
                return Err(WorkflowError::Unknown(format!(
                    "DigitalOcean has no list of the kind {kind:?}"
                )));
            }
            let client = self.connected().await?;
            let (installation, _) = self.own_schedule(client, INVENTORY).await?;
            let attributes =
                search_attributes::of_run(task_queue::CLOUD_SYNC_FULL, vec![kind.to_owned()]);
            let id = format!("sync-inventory-manual-{kind}");
            let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, id)
                .search_attributes(attributes)
                .memo(memo(&installation))
                .run_timeout(defined(INVENTORY)?.run_timeout)
                .static_summary(format!("mirrors the kind {kind}, started on a page"));
            let scope = InventoryScope {
                kinds: vec![ResourceKind::named(kind)],
                repeats: 0,
            };
            let options = options.id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate);
            let options = options.id_conflict_policy(WorkflowIdConflictPolicy::UseExisting);
            start(
                client,
                SyncInventory::run,
                Input::Valid(scope),
                options.build(),
            )
            .await
        })
    }

    fn ingest(&self, invoice: Uuid, period: NaiveDate) -> StartFuture<'_> {
        Box::pin(async move {
            let client = self.connected().await?;
            let (installation, _) = self.own_schedule(client, BILLING).await?;
            let month = period.format("%Y-%m").to_string();
            let mut attributes = search_attributes::of_run(task_queue::CLOUD_BILLING, Vec::new());
            attributes.apply(search_attributes::INVOICE_UUID.value_set(invoice.to_string()));
            attributes.apply(search_attributes::PERIOD.value_set(month.clone()));
            let id = format!("ingest-invoice-{invoice}");
            let options = WorkflowStartOptions::new(task_queue::CLOUD_BILLING, id)
                .search_attributes(attributes)
                .memo(memo(&installation))
                .static_summary(format!("invoice {invoice} of {month}, started on a page"))
                .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
                .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting);
            let input = Input::Valid(invoice.into());
            start(client, IngestInvoice::run, input, options.build()).await
        })
    }

    fn reallocate(&self) -> StartFuture<'_> {
        Box::pin(async move {
            let client = self.connected().await?;
            let (installation, _) = self.own_schedule(client, BILLING).await?;
            let queue = task_queue::CLOUD_BILLING;
            let options = WorkflowStartOptions::new(queue, reallocations::WORKFLOW_ID)
                .search_attributes(search_attributes::of_run(queue, Vec::new()))
                .memo(memo(&installation))
                .static_summary(reallocations::SUMMARY)
                .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
                .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting);
            start(client, Reallocate::run, Input::Missing, options.build()).await
        })
    }

    fn close(&self, period: NaiveDate) -> StartFuture<'_> {
        Box::pin(async move {
            let client = self.connected().await?;
            let (installation, _) = self.own_schedule(client, BILLING).await?;
            months::close(client, memo(&installation), period).await
        })
    }

    fn approve_close<'a>(
        &'a self,
        period: NaiveDate,
        approval: &'a CloseApproval,
    ) -> StartFuture<'a> {
        Box::pin(async move {
            let client = self.connected().await?;
            self.own_schedule(client, BILLING).await?;
            months::approve(client, period, approval).await
        })
    }

    fn describe<'a>(&'a self, run: &'a WorkflowRun) -> DescribeFuture<'a> {
        Box::pin(async move { describe(self.connected().await?, run).await })
    }
}

impl Schedules {
    async fn connected(&self) -> Result<&Client, WorkflowError> {
        self.client().await.map_err(|error| {
            WorkflowError::Unavailable(format!("Temporal is unreachable: {error:#}"))
        })
    }

    /// Returns this installation, and the description of a schedule; `None` if the server does not
    /// have it. Fails if the schedule belongs to another installation: the workers of that
    /// installation would execute the run.
    async fn own_schedule(
        &self,
        client: &Client,
        id: &str,
    ) -> Result<(Installation, Option<ScheduleDescription>), WorkflowError> {
        let installation = self.installation().await.map_err(|error| {
            WorkflowError::Unavailable(format!("cannot read the installation: {error:#}"))
        })?;
        let handle = client.get_schedule_handle(id);
        let description = match handle.describe(RpcOptions::default()).await {
            Ok(description) => description,
            Err(ScheduleError::Rpc(status)) if status.code() == Code::NotFound => {
                return Ok((installation, None));
            }
            Err(error) => return Err(unavailable(error)),
        };
        match schedules::foreign(&description, Some(&installation)) {
            None => Ok((installation, Some(description))),
            Some(owner) => Err(WorkflowError::Refused(format!(
                "the schedules of this Temporal namespace belong to another installation ({owner}): \
                 correct DATABASE_URL, TEMPORAL_ADDRESS or TEMPORAL_NAMESPACE"
            ))),
        }
    }
}

/// Returns the memo of a run, as schedules set it.
fn memo(installation: &Installation) -> MemoValues {
    let mut memo = MemoValues::new();
    memo.insert(MEMO, installation.clone());
    memo
}

/// Returns the definition of a schedule.
fn defined(id: &str) -> Result<&'static Schedule, WorkflowError> {
    let schedule = SCHEDULES.iter().find(|schedule| schedule.id == id);
    schedule.ok_or_else(|| WorkflowError::Unknown(format!("no schedule has the id {id:?}")))
}

fn missing(id: &str) -> WorkflowError {
    WorkflowError::Refused(format!(
        "the schedule {id} is missing in Temporal: run `arcadia schedules apply`"
    ))
}

fn unavailable(error: impl Into<anyhow::Error>) -> WorkflowError {
    let error = error.into();
    WorkflowError::Unavailable(format!("Temporal returned an error: {error:#}"))
}

/// Returns the latest runs of a schedule, those in progress first.
fn runs(description: &ScheduleDescription) -> impl Iterator<Item = WorkflowRun> {
    let running = description.running_actions().into_iter();
    let running = running.map(|action| WorkflowRun {
        workflow_id: action.workflow_id,
        run_id: action.run_id,
    });
    let recent = description.recent_actions().into_iter().rev();
    running.chain(recent.map(|action| WorkflowRun {
        workflow_id: action.workflow_id,
        run_id: action.run_id,
    }))
}

/// Starts a workflow, or returns the run in progress with the same workflow id.
async fn start<W>(
    client: &Client,
    workflow: W,
    input: W::Input,
    options: WorkflowStartOptions,
) -> Result<WorkflowRun, WorkflowError>
where
    W: HasWorkflowDefinition,
    W::Input: Send,
{
    let workflow_id = options.workflow_id.clone();
    match client.start_workflow(workflow, input, options).await {
        Ok(handle) => Ok(WorkflowRun {
            workflow_id,
            run_id: handle.info().run_id.clone().unwrap_or_default(),
        }),
        Err(WorkflowStartError::Rpc(status)) if status.code() == Code::InvalidArgument => {
            Err(WorkflowError::Refused(format!(
                "Temporal refused the start ({}): `arcadia schedules apply` registers missing search \
                 attributes",
                status.message()
            )))
        }
        Err(error) => Err(unavailable(error)),
    }
}

async fn describe(client: &Client, run: &WorkflowRun) -> Result<RunDescription, WorkflowError> {
    let handle = WorkflowExecutionInfo::builder()
        .namespace(client.namespace())
        .workflow_id(&run.workflow_id)
        .run_id(run.run_id.clone())
        .build()
        .bind_untyped(client.clone());
    let description = match handle.describe(WorkflowDescribeOptions::default()).await {
        Ok(description) => description,
        Err(WorkflowInteractionError::NotFound(_)) => return Err(unknown(run)),
        // An invalid run id is an invalid argument.
        Err(WorkflowInteractionError::Rpc(status)) if status.code() == Code::InvalidArgument => {
            return Err(unknown(run));
        }
        Err(error) => return Err(unavailable(error)),
    };
    let info = description.raw().workflow_execution_info.as_ref();
    let status = info.and_then(|info| status_name(info.status()));
    let closed_at = description.close_time().map(DateTime::<Utc>::from);
    let failure = if status.as_deref() == Some("failed") {
        failure(&handle).await
    } else {
        None
    };
    Ok(RunDescription {
        workflow_type: description.workflow_type().to_owned(),
        summary: description.static_summary().map(str::to_owned),
        status: status.unwrap_or_else(|| "unknown".to_owned()),
        started_at: description.start_time().map(DateTime::<Utc>::from),
        closed_at,
        failure,
    })
}

/// Returns the innermost message of the failure of a failed run: the outer ones only add context.
async fn failure(run: &UntypedWorkflowHandle<Client>) -> Option<String> {
    let options = WorkflowGetResultOptions::builder()
        .follow_runs(false)
        .build();
    match run.get_result(options).await {
        Err(WorkflowGetResultError::Failed(error)) => {
            let failures =
                std::iter::successors(Some(error.failure()), |failure| failure.cause.as_deref());
            failures.last().map(|failure| failure.message.clone())
        }
        _ => None,
    }
}

fn unknown(run: &WorkflowRun) -> WorkflowError {
    WorkflowError::Unknown(format!(
        "Temporal has no run {} of {}: it keeps ended runs for the retention time of the namespace",
        run.run_id, run.workflow_id
    ))
}
