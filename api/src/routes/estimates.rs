//! Routes of estimates: the amounts of months before their invoices, and the variance to the
//! invoices.

use axum::extract::State;
use axum::response::Response;
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
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, json_of};
use crate::extract::{InPath, Period};
use crate::notes::{Coverage, Note};
use crate::paging::{Page, PageQuery};
use crate::problem::{BadRequest, NotFound, Problem};
use store::{Store, Usd};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(variance))
}

/// Estimate of a month from DigitalOcean's preview of its invoice; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct Estimate {
    /// First day of the month.
    period: NaiveDate,
    /// `open`, or `final` after the month was over and its invoice replaced the estimate.
    state: String,
    /// Total stated in the preview, in USD.
    amount: Usd,
    /// Number of lines.
    line_count: i32,
    /// Total of the lines, in USD.
    line_total: Usd,
    /// `amount` minus `line_total`, in USD.
    off_by: Usd,
    /// The part of `line_total` that invoices of the running month charge already, in USD. Only the
    /// rest counts; the month so far is the `total` of `GET /api/v1/billing/statements`.
    invoiced: Usd,
    /// Sources of the lines: `csv+items`, `csv` or `items`.
    sources: String,
    /// Reason for a missing source; null if both were read.
    source_note: Option<String>,
    /// Time at which the preview was first read.
    first_estimated_at: DateTime<Utc>,
    /// Time at which the preview was last read.
    estimated_at: DateTime<Utc>,
    /// Time at which the invoice replaced the estimate; null if `state` is `open`.
    finalised_at: Option<DateTime<Utc>>,
    /// The days that `amount` covers, up to `estimated_at`. DigitalOcean generates the preview once
    /// a day, so that the charges of the last day before `estimated_at` can be missing.
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
            invoiced: Usd(estimate.invoiced),
            sources: estimate.sources,
            source_note: estimate.source_note,
            first_estimated_at: estimate.first_estimated_at,
            estimated_at: estimate.estimated_at,
            finalised_at: estimate.finalised_at,
            covered: CoveredDays::of_month(estimate.period, estimate.estimated_at),
        }
    }
}

/// Lists the estimates of months, the latest month first
#[utoipa::path(
    get,
    path = "/api/v1/billing/estimates",
    operation_id = "list_estimates",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Estimate>, description = "A page of estimates"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page: Page<NaiveDate> = query.page(json!("estimates"))?;
    let store = state.store.clone();
    let read = move |page| read_estimates(store.clone(), page);
    if page.is_csv() {
        return csv::stream(&state.store, admin, FileName::new("estimates"), page, read).await;
    }
    let is_first = page.after.is_none();
    let shown = read(page).await?;
    let note = (shown.data.is_empty() && is_first).then(|| Note {
        code: "no_estimates",
        detail: "no month estimated yet: wait for the schedule billing-history, which reads the \
                 preview of the open month's invoice every day"
            .to_owned(),
    });
    Ok(json_of(shown.with_notes(note)))
}

async fn read_estimates(store: Store, page: Page<NaiveDate>) -> Result<List<Estimate>, Problem> {
    let estimates = store.estimates(page.after, page.rows_to_fetch()).await?;
    Ok(page.show(estimates, |last| last.period).into())
}

/// A page of products with the totals of all pages.
#[derive(Debug, Serialize, ToSchema)]
struct VarianceList {
    data: Vec<Variance>,
    meta: VarianceMeta,
}

/// Month and totals of the list; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct VarianceMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// First day of the month.
    period: NaiveDate,
    /// Estimated total of the products of all pages, in USD.
    estimated: Usd,
    /// Invoiced total of the products of all pages, in USD.
    invoiced: Usd,
    /// `invoiced` minus `estimated`, in USD.
    variance: Usd,
}

/// Lists the variance between a month's last estimate and its invoices, by product
#[utoipa::path(
    get,
    path = "/api/v1/billing/estimates/{period}/variance",
    operation_id = "list_estimate_variances",
    tag = "billing",
    security(("bearer" = [])),
    params(
        ("period" = inline(Period), Path, description = "Month of the estimate"),
        PageQuery,
    ),
    responses((status = OK, body = VarianceList, description = "A page of products with the totals of all pages"), BadRequest, NotFound)
)]
async fn variance(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!({ "variance": period }))?;
    let variances = state.store.variances(period).await?;
    if variances.is_empty() {
        let coverage = Coverage::of(&state.store, period, period).await?;
        let reasons = coverage
            .notes
            .iter()
            .map(|note| format!("; {}", note.detail));
        return Err(Problem::NotFound(format!(
            "no variance for {period}: the month needs an estimate and an invoice; \
             /api/v1/billing/estimates lists such months as `final`{}",
            reasons.collect::<String>()
        )));
    }
    let estimated: Decimal = variances.iter().map(|row| row.estimated).sum();
    let invoiced: Decimal = variances.iter().map(|row| row.invoiced).sum();
    let List { data, meta } = page.show_of_all(variances, |row| row.product.clone());
    if page.is_csv() {
        let file = FileName::new("estimate-variance").month(period);
        return csv::whole(admin, file, data);
    }
    Ok(json_of(VarianceList {
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
