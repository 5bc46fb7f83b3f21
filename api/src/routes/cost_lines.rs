//! Routes that list the cost lines of invoices and estimates, each with its resource, its tenant
//! and the rule of the match.

pub(crate) mod filter;
pub(crate) mod matching;

use std::str::FromStr;

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::costs::{GroupBy, OrphanedOverride};
use store::invoices::{AfterLine, CostLine, CostLineFilter, CostLineTotal};
use store::{Store, Usd};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::filter::{AMBIGUOUS, CostLinesQuery, HISTORIC, UNMATCHED};
use super::costs::Statement;
use crate::ApiState;
use crate::access::Admin;
use crate::choices;
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, json_of};
use crate::extract::{Period, optional};
use crate::notes::{self, Coverage};
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{BadRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(unmatched))
        .merge(matching::routes())
}

/// A page of lines with the totals of all pages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostLineList {
    pub(crate) data: Vec<CostLine>,
    pub(crate) meta: CostLineMeta,
}

/// Month and totals of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostLineMeta {
    #[serde(flatten)]
    pub(crate) page: ListMeta,
    /// First day of the month.
    period: NaiveDate,
    /// True if some lines of the month are an estimate: its last invoice is not issued yet.
    pub(crate) is_estimate: bool,
    /// Number of lines on all pages.
    pub(crate) total_count: i64,
    /// Total of the lines of all pages in USD, each with its full amount even if it is split
    /// between tenants.
    pub(crate) total_amount: Usd,
    /// Total of the lines of all pages in USD. With `tenant` or `without=tenant`, only the part of
    /// that tenant in each line counts; otherwise it equals `total_amount`.
    pub(crate) attributed_amount: Usd,
    /// With `tenant` or `without=tenant` and no other filter: the costs of the month by the lines
    /// of today, also of a closed month, and without adjustments. `direct` equals
    /// `attributed_amount`, and `total` the row of that tenant in `GET /api/v1/billing/costs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) statement: Option<Statement>,
    /// True if the month has lines, regardless of the filter; otherwise `notes` has the reason.
    pub(crate) has_data: bool,
    /// In `GET /api/v1/billing/unmatched`: overrides of lines of the month that a correction
    /// removed, at most 100. `GET /api/v1/billing/orphaned-overrides` lists all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    orphaned_overrides: Option<Vec<OrphanedOverride>>,
}

impl CostLineList {
    pub(super) fn new(
        List { data, meta }: List<CostLine>,
        period: NaiveDate,
        is_estimate: bool,
        has_data: bool,
        total: &CostLineTotal,
    ) -> Self {
        Self {
            data,
            meta: CostLineMeta {
                page: meta,
                period,
                is_estimate,
                total_count: total.count,
                total_amount: Usd(total.amount),
                attributed_amount: Usd(total.attributed),
                statement: None,
                has_data,
                orphaned_overrides: None,
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LinePlace {
    /// UUID of the invoice, or `id` of the estimate.
    bill: Uuid,
    line_no: i32,
}

/// The name of the list of lines in cursors.
const LINES: &str = "cost-lines";

/// Returns a page of a month's lines.
pub(crate) async fn read_lines(
    store: &Store,
    filter: &CostLineFilter,
    pages: &PageQuery,
) -> Result<CostLineList, Problem> {
    let mut list = page_of_lines(store, LINES, filter, pages).await?;
    list.meta.statement = statement(store, filter).await?;
    Ok(list)
}

/// Returns a page of a month's lines. `name` identifies the list in cursors.
async fn page_of_lines(
    store: &Store,
    name: &str,
    filter: &CostLineFilter,
    pages: &PageQuery,
) -> Result<CostLineList, Problem> {
    let page = pages.page(list_of_lines(name, filter))?;
    let list = read_page(store.clone(), filter.clone(), page).await?;
    let total = store.cost_line_total(filter).await?;
    let is_estimate = store.open_estimate(filter.period).await?.is_some();
    let coverage = Coverage::of(store, filter.period, filter.period).await?;
    let mut notes = coverage.notes;
    notes.extend(notes::on_lines(store, filter, total.count == 0).await?);
    Ok(CostLineList::new(
        list.with_notes(notes),
        filter.period,
        is_estimate,
        coverage.has_data,
        &total,
    ))
}

/// Identifies a list of lines in cursors.
fn list_of_lines(name: &str, filter: &CostLineFilter) -> Value {
    json!({ name: {
        "period": filter.period,
        "kind": filter.kind,
        "match_rules": filter.match_rules,
        "tenant": filter.tenant_id,
        "resource": filter.resource_id,
        "historic": filter.historic_resource,
        "product": filter.product,
        "project": filter.project_name,
        "without": filter.without.map(GroupBy::name),
    }})
}

async fn read_page(
    store: Store,
    filter: CostLineFilter,
    page: Page<LinePlace>,
) -> Result<List<CostLine>, Problem> {
    let after = page.after.as_ref().map(|place| AfterLine {
        bill: place.bill,
        line_no: place.line_no,
    });
    let lines = store
        .cost_lines(&filter, after, page.rows_to_fetch())
        .await?;
    let estimate = if lines.iter().any(|line| line.is_estimate) {
        store.open_estimate(filter.period).await?
    } else {
        None
    };
    Ok(page.show(lines, |last| LinePlace {
        bill: last.invoice_uuid.or(estimate).unwrap_or_default(),
        line_no: last.line_no,
    }))
}

/// Returns all lines of a month as CSV.
pub(crate) async fn csv_of_lines(
    store: &Store,
    caller: impl Send + 'static,
    filter: CostLineFilter,
    pages: &PageQuery,
) -> Result<Response, Problem> {
    csv_of_list(store, caller, LINES, filter, pages).await
}

/// Returns all lines of a month as CSV. Fails if an ingest changes the lines in the meantime: the
/// file would have lines of two versions. `name` identifies the list in cursors and names the file.
async fn csv_of_list(
    store: &Store,
    caller: impl Send + 'static,
    name: &str,
    filter: CostLineFilter,
    pages: &PageQuery,
) -> Result<Response, Problem> {
    let page = pages.page(list_of_lines(name, &filter))?;
    let tenant = match filter.without {
        Some(GroupBy::Tenant) => Some("unallocated"),
        _ => filter.tenant_id.as_deref(),
    };
    let file = FileName::new(name).month(filter.period).with(tenant);
    let version = store.lines_version(filter.period).await?;
    let connected = store.clone();
    csv::stream(store, caller, file, page, move |page| {
        let (store, filter, version) = (connected.clone(), filter.clone(), version.clone());
        async move {
            let period = filter.period;
            let list = read_page(store.clone(), filter, page).await?;
            if list.meta.next_cursor.is_none() && store.lines_version(period).await? != version {
                return Err(Problem::Conflict(format!(
                    "the lines of {period} changed during the download: repeat it"
                )));
            }
            Ok(list)
        }
    })
    .await
}

/// Returns the statement of the tenant that is the only filter, or of the unallocated costs.
async fn statement(store: &Store, filter: &CostLineFilter) -> Result<Option<Statement>, Problem> {
    let of_month = CostLineFilter {
        period: filter.period,
        ..CostLineFilter::default()
    };
    let of_tenant = CostLineFilter {
        tenant_id: filter.tenant_id.clone(),
        ..of_month.clone()
    };
    let unallocated = CostLineFilter {
        without: Some(GroupBy::Tenant),
        ..of_month.clone()
    };
    if *filter == of_month || (*filter != of_tenant && *filter != unallocated) {
        return Ok(None);
    }
    // The lines are those of today, also of a closed month.
    let month = store.live_statements(filter.period).await?;
    let mut rows = month.rows.into_iter();
    let own = rows.find(|row| row.tenant_id == filter.tenant_id);
    Ok(Some(Statement::from(own.unwrap_or_else(|| {
        store::costs::Statement {
            tenant_id: filter.tenant_id.clone(),
            direct: Decimal::ZERO,
            shared: Decimal::ZERO,
            adjusted: Decimal::ZERO,
        }
    }))))
}

/// Lists the cost lines of a month's invoices in file order, and the estimate of the open month
#[utoipa::path(
    get,
    path = "/api/v1/billing/cost-lines",
    operation_id = "list_cost_lines",
    tag = "billing",
    security(("bearer" = [])),
    params(CostLinesQuery, PageQuery),
    responses((status = OK, body = CostLineList, description = "A page of lines with the totals of all pages"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<CostLinesQuery>,
) -> Result<Response, Problem> {
    let filter = query.into_filter();
    if pages.is_csv() {
        return csv_of_lines(&state.store, admin, filter, &pages).await;
    }
    Ok(json_of(read_lines(&state.store, &filter, &pages).await?))
}

/// The only value of `include`.
#[derive(Debug, Clone, Copy)]
struct Historic;

impl PartialSchema for Historic {
    fn schema() -> RefOr<Schema> {
        choices::schema([HISTORIC])
    }
}

impl ToSchema for Historic {}

impl FromStr for Historic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        choices::one_of("value", text, &[(HISTORIC, Self)])
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UnmatchedQuery {
    /// Month of the lines.
    #[param(inline, value_type = Period)]
    period: Period,
    /// `historic` includes lines with the id of a resource that was deleted before the mirror
    /// started.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Historic)]
    include: Option<Historic>,
}

/// The most orphaned overrides in the `meta` of a list.
pub(crate) const ORPHANS: i64 = 100;

/// Lists the unmatched cost lines of a month, with the reason or the candidate resources
///
/// `PUT /api/v1/billing/cost-lines/{id}/match` sets the resource of a line. `meta` has the
/// overrides of lines that a correction removed.
#[utoipa::path(
    get,
    path = "/api/v1/billing/unmatched",
    operation_id = "list_unmatched_cost_lines",
    tag = "billing",
    security(("bearer" = [])),
    params(UnmatchedQuery, PageQuery),
    responses((status = OK, body = CostLineList, description = "A page of lines with the totals of all pages"), BadRequest)
)]
async fn unmatched(
    admin: Admin,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<UnmatchedQuery>,
) -> Result<Response, Problem> {
    let mut rules = vec![UNMATCHED.to_owned(), AMBIGUOUS.to_owned()];
    rules.extend(query.include.map(|Historic| HISTORIC.to_owned()));
    let filter = CostLineFilter {
        period: query.period.0,
        match_rules: rules,
        ..CostLineFilter::default()
    };
    if pages.is_csv() {
        return csv_of_list(&state.store, admin, UNMATCHED, filter, &pages).await;
    }
    let mut list = page_of_lines(&state.store, UNMATCHED, &filter, &pages).await?;
    let orphans = state
        .store
        .orphaned_overrides(Some(filter.period), None, ORPHANS)
        .await?;
    list.meta.orphaned_overrides = Some(orphans);
    Ok(json_of(list))
}
