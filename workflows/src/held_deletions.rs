//! `HeldDeletion`: waits for an operator's decision on a held deletion, i.e. one of more resources
//! than the guard allows.

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
    /// Whether the resources are deleted in DigitalOcean too.
    pub approve: bool,
    /// The operator, for the record.
    pub by: String,
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
    /// Resources that the listing would have tombstoned, and live resources of the kind.
    pub would_delete: i32,
    pub live: i32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decided_by: Option<String>,
    /// Resources that the decision tombstoned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deleted: Option<i32>,
}

/// Interval of the checks whether the deletion was decided through the API or superseded: in the
/// first hour, when operators are likely to decide, and later. A check is two actions of
/// Temporal's, and only the end of this run depends on it.
const FIRST_CHECK_INTERVAL: Duration = Duration::from_mins(5);
const CHECK_INTERVAL: Duration = Duration::from_hours(1);
const FIRST_CHECKS: usize = 12;
/// Checks until the run continues as new, at about ten history events each.
const CHECKS: usize = 200;

/// The timer after this many checks of the run.
fn next_check(checks: usize, is_continued: bool) -> TimerOptions {
    let is_young = !is_continued && checks < FIRST_CHECKS;
    let pause = if is_young {
        FIRST_CHECK_INTERVAL
    } else {
        CHECK_INTERVAL
    };
    TimerOptions::builder(pause)
        .summary("until the next check of the decision".to_owned())
        .build()
}

const EXPECTED: &str =
    r#"the id of the held deletion as a JSON string, e.g. "22737513-0ea7-4206-8ceb-98a575af7681""#;
const EXPECTED_DECISION: &str = r#"a decision, e.g. {"approve": true, "by": "ann"}"#;

/// The details of every run in the Temporal UI, as Markdown.
pub(crate) const DETAILS: &str = "Three complete listings lack more resources than the guard lets \
    this system delete at once. The resources stay live until an operator decides.\n\n\
    To delete them: `temporal workflow update execute --workflow-id THIS --name decide \
    --input '{\"approve\": true, \"by\": \"YOU\"}'`; to keep them: `\"approve\": false`.\n\n\
    The resources: `GET /api/v1/held-deletions`.";

/// The workflow id of a held deletion.
pub fn workflow_id(hold: &str) -> String {
    format!("held-deletion-{hold}")
}

/// The progress of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct HoldProgress {
    /// The state at the latest check; none before the first.
    pub hold: Option<HoldState>,
    /// The operator's decision that is being carried out.
    pub decision: Option<Decision>,
}

/// The first and the longest pause between two attempts to carry out a decision that the database
/// rejects.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// The failure type of the database in `activities/src/failure.rs`.
const DATABASE: &str = "Database";

/// Carries out an accepted decision. It cannot be taken back, so it is retried until the database
/// accepts it.
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
                options::database("carries out the operator's decision"),
            )
            .await;
        let rejection = match &outcome {
            Err(error) if is_of_the_database(error) => options::reason(error),
            _ => return outcome,
        };
        ctx.set_current_details(format!(
            "decided by {}, not carried out yet: {rejection}; retrying",
            decision.decision.by
        ));
        let summary = "until the next attempt to carry out the decision".to_owned();
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
                _ = ctx.timer(next_check(checks, is_continued)) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_waiting_has_few_checks() {
        let day = Duration::from_hours(24);
        for (is_continued, most) in [(false, 35), (true, 24)] {
            let mut waited = Duration::ZERO;
            let checks = (0..CHECKS).take_while(|checks| {
                waited += next_check(*checks, is_continued).duration;
                waited <= day
            });
            assert_eq!(checks.count(), most);
        }
    }
}
