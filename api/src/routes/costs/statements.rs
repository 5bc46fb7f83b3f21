//! The route of the statements of a month.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Usd;
use store::costs::Verification;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, json_of};
use crate::extract::Period;
use crate::notes::Coverage;
use crate::paging::{PageQuery, Paged};
use crate::problem::{BadRequest, Problem};
use crate::routes::spread_rules::SpreadRule;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(statements))
}

/// Costs of one tenant in a month; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Statement {
    /// The tenant; null for unallocated costs.
    pub(crate) tenant_id: Option<String>,
    /// Costs of the tenant's resources, in USD.
    pub(crate) direct: Usd,
    /// The tenant's part of the shared costs (taxes, credits and similar lines), in USD.
    pub(crate) shared: Usd,
    /// Adjustments of the tenant for closed months, in USD: the differences that this month
    /// settles.
    pub(crate) adjusted: Usd,
    /// `direct` plus `shared` plus `adjusted`, in USD.
    pub(crate) total: Usd,
}

impl From<store::costs::Statement> for Statement {
    fn from(statement: store::costs::Statement) -> Self {
        Self {
            direct: Usd(statement.direct),
            shared: Usd(statement.shared),
            adjusted: Usd(statement.adjusted),
            total: Usd(statement.total()),
            tenant_id: statement.tenant_id,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementsQuery {
    /// Month of the statements.
    #[param(inline, value_type = Period)]
    period: Period,
}

/// A page of statements with the totals of the month.
#[derive(Debug, Serialize, ToSchema)]
struct StatementList {
    data: Vec<Statement>,
    meta: StatementMeta,
}

/// Totals and state of the month; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate fact of the response"
)]
struct StatementMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// First day of the month.
    period: NaiveDate,
    /// Total of the statements of all pages, in USD: the costs of the month, and the adjustments
    /// for closed months.
    total: Usd,
    /// Total of the adjustments for closed months, in USD. It is zero, because they move costs
    /// between tenants, unless a correction of a closed month was accepted.
    adjustments_total: Usd,
    /// Total of the cost lines of the month, in USD; equals `total` minus `adjustments_total`.
    line_total: Usd,
    /// Total of the invoices of the month as stated on them, in USD.
    invoice_total: Usd,
    /// `invoice_total` minus the costs of the month without adjustments, in USD: zero for a closed
    /// month; null if some lines are an estimate or the month has no invoices.
    difference: Option<Usd>,
    /// Number of invoices of the month.
    invoices: i64,
    /// Number of final invoices of the month: their sums reconcile, and the month is over.
    final_invoices: i64,
    /// True if the month can be closed: it is over and has invoices, all are final, none is
    /// withdrawn, `difference` is zero, and no line waits for a reallocation.
    is_final: bool,
    /// True if lines of the month wait for a reallocation: the statements total the lines, but mix
    /// tenants of before and after a change.
    reallocation_pending: bool,
    /// True if the month is over (UTC). A running month is never final, because `DigitalOcean` can
    /// issue an invoice during the month, at a threshold.
    is_over: bool,
    #[serde(flatten)]
    verification: Verification,
    /// True if some lines of the month are an estimate: its last invoice is not issued yet.
    is_estimate: bool,
    /// Estimated part of `total`, in USD: the part of the preview that no invoice charges yet. The
    /// rest is invoiced.
    estimated: Usd,
    /// True if the month has lines; otherwise `notes` has the reason.
    has_data: bool,
    /// Allocation rule of the shared costs of the month.
    spread_rule: SpreadRule,
    /// The close of the month; null if it is open. The figures of a closed month are those at its
    /// close.
    close: Option<FrozenMonth>,
    /// True if a correction of the invoices of the closed month waits for a decision.
    has_correction: bool,
}

/// The close of a month that is in force.
#[derive(Debug, Serialize, ToSchema)]
struct FrozenMonth {
    /// 1 for the first close of the month, 2 after it was reopened.
    number: i32,
    /// The statements are of the state at this time.
    frozen_at: DateTime<Utc>,
    closed_at: DateTime<Utc>,
}

/// Lists the statements of a month, unallocated costs first; their costs total the month's lines
///
/// The statements of a closed month are those of its close.
#[utoipa::path(
    get,
    path = "/api/v1/billing/statements",
    operation_id = "list_statements",
    tag = "billing",
    security(("bearer" = [])),
    params(StatementsQuery, PageQuery),
    responses((status = OK, body = StatementList, description = "A page of statements with the totals of the month"), BadRequest)
)]
async fn statements(
    admin: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<StatementsQuery>,
) -> Result<Response, Problem> {
    let period = filter.period.0;
    let page = pages.page(json!({ "statements": period }))?;
    let month = state.store.statements(period).await?;
    let close = match month.close {
        Some(_) => state.store.close_in_force(period).await?,
        None => None,
    };
    let (total, difference) = (month.total(), month.difference());
    let adjusted = month.adjusted();
    let is_final = month.is_final();
    let list = page.show_of_all(month.rows, |row| row.tenant_id.clone());
    let list: List<Statement> = list.into();
    if page.is_csv() {
        let file = FileName::new("statements").month(period);
        return csv::whole(admin, file, list.data);
    }
    let coverage = Coverage::of(&state.store, period, period).await?;
    let List { data, meta } = list.with_notes(coverage.notes);
    Ok(json_of(StatementList {
        data,
        meta: StatementMeta {
            page: meta,
            period,
            total: Usd(total),
            adjustments_total: Usd(adjusted),
            line_total: Usd(month.line_total),
            invoice_total: Usd(month.invoice_total),
            difference: difference.map(Usd),
            invoices: month.invoices,
            final_invoices: month.final_invoices,
            is_final,
            reallocation_pending: month.is_reallocating,
            is_over: month.is_over,
            verification: month.verification,
            is_estimate: month.is_estimate,
            estimated: Usd(month.estimated),
            has_data: coverage.has_data,
            spread_rule: month.rule.into(),
            close: close.map(|close| FrozenMonth {
                number: close.number,
                frozen_at: close.frozen_at,
                closed_at: close.closed_at,
            }),
            has_correction: month.has_correction,
        },
    }))
}
