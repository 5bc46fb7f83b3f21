//! `HeldDeletion`: waits for an operator's word on deletions that are too many to be believed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ContinueAsNewOptions, SyncWorkflowContext, TimerOptions, WorkflowContext, WorkflowContextView,
    WorkflowResult, select,
};

use crate::{Input, options};

/// What this workflow asks of the outside; `activities::held_deletions` answers.
pub struct HeldDeletionActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "a contract: nothing runs here"
)]
#[activity_definitions]
impl HeldDeletionActivities {
    /// How a hold stands; its only input is the hold's id.
    #[activity(name = "held_deletions.state")]
    pub fn state(hold: String) -> Result<HoldState, ActivityError> {
        unimplemented!()
    }

    /// Carries out what an operator said. A hold that was decided meanwhile stays as it is.
    #[activity(name = "held_deletions.decide")]
    pub fn decide(decision: HoldDecision) -> Result<HoldState, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::held_deletion_activities::{Decide, State};
}

/// An operator's word.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Whether the resources are gone indeed.
    pub approve: bool,
    /// Who says so: it stands in the record.
    pub by: String,
}

/// An operator's word on one hold.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct HoldDecision {
    pub hold: String,
    pub decision: Decision,
}

/// How a hold stands.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct HoldState {
    pub hold: String,
    pub kind: String,
    /// `pending`, `approved`, `rejected` or `superseded`.
    pub state: String,
    /// How many resources the listing would have tombstoned, of how many live ones.
    pub would_delete: i32,
    pub live: i32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decided_by: Option<String>,
    /// How many were tombstoned by the decision.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deleted: Option<i32>,
}

/// How often it is looked whether the hold was decided by the API, or came to nothing.
const LOOK_EVERY: Duration = Duration::from_mins(5);
/// Looks until it continues as new: about ten history events each.
const LOOKS: usize = 200;

fn look_again() -> TimerOptions {
    TimerOptions::builder(LOOK_EVERY)
        .summary("looks again whether it was decided elsewhere".to_owned())
        .build()
}

const EXPECTED: &str =
    r#"the hold's id as a JSON string, like "22737513-0ea7-4206-8ceb-98a575af7681""#;
const EXPECTED_DECISION: &str = r#"a word like {"approve": true, "by": "ann"}"#;

/// What the Temporal UI shows of every run, as Markdown.
pub(crate) const DETAILS: &str = "Three complete listings lack more resources than are believed to be deleted at once. They stay \
    live until somebody says whether they are gone.\n\n\
    Gone: `temporal workflow update execute --workflow-id THIS --name decide --input '{\"approve\": true, \"by\": \"YOU\"}'`; \
    not gone: `\"approve\": false`.\n\nWhich they are: `GET /api/v1/held-deletions`.";

/// The workflow's id for a hold.
pub fn workflow_id(hold: &str) -> String {
    format!("held-deletion-{hold}")
}

#[workflow]
#[derive(Default)]
pub struct HeldDeletion {
    decision: Option<Decision>,
}

#[workflow_methods]
impl HeldDeletion {
    /// Runs as long as the hold waits, so that it can be seen and answered in the Temporal UI; ends with how it was decided,
    /// whichever way that was.
    #[run(name = "HeldDeletion")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Input<String>,
    ) -> WorkflowResult<HoldState> {
        let hold = input.required(EXPECTED)?;
        for _ in 0..LOOKS {
            let state = ctx
                .execute_activity(
                    HeldDeletionActivities::state,
                    hold.clone(),
                    options::database("how the hold stands"),
                )
                .await?;
            if state.state != "pending" {
                return Ok(state);
            }
            ctx.set_current_details(format!(
                "{} of {} of kind {} would be deleted: answer with the update `decide`, {EXPECTED_DECISION}",
                state.would_delete, state.live, state.kind
            ));
            select! {
                decided = ctx.wait_condition(|state| state.decision.is_some()) => decided?,
                _ = ctx.timer(look_again()) => {}
            }
            if let Some(decision) = ctx.state(|state| state.decision.clone()) {
                let decision = HoldDecision { hold, decision };
                let state = ctx
                    .execute_activity(
                        HeldDeletionActivities::decide,
                        decision,
                        options::database("what the operator decided"),
                    )
                    .await?;
                return Ok(state);
            }
        }
        ctx.continue_as_new(Input::Given(hold), ContinueAsNewOptions::default())?;
        unreachable!("continuing as new ends the run")
    }

    /// What is not an operator's word is refused, and changes nothing.
    #[update_validator(decide)]
    fn check_decision(
        &self,
        _ctx: &WorkflowContextView,
        decision: &Input<Decision>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.decision.is_some() {
            return Err("it is decided already".into());
        }
        match decision {
            Input::Given(decision) if !decision.by.trim().is_empty() => Ok(()),
            Input::Given(_) => Err("`by` is empty: say who decides".into()),
            Input::Missing => Err(format!("nothing given: expected {EXPECTED_DECISION}").into()),
            Input::Invalid(problem) => {
                Err(format!("{problem}; expected {EXPECTED_DECISION}").into())
            }
        }
    }

    /// Takes an operator's word; the run's result tells what became of it.
    #[update(name = "decide")]
    pub fn decide(
        &mut self,
        _ctx: &mut SyncWorkflowContext<Self>,
        decision: Input<Decision>,
    ) -> String {
        if let Input::Given(decision) = decision {
            let word = if decision.approve {
                "approved"
            } else {
                "rejected"
            };
            let answer = format!("{word} by {}", decision.by);
            self.decision = Some(decision);
            return answer;
        }
        "nothing decided".to_owned()
    }
}
