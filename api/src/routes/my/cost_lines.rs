//! Routes of a tenant's parts of cost lines.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use domain::TenantId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::costs::{GroupBy, SharedParts};
use store::invoices::{OwnCostLine, OwnLineFilter, OwnSpan};
use store::{Store, Usd};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::CostReader;
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, One, json_of};
use crate::extract::{Id, KnownKind, NoParameters, Period, Text, optional};
use crate::notes::Coverage;
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{BadRequest, NotFound, Problem};
use crate::routes::cost_lines::filter::LineResource;
use crate::routes::costs::Grouping;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
}

/// The filter of the tenant's lines. Each condition but `without` selects direct costs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MyLinesQuery {
    /// Month of the lines.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Only direct costs of this kind of resource, such as `droplet`; the error for an unknown kind
    /// lists all kinds.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = KnownKind)]
    kind: Option<KnownKind>,
    /// Only direct costs of this product, as named on the invoice.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    product: Option<Text>,
    /// Only direct costs with this project name on the invoice, if the project was the tenant's.
    /// Case matters.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    project: Option<Text>,
    /// Only direct costs of the resource with this `id`, if it is the tenant's now, or
    /// `KIND:PROVIDER_ID` for a resource that is not the tenant's any more.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = LineResource)]
    resource: Option<LineResource>,
    /// Only lines of the costs that have no group with this `group_by` in `GET /api/v1/my/costs`;
    /// they include the parts of shared costs.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline)]
    without: Option<Grouping>,
}

impl MyLinesQuery {
    pub(crate) fn into_filter(self) -> OwnLineFilter {
        let (resource_id, former_resource) = match self.resource {
            None => (None, None),
            Some(LineResource::Stored(id)) => (Some(id), None),
            Some(LineResource::Historic(key)) => (None, Some(key.into())),
        };
        OwnLineFilter {
            period: self.period.0,
            kind: self.kind.map(String::from),
            product: self.product.map(String::from),
            project_name: self.project.map(String::from),
            resource_id,
            former_resource,
            without: self.without.map(Into::into),
        }
    }
}

/// A page of the tenant's lines with the totals of all pages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyLineList {
    pub(crate) data: Vec<OwnCostLine>,
    pub(crate) meta: MyLineMeta,
}

/// Month and totals of the tenant's lines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyLineMeta {
    #[serde(flatten)]
    pub(crate) page: ListMeta,
    /// First day of the month.
    period: NaiveDate,
    /// Number of lines on all pages.
    pub(crate) total_count: i64,
    /// Total of the tenant's parts of all pages, in USD; without a filter, the total of the
    /// statement of an open month without its adjustments.
    pub(crate) total_amount: Usd,
}

/// The tenant's lines of a month.
struct MyLines {
    store: Store,
    tenant: TenantId,
    filter: OwnLineFilter,
    shared: SharedParts,
}

impl MyLines {
    async fn of(store: &Store, tenant: &TenantId, filter: OwnLineFilter) -> Result<Self, Problem> {
        Ok(Self {
            shared: store.own_shared_parts(tenant, filter.period).await?,
            tenant: tenant.clone(),
            store: store.clone(),
            filter,
        })
    }

    fn page(&self, pages: &PageQuery) -> Result<Page<Uuid>, Problem> {
        let filter = &self.filter;
        pages.page(json!({ "my-cost-lines": {
            "tenant": self.tenant,
            "period": filter.period,
            "kind": filter.kind,
            "product": filter.product,
            "project": filter.project_name,
            "resource": filter.resource_id,
            "former": filter.former_resource,
            "without": filter.without.map(GroupBy::name),
        }}))
    }

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
    async fn version(&self) -> Result<(String, Option<Decimal>, SharedParts), Problem> {
        let (store, tenant, period) = (&self.store, &self.tenant, self.filter.period);
        let rows = store.live_statements(period).await?.rows.into_iter();
        let mut own = rows.filter(|row| row.tenant_id.as_deref() == Some(tenant.as_str()));
        Ok((
            store.lines_version(period).await?,
            own.next().map(|own| own.direct),
            store.own_shared_parts(tenant, period).await?,
        ))
    }
}

/// Reads a page of the tenant's lines.
pub(crate) async fn read_own_lines(
    store: &Store,
    tenant: &TenantId,
    filter: OwnLineFilter,
    pages: &PageQuery,
) -> Result<MyLineList, Problem> {
    let lines = MyLines::of(store, tenant, filter).await?;
    let list = lines.read(lines.page(pages)?).await?;
    let MyLines { filter, shared, .. } = &lines;
    let total = store.own_cost_line_total(tenant, filter, shared).await?;
    let period = filter.period;
    let coverage = Coverage::for_tenant(store, period, period).await?;
    let List { data, meta } = list.with_notes(coverage.notes);
    Ok(MyLineList {
        data,
        meta: MyLineMeta {
            page: meta,
            period,
            total_count: total.count,
            total_amount: Usd(total.amount),
        },
    })
}

/// Returns all lines of the tenant as CSV. Fails if they or their allocation change in the
/// meantime: the file would not total the statement.
pub(crate) async fn csv_of_own_lines(
    store: &Store,
    caller: impl Send + 'static,
    tenant: &TenantId,
    filter: OwnLineFilter,
    pages: &PageQuery,
) -> Result<Response, Problem> {
    let lines = Arc::new(MyLines::of(store, tenant, filter).await?);
    let page = lines.page(pages)?;
    let file = FileName::new("cost-lines").month(lines.filter.period);
    let file = file.with(Some(tenant.as_str()));
    let version = Arc::new(lines.version().await?);
    csv::stream(store, caller, file, page, move |page| {
        let (lines, version) = (Arc::clone(&lines), Arc::clone(&version));
        async move {
            let list = lines.read(page).await?;
            let is_last = list.meta.next_cursor.is_none();
            if is_last && (lines.version().await? != *version || lines.shared != version.2) {
                return Err(Problem::Conflict(
                    "the costs changed during the download: repeat it".to_owned(),
                ));
            }
            Ok(list)
        }
    })
    .await
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
async fn list(
    reader: CostReader,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<MyLinesQuery>,
) -> Result<Response, Problem> {
    let (tenant, filter) = (reader.tenant.clone(), query.into_filter());
    if pages.is_csv() {
        return csv_of_own_lines(&state.store, reader, &tenant, filter, &pages).await;
    }
    let list = read_own_lines(&state.store, &tenant, filter, &pages).await?;
    Ok(json_of(list))
}

/// The tenant's part of a line, with the time in which the resource was the tenant's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyLineDetail {
    #[serde(flatten)]
    pub(crate) line: OwnCostLine,
    /// Parts of the charged time in which the resource of the line was the tenant's, the earliest
    /// first; empty for a shared cost.
    pub(crate) intervals: Vec<OwnSpan>,
}

/// Reads the tenant's part of a line.
pub(crate) async fn read_own_line(
    store: &Store,
    tenant: &TenantId,
    id: Uuid,
) -> Result<MyLineDetail, Problem> {
    let line = store.own_cost_line(tenant, id).await?;
    Ok(MyLineDetail {
        intervals: store.own_spans(tenant, &line).await?,
        line,
    })
}

/// Returns the tenant's part of one cost line, and the time in which it was the tenant's
///
/// Requires a token of the role `tenant` that was created with `--costs`. A line without a part of
/// the tenant is not found.
#[utoipa::path(
    get,
    path = "/api/v1/my/cost-lines/{id}",
    operation_id = "show_my_cost_line",
    tag = "my",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the cost line")),
    responses((status = OK, body = One<MyLineDetail>, description = "The line"), BadRequest, NotFound)
)]
async fn one(
    reader: CostReader,
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoParameters,
) -> Result<Json<One<MyLineDetail>>, Problem> {
    let detail = read_own_line(&state.store, &reader.tenant, id).await?;
    Ok(Json(One::now(detail)))
}
