//! Starts workflows for people, recorded in the audit.

use std::time::Duration;

use store::{Actor, Run};

use crate::problem::Problem;
use crate::{ApiState, StartFuture, WorkflowError, WorkflowRun, WorkflowStarter};

/// Time limit for Temporal. Longer than a starter waits for the run of a schedule.
const TIMEOUT: Duration = Duration::from_secs(15);

impl From<WorkflowError> for Problem {
    fn from(error: WorkflowError) -> Self {
        let text = error.to_string();
        match error {
            WorkflowError::Unknown(_) => Self::NotFound(text),
            WorkflowError::Refused(_) => Self::Conflict(text),
            WorkflowError::Unavailable(_) => Self::NotReady(text),
        }
    }
}

/// Returns the connection to Temporal.
pub(crate) fn starter(state: &ApiState) -> Result<&dyn WorkflowStarter, Problem> {
    state.workflows.as_deref().ok_or_else(|| {
        Problem::NotReady(
            "this API was started without a connection to Temporal: start the run with the \
             `temporal` program"
                .to_owned(),
        )
    })
}

/// Waits for an answer of Temporal within the time limit.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = Result<T, WorkflowError>>,
) -> Result<T, Problem> {
    let answer = tokio::time::timeout(TIMEOUT, answer).await;
    let answer = answer.unwrap_or_else(|_| {
        Err(WorkflowError::Unavailable(format!(
            "no response from Temporal within {} s: try again later",
            TIMEOUT.as_secs()
        )))
    });
    Ok(answer?)
}

/// Starts a run that was recorded as requested, and records its start.
pub(crate) async fn start(
    state: &ApiState,
    actor: &Actor,
    start: StartFuture<'_>,
) -> Result<WorkflowRun, Problem> {
    let started = in_time(start).await?;
    let run = Run {
        workflow_id: started.workflow_id.clone(),
        run_id: started.run_id.clone(),
    };
    state.store.record_run_start(&run, actor).await?;
    Ok(started)
}
