//! The lines of invoices and estimates: what each paid for, whose it is, and how that is known.

mod matching;

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::invoices::{AfterLine, CostLine, CostLineFilter, CostLineTotal};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::envelope::{List, ListMeta};
use crate::extract::{Id, KnownKind, Period, Text, optional};
use crate::notes::{self, Coverage};
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{Invalid, Problem};
use crate::words;
use store::Usd;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(unmatched))
        .merge(matching::routes())
}

/// A page of lines, and what all pages come to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CostLineList {
    data: Vec<CostLine>,
    meta: CostLineMeta,
}

#[derive(Debug, Serialize, ToSchema)]
struct CostLineMeta {
    #[serde(flatten)]
    page: ListMeta,
    period: NaiveDate,
    /// Whether the month's lines are an estimate: its invoice has not come yet.
    is_estimate: bool,
    /// How many lines there are on all pages.
    total_count: i64,
    /// What the lines of all pages come to, each of them whole; USD.
    total_amount: Usd,
    /// Whether the month has any lines, whatever the filter; where not, `notes` has the reason.
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
    /// The invoice's uuid, or the estimate's id.
    bill: Uuid,
    line_no: i32,
}

/// A page of a month's lines; `name` tells the list.
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
        list.noting(notes),
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

/// How a line found its resource.
#[derive(Debug)]
struct MatchRule(&'static str);

impl FromStr for MatchRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rules = MATCH_RULES.map(|rule| (rule, rule));
        words::one_of("match rule", text, &rules).map(Self)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CostLinesQuery {
    /// The month.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Only lines that paid for this kind of resource, like `droplet`; an unknown kind is refused with the list of kinds.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    kind: Option<KnownKind>,
    /// Only lines that were matched in this way, like `name`.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    match_rule: Option<MatchRule>,
    /// Only lines that are this tenant's, wholly or in part; what all tenants bear is not among them.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    tenant: Option<Text>,
    /// Only lines that paid for the resource with this `id`.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Uuid)]
    resource: Option<Id>,
}

/// The lines of one month's invoices, in the order of the files; of its estimate while there is no invoice
#[utoipa::path(
    get,
    path = "/api/v1/billing/cost-lines",
    operation_id = "list_cost_lines",
    tag = "billing",
    security(("bearer" = [])),
    params(CostLinesQuery, PageQuery),
    responses((status = OK, body = CostLineList, description = "A page of lines, and what all pages come to"), Invalid)
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

/// What else to count as unmatched.
#[derive(Debug, Clone, Copy)]
struct Historic;

impl FromStr for Historic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        words::one_of("value", text, &[(HISTORIC, Self)])
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UnmatchedQuery {
    /// The month.
    #[param(inline, value_type = Period)]
    period: Period,
    /// `historic`: also lines whose resource DigitalOcean names and was gone before this mirror began.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    include: Option<Historic>,
}

/// The lines of one month whose resource is not known, each with the reason, or with the resources that it may be for
///
/// `PUT /api/v1/billing/cost-lines/{id}/match` says which it is.
#[utoipa::path(
    get,
    path = "/api/v1/billing/unmatched",
    operation_id = "list_unmatched_cost_lines",
    tag = "billing",
    security(("bearer" = [])),
    params(UnmatchedQuery, PageQuery),
    responses((status = OK, body = CostLineList, description = "A page of lines, and what all pages come to"), Invalid)
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
