//! `HeldDeletion`: waits for an operator's decision on a held deletion, i.e. one of more resources
//! than the guard allows.

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ChildWorkflowOptions, ChildWorkflowStartError, ContinueAsNewOptions,
    ParentClosePolicy, StartChildWorkflowExecutionFailedCause, SyncWorkflowContext,
    WorkflowContext, WorkflowContextView, WorkflowResult, WorkflowTermination, select,
};

use crate::decisions::{CHECKS, next_check, until_accepted};
use crate::{Input, options, search_attributes, task_queue};

/// The activities of this workflow; `activities::held_deletions` implements them.
pub struct HeldDeletionActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "declarations only: this code never runs"
)]
#[activity_definitions]
impl HeldDeletionActivities {
    /// Returns the state of a held deletion. The only input is its id.
    #[activity(name = "held_deletions.state")]
    pub fn state(hold: String) -> Result<HoldState, ActivityError> {
        unimplemented!()
    }

    /// Carries out an operator's decision. A deletion that was decided meanwhile is not changed.
    #[activity(name = "held_deletions.decide")]
    pub fn decide(decision: HoldDecision) -> Result<HoldState, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::held_deletion_activities::{Decide, State};
}

/// An operator's decision.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Whether the resources, or projects, are deleted in DigitalOcean too.
    pub approve: bool,
    /// The operator, for the audit.
    pub by: String,
    /// The reason, for the audit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// An operator's decision on one held deletion.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct HoldDecision {
    pub hold: String,
    pub decision: Decision,
}

/// The state of a held deletion.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct HoldState {
    pub hold: String,
    pub kind: String,
    /// `pending`, `approved`, `rejected` or `superseded`.
    pub state: String,
    /// Rows that the listing would have deleted, and live rows of the kind.
    pub would_delete: i32,
    pub live: i32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decided_by: Option<String>,
    /// Rows that the decision deleted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deleted: Option<i32>,
}

/// The summary of the timers between the checks whether the deletion was decided through the API or
/// superseded. Only the end of this run depends on them.
const NEXT_CHECK: &str = "until the next check of the decision";

const EXPECTED: &str =
    r#"the id of the held deletion as a JSON string, e.g. "22737513-0ea7-4206-8ceb-98a575af7681""#;
const EXPECTED_DECISION: &str =
    r#"a decision, e.g. {"approve": true, "by": "ann", "reason": "moved to another team"}"#;

/// The details of every run in the Temporal UI, as Markdown.
const DETAILS: &str = "Three complete listings lack more resources than the guard lets \
    this system delete at once. The resources stay live until an operator decides.\n\n\
    To delete them: `temporal workflow update execute --workflow-id THIS --name decide \
    --input '{\"approve\": true, \"by\": \"YOU\"}'`; to keep them: `\"approve\": false`.\n\n\
    The resources: `GET /api/v1/held-deletions`.";

/// The workflow id of a held deletion.
pub fn workflow_id(hold: &str) -> String {
    format!("held-deletion-{hold}")
}

/// Deletions that wait for an operator's decision, with the workflow `held-deletion-HOLD`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Held {
    pub hold: String,
    pub would_delete: i32,
    pub live: i32,
}

/// Starts the workflow that waits for an operator's decision, unless it is already running.
pub(crate) async fn wait_for_operator<W>(
    ctx: &WorkflowContext<W>,
    kind: &str,
    held: &Held,
) -> Result<(), WorkflowTermination> {
    let options = ChildWorkflowOptions::builder()
        .workflow_id(workflow_id(&held.hold))
        .task_queue(task_queue::CLOUD_SYNC_FULL.to_owned())
        // It runs for days, while the sync takes seconds.
        .parent_close_policy(ParentClosePolicy::Abandon)
        .static_summary(format!(
            "{} of {} of kind {kind} would be deleted",
            held.would_delete, held.live
        ))
        .static_details(DETAILS.to_owned())
        .maybe_search_attributes(search_attributes::of_hold(
            ctx,
            task_queue::CLOUD_SYNC_FULL,
            kind,
        ))
        .build();
    let input = Input::Valid(held.hold.clone());
    match ctx
        .start_child_workflow(HeldDeletion::run, input, options)
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

/// The progress of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct HoldProgress {
    /// The state at the latest check; none before the first.
    pub hold: Option<HoldState>,
    /// The operator's decision that is being carried out.
    pub decision: Option<Decision>,
}

/// Carries out an accepted decision.
async fn carry_out(
    ctx: &WorkflowContext<HeldDeletion>,
    decision: HoldDecision,
) -> Result<HoldState, ActivityExecutionError> {
    let by = decision.decision.by.clone();
    let decide = || {
        let options = options::database("carries out the operator's decision");
        ctx.execute_activity(HeldDeletionActivities::decide, decision.clone(), options)
    };
    until_accepted(
        ctx,
        "the next attempt to carry out the decision",
        decide,
        |rejection| format!("decided by {by}, not carried out yet: {rejection}; retrying"),
    )
    .await
}

#[workflow]
#[derive(Default)]
pub struct HeldDeletion {
    hold: Option<HoldState>,
    decision: Option<Decision>,
}

#[workflow_methods]
impl HeldDeletion {
    /// Runs until the deletion is decided, so that an operator can see it in the Temporal UI and
    /// decide there. Returns the decision, made here or through the API.
    #[run(name = "HeldDeletion")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Input<String>,
    ) -> WorkflowResult<HoldState> {
        let hold = input.required(EXPECTED)?;
        let is_continued = ctx.info().continued_from_run_id().is_some();
        for checks in 0..CHECKS {
            let state = ctx
                .execute_activity(
                    HeldDeletionActivities::state,
                    hold.clone(),
                    options::database("state of the held deletion"),
                )
                .await?;
            ctx.state_mut(|progress| progress.hold = Some(state.clone()));
            if state.state != "pending" {
                return Ok(state);
            }
            ctx.set_current_details(format!(
                "{} of {} of kind {} would be deleted: send the update `decide` with \
                 {EXPECTED_DECISION}",
                state.would_delete, state.live, state.kind
            ));
            select! {
                decided = ctx.wait_condition(|state| state.decision.is_some()) => decided?,
                _ = ctx.timer(next_check(checks, is_continued, NEXT_CHECK)) => {}
            }
            if let Some(decision) = ctx.state(|state| state.decision.clone()) {
                let decision = HoldDecision { hold, decision };
                let state = carry_out(ctx, decision).await?;
                return Ok(state);
            }
        }
        ctx.continue_as_new(Input::Valid(hold), ContinueAsNewOptions::default())?;
        unreachable!("continuing as new ends the run")
    }

    /// Returns the state at the latest check, and the operator's decision.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> HoldProgress {
        HoldProgress {
            hold: self.hold.clone(),
            decision: self.decision.clone(),
        }
    }

    /// Rejects invalid decisions, without any change of state.
    #[update_validator(decide)]
    fn check_decision(
        &self,
        _ctx: &WorkflowContextView,
        decision: &Input<Decision>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.decision.is_some() {
            return Err("already decided".into());
        }
        match decision {
            Input::Valid(decision) if !decision.by.trim().is_empty() => Ok(()),
            Input::Valid(_) => Err("empty `by`: expected the name of the operator".into()),
            Input::Missing => Err(format!("no decision: expected {EXPECTED_DECISION}").into()),
            Input::Invalid(problem) => {
                Err(format!("{problem}; expected {EXPECTED_DECISION}").into())
            }
        }
    }

    /// Accepts an operator's decision. The run's result is its outcome.
    #[update(name = "decide")]
    pub fn decide(
        &mut self,
        _ctx: &mut SyncWorkflowContext<Self>,
        decision: Input<Decision>,
    ) -> String {
        if let Input::Valid(decision) = decision {
            let verdict = if decision.approve {
                "approved"
            } else {
                "rejected"
            };
            let response = format!("{verdict} by {}", decision.by);
            self.decision = Some(decision);
            return response;
        }
        "nothing decided".to_owned()
    }
}
