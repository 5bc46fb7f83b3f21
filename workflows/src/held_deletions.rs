//! `HeldDeletion`: waits for an operator's word on deletions that are too many to be believed.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_common::error::IncomingError;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ContinueAsNewOptions, SyncWorkflowContext, TimerOptions,
    WorkflowContext, WorkflowContextView, WorkflowResult, select,
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

/// How often it is looked whether the hold was decided by the API, or came to nothing: in the first hour, when people are at it, and
/// later. A look is two actions of Temporal's, and nothing but this run's end waits for it.
const LOOK_EVERY_AT_FIRST: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_hours(1);
const LOOKS_AT_FIRST: usize = 12;
/// Looks until it continues as new: about ten history events each.
const LOOKS: usize = 200;

/// After so many looks of the run.
fn look_again(looks: usize, is_continued: bool) -> TimerOptions {
    let is_young = !is_continued && looks < LOOKS_AT_FIRST;
    let pause = if is_young {
        LOOK_EVERY_AT_FIRST
    } else {
        LOOK_EVERY
    };
    TimerOptions::builder(pause)
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

/// How far it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct HoldProgress {
    /// As it stood when it was looked at last; none before.
    pub hold: Option<HoldState>,
    /// The operator's word that is being carried out.
    pub decision: Option<Decision>,
}

/// Between two tries of what the database refuses, the first and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// As `activities/src/failure.rs` names the type.
const DATABASE: &str = "Database";

/// An operator's word was taken, and stands: what the database refuses is asked of it again.
async fn carry_out(
    ctx: &WorkflowContext<HeldDeletion>,
    decision: HoldDecision,
) -> Result<HoldState, ActivityExecutionError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = ctx
            .execute_activity(
                HeldDeletionActivities::decide,
                decision.clone(),
                options::database("what the operator decided"),
            )
            .await;
        let refused = match &outcome {
            Err(error) if is_of_the_database(error) => options::reason(error),
            _ => return outcome,
        };
        ctx.set_current_details(format!(
            "decided by {}, and not carried out yet: {refused}; it is tried again",
            decision.decision.by
        ));
        let summary = "tries again what the database refused".to_owned();
        ctx.timer(TimerOptions::builder(pause).summary(summary).build())
            .await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_of_the_database(error: &ActivityExecutionError) -> bool {
    let Some(IncomingError::Application(failure)) = error.reason() else {
        return false;
    };
    failure.type_name() == Some(DATABASE)
}

#[workflow]
#[derive(Default)]
pub struct HeldDeletion {
    hold: Option<HoldState>,
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
        let is_continued = ctx.info().continued_from_run_id().is_some();
        for looks in 0..LOOKS {
            let state = ctx
                .execute_activity(
                    HeldDeletionActivities::state,
                    hold.clone(),
                    options::database("how the hold stands"),
                )
                .await?;
            ctx.state_mut(|progress| progress.hold = Some(state.clone()));
            if state.state != "pending" {
                return Ok(state);
            }
            ctx.set_current_details(format!(
                "{} of {} of kind {} would be deleted: answer with the update `decide`, {EXPECTED_DECISION}",
                state.would_delete, state.live, state.kind
            ));
            select! {
                decided = ctx.wait_condition(|state| state.decision.is_some()) => decided?,
                _ = ctx.timer(look_again(looks, is_continued)) => {}
            }
            if let Some(decision) = ctx.state(|state| state.decision.clone()) {
                let decision = HoldDecision { hold, decision };
                let state = carry_out(ctx, decision).await?;
                return Ok(state);
            }
        }
        ctx.continue_as_new(Input::Given(hold), ContinueAsNewOptions::default())?;
        unreachable!("continuing as new ends the run")
    }

    /// How the hold stood when it was looked at last, and what an operator said.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> HoldProgress {
        HoldProgress {
            hold: self.hold.clone(),
            decision: self.decision.clone(),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_waiting_is_few_looks() {
        let day = Duration::from_hours(24);
        for (is_continued, most) in [(false, 35), (true, 24)] {
            let mut waited = Duration::ZERO;
            let looks = (0..LOOKS).take_while(|looks| {
                waited += look_again(*looks, is_continued).duration;
                waited <= day
            });
            assert_eq!(looks.count(), most);
        }
    }
}
