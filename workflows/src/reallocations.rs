//! `Reallocate`: updates the resources and cost lines of changes that affect many of them, in
//! portions.
//!
//! The transaction of a change stores it and leaves a row in the database; this workflow executes
//! all such rows. The API starts it after a change by a person, and `SyncProjects` and
//! `SyncInventory` start it if they find an open row: so a lost start only delays the update.

use std::fmt;

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ChildWorkflowOptions, ChildWorkflowStartError, ContinueAsNewOptions, ParentClosePolicy,
    StartChildWorkflowExecutionFailedCause, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination,
};

use crate::{Input, options, search_attributes, task_queue};

/// The activities of this workflow; `activities::reallocations` implements them.
pub struct ReallocationActivities;

#[activity_definitions]
impl ReallocationActivities {
    /// Executes portions of the open reallocations, each in a transaction, for some seconds.
    #[activity(name = "reallocations.execute")]
    pub fn execute() -> Result<PortionsExecuted, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::reallocation_activities::Execute;
}

/// The result of one activity.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct PortionsExecuted {
    pub resources: usize,
    pub lines: usize,
    /// Reallocations of which the last portion was executed.
    pub finished: usize,
    /// Whether there are open reallocations.
    pub is_more: bool,
}

/// The progress of a run, and of the runs that it continues.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReallocationProgress {
    pub resources: usize,
    pub lines: usize,
    pub finished: usize,
}

impl fmt::Display for ReallocationProgress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} reallocations done; {} resources, {} lines",
            self.finished, self.resources, self.lines
        )
    }
}

/// The workflow id of all runs: one at a time for each installation.
pub const WORKFLOW_ID: &str = "reallocate";
/// The summary of each run in the Temporal UI.
pub const SUMMARY: &str = "cost lines of changes that affect many of them";

/// Activities until the run continues as new, at about six history events each.
const ACTIVITIES: usize = 500;

#[workflow]
#[derive(Default)]
pub struct Reallocate {
    progress: ReallocationProgress,
}

#[workflow_methods]
impl Reallocate {
    /// Executes open reallocations until none is left.
    #[run(name = "Reallocate")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Input<ReallocationProgress>,
    ) -> WorkflowResult<ReallocationProgress> {
        let before = input.or_default("no input")?;
        ctx.state_mut(|state| state.progress = before);
        for _ in 0..ACTIVITIES {
            let executed = ctx
                .execute_activity(
                    ReallocationActivities::execute,
                    (),
                    options::portions("next portions of resources and cost lines"),
                )
                .await?;
            let progress = ctx.state_mut(|state| {
                let progress = &mut state.progress;
                progress.resources += executed.resources;
                progress.lines += executed.lines;
                progress.finished += executed.finished;
                progress.clone()
            });
            ctx.set_current_details(progress.to_string());
            if !executed.is_more {
                return Ok(progress);
            }
        }
        let progress = ctx.state(|state| state.progress.clone());
        match ctx.continue_as_new(Input::Valid(progress), ContinueAsNewOptions::default())? {}
    }

    /// Returns the number of executed reallocations, resources and lines.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> ReallocationProgress {
        self.progress.clone()
    }
}

/// Starts a run, unless one is in progress.
pub(crate) async fn start<W>(ctx: &WorkflowContext<W>) -> Result<(), WorkflowTermination> {
    let options = ChildWorkflowOptions::builder()
        .workflow_id(WORKFLOW_ID.to_owned())
        .task_queue(task_queue::CLOUD_BILLING.to_owned())
        // It may run for minutes, while a sync takes seconds.
        .parent_close_policy(ParentClosePolicy::Abandon)
        .static_summary(SUMMARY.to_owned())
        .maybe_search_attributes(search_attributes::of_reallocation(ctx))
        .build();
    match ctx
        .start_child_workflow(Reallocate::run, Input::Missing, options)
        .await
    {
        Ok(_)
        | Err(ChildWorkflowStartError::StartFailed {
            cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
            ..
        }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
