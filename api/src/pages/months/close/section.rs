//! The close of a month: its state, the decisions on it, its adjustments and its files.

use std::time::Duration;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use store::closing::OpenItem;
use store::costs::{CloseFile, Correction, MonthClose};

use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::months::adjustments::{AdjustmentRow, CauseRow};
use crate::pages::months::tenants::statement_path;
use crate::pages::page::PageProblem;
use crate::routes::months::MonthDetail;
use crate::temporal::path_segment;
use crate::{ApiState, WorkflowRun};

/// Time limit for Temporal: the rest of the page does not depend on it.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A close with its times.
pub(super) struct ShownClose {
    pub(super) number: i32,
    pub(super) closed: Moment,
    pub(super) by: String,
    pub(super) reason: Option<String>,
    pub(super) frozen: Moment,
    pub(super) root: String,
    /// The key that signed the root.
    pub(super) key: Option<String>,
    pub(super) run: Option<String>,
    pub(super) accepted: Option<Decision>,
    pub(super) reopened: Option<Decision>,
}

/// A decision of an administrator.
pub(super) struct Decision {
    pub(super) by: String,
    pub(super) at: Moment,
    pub(super) reason: Option<String>,
}

impl ShownClose {
    fn new(close: MonthClose, state: &ApiState) -> Self {
        let run = WorkflowRun {
            workflow_id: close.workflow_id,
            run_id: close.run_id,
        };
        let ui = state.temporal_ui.as_deref();
        let ui = ui.map(|ui| ui.run(&run.workflow_id, &run.run_id));
        let page = state.workflows.is_some().then(|| run.page());
        let decision = |(by, at), reason| Decision {
            by,
            at: Moment(at),
            reason,
        };
        let accepted = close.accepted_by.zip(close.accepted_at);
        let reopened = close.reopened_by.zip(close.reopened_at);
        Self {
            number: close.number,
            closed: Moment(close.closed_at),
            by: close.closed_by,
            reason: close.close_reason,
            frozen: Moment(close.frozen_at),
            root: close.root,
            key: close.public_key,
            run: ui.or(page),
            accepted: accepted.map(|accepted| decision(accepted, close.accept_reason)),
            reopened: reopened.map(|reopened| decision(reopened, close.reopen_reason)),
        }
    }
}

/// The run that closes the month.
pub(super) struct Progress {
    pub(super) started: Option<Moment>,
    pub(super) link: Option<String>,
}

/// An item that the approval accepts.
pub(super) struct OpenRow {
    pub(super) text: String,
    pub(super) path: Option<String>,
}

pub(super) struct ShownCorrection {
    pub(super) before: Money,
    pub(super) after: Money,
    /// `after` with all its digits, for the form.
    pub(super) exact_after: Decimal,
    pub(super) difference: Money,
    pub(super) is_final: bool,
}

impl From<Correction> for ShownCorrection {
    fn from(correction: Correction) -> Self {
        Self {
            before: Money(correction.before),
            after: Money(correction.after),
            exact_after: correction.after,
            difference: Money(correction.difference),
            is_final: correction.is_final,
        }
    }
}

pub(super) struct FileRow {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) size: i64,
    pub(super) sha256: String,
}

/// The section of the close.
pub(super) struct CloseSection {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) workflow_id: String,
    pub(super) is_connected: bool,
    /// True if the month has an invoice or an estimate.
    pub(super) is_stored: bool,
    pub(super) is_final: bool,
    pub(super) close: Option<ShownClose>,
    pub(super) progress: Option<Progress>,
    pub(super) reasons: Vec<String>,
    pub(super) open: Vec<OpenRow>,
    pub(super) correction: Option<ShownCorrection>,
    /// The open month that settles later differences of this closed one: path and name.
    pub(super) settled_by: Option<(String, String)>,
    pub(super) files: Vec<FileRow>,
    pub(super) adjustments: Vec<AdjustmentRow>,
    pub(super) adjusted: Money,
    pub(super) causes: Vec<CauseRow>,
    /// Closes of which the month was reopened.
    pub(super) earlier: Vec<ShownClose>,
}

impl CloseSection {
    pub(super) async fn read(
        state: &ApiState,
        detail: MonthDetail,
        is_stored: bool,
    ) -> Result<Self, PageProblem> {
        let period = detail.period;
        let path = format!("/months/{}", month(period));
        let workflow_id = format!("close-month-{}", month(period));
        let is_closed = detail.close.is_some();
        let progress = if is_closed {
            None
        } else {
            progress(state, &workflow_id).await
        };
        let settled_by = if is_closed {
            settled_by(state).await?
        } else {
            None
        };
        let earlier = detail.closes.into_iter();
        let earlier = earlier.filter(|close| !close.is_in_force());
        let amounts = detail.adjustments.iter();
        let adjusted: Decimal = amounts.map(|adjustment| adjustment.amount).sum();
        let file = |file: CloseFile| FileRow {
            path: format!("{path}/files/{}", path_segment(&file.name)),
            name: file.name,
            size: file.size,
            sha256: file.sha256,
        };
        Ok(Self {
            name: month_name(period),
            is_connected: state.workflows.is_some(),
            is_stored,
            is_final: detail.is_final,
            progress,
            reasons: detail.reasons,
            open: detail.open.iter().map(|item| open(item, period)).collect(),
            correction: detail.correction.map(ShownCorrection::from),
            settled_by,
            files: detail.files.into_iter().map(file).collect(),
            adjustments: detail.adjustments.into_iter().map(Into::into).collect(),
            adjusted: Money(adjusted),
            causes: detail
                .adjustment_causes
                .into_iter()
                .map(Into::into)
                .collect(),
            earlier: earlier.map(|close| ShownClose::new(close, state)).collect(),
            close: detail.close.map(|close| ShownClose::new(close, state)),
            path,
            workflow_id,
        })
    }
}

/// Returns the run that closes the month, if Temporal has one in progress.
async fn progress(state: &ApiState, workflow_id: &str) -> Option<Progress> {
    let workflows = state.workflows.as_deref()?;
    let latest = WorkflowRun {
        workflow_id: workflow_id.to_owned(),
        run_id: String::new(),
    };
    let described = tokio::time::timeout(TIMEOUT, workflows.describe(&latest)).await;
    let run = described.ok()?.ok()?;
    let ui = state.temporal_ui.as_deref();
    (run.status == "running").then(|| Progress {
        started: run.started_at.map(Moment),
        link: ui.map(|ui| ui.workflow(workflow_id)),
    })
}

/// Returns the path and the name of the open month with the adjustments.
async fn settled_by(state: &ApiState) -> Result<Option<(String, String)>, PageProblem> {
    let next = state.store.adjusted_month().await?;
    Ok(next.map(|next| (format!("/months/{}", month(next)), month_name(next))))
}

/// Describes an item that the approval accepts.
fn open(item: &OpenItem, period: NaiveDate) -> OpenRow {
    let month = month(period);
    let lines = if item.count == 1 { "line" } else { "lines" };
    let (text, path) = match &*item.item {
        "unmatched_lines" => (
            format!("{} unmatched {lines}", item.count),
            format!("/lines?period={month}&match_rule=unmatched"),
        ),
        "ambiguous_lines" => (
            format!("{} ambiguous {lines}", item.count),
            format!("/lines?period={month}&match_rule=ambiguous"),
        ),
        "orphaned_overrides" => (
            format!("{} overrides without a line", item.count),
            format!("/lines/overrides?period={month}"),
        ),
        "unallocated_costs" => ("unallocated costs".to_owned(), statement_path(period, None)),
        "undecided_corrections" => (
            format!(
                "{} corrections of closed months without a decision",
                item.count
            ),
            "/months".to_owned(),
        ),
        other => (other.replace('_', " "), String::new()),
    };
    OpenRow {
        text: match item.amount {
            Some(amount) => format!("{text}, {} USD", Money(amount)),
            None => text,
        },
        path: (!path.is_empty()).then_some(path),
    }
}
