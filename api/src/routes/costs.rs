//! Routes of costs: statements per tenant, series of months by group, and checks of the stored
//! amounts.

mod checks;
mod grouping;
mod names;
mod statements;

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Store;
use store::costs::{AfterGroup, MonthTotal};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, json_of};
use crate::extract::{Period, required};
use crate::notes::Coverage;
use crate::paging::{PageQuery, Paged};
use crate::problem::{BadRequest, Problem};
use store::Usd;

pub(crate) use self::grouping::Grouping;
pub(crate) use self::statements::Statement;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(statements::routes())
        .routes(routes!(series))
        .merge(checks::routes())
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
    /// True if some lines of the group in this month are an estimate.
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
pub(super) struct CostsQuery {
    /// Property by which the costs are grouped.
    #[serde(deserialize_with = "required")]
    #[param(inline)]
    pub(super) group_by: Grouping,
    /// First month of the series; the later of `from` and `to` is the last one.
    #[param(inline, value_type = Period)]
    from: Period,
    /// Last month of the series, included.
    #[param(inline, value_type = Period)]
    to: Period,
}

impl CostsQuery {
    /// Returns the first and the last month.
    pub(super) fn range(&self) -> (NaiveDate, NaiveDate) {
        (self.from.min(self.to).0, self.from.max(self.to).0)
    }
}

/// A page of a series of costs with the total of all pages.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CostSeries<R> {
    data: Vec<R>,
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

impl<R> CostSeries<R> {
    pub(super) fn new(
        list: List<R>,
        query: &CostsQuery,
        total: Decimal,
        coverage: Coverage,
    ) -> Self {
        let (from, to) = query.range();
        let List { data, meta } = list.with_notes(coverage.notes);
        Self {
            data,
            meta: CostMeta {
                page: meta,
                from,
                to,
                group_by: query.group_by,
                total: Usd(total),
                has_data: coverage.has_data,
            },
        }
    }
}

/// Lists the costs of a range of months: a row for each month and group, ordered by both
#[utoipa::path(
    get,
    path = "/api/v1/billing/costs",
    operation_id = "list_costs",
    tag = "billing",
    security(("bearer" = [])),
    params(CostsQuery, PageQuery),
    responses((status = OK, body = CostSeries<Cost>, description = "A page of the series with the total of all pages"), BadRequest)
)]
async fn series(
    admin: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<CostsQuery>,
) -> Result<Response, Problem> {
    let (group_by, (from, to)) = (filter.group_by, filter.range());
    let page = pages.page(json!({ "costs": [group_by, from, to] }))?;
    let place = |row: &store::costs::Cost| (row.period, row.group.clone());
    let (list, total, billed) = if group_by == Grouping::Resource && !page.is_csv() {
        let after = page.after.clone();
        let after = after.map(|(period, group)| AfterGroup { period, group });
        let rows = page.rows_to_fetch();
        let costs = state
            .store
            .costs_by_resource(from, to, after.as_ref(), rows)
            .await?;
        let billed = names::billed(&costs);
        let total = state.store.cost_total(from, to).await?;
        (page.show(costs, place), total, billed)
    } else {
        let costs = state.store.costs(group_by.into(), from, to).await?;
        let total: Decimal = costs.iter().map(store::costs::Cost::total).sum();
        let billed = names::billed(&costs);
        (page.show_of_all(costs, place), total, billed)
    };
    let mut list: List<Cost> = list.into();
    names::add(&state.store, group_by, &billed, &mut list.data).await?;
    if page.is_csv() {
        return csv::whole(admin, file_of_costs(group_by, from, to), list.data);
    }
    let coverage = Coverage::of(&state.store, from, to).await?;
    Ok(json_of(CostSeries::new(list, &filter, total, coverage)))
}

/// Returns the name of the CSV of costs: `costs-by-tenant-2026-01-2026-04`.
pub(crate) fn file_of_costs(grouping: Grouping, from: NaiveDate, to: NaiveDate) -> FileName {
    let file = FileName::new("costs-by").with(Some(grouping.name()));
    let file = file.month(from);
    if from == to { file } else { file.month(to) }
}

/// Reads the largest groups of the costs by resource, with their names. Returns the totals of all
/// groups and their number, too.
pub(crate) async fn read_largest_costs(
    store: &Store,
    from: NaiveDate,
    to: NaiveDate,
    limit: i64,
) -> Result<(NamedCosts, Vec<MonthTotal>, usize), Problem> {
    let largest = store.largest_costs_by_resource(from, to, limit).await?;
    let named = with_names(store, Grouping::Resource, largest.costs, from, to).await?;
    Ok((named, largest.months, largest.groups))
}

/// The costs of a range of months, with the names of their groups.
pub(crate) struct NamedCosts {
    pub(crate) rows: Vec<Cost>,
    /// The reason for each month without lines.
    pub(crate) notes: Vec<String>,
}

/// Reads the costs of a range of months, with the names of their groups.
pub(crate) async fn read_costs(
    store: &Store,
    grouping: Grouping,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<NamedCosts, Problem> {
    let costs = store.costs(grouping.into(), from, to).await?;
    with_names(store, grouping, costs, from, to).await
}

async fn with_names(
    store: &Store,
    grouping: Grouping,
    costs: Vec<store::costs::Cost>,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<NamedCosts, Problem> {
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
