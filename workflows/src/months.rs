//! `CloseMonth`: waits until a month is final and an administrator approves its close, and closes
//! it.

use std::fmt::Write as _;

use domain::invoices::InvoicePeriod;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext,
    WorkflowContextView, WorkflowResult, select,
};

use crate::decisions::{CHECKS, next_check, until_accepted};
use crate::{Input, options};

/// The activities of this workflow; `activities::months` implements them.
pub struct MonthActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "declarations only: this code never runs"
)]
#[activity_definitions]
impl MonthActivities {
    /// Returns the state of a month before its close. The only input is the month.
    #[activity(name = "months.readiness")]
    pub fn readiness(period: InvoicePeriod) -> Result<MonthState, ActivityError> {
        unimplemented!()
    }

    /// Closes a month that is final: freezes its statements and stores its files. A month that is
    /// closed already is not changed.
    #[activity(name = "months.close")]
    pub fn close(approved: ApprovedClose) -> Result<CloseOutcome, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::month_activities::{Close, Readiness};
}

/// The approval of a close by an administrator.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The administrator, for the audit.
    pub by: String,
    /// The reason, for the audit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// A month with the approval of its close.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ApprovedClose {
    pub period: InvoicePeriod,
    pub approval: Approval,
}

/// The state of a month before its close.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct MonthState {
    /// Whether the month can be closed.
    pub is_final: bool,
    /// Why it cannot be closed.
    pub reasons: Vec<String>,
    /// Items that do not prevent the close.
    pub open: Vec<OpenItem>,
    /// The close in force; none if the month is open.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub close: Option<MonthClosed>,
}

/// An open item of a month, such as `unmatched_lines`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct OpenItem {
    pub item: String,
    pub count: i64,
    /// USD, as a decimal string; none for items without an amount.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amount: Option<String>,
}

/// The close of a month.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct MonthClosed {
    /// 1 for the first close of the month, 2 after it was reopened.
    pub number: i32,
    /// RFC 3339.
    pub closed_at: String,
    pub closed_by: String,
    /// The number of statements, and of the other files.
    pub statements: usize,
    pub files: usize,
    /// Whether the statements are signed.
    pub is_signed: bool,
}

/// The outcome of an approved close.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum CloseOutcome {
    Closed(MonthClosed),
    NotFinal { reasons: Vec<String> },
}

/// An approval that was not carried out, because the month was not final.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct DroppedApproval {
    pub approval: Approval,
    pub reasons: Vec<String>,
}

/// The progress of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct CloseProgress {
    /// The state at the latest check; none before the first.
    pub month: Option<MonthState>,
    /// The approval that is being carried out.
    pub approval: Option<Approval>,
    /// The latest approval that was dropped.
    pub dropped: Option<DroppedApproval>,
}

const EXPECTED: &str = r#"the month as a JSON string, e.g. "2026-04""#;
const EXPECTED_APPROVAL: &str = r#"an approval, e.g. {"by": "ann", "reason": "checked"}"#;

/// The workflow id of the close of a month.
pub fn workflow_id(period: InvoicePeriod) -> String {
    format!("close-month-{period}")
}

/// The summary of a run in the Temporal UI.
pub fn summary(period: InvoicePeriod) -> String {
    format!("close of {period}")
}

/// Closes the month, or returns why it is not final.
async fn close(
    ctx: &WorkflowContext<CloseMonth>,
    approved: ApprovedClose,
) -> Result<CloseOutcome, ActivityExecutionError> {
    let by = approved.approval.by.clone();
    let close = || {
        let options = options::month(format!("closes {}", approved.period));
        ctx.execute_activity(MonthActivities::close, approved.clone(), options)
    };
    until_accepted(
        ctx,
        "the next attempt to close the month",
        close,
        |rejection| format!("approved by {by}, not closed yet: {rejection}; retrying"),
    )
    .await
}

/// Describes the state of a month, and the command that approves its close, as Markdown.
fn details(period: InvoicePeriod, month: &MonthState, dropped: Option<&DroppedApproval>) -> String {
    let mut text = String::new();
    if let Some(dropped) = dropped {
        let (by, reasons) = (&dropped.approval.by, dropped.reasons.join("; "));
        let _ = write!(
            text,
            "The approval by {by} was dropped, because the month was not final: {reasons}.\n\n"
        );
    }
    if month.is_final {
        let _ = write!(text, "{period} is final and waits for an approval.\n\n");
    } else {
        let _ = write!(text, "{period} is not final:\n\n");
        for reason in &month.reasons {
            let _ = writeln!(text, "- {reason}");
        }
        text.push('\n');
    }
    if !month.open.is_empty() {
        text.push_str("Open items, which an approval accepts:\n\n");
        for OpenItem {
            item,
            count,
            amount,
        } in &month.open
        {
            let amount = amount.as_deref();
            let amount = amount.map(|amount| format!(", {amount} USD"));
            let _ = writeln!(text, "- {item}: {count}{}", amount.unwrap_or_default());
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "To approve the close: `temporal workflow update execute --workflow-id {} --name approve \
         --input '{{\"by\": \"YOU\", \"reason\": \"...\"}}'`",
        workflow_id(period)
    );
    text
}

#[workflow]
#[derive(Default)]
pub struct CloseMonth {
    progress: CloseProgress,
}

#[workflow_methods]
impl CloseMonth {
    /// Runs until the month is closed, and returns its close. An approval of a month that is not
    /// final is dropped, and the run waits for another.
    #[run(name = "CloseMonth")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Input<InvoicePeriod>,
    ) -> WorkflowResult<MonthClosed> {
        let period = input.required(EXPECTED)?;
        let is_continued = ctx.info().continued_from_run_id().is_some();
        for checks in 0..CHECKS {
            // Retried as well: an approval may arrive during the check.
            let readiness = || {
                let options = options::month(format!("open items of {period}"));
                ctx.execute_activity(MonthActivities::readiness, period, options)
            };
            let not_read = |rejection: &str| format!("{period} not read: {rejection}; retrying");
            let next_read = "the next attempt to read the month";
            let month = until_accepted(ctx, next_read, readiness, not_read).await?;
            if let Some(close) = month.close {
                return Ok(close);
            }
            let dropped = ctx.state_mut(|state| {
                state.progress.month = Some(month.clone());
                state.progress.dropped.clone()
            });
            ctx.set_current_details(details(period, &month, dropped.as_ref()));
            select! {
                approved = ctx.wait_condition(|state| state.progress.approval.is_some()) => approved?,
                _ = ctx.timer(next_check(checks, is_continued, "until the next check of the month")) => {}
            }
            let Some(approval) = ctx.state(|state| state.progress.approval.clone()) else {
                continue;
            };
            let approved = ApprovedClose { period, approval };
            match close(ctx, approved.clone()).await? {
                CloseOutcome::Closed(close) => return Ok(close),
                CloseOutcome::NotFinal { reasons } => ctx.state_mut(|state| {
                    state.progress.approval = None;
                    state.progress.dropped = Some(DroppedApproval {
                        approval: approved.approval,
                        reasons,
                    });
                }),
            }
        }
        // No approval is lost: there was none, or it was dropped, and nothing was awaited since.
        match ctx.continue_as_new(Input::Valid(period), ContinueAsNewOptions::default())? {}
    }

    /// Returns the state at the latest check, the approval that is being carried out, and the one
    /// that was dropped last.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> CloseProgress {
        self.progress.clone()
    }

    /// Rejects invalid approvals, without any change of state.
    #[update_validator(approve)]
    fn check_approval(
        &self,
        _ctx: &WorkflowContextView,
        approval: &Input<Approval>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if let Some(approval) = &self.progress.approval {
            let by = &approval.by;
            return Err(format!("the approval by {by} is being carried out").into());
        }
        match approval {
            Input::Valid(approval) if !approval.by.trim().is_empty() => Ok(()),
            Input::Valid(_) => Err("empty `by`: expected the name of the administrator".into()),
            Input::Missing => Err(format!("no approval: expected {EXPECTED_APPROVAL}").into()),
            Input::Invalid(problem) => {
                Err(format!("{problem}; expected {EXPECTED_APPROVAL}").into())
            }
        }
    }

    /// Accepts an approval by an administrator, also of a month that was not final at the latest
    /// check: the activity decides. The run's result is its outcome.
    #[update(name = "approve")]
    pub fn approve(
        &mut self,
        _ctx: &mut SyncWorkflowContext<Self>,
        approval: Input<Approval>,
    ) -> String {
        let Input::Valid(approval) = approval else {
            return "nothing approved".to_owned();
        };
        let response = format!("approved by {}", approval.by);
        self.progress.approval = Some(approval);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn april() -> InvoicePeriod {
        "2026-04".parse().unwrap()
    }

    fn state(reasons: &[&str]) -> MonthState {
        MonthState {
            is_final: reasons.is_empty(),
            reasons: reasons.iter().map(ToString::to_string).collect(),
            open: vec![OpenItem {
                item: "unmatched_lines".to_owned(),
                count: 3,
                amount: Some("7.50".to_owned()),
            }],
            close: None,
        }
    }

    #[test]
    fn the_details_list_reasons_items_and_the_command() {
        let open = details(april(), &state(&["the month is not over"]), None);
        for part in [
            "2026-04 is not final",
            "- the month is not over",
            "- unmatched_lines: 3, 7.50 USD",
            "--workflow-id close-month-2026-04 --name approve",
            r#"'{"by": "YOU", "reason": "..."}'"#,
        ] {
            assert!(open.contains(part), "no {part:?} in {open}");
        }
        let dropped = DroppedApproval {
            approval: Approval {
                by: "ann".to_owned(),
                reason: None,
            },
            reasons: vec!["1 of 2 invoices are not final".to_owned()],
        };
        let ready = details(april(), &state(&[]), Some(&dropped));
        for part in [
            "is final and waits",
            "approval by ann was dropped",
            "1 of 2 invoices",
        ] {
            assert!(ready.contains(part), "no {part:?} in {ready}");
        }
    }
}
