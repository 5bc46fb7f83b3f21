//! Invoices and their lines.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use store::invoices::{AfterInvoice, AfterLine, CostLineFilter};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::envelope::{List, ListMeta, One};
use crate::extract::{Id, Query, Text, optional};
use crate::paging::{Cursor, Limit, Page, PageQuery};
use crate::problem::{Absent, Invalid, Problem};
use crate::usd::Usd;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(cost_lines))
}

/// An invoice; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "they are the columns' names")]
struct Invoice {
    id: Uuid,
    provider: String,
    /// DigitalOcean's id of it.
    invoice_uuid: Uuid,
    /// The number printed on it.
    invoice_id: Option<String>,
    /// The first of the month it is for.
    period: NaiveDate,
    /// Its own total.
    amount: Usd,
    /// `pending`, `ingested` or `failed`: whether its lines are here.
    ingest_status: String,
    ingested_at: Option<DateTime<Utc>>,
    line_count: Option<i32>,
    line_total: Option<Usd>,
    /// Whether the lines come to the invoice's own total.
    reconciled: Option<bool>,
    /// `amount` less `line_total`.
    off_by: Option<Usd>,
    /// Why the lines could not be read the last time.
    last_error: Option<String>,
}

impl From<store::invoices::Invoice> for Invoice {
    fn from(invoice: store::invoices::Invoice) -> Self {
        Self {
            id: invoice.id,
            provider: invoice.provider,
            invoice_uuid: invoice.invoice_uuid,
            invoice_id: invoice.invoice_id,
            period: invoice.period,
            amount: Usd(invoice.amount),
            ingest_status: invoice.ingest_status,
            ingested_at: invoice.ingested_at,
            line_count: invoice.line_count,
            line_total: invoice.line_total.map(Usd),
            reconciled: invoice.reconciled,
            off_by: invoice.off_by.map(Usd),
            last_error: invoice.last_error,
        }
    }
}

/// A line of an invoice; the amount in USD.
#[derive(Debug, Serialize, ToSchema)]
struct CostLine {
    id: Uuid,
    /// `id` of the invoice.
    invoice_id: Uuid,
    /// `invoice_uuid` of the invoice.
    invoice_uuid: Uuid,
    /// The first of the invoice's month.
    period: NaiveDate,
    /// 1 for the first line of the file.
    line_no: i32,
    product: String,
    /// The kind of resource it paid for; null where it paid for none or the product is not known.
    kind: Option<String>,
    group_description: String,
    description: String,
    hours: Option<Decimal>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    /// Negative for credits.
    amount: Usd,
    /// The project's name when it was billed.
    project_name: String,
    category: Option<String>,
    /// Taken out of the description.
    resource_name: Option<String>,
    /// The resource in the inventory, where one was found.
    resource_id: Option<Uuid>,
    /// How: `name`, `ambiguous`, `unmatched`, or `account` for what no resource stands behind.
    match_rule: String,
    /// Whose the resource is.
    tenant_id: Option<String>,
}

impl From<store::invoices::CostLine> for CostLine {
    fn from(line: store::invoices::CostLine) -> Self {
        Self {
            id: line.id,
            invoice_id: line.invoice_id,
            invoice_uuid: line.invoice_uuid,
            period: line.period,
            line_no: line.line_no,
            product: line.product,
            kind: line.kind,
            group_description: line.group_description,
            description: line.description,
            hours: line.hours,
            start_at: line.start_at,
            end_at: line.end_at,
            amount: Usd(line.amount),
            project_name: line.project_name,
            category: line.category,
            resource_name: line.resource_name,
            resource_id: line.resource_id,
            match_rule: line.match_rule,
            tenant_id: line.tenant_id,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct InvoicePlace {
    period: NaiveDate,
    invoice_uuid: Uuid,
}

/// All invoices, the newest first
#[utoipa::path(
    get,
    path = "/api/v1/billing/invoices",
    operation_id = "list_invoices",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Invoice>, description = "A page of invoices"), Invalid)
)]
async fn list(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Invoice>>, Problem> {
    let page: Page<InvoicePlace> = query.page(json!("invoices"))?;
    let after = page.after.as_ref().map(|place| AfterInvoice {
        period: place.period,
        invoice_uuid: place.invoice_uuid,
    });
    let invoices = state.store.invoices(after, page.rows_to_fetch()).await?;
    Ok(Json(page.show(invoices, |last| InvoicePlace {
        period: last.period,
        invoice_uuid: last.invoice_uuid,
    })))
}

/// One invoice, by DigitalOcean's uuid of it
#[utoipa::path(
    get,
    path = "/api/v1/billing/invoices/{uuid}",
    operation_id = "show_invoice",
    tag = "billing",
    security(("bearer" = [])),
    params(("uuid" = Uuid, Path, description = "`invoice_uuid`")),
    responses((status = OK, body = One<Invoice>, description = "The invoice"), Invalid, Absent)
)]
async fn one(
    _: Admin,
    State(state): State<ApiState>,
    Id(uuid): Id,
) -> Result<Json<One<Invoice>>, Problem> {
    let invoice = state.store.invoice(uuid).await?;
    Ok(Json(One::now(invoice.into())))
}

/// The first day of a month.
#[derive(Debug, Clone, Copy)]
struct Period(NaiveDate);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<NaiveDate>()
            .ok()
            // chrono takes 2026-4-1 too.
            .filter(|day| day.day() == 1 && text.len() == "YYYY-MM-DD".len())
            .map(Self)
            .ok_or_else(|| {
                format!("{text:?} is no period: expected the first of a month, like 2026-04-01")
            })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CostLinesQuery {
    /// The first of the month.
    #[param(value_type = NaiveDate, example = "2026-04-01")]
    period: Period,
    /// Only lines that paid for this kind of resource, like `droplet`.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    kind: Option<Text>,
    /// The most rows of a page.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 500, default = 100)]
    limit: Limit,
    /// `meta.next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = String)]
    cursor: Cursor,
}

#[derive(Serialize, Deserialize)]
struct LinePlace {
    invoice_uuid: Uuid,
    line_no: i32,
}

/// A page of lines, and what all pages come to.
#[derive(Debug, Serialize, ToSchema)]
struct CostLineList {
    data: Vec<CostLine>,
    meta: CostLineMeta,
}

#[derive(Debug, Serialize, ToSchema)]
struct CostLineMeta {
    #[serde(flatten)]
    page: ListMeta,
    period: NaiveDate,
    /// How many lines there are on all pages.
    total_count: i64,
    /// What the lines of all pages come to; USD.
    total_amount: Usd,
}

/// The lines of one month's invoices, in the order of the files
#[utoipa::path(
    get,
    path = "/api/v1/billing/cost-lines",
    operation_id = "list_cost_lines",
    tag = "billing",
    security(("bearer" = [])),
    params(CostLinesQuery),
    responses((status = OK, body = CostLineList, description = "A page of lines, and what all pages come to"), Invalid)
)]
async fn cost_lines(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<CostLinesQuery>,
) -> Result<Json<CostLineList>, Problem> {
    let filter = CostLineFilter {
        period: query.period.0,
        kind: query.kind.map(String::from),
    };
    let list = json!({ "cost-lines": { "period": filter.period, "kind": filter.kind } });
    let page: Page<LinePlace> = Page::of(list, query.limit, &query.cursor)?;
    let after = page.after.as_ref().map(|place| AfterLine {
        invoice_uuid: place.invoice_uuid,
        line_no: place.line_no,
    });
    let lines = state
        .store
        .cost_lines(&filter, after, page.rows_to_fetch())
        .await?;
    let total = state.store.cost_line_total(&filter).await?;
    let List { data, meta } = page.show(lines, |last| LinePlace {
        invoice_uuid: last.invoice_uuid,
        line_no: last.line_no,
    });
    Ok(Json(CostLineList {
        data,
        meta: CostLineMeta {
            page: meta,
            period: filter.period,
            total_count: total.count,
            total_amount: Usd(total.amount),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_the_first_of_a_month() {
        for (text, is_period) in [
            ("2026-04-01", true),
            ("2026-04-02", false),
            ("2026-4-1", false),
            ("2026-04", false),
            ("2026-13-01", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Period>().is_ok(), is_period, "{text}");
        }
    }
}
