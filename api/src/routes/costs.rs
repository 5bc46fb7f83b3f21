//! What was spent, by whom and on what, and whether the books balance.

mod names;

use std::cmp::Reverse;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::{Datelike as _, NaiveDate};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::costs::{Discrepancy, GroupBy, Verification};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::spread_rules::SpreadRule;
use crate::ApiState;
use crate::access::Admin;
use crate::envelope::{List, ListMeta};
use crate::extract::{Period, Query, required};
use crate::notes::{self, Coverage};
use crate::paging::{PageQuery, Paged};
use crate::problem::{Invalid, Problem};
use crate::words;
use store::Usd;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(statements))
        .routes(routes!(series))
        .routes(routes!(checks))
}

/// What one tenant bears of a month; USD.
#[derive(Debug, Serialize, ToSchema)]
struct Statement {
    /// Null for what nobody owns.
    tenant_id: Option<String>,
    /// For its own resources.
    direct: Usd,
    /// Its part of what all tenants bear: taxes, credits and the like.
    shared: Usd,
    /// `direct` plus `shared`.
    total: Usd,
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
    /// The month.
    #[param(inline, value_type = Period)]
    period: Period,
}

/// A page of statements, and what the month comes to.
#[derive(Debug, Serialize, ToSchema)]
struct StatementList {
    data: Vec<Statement>,
    meta: StatementMeta,
}

/// Amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct StatementMeta {
    #[serde(flatten)]
    page: ListMeta,
    period: NaiveDate,
    /// What the statements of all pages come to.
    total: Usd,
    /// What the month's lines come to: the same.
    line_total: Usd,
    /// What the month's invoices come to by their own totals.
    invoice_total: Usd,
    /// `invoice_total` less `total`: zero in a month that is closed; null where the lines are an estimate, and in a month without
    /// invoices.
    difference: Option<Usd>,
    /// How many invoices the month has.
    invoices: i64,
    /// Of those, how many have every sum agree with every other.
    final_invoices: i64,
    /// Whether the month can be closed: it has invoices, all of them final and none withdrawn, and the difference is zero.
    is_final: bool,
    #[serde(flatten)]
    verification: Verification,
    /// Whether the month's lines are an estimate: its invoice has not come yet.
    is_estimate: bool,
    /// Whether the month has any lines; where not, `notes` has the reason.
    has_data: bool,
    spread_rule: SpreadRule,
}

/// A month shared out to the tenants, what nobody owns first: the totals come to what the month's lines come to
#[utoipa::path(
    get,
    path = "/api/v1/billing/statements",
    operation_id = "list_statements",
    tag = "billing",
    security(("bearer" = [])),
    params(StatementsQuery, PageQuery),
    responses((status = OK, body = StatementList, description = "A page of statements, and what the month comes to"), Invalid)
)]
async fn statements(
    _: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<StatementsQuery>,
) -> Result<Json<StatementList>, Problem> {
    let period = filter.period.0;
    let page = pages.page(json!({ "statements": period }))?;
    let month = state.store.statements(period).await?;
    let total: Decimal = month.rows.iter().map(store::costs::Statement::total).sum();
    let difference = month.invoice_total - total;
    let is_final = !month.is_estimate
        && month.invoices > 0
        && month.final_invoices == month.invoices
        && month.verification.withdrawn_invoices == 0
        && difference.is_zero();
    let coverage = Coverage::of(&state.store, period, period).await?;
    let has_difference = month.invoices > 0 && !month.is_estimate;
    let List { data, meta } = page
        .show_of_all(month.rows, |row| row.tenant_id.clone())
        .into()
        .noting(coverage.notes);
    Ok(Json(StatementList {
        data,
        meta: StatementMeta {
            page: meta,
            period,
            total: Usd(total),
            line_total: Usd(month.line_total),
            invoice_total: Usd(month.invoice_total),
            difference: has_difference.then_some(Usd(difference)),
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

/// What one group cost in one month; USD.
#[derive(Debug, Serialize, ToSchema)]
struct Cost {
    /// The first of the month.
    period: NaiveDate,
    /// The tenant; the project's name on the invoice; the kind; the product; or the resource: its `id`, or where it was gone
    /// before this mirror began `KIND:` and DigitalOcean's id of it. Null for what belongs to none.
    group: Option<String>,
    /// For the group itself.
    direct: Usd,
    /// Its part of what all tenants bear, of tenants; else zero, and what all bear is `direct`.
    shared: Usd,
    /// `direct` plus `shared`.
    amount: Usd,
    /// Whether the month's lines are an estimate.
    is_estimate: bool,
    /// By resource: its latest name, of a deleted one too; the name on the bill where this mirror does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resource_name: Option<String>,
    /// By resource: its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<String>,
    /// By project: `id` of the project that had this name in that month; absent where none had, or several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    project_id: Option<Uuid>,
    /// By project: its latest name; the name on the bill where the project is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    project_name: Option<String>,
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

/// What costs are grouped by.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Grouping {
    Tenant,
    Project,
    Kind,
    Product,
    Resource,
}

impl FromStr for Grouping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = [
            ("tenant", Self::Tenant),
            ("project", Self::Project),
            ("kind", Self::Kind),
            ("product", Self::Product),
            ("resource", Self::Resource),
        ];
        words::one_of("grouping", text, &words)
    }
}

impl From<Grouping> for GroupBy {
    fn from(grouping: Grouping) -> Self {
        match grouping {
            Grouping::Tenant => Self::Tenant,
            Grouping::Project => Self::Project,
            Grouping::Kind => Self::Kind,
            Grouping::Product => Self::Product,
            Grouping::Resource => Self::Resource,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CostsQuery {
    #[serde(deserialize_with = "required")]
    #[param(inline)]
    group_by: Grouping,
    /// The first month.
    #[param(inline, value_type = Period)]
    from: Period,
    /// The last month; at most 120 months.
    #[param(inline, value_type = Period)]
    to: Period,
}

const MOST_MONTHS: i32 = 120;

/// The first and the last month.
fn months(from: Period, to: Period) -> Result<(NaiveDate, NaiveDate), Problem> {
    let (Period(from), Period(to)) = (from, to);
    if to < from {
        return Err(Problem::InvalidParameter(format!(
            "to: {to} is before from, {from}: expected the same month or a later one"
        )));
    }
    let count = |day: NaiveDate| day.year() * 12 + day.month0().cast_signed();
    let months = count(to) - count(from) + 1;
    if months > MOST_MONTHS {
        return Err(Problem::InvalidParameter(format!(
            "to: from {from} to {to} are {months} months: expected at most {MOST_MONTHS}"
        )));
    }
    Ok((from, to))
}

/// A page of a series, and what all pages come to.
#[derive(Debug, Serialize, ToSchema)]
struct CostList {
    data: Vec<Cost>,
    meta: CostMeta,
}

#[derive(Debug, Serialize, ToSchema)]
struct CostMeta {
    #[serde(flatten)]
    page: ListMeta,
    from: NaiveDate,
    to: NaiveDate,
    #[schema(inline)]
    group_by: Grouping,
    /// What the rows of all pages come to; USD.
    total: Usd,
    /// Whether any of the months has lines; `notes` has the reason for each month without.
    has_data: bool,
}

/// What was spent from one month to another, both included: a row a month and group, in that order
#[utoipa::path(
    get,
    path = "/api/v1/billing/costs",
    operation_id = "list_costs",
    tag = "billing",
    security(("bearer" = [])),
    params(CostsQuery, PageQuery),
    responses((status = OK, body = CostList, description = "A page of the series, and what all pages come to"), Invalid)
)]
async fn series(
    _: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<CostsQuery>,
) -> Result<Json<CostList>, Problem> {
    let group_by = filter.group_by;
    let (from, to) = months(filter.from, filter.to)?;
    let page = pages.page(json!({ "costs": [group_by, from, to] }))?;
    let costs = state.store.costs(group_by.into(), from, to).await?;
    let total: Decimal = costs.iter().map(store::costs::Cost::total).sum();
    let billed = names::billed(&costs);
    let coverage = Coverage::of(&state.store, from, to).await?;
    let List { mut data, meta } = page
        .show_of_all(costs, |row| (row.period, row.group.clone()))
        .into()
        .noting(coverage.notes);
    match group_by {
        Grouping::Resource => names::add_resources(&state.store, &billed, &mut data).await?,
        Grouping::Project => names::add_projects(&state.store, &mut data).await?,
        Grouping::Tenant | Grouping::Kind | Grouping::Product => {}
    }
    Ok(Json(CostList {
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

/// Where the books do not balance, the latest month first, at most 100 places: none, unless somebody wrote to the database by hand
///
/// Adds up every line there is.
#[utoipa::path(
    get,
    path = "/api/v1/billing/checks",
    operation_id = "check_costs",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Discrepancy>, description = "A page of discrepancies"), Invalid)
)]
async fn checks(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Discrepancy>>, Problem> {
    let page = query.page(json!("checks"))?;
    let discrepancies = state.store.cost_discrepancies().await?;
    let place = |row: &Discrepancy| (Reverse(row.period), row.bill, row.what.clone());
    let shown = page.show_of_all(discrepancies, place);
    Ok(Json(shown.noting(notes::on_books(&state.store).await?)))
}
