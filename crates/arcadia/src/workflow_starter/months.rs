//! Starts and approves the close of a month.

use std::time::Duration;

use api::{CloseApproval, WorkflowError, WorkflowRun};
use chrono::NaiveDate;
use domain::invoices::InvoicePeriod;
use temporalio_client::errors::WorkflowUpdateError;
use temporalio_client::{
    Client, RpcOptions, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
    WorkflowStartUpdateOptions,
};
use temporalio_common::MemoValues;
use workflows::months::{Approval, CloseMonth, summary, workflow_id};
use workflows::{Input, search_attributes, task_queue};

use super::{start, unavailable};

/// Time limit for a worker to accept an approval: it responds within milliseconds, and no worker
/// never.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(15);

/// Starts the close of a month, or returns the run in progress.
pub(super) async fn close(
    client: &Client,
    memo: MemoValues,
    period: NaiveDate,
) -> Result<WorkflowRun, WorkflowError> {
    let month = InvoicePeriod::of(period);
    let queue = task_queue::CLOUD_BILLING;
    let mut attributes = search_attributes::of_run(queue, Vec::new());
    attributes.apply(search_attributes::PERIOD.value_set(month.to_string()));
    let options = WorkflowStartOptions::new(queue, workflow_id(month))
        .search_attributes(attributes)
        .memo(memo)
        .static_summary(summary(month))
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
        .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting);
    start(
        client,
        CloseMonth::run,
        Input::Valid(month),
        options.build(),
    )
    .await
}

/// Sends the approval to the close in progress, and waits until it is accepted.
pub(super) async fn approve(
    client: &Client,
    period: NaiveDate,
    approval: &CloseApproval,
) -> Result<WorkflowRun, WorkflowError> {
    let month = InvoicePeriod::of(period);
    let id = workflow_id(month);
    let run = client.get_workflow_handle::<CloseMonth>(id.clone());
    let approval = Input::Valid(Approval {
        by: approval.by.clone(),
        reason: approval.reason.clone(),
    });
    let approving = async {
        let options = WorkflowStartUpdateOptions::default();
        let update = run
            .start_update(CloseMonth::approve, approval, options)
            .await?;
        // The response of a refused update is its failure.
        update.get_result(RpcOptions::default()).await?;
        Ok(update.workflow_run_id().unwrap_or_default().to_owned())
    };
    match tokio::time::timeout(ACCEPTED_WITHIN, approving).await {
        Ok(Ok(run_id)) => Ok(WorkflowRun {
            workflow_id: id,
            run_id,
        }),
        Ok(Err(WorkflowUpdateError::NotFound(_))) => Err(WorkflowError::Refused(format!(
            "no close of {month} is in progress: start it first, if the month is not closed"
        ))),
        Ok(Err(WorkflowUpdateError::Failed(failure))) => Err(WorkflowError::Refused(format!(
            "the close of {month} refused the approval: {}",
            failure.message
        ))),
        Ok(Err(error)) => Err(unavailable(error)),
        Err(_) => Err(WorkflowError::Unavailable(format!(
            "no worker accepted the approval within {} s: check that a worker polls {}, then repeat it if the \
             month is not closed",
            ACCEPTED_WITHIN.as_secs(),
            task_queue::CLOUD_BILLING
        ))),
    }
}
