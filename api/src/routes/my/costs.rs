//! The route of a tenant's own costs of a range of months.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use domain::TenantId;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use store::costs::OwnCost;
use store::{Store, Usd};
use utoipa::ToSchema;

use crate::ApiState;
use crate::access::CostReader;
use crate::csv::{self, FileName};
use crate::envelope::{List, json_of};
use crate::notes::Coverage;
use crate::paging::{PageQuery, Paged};
use crate::problem::{BadRequest, Problem};
use crate::routes::costs::{CostSeries, CostsQuery, Grouping, file_of_costs};

/// Costs of one group of the tenant's costs in one month; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyCost {
    /// First day of the month.
    pub(crate) period: NaiveDate,
    /// Value of `group_by`: the tenant; the name of the project on the invoice, if the project was
    /// the tenant's; the kind; the product; or the resource, as its `id`, or as `KIND:PROVIDER_ID`
    /// if it is not the tenant's any more. Null for costs without such a value.
    pub(crate) group: Option<String>,
    /// Direct costs of the group, in USD.
    pub(crate) direct: Usd,
    /// The tenant's part of the shared costs, in USD: in the row of the tenant, or in the row
    /// without a group.
    pub(crate) shared: Usd,
    /// `direct` plus `shared`, in USD.
    pub(crate) amount: Usd,
    /// True if the amounts are an estimate.
    pub(crate) is_estimate: bool,
    /// With `group_by=resource`: the name of the resource, or its name on the invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) resource_name: Option<String>,
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

/// The tenant's costs of a range of months.
pub(crate) struct MyCosts {
    pub(crate) rows: Vec<MyCost>,
    /// The reason for each month without lines.
    pub(crate) notes: Vec<String>,
}

/// Reads the tenant's costs of a range of months.
pub(crate) async fn read_own_costs(
    store: &Store,
    tenant: &TenantId,
    grouping: Grouping,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<MyCosts, Problem> {
    let costs = store.own_costs(tenant, grouping.into(), from, to).await?;
    let coverage = Coverage::for_tenant(store, from, to).await?;
    let notes = coverage.notes.into_iter().map(|note| note.detail);
    Ok(MyCosts {
        rows: costs.into_iter().map(MyCost::from).collect(),
        notes: notes.collect(),
    })
}

/// Returns the name of the CSV of a tenant's costs: `costs-by-kind-2026-01-2026-04-acme`.
pub(crate) fn file_of_own_costs(
    tenant: &TenantId,
    grouping: Grouping,
    from: NaiveDate,
    to: NaiveDate,
) -> FileName {
    file_of_costs(grouping, from, to).with(Some(tenant.as_str()))
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
    params(CostsQuery, PageQuery),
    responses((status = OK, body = CostSeries<MyCost>, description = "A page of costs with the total of all pages"), BadRequest)
)]
pub(super) async fn series(
    reader: CostReader,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<CostsQuery>,
) -> Result<Response, Problem> {
    let (group_by, (from, to)) = (filter.group_by, filter.range());
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
        let file = file_of_own_costs(tenant, group_by, from, to);
        return csv::whole(reader, file, list.data);
    }
    let coverage = Coverage::for_tenant(&state.store, from, to).await?;
    Ok(json_of(CostSeries::new(list, &filter, total, coverage)))
}
