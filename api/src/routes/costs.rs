//! Routes of costs: statements per tenant, series of months by group, and consistency checks of the
//! stored amounts.

mod grouping;
mod names;

use std::cmp::Reverse;

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Store;
use store::costs::{Discrepancy, Verification};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::spread_rules::SpreadRule;
use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, json_of};
use crate::extract::{Period, required};
use crate::notes::{self, Coverage};
use crate::paging::{PageQuery, Paged};
use crate::problem::{BadRequest, Problem};
use store::Usd;

pub(crate) use self::grouping::Grouping;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(statements))
        .routes(routes!(series))
        .routes(routes!(checks))
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
    /// `direct` plus `shared`, in USD.
    pub(crate) total: Usd,
}

impl From<store::costs::Statement> for Statement {
    fn from(statement: store::costs::Statement) -> Self {
        Self {
            direct: Usd(statement.direct),
            shared: Usd(statement.shared),
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
struct StatementMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// First day of the month.
    period: NaiveDate,
    /// Total of the statements of all pages, in USD.
    total: Usd,
    /// Total of the cost lines of the month, in USD; equals `total`.
    line_total: Usd,
    /// Total of the invoices of the month as stated on them, in USD.
    invoice_total: Usd,
    /// `invoice_total` minus `total`, in USD: zero for a closed month; null if the lines are an
    /// estimate or the month has no invoices.
    difference: Option<Usd>,
    /// Number of invoices of the month.
    invoices: i64,
    /// Number of final invoices of the month: all their sums reconcile.
    final_invoices: i64,
    /// True if the month can be closed: it has invoices, all are final, none is withdrawn, and
    /// `difference` is zero.
    is_final: bool,
    #[serde(flatten)]
    verification: Verification,
    /// True if the lines of the month are an estimate: its invoice is not issued yet.
    is_estimate: bool,
    /// True if the month has lines; otherwise `notes` has the reason.
    has_data: bool,
    /// Allocation rule of the shared costs of the month.
    spread_rule: SpreadRule,
}

/// Lists the statements of a month, unallocated costs first; their totals equal the month's lines
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
    let (total, difference) = (month.total(), month.difference());
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
            line_total: Usd(month.line_total),
            invoice_total: Usd(month.invoice_total),
            difference: difference.map(Usd),
            invoices: month.invoices,
            final_invoices: month.final_invoices,
            is_final,
            verification: month.verification,
            is_estimate: month.is_estimate,
            has_data: coverage.has_data,
            spread_rule: month.rule.into(),
        },
    }))
}

/// Costs of one group in one month; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cost {
    /// First day of the month.
    pub(crate) period: NaiveDate,
    /// Value of `group_by`: the tenant; the name of the project on the invoice; the kind; the
    /// product; or the resource, as its `id`, or as `KIND:PROVIDER_ID` if it was deleted before the
    /// mirror started. Null for costs without such a value.
    pub(crate) group: Option<String>,
    /// Direct costs of the group, in USD.
    direct: Usd,
    /// With `group_by=tenant`, the tenant's part of the shared costs, in USD; otherwise zero, and
    /// shared costs are in `direct`.
    shared: Usd,
    /// `direct` plus `shared`, in USD.
    pub(crate) amount: Usd,
    /// True if the lines of the month are an estimate.
    pub(crate) is_estimate: bool,
    /// With `group_by=resource`: the latest name of the resource, live or deleted; the name on the
    /// invoice if the mirror does not have the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) resource_name: Option<String>,
    /// With `group_by=resource`: the kind of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<String>,
    /// With `group_by=project`: `id` of the project with this name in that month; absent if no
    /// project had the name, or several had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    project_id: Option<Uuid>,
    /// With `group_by=project`: the latest name of the project; the name on the invoice if the
    /// project is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) project_name: Option<String>,
}

impl From<store::costs::Cost> for Cost {
    fn from(cost: store::costs::Cost) -> Self {
        Self {
            direct: Usd(cost.direct),
            shared: Usd(cost.shared),
            amount: Usd(cost.total()),
            period: cost.period,
            group: cost.group,
            is_estimate: cost.is_estimate,
            resource_name: None,
            kind: None,
            project_id: None,
            project_name: None,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CostsQuery {
    /// Property by which the costs are grouped.
    #[serde(deserialize_with = "required")]
    #[param(inline)]
    group_by: Grouping,
    /// First month of the series; the later of `from` and `to` is the last one.
    #[param(inline, value_type = Period)]
    from: Period,
    /// Last month of the series, included.
    #[param(inline, value_type = Period)]
    to: Period,
}

/// A page of the series with the total of all pages.
#[derive(Debug, Serialize, ToSchema)]
struct CostList {
    data: Vec<Cost>,
    meta: CostMeta,
}

/// Range and total of the series.
#[derive(Debug, Serialize, ToSchema)]
struct CostMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// First day of the first month.
    from: NaiveDate,
    /// First day of the last month.
    to: NaiveDate,
    /// Property by which the costs are grouped.
    group_by: Grouping,
    /// Total of the rows of all pages, in USD.
    total: Usd,
    /// True if any of the months has lines; `notes` has the reason for each month without lines.
    has_data: bool,
}

/// Lists the costs of a range of months: a row for each month and group, ordered by both
#[utoipa::path(
    get,
    path = "/api/v1/billing/costs",
    operation_id = "list_costs",
    tag = "billing",
    security(("bearer" = [])),
    params(CostsQuery, PageQuery),
    responses((status = OK, body = CostList, description = "A page of the series with the total of all pages"), BadRequest)
)]
async fn series(
    admin: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<CostsQuery>,
) -> Result<Response, Problem> {
    let group_by = filter.group_by;
    let Period(from) = filter.from.min(filter.to);
    let Period(to) = filter.from.max(filter.to);
    let page = pages.page(json!({ "costs": [group_by, from, to] }))?;
    let costs = state.store.costs(group_by.into(), from, to).await?;
    let total: Decimal = costs.iter().map(store::costs::Cost::total).sum();
    let billed = names::billed(&costs);
    let list = page.show_of_all(costs, |row| (row.period, row.group.clone()));
    let mut list: List<Cost> = list.into();
    names::add(&state.store, group_by, &billed, &mut list.data).await?;
    if page.is_csv() {
        return csv::whole(admin, file_of_costs(group_by, from, to), list.data);
    }
    let coverage = Coverage::of(&state.store, from, to).await?;
    let List { data, meta } = list.with_notes(coverage.notes);
    Ok(json_of(CostList {
        data,
        meta: CostMeta {
            page: meta,
            from,
            to,
            group_by,
            total: Usd(total),
            has_data: coverage.has_data,
        },
    }))
}

/// Returns the name of the CSV of costs: `costs-by-tenant-2026-01-2026-04`.
pub(crate) fn file_of_costs(grouping: Grouping, from: NaiveDate, to: NaiveDate) -> FileName {
    let file = FileName::new("costs-by").with(Some(grouping.name()));
    let file = file.month(from);
    if from == to { file } else { file.month(to) }
}

/// The costs of a range of months, with the names of their groups.
pub(crate) struct NamedCosts {
    pub(crate) rows: Vec<Cost>,
    /// The reason for each month without lines.
    pub(crate) notes: Vec<String>,
}

#[cfg(test)]
impl Cost {
    /// A cost without names, for tests.
    pub(crate) fn for_test(period: NaiveDate, group: Option<String>, amount: Usd) -> Self {
        Self {
            period,
            group,
            direct: amount,
            shared: Usd(Decimal::ZERO),
            amount,
            is_estimate: false,
            resource_name: None,
            kind: None,
            project_id: None,
            project_name: None,
        }
    }
}

/// Reads the costs of a range of months, with the names of their groups.
pub(crate) async fn read_costs(
    store: &Store,
    grouping: Grouping,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<NamedCosts, Problem> {
    let costs = store.costs(grouping.into(), from, to).await?;
    let billed = names::billed(&costs);
    let mut rows: Vec<Cost> = costs.into_iter().map(Cost::from).collect();
    names::add(store, grouping, &billed, &mut rows).await?;
    let coverage = Coverage::of(store, from, to).await?;
    let notes = coverage.notes.into_iter().map(|note| note.detail);
    Ok(NamedCosts {
        rows,
        notes: notes.collect(),
    })
}

/// Lists stored sums that do not reconcile, the latest month first; at most 100
///
/// The list is empty unless the database was changed by hand. Each request sums all cost lines.
#[utoipa::path(
    get,
    path = "/api/v1/billing/checks",
    operation_id = "check_costs",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Discrepancy>, description = "A page of discrepancies"), BadRequest)
)]
async fn checks(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!("checks"))?;
    let discrepancies = state.store.cost_discrepancies().await?;
    let place = |row: &Discrepancy| (Reverse(row.period), row.bill, row.what.clone());
    let shown = page.show_of_all(discrepancies, place);
    let shown = shown.with_notes(notes::on_books(&state.store).await?);
    csv::list(admin, &query, FileName::new("checks"), shown)
}
