//! Routes of a tenant's own costs, for tokens that were created with `--costs`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use domain::TenantId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::costs::{OwnCost, OwnStatement, SharedParts};
use store::invoices::{OwnCostLine, OwnLineFilter};
use store::{Store, Usd};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::costs::{Grouping, file_of_costs};
use crate::ApiState;
use crate::access::CostReader;
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, json_of};
use crate::extract::{KnownKind, Period, optional, required};
use crate::notes::Coverage;
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{BadRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(costs))
        .routes(routes!(cost_lines))
        .routes(routes!(statements))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MyStatementsQuery {
    /// Month of the statement.
    #[param(inline, value_type = Period)]
    period: Period,
}

/// Costs of the tenant in a month; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct MyStatement {
    /// First day of the month.
    period: NaiveDate,
    /// The tenant of the token.
    tenant_id: String,
    /// Costs of the tenant's resources, in USD.
    direct: Usd,
    /// The tenant's part of the shared costs (taxes, credits and similar lines), in USD.
    shared: Usd,
    /// `direct` plus `shared`, in USD.
    total: Usd,
    /// Rule by which shared costs are allocated: `proportional` to the direct costs; `even`, equal
    /// parts for every tenant with costs; `fixed`, by weights.
    spread_rule: &'static str,
    /// True if the amounts are an estimate: the invoice of the month is not issued yet.
    is_estimate: bool,
    /// True if every invoice of the month is final.
    is_final: bool,
}

impl MyStatement {
    fn new(tenant: &TenantId, period: NaiveDate, own: &OwnStatement) -> Self {
        Self {
            period,
            tenant_id: tenant.to_string(),
            direct: Usd(own.direct),
            shared: Usd(own.shared),
            total: Usd(own.direct + own.shared),
            spread_rule: own.rule,
            is_estimate: own.is_estimate,
            is_final: own.is_final,
        }
    }
}

/// Returns the tenant's statement of a month; no statement if the month has no lines
///
/// Requires a token of the role `tenant` that was created with `--costs`.
#[utoipa::path(
    get,
    path = "/api/v1/my/statements",
    operation_id = "list_my_statements",
    tag = "my",
    security(("bearer" = [])),
    params(MyStatementsQuery, PageQuery),
    responses((status = OK, body = List<MyStatement>, description = "The statement of the month"), BadRequest)
)]
async fn statements(
    reader: CostReader,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<MyStatementsQuery>,
) -> Result<Response, Problem> {
    let Period(period) = filter.period;
    let tenant = &reader.tenant;
    let page = pages.page(json!({ "my-statements": [tenant, period] }))?;
    let own = state.store.own_statement(tenant, period).await?;
    let own = own.map(|own| MyStatement::new(tenant, period, &own));
    let list = page.show_of_all(own.into_iter().collect(), |row: &MyStatement| row.period);
    if page.is_csv() {
        let file = FileName::new("statement").month(period);
        let file = file.with(Some(tenant.as_str()));
        return csv::whole(reader, file, list.data);
    }
    let coverage = Coverage::of(&state.store, period, period).await?;
    Ok(json_of(list.with_notes(coverage.notes)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MyCostsQuery {
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

/// Costs of one group of the tenant's costs in one month; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct MyCost {
    /// First day of the month.
    period: NaiveDate,
    /// Value of `group_by`: the tenant; the name of the project on the invoice, if the project was
    /// the tenant's; the kind; the product; or the resource, as its `id`, or as `KIND:PROVIDER_ID`
    /// if it is not the tenant's any more. Null for costs without such a value.
    group: Option<String>,
    /// Direct costs of the group, in USD.
    direct: Usd,
    /// The tenant's part of the shared costs, in USD: in the row of the tenant, or in the row
    /// without a group.
    shared: Usd,
    /// `direct` plus `shared`, in USD.
    amount: Usd,
    /// True if the amounts are an estimate.
    is_estimate: bool,
    /// With `group_by=resource`: the name of the resource, or its name on the invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resource_name: Option<String>,
    /// With `group_by=resource`: the kind of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<String>,
}

impl From<OwnCost> for MyCost {
    fn from(own: OwnCost) -> Self {
        Self {
            period: own.period,
            group: own.group,
            direct: Usd(own.direct),
            shared: Usd(own.shared),
            amount: Usd(own.direct + own.shared),
            is_estimate: own.is_estimate,
            resource_name: own.name,
            kind: own.kind,
        }
    }
}

/// A page of the tenant's costs with the total of all pages.
#[derive(Debug, Serialize, ToSchema)]
struct MyCostList {
    data: Vec<MyCost>,
    meta: MyCostMeta,
}

/// Range and total of the tenant's costs.
#[derive(Debug, Serialize, ToSchema)]
struct MyCostMeta {
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
}

/// Lists the tenant's costs of a range of months: a row for each month and group
///
/// Requires a token of the role `tenant` that was created with `--costs`. The rows of a month total
/// the statement of the month.
#[utoipa::path(
    get,
    path = "/api/v1/my/costs",
    operation_id = "list_my_costs",
    tag = "my",
    security(("bearer" = [])),
    params(MyCostsQuery, PageQuery),
    responses((status = OK, body = MyCostList, description = "A page of costs with the total of all pages"), BadRequest)
)]
async fn costs(
    reader: CostReader,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<MyCostsQuery>,
) -> Result<Response, Problem> {
    let group_by = filter.group_by;
    let Period(from) = filter.from.min(filter.to);
    let Period(to) = filter.from.max(filter.to);
    let tenant = &reader.tenant;
    let page = pages.page(json!({ "my-costs": [tenant, group_by, from, to] }))?;
    let costs = state
        .store
        .own_costs(tenant, group_by.into(), from, to)
        .await?;
    let total: Decimal = costs.iter().map(|own| own.direct + own.shared).sum();
    let list = page.show_of_all(costs, |row| (row.period, row.group.clone()));
    let list: List<MyCost> = list.into();
    if page.is_csv() {
        let file = file_of_costs(group_by, from, to).with(Some(tenant.as_str()));
        return csv::whole(reader, file, list.data);
    }
    let coverage = Coverage::of(&state.store, from, to).await?;
    let List { data, meta } = list.with_notes(coverage.notes);
    Ok(json_of(MyCostList {
        data,
        meta: MyCostMeta {
            page: meta,
            from,
            to,
            group_by,
            total: Usd(total),
        },
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MyLinesQuery {
    /// Month of the lines.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Only lines for this kind of resource, such as `droplet`; the error for an unknown kind lists
    /// all kinds.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = KnownKind)]
    kind: Option<KnownKind>,
}

/// A page of the tenant's lines with the totals of all pages.
#[derive(Debug, Serialize, ToSchema)]
struct MyLineList {
    data: Vec<OwnCostLine>,
    meta: MyLineMeta,
}

/// Month and totals of the tenant's lines.
#[derive(Debug, Serialize, ToSchema)]
struct MyLineMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// First day of the month.
    period: NaiveDate,
    /// Number of lines on all pages.
    total_count: i64,
    /// Total of the tenant's parts of all pages, in USD; without a filter, the total of the
    /// statement.
    total_amount: Usd,
}

/// The tenant's lines of a month.
struct MyLines {
    store: Store,
    tenant: TenantId,
    filter: OwnLineFilter,
    shared: SharedParts,
}

impl MyLines {
    async fn read(&self, page: Page<Uuid>) -> Result<List<OwnCostLine>, Problem> {
        let Self {
            store,
            tenant,
            filter,
            shared,
        } = self;
        let (after, rows) = (page.after, page.rows_to_fetch());
        let lines = store.own_cost_lines(tenant, filter, shared, after, rows);
        Ok(page.show(lines.await?, |last| last.id))
    }

    /// Returns a value that changes with the lines and with the tenant's parts of them.
    async fn version(&self) -> Result<(String, Option<OwnStatement>, SharedParts), Problem> {
        let (store, tenant, period) = (&self.store, &self.tenant, self.filter.period);
        Ok((
            store.lines_version(period).await?,
            store.own_statement(tenant, period).await?,
            store.own_shared_parts(tenant, period).await?,
        ))
    }
}

/// Lists the tenant's parts of the cost lines of a month
///
/// Requires a token of the role `tenant` that was created with `--costs`. A line that is split
/// between tenants, and a shared line, has the tenant's part only.
#[utoipa::path(
    get,
    path = "/api/v1/my/cost-lines",
    operation_id = "list_my_cost_lines",
    tag = "my",
    security(("bearer" = [])),
    params(MyLinesQuery, PageQuery),
    responses((status = OK, body = MyLineList, description = "A page of lines with the totals of all pages"), BadRequest)
)]
async fn cost_lines(
    reader: CostReader,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<MyLinesQuery>,
) -> Result<Response, Problem> {
    let Period(period) = filter.period;
    let kind = filter.kind.map(String::from);
    let tenant = reader.tenant.clone();
    let page: Page<Uuid> = pages.page(json!({ "my-cost-lines": [tenant, period, kind] }))?;
    let store = state.store.clone();
    let mine = Arc::new(MyLines {
        shared: store.own_shared_parts(&tenant, period).await?,
        filter: OwnLineFilter { period, kind },
        tenant,
        store,
    });
    if page.is_csv() {
        return csv_of_lines(reader, mine, page).await;
    }
    let List { data, meta } = mine.read(page).await?;
    let coverage = Coverage::of(&state.store, period, period).await?;
    let List { data, meta } = List { data, meta }.with_notes(coverage.notes);
    let total = state
        .store
        .own_cost_line_total(&mine.tenant, &mine.filter, &mine.shared)
        .await?;
    Ok(json_of(MyLineList {
        data,
        meta: MyLineMeta {
            page: meta,
            period,
            total_count: total.count,
            total_amount: Usd(total.amount),
        },
    }))
}

/// Returns all lines as CSV. Fails if they or their allocation change in the meantime: the file
/// would not total the statement.
async fn csv_of_lines(
    reader: CostReader,
    mine: Arc<MyLines>,
    page: Page<Uuid>,
) -> Result<Response, Problem> {
    let file = FileName::new("cost-lines").month(mine.filter.period);
    let file = file.with(Some(mine.tenant.as_str()));
    let store = mine.store.clone();
    let version = Arc::new(mine.version().await?);
    csv::stream(&store, reader, file, page, move |page| {
        let (mine, version) = (Arc::clone(&mine), Arc::clone(&version));
        async move {
            let list = mine.read(page).await?;
            let is_last = list.meta.next_cursor.is_none();
            if is_last && (mine.version().await? != *version || mine.shared != version.2) {
                return Err(Problem::Conflict(
                    "the costs changed during the download: repeat it".to_owned(),
                ));
            }
            Ok(list)
        }
    })
    .await
}
