//! What months were estimated at before their invoices came, and how far off that was.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use store::invoices::Variance;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::covered::CoveredDays;
use crate::envelope::{List, ListMeta};
use crate::extract::{InPath, Period, Query};
use crate::notes::{Coverage, Note};
use crate::paging::{Page, PageQuery};
use crate::problem::{Absent, Invalid, Problem};
use store::Usd;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(variance))
}

/// A month as DigitalOcean's preview of its invoice has it; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct Estimate {
    /// The first of the month.
    period: NaiveDate,
    /// `open`; `final` since the invoice came, which its lines have given way to.
    state: String,
    /// The preview's own total.
    amount: Usd,
    line_count: i32,
    line_total: Usd,
    /// `amount` less `line_total`.
    off_by: Usd,
    /// What its lines were read from: `csv+items`, `csv` or `items`.
    sources: String,
    /// Why not from both.
    source_note: Option<String>,
    first_estimated_at: DateTime<Utc>,
    /// When the preview was last read.
    estimated_at: DateTime<Utc>,
    /// When the invoice came.
    finalised_at: Option<DateTime<Utc>>,
    /// The days that `amount` covers, up to `estimated_at`. DigitalOcean generates the preview once a day, so that the charges of up to
    /// a day before it may be missing.
    #[serde(flatten)]
    covered: CoveredDays,
}

impl From<store::invoices::Estimate> for Estimate {
    fn from(estimate: store::invoices::Estimate) -> Self {
        Self {
            period: estimate.period,
            state: estimate.state,
            amount: Usd(estimate.amount),
            line_count: estimate.line_count,
            line_total: Usd(estimate.line_total),
            off_by: Usd(estimate.off_by),
            sources: estimate.sources,
            source_note: estimate.source_note,
            first_estimated_at: estimate.first_estimated_at,
            estimated_at: estimate.estimated_at,
            finalised_at: estimate.finalised_at,
            covered: CoveredDays::of_month(estimate.period, estimate.estimated_at),
        }
    }
}

/// The estimates of months, the latest month first
#[utoipa::path(
    get,
    path = "/api/v1/billing/estimates",
    operation_id = "list_estimates",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Estimate>, description = "A page of estimates"), Invalid)
)]
async fn list(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Estimate>>, Problem> {
    let page: Page<NaiveDate> = query.page(json!("estimates"))?;
    let estimates = state
        .store
        .estimates(page.after, page.rows_to_fetch())
        .await?;
    let none = (estimates.is_empty() && page.after.is_none()).then(|| Note {
        code: "no_estimates",
        detail: "no month has been estimated yet: the schedule billing-history reads the preview of the open month's invoice every day"
            .to_owned(),
    });
    let shown = page.show(estimates, |last| last.period);
    Ok(Json(shown.into().noting(none)))
}

/// A page of products, and what all pages come to.
#[derive(Debug, Serialize, ToSchema)]
struct VarianceList {
    data: Vec<Variance>,
    meta: VarianceMeta,
}

/// Amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct VarianceMeta {
    #[serde(flatten)]
    page: ListMeta,
    period: NaiveDate,
    /// What the products of all pages were estimated at.
    estimated: Usd,
    /// What they were invoiced at.
    invoiced: Usd,
    /// `invoiced` less `estimated`.
    variance: Usd,
}

/// How far the last estimate of a month was from its invoices, by product
#[utoipa::path(
    get,
    path = "/api/v1/billing/estimates/{period}/variance",
    operation_id = "list_estimate_variances",
    tag = "billing",
    security(("bearer" = [])),
    params(
        ("period" = inline(Period), Path, description = "The month"),
        PageQuery,
    ),
    responses((status = OK, body = VarianceList, description = "A page of products, and what all pages come to"), Invalid, Absent)
)]
async fn variance(
    _: Admin,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    Query(query): Query<PageQuery>,
) -> Result<Json<VarianceList>, Problem> {
    let page = query.page(json!({ "variance": period }))?;
    let variances = state.store.variances(period).await?;
    if variances.is_empty() {
        let coverage = Coverage::of(&state.store, period, period).await?;
        let reasons = coverage
            .notes
            .iter()
            .map(|note| format!("; {}", note.detail));
        return Err(Problem::NotFound(format!(
            "the month {period} is not both estimated and invoiced: /api/v1/billing/estimates has those that are as `final`{}",
            reasons.collect::<String>()
        )));
    }
    let estimated: Decimal = variances.iter().map(|row| row.estimated).sum();
    let invoiced: Decimal = variances.iter().map(|row| row.invoiced).sum();
    let List { data, meta } = page.show_of_all(variances, |row| row.product.clone());
    Ok(Json(VarianceList {
        data,
        meta: VarianceMeta {
            page: meta,
            period,
            estimated: Usd(estimated),
            invoiced: Usd(invoiced),
            variance: Usd(invoiced - estimated),
        },
    }))
}
