//! Routes of months: their totals and their state, the close, and its files.

mod decisions;
mod files;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use store::closing::{MonthReadiness, OpenItem};
use store::costs::{
    Adjustment, AdjustmentCause, CloseFile, CloseOfMonth, Correction, MonthClose, MonthState,
    MonthSummary,
};
use store::{Store, Usd};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{List, One};
use crate::extract::{InPath, NoParameters, Period};
use crate::notes;
use crate::paging::{Page, PageQuery};
use crate::problem::{BadRequest, Problem};

pub(crate) use self::decisions::close_month;
pub(crate) use self::files::{FilePath, respond_file};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .merge(decisions::routes())
        .merge(files::routes())
}

/// State and totals of a month: those of its close, or those of today. Amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate fact of the response"
)]
pub(crate) struct Month {
    /// First day of the month.
    period: NaiveDate,
    /// `closed` if its statements are frozen; `final` if it can be closed; `running` if it is not
    /// over and invoiced in part; `estimate` if only the preview is stored; else `not_final`.
    state: MonthState,
    /// Total of the lines, in USD.
    line_total: Usd,
    /// Estimated part of `line_total`, in USD.
    estimated: Usd,
    /// Total of the invoices as stated on them, in USD.
    invoice_total: Usd,
    /// `invoice_total` minus `line_total`, in USD; null if some lines are an estimate or the month
    /// has no invoices.
    difference: Option<Usd>,
    /// Direct costs without a tenant, in USD.
    unallocated: Usd,
    /// Number of invoices.
    invoices: i64,
    /// Number of final invoices.
    final_invoices: i64,
    /// Number of ingested invoices that could not be verified.
    unverified_invoices: i64,
    /// Number of invoices that `DigitalOcean` no longer lists.
    withdrawn_invoices: i64,
    /// True if the month is over (UTC).
    is_over: bool,
    /// True if some lines are an estimate.
    is_estimate: bool,
    /// True if lines of the month wait for a reallocation.
    reallocation_pending: bool,
    /// The close in force; null if the month is open.
    close: Option<CloseOfMonth>,
    /// True if a correction of the invoices of the closed month waits for a decision.
    has_correction: bool,
    /// Items that are open, as text.
    open: Vec<String>,
}

impl From<MonthSummary> for Month {
    fn from(month: MonthSummary) -> Self {
        let exact = |amount: Decimal| {
            let text = serde_json::to_value(Usd(amount)).unwrap_or_default();
            text.as_str().unwrap_or_default().to_owned()
        };
        Self {
            period: month.period,
            state: month.state(),
            line_total: Usd(month.line_total),
            estimated: Usd(month.estimated),
            invoice_total: Usd(month.invoice_total),
            difference: month.difference().map(Usd),
            unallocated: Usd(month.unallocated),
            invoices: month.invoices,
            final_invoices: month.final_invoices,
            unverified_invoices: month.unverified_invoices,
            withdrawn_invoices: month.withdrawn_invoices,
            is_over: month.is_over,
            is_estimate: month.is_estimate,
            reallocation_pending: month.is_reallocating,
            open: open_items(&month, exact),
            close: month.close,
            has_correction: month.has_correction,
        }
    }
}

/// Lists the items of a month that are open: before the close, or for a decision after it. `amount`
/// writes an amount (USD).
pub(crate) fn open_items(month: &MonthSummary, amount: impl Fn(Decimal) -> String) -> Vec<String> {
    let mut open = Vec::new();
    if month.close.is_some() {
        if month.has_correction {
            open.push("a correction waits for a decision".to_owned());
        }
        return open;
    }
    if month.invoices == 0 {
        open.push("no invoice yet".to_owned());
    }
    if !month.is_over {
        open.push("not over".to_owned());
    }
    let missing = month.invoices - month.final_invoices;
    if missing > 0 && month.is_over {
        open.push(format!(
            "{missing} of {} {} not final",
            month.invoices,
            if month.invoices == 1 {
                "invoice"
            } else {
                "invoices"
            }
        ));
    }
    if month.unverified_invoices > 0 {
        open.push(format!("{} unverified", month.unverified_invoices));
    }
    if month.is_reallocating {
        open.push("tenants are being updated".to_owned());
    }
    if month.withdrawn_invoices > 0 {
        open.push(format!("{} withdrawn", month.withdrawn_invoices));
    }
    let difference = month.difference().unwrap_or_default();
    if !difference.is_zero() {
        open.push(format!("lines are off by {} USD", amount(difference)));
    }
    if !month.unallocated.is_zero() {
        open.push(format!("{} USD unallocated", amount(month.unallocated)));
    }
    open
}

/// Lists the months with an invoice or an estimate, the latest first
///
/// The totals of a closed month are those of its close.
#[utoipa::path(
    get,
    path = "/api/v1/billing/months",
    operation_id = "list_months",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Month>, description = "A page of months"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page: Page<NaiveDate> = query.page(json!("months"))?.at_once();
    let rows = page.rows_to_fetch();
    let months = state.store.month_summaries(page.after, rows).await?;
    let note = if months.is_empty() {
        notes::on_books(&state.store).await?
    } else {
        None
    };
    let list = page.show(months, |month| month.period).into();
    let list: List<Month> = list;
    csv::list(
        admin,
        &query,
        FileName::new("months"),
        list.with_notes(note),
    )
}

/// A month with its closes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthDetail {
    /// First day of the month.
    pub(crate) period: NaiveDate,
    /// As in the list of months; `not_final` if nothing is stored.
    pub(crate) state: MonthState,
    /// True if the month can be closed, or is closed.
    pub(crate) is_final: bool,
    /// Why it cannot be closed.
    pub(crate) reasons: Vec<String>,
    /// Items that do not prevent the close, and that the approval accepts.
    pub(crate) open: Vec<OpenItem>,
    /// The close in force; null if the month is open.
    pub(crate) close: Option<MonthClose>,
    /// All closes, the latest first: that in force, and those of which the month was reopened.
    pub(crate) closes: Vec<MonthClose>,
    /// The adjustments in the statements of the month, by closed month and tenant.
    pub(crate) adjustments: Vec<Adjustment>,
    /// Why the closed months differ; at most 50.
    pub(crate) adjustment_causes: Vec<AdjustmentCause>,
    /// The correction by `DigitalOcean` of the invoices of this closed month that waits for a
    /// decision.
    pub(crate) correction: Option<Correction>,
    /// The files of the close in force.
    pub(crate) files: Vec<CloseFile>,
}

/// Reads a month with its closes.
pub(crate) async fn read_month(store: &Store, period: NaiveDate) -> Result<MonthDetail, Problem> {
    let summary = store.month_summary(period).await?;
    let MonthReadiness {
        is_final,
        reasons,
        open,
        close,
        ..
    } = store.month_readiness(period).await?;
    let (adjustments, adjustment_causes) = store.adjustments(period).await?;
    let files = match &close {
        Some(close) => store.close_files(close.id).await?,
        None => Vec::new(),
    };
    Ok(MonthDetail {
        period,
        state: summary.map_or(MonthState::NotFinal, |month| month.state()),
        is_final,
        reasons,
        open,
        closes: store.closes(period).await?,
        close,
        adjustments,
        adjustment_causes,
        correction: store.correction(period).await?,
        files,
    })
}

/// Returns a month: its state, its closes, its adjustments and the files of its close
#[utoipa::path(
    get,
    path = "/api/v1/billing/months/{period}",
    operation_id = "show_month",
    tag = "billing",
    security(("bearer" = [])),
    params(("period" = inline(Period), Path, description = "Month")),
    responses((status = OK, body = One<MonthDetail>, description = "The month"), BadRequest)
)]
async fn show(
    _: Admin,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    _: NoParameters,
) -> Result<Json<One<MonthDetail>>, Problem> {
    Ok(Json(One::now(read_month(&state.store, period).await?)))
}
