//! Routes that list the cost lines of invoices and estimates, each with its resource, its tenant
//! and the rule of the match.

mod matching;

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::invoices::{AfterLine, CostLine, CostLineFilter, CostLineTotal};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::choices;
use crate::envelope::{List, ListMeta};
use crate::extract::{Id, KnownKind, Period, Text, optional};
use crate::notes::{self, Coverage};
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{BadRequest, Problem};
use store::Usd;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(unmatched))
        .merge(matching::routes())
}

/// A page of lines with the totals of all pages.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CostLineList {
    data: Vec<CostLine>,
    meta: CostLineMeta,
}

/// Month and totals of the list.
#[derive(Debug, Serialize, ToSchema)]
struct CostLineMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// First day of the month.
    period: NaiveDate,
    /// True if the lines of the month are an estimate: its invoice is not issued yet.
    is_estimate: bool,
    /// Number of lines on all pages.
    total_count: i64,
    /// Total of the lines of all pages in USD, each with its full amount even if it is split
    /// between tenants.
    total_amount: Usd,
    /// True if the month has lines, regardless of the filter; otherwise `notes` has the reason.
    has_data: bool,
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
                has_data,
            },
        }
    }
}

#[derive(Serialize, Deserialize)]
struct LinePlace {
    /// UUID of the invoice, or `id` of the estimate.
    bill: Uuid,
    line_no: i32,
}

/// Returns a page of a month's lines. `name` identifies the list in cursors.
async fn page_of_lines(
    state: &ApiState,
    name: &str,
    filter: CostLineFilter,
    pages: &PageQuery,
) -> Result<Json<CostLineList>, Problem> {
    let list = json!({ name: {
        "period": filter.period,
        "kind": filter.kind,
        "match_rules": filter.match_rules,
        "tenant": filter.tenant_id,
        "resource": filter.resource_id,
    }});
    let page: Page<LinePlace> = pages.page(list)?;
    let after = page.after.as_ref().map(|place| AfterLine {
        bill: place.bill,
        line_no: place.line_no,
    });
    let store = &state.store;
    let estimate = store.open_estimate(filter.period).await?;
    let lines = store
        .cost_lines(&filter, after, page.rows_to_fetch())
        .await?;
    let total = store.cost_line_total(&filter).await?;
    let list = page.show(lines, |last| LinePlace {
        bill: last.invoice_uuid.or(estimate).unwrap_or_default(),
        line_no: last.line_no,
    });
    let is_estimate = estimate.is_some();
    let coverage = Coverage::of(store, filter.period, filter.period).await?;
    let mut notes = coverage.notes;
    if let Some(tenant) = &filter.tenant_id {
        notes.extend(notes::on_tenant(store, tenant).await?);
    }
    if let Some(resource) = filter.resource_id {
        notes.extend(notes::on_resource(store, resource).await?);
    }
    Ok(Json(CostLineList::new(
        list.with_notes(notes),
        filter.period,
        is_estimate,
        coverage.has_data,
        &total,
    )))
}

const UNMATCHED: &str = "unmatched";
const AMBIGUOUS: &str = "ambiguous";
const HISTORIC: &str = "historic";
const MATCH_RULES: [&str; 10] = [
    "operator", "uuid", "id", "group", "name", "project", HISTORIC, "account", AMBIGUOUS, UNMATCHED,
];

/// The rule by which a line was matched to its resource.
#[derive(Debug)]
struct MatchRule(&'static str);

impl PartialSchema for MatchRule {
    fn schema() -> RefOr<Schema> {
        choices::schema(MATCH_RULES)
    }
}

impl ToSchema for MatchRule {}

impl FromStr for MatchRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rules = MATCH_RULES.map(|rule| (rule, rule));
        choices::one_of("match rule", text, &rules).map(Self)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CostLinesQuery {
    /// Month of the lines.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Only lines for this kind of resource, such as `droplet`; the error for an unknown kind lists
    /// all kinds.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = KnownKind)]
    kind: Option<KnownKind>,
    /// Only lines with this match rule, such as `name`.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = MatchRule)]
    match_rule: Option<MatchRule>,
    /// Only lines that are attributed to this tenant, in full or in part; without shared costs.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    tenant: Option<Text>,
    /// Only lines for the resource with this `id`.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Uuid)]
    resource: Option<Id>,
}

/// Lists the cost lines of a month's invoices in file order, or of its estimate before the invoice
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
    _: Admin,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<CostLinesQuery>,
) -> Result<Json<CostLineList>, Problem> {
    let filter = CostLineFilter {
        period: query.period.0,
        kind: query.kind.map(String::from),
        match_rules: query
            .match_rule
            .map(|MatchRule(rule)| rule.to_owned())
            .into_iter()
            .collect(),
        tenant_id: query.tenant.map(String::from),
        resource_id: query.resource.map(|Id(id)| id),
    };
    page_of_lines(&state, "cost-lines", filter, &pages).await
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

/// Lists the unmatched cost lines of a month, with the reason or the candidate resources
///
/// `PUT /api/v1/billing/cost-lines/{id}/match` sets the resource of a line.
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
    _: Admin,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<UnmatchedQuery>,
) -> Result<Json<CostLineList>, Problem> {
    let mut rules = vec![UNMATCHED.to_owned(), AMBIGUOUS.to_owned()];
    rules.extend(query.include.map(|Historic| HISTORIC.to_owned()));
    let filter = CostLineFilter {
        period: query.period.0,
        kind: None,
        match_rules: rules,
        tenant_id: None,
        resource_id: None,
    };
    page_of_lines(&state, "unmatched", filter, &pages).await
}
