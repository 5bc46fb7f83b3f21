//! Invoices: what they come to, and what they were before they were corrected.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::invoices::{AfterInvoice, CostLineTotal};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::cost_lines::{self, CostLine, CostLineList};
use crate::ApiState;
use crate::access::Admin;
use crate::envelope::{List, One};
use crate::extract::{Id, InPath, NoParameters, Query, required};
use crate::notes;
use crate::paging::{Page, PageQuery};
use crate::problem::{Absent, Invalid, Problem};
use crate::usd::Usd;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(superseded))
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
    /// `pending`, `ingested` or `failed`: whether its lines are here. A check that fails later leaves `ingested` as it is.
    ingest_status: String,
    ingested_at: Option<DateTime<Utc>>,
    /// When its documents were last asked for, with success or without.
    checked_at: Option<DateTime<Utc>>,
    /// When its documents were last read and agreed with the lines and sums that are stored.
    verified_at: Option<DateTime<Utc>>,
    /// Since when it could not be verified: the first check that failed since `verified_at`. Null while the last check succeeded.
    check_failed_since: Option<DateTime<Utc>>,
    /// Why the last check failed; null while the last check succeeded.
    last_check_error: Option<String>,
    /// Whether DigitalOcean no longer lists it. Its lines count as before, and its month is not final.
    is_withdrawn: bool,
    /// When the first complete list began that lacks it; null while it is listed.
    missing_since: Option<DateTime<Utc>>,
    line_count: Option<i32>,
    line_total: Option<Usd>,
    /// Whether the lines come to the invoice's own total.
    reconciled: Option<bool>,
    /// `amount` less `line_total`.
    off_by: Option<Usd>,
    /// The total of its summary; null where there is none.
    summary_amount: Option<Usd>,
    /// `amount` less `summary_amount`.
    summary_off_by: Option<Usd>,
    /// Whether it was proven: its lines are here, and every sum agreed with every other when its documents were last read in full. A
    /// check that fails later does not unset it; another amount in DigitalOcean's list does.
    is_final: bool,
    /// 0 before its lines are here, then 1; every correction counts up.
    version: i32,
    /// What its lines were read from: `csv+items`, `csv` or `items`. Only the CSV has categories, only the items resources' ids.
    sources: Option<String>,
    /// Why not from both.
    source_note: Option<String>,
    /// How many rows of the CSV have no item; null where there were not both.
    rows_without_item: Option<i32>,
    /// How many items have no row in the CSV; null where there were not both.
    items_without_row: Option<i32>,
    /// Why it is `failed`; null of an invoice that is `ingested`, whose failed checks are in `last_check_error`.
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
            checked_at: invoice.checked_at,
            verified_at: invoice.verified_at,
            check_failed_since: invoice.check_failed_since,
            last_check_error: invoice.last_check_error,
            is_withdrawn: invoice.missing_since.is_some(),
            missing_since: invoice.missing_since,
            line_count: invoice.line_count,
            line_total: invoice.line_total.map(Usd),
            reconciled: invoice.reconciled,
            off_by: invoice.off_by.map(Usd),
            summary_amount: invoice.summary_amount.map(Usd),
            summary_off_by: invoice.summary_off_by.map(Usd),
            is_final: invoice.is_final,
            version: invoice.version,
            sources: invoice.sources,
            source_note: invoice.source_note,
            rows_without_item: invoice.rows_without_item,
            items_without_row: invoice.items_without_row,
            last_error: invoice.last_error,
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
    let note = if invoices.is_empty() {
        notes::on_books(&state.store).await?
    } else {
        None
    };
    let shown: List<Invoice> = page.show(invoices, |last| InvoicePlace {
        period: last.period,
        invoice_uuid: last.invoice_uuid,
    });
    Ok(Json(shown.noting(note)))
}

/// An invoice with its sums and its versions.
#[derive(Debug, Serialize, ToSchema)]
struct InvoiceDetail {
    #[serde(flatten)]
    invoice: Invoice,
    /// Its four sums; none before its lines are here.
    parts: Vec<InvoicePart>,
    /// The latest first.
    versions: Vec<InvoiceVersion>,
}

/// One of the four sums of an invoice; USD.
#[derive(Debug, Serialize, ToSchema)]
struct InvoicePart {
    /// `product_charges`, `overages`, `taxes` or `credits_and_adjustments`.
    part: String,
    /// By the summary; null where it does not state it.
    stated: Option<Usd>,
    /// What the lines of this part come to.
    lines: Usd,
    /// `stated` less `lines`.
    off_by: Option<Usd>,
    /// Whether the two agree; null where nothing is stated.
    reconciled: Option<bool>,
}

impl From<store::invoices::InvoicePart> for InvoicePart {
    fn from(part: store::invoices::InvoicePart) -> Self {
        Self {
            part: part.part,
            stated: part.stated.map(Usd),
            lines: Usd(part.lines),
            reconciled: part.off_by.map(|off_by| off_by.is_zero()),
            off_by: part.off_by.map(Usd),
        }
    }
}

/// What an invoice was from one correction to the next; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct InvoiceVersion {
    version: i32,
    amount: Usd,
    line_count: i32,
    line_total: Usd,
    ingested_at: DateTime<Utc>,
    /// When the next version came; null for the one that counts.
    superseded_at: Option<DateTime<Utc>>,
}

impl From<store::invoices::InvoiceVersion> for InvoiceVersion {
    fn from(version: store::invoices::InvoiceVersion) -> Self {
        Self {
            version: version.version,
            amount: Usd(version.amount),
            line_count: version.line_count,
            line_total: Usd(version.line_total),
            ingested_at: version.ingested_at,
            superseded_at: version.superseded_at,
        }
    }
}

/// One invoice with its sums and versions, by DigitalOcean's uuid of it
#[utoipa::path(
    get,
    path = "/api/v1/billing/invoices/{uuid}",
    operation_id = "show_invoice",
    tag = "billing",
    security(("bearer" = [])),
    params(("uuid" = Uuid, Path, description = "`invoice_uuid`")),
    responses((status = OK, body = One<InvoiceDetail>, description = "The invoice"), Invalid, Absent)
)]
async fn one(
    _: Admin,
    State(state): State<ApiState>,
    Id(uuid): Id,
    _: NoParameters,
) -> Result<Json<One<InvoiceDetail>>, Problem> {
    let invoice = state.store.invoice(uuid).await?;
    let parts = state.store.invoice_parts(invoice.id).await?;
    let versions = state.store.invoice_versions(invoice.id).await?;
    Ok(Json(One::now(InvoiceDetail {
        invoice: invoice.into(),
        parts: parts.into_iter().map(InvoicePart::from).collect(),
        versions: versions.into_iter().map(InvoiceVersion::from).collect(),
    })))
}

#[derive(Debug, Deserialize)]
struct VersionPath {
    uuid: Id,
    #[serde(deserialize_with = "required")]
    version: Version,
}

/// The number of a version of an invoice.
#[derive(Debug)]
struct Version(i32);

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number
            .map(Self)
            .ok_or_else(|| format!("invalid version {text:?}: expected a whole number from 1 on"))
    }
}

/// The lines of a version of an invoice that a correction superseded, in the order of the file; they count nowhere
#[utoipa::path(
    get,
    path = "/api/v1/billing/invoices/{uuid}/versions/{version}/cost-lines",
    operation_id = "list_superseded_cost_lines",
    tag = "billing",
    security(("bearer" = [])),
    params(
        ("uuid" = Uuid, Path, description = "`invoice_uuid`"),
        ("version" = i32, Path, description = "`version`, of one that has a `superseded_at`"),
        PageQuery,
    ),
    responses((status = OK, body = CostLineList, description = "A page of lines, and what all pages come to"), Invalid, Absent)
)]
async fn superseded(
    _: Admin,
    State(state): State<ApiState>,
    InPath(path): InPath<VersionPath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<CostLineList>, Problem> {
    let (Id(uuid), Version(version)) = (path.uuid, path.version);
    let page: Page<i32> = query.page(json!({ "superseded": [uuid, version] }))?;
    let invoice = state.store.invoice(uuid).await?;
    let versions = state.store.invoice_versions(invoice.id).await?;
    let shown = versions
        .iter()
        .find(|shown| shown.version == version)
        .ok_or_else(|| Problem::NotFound(format!("the invoice {uuid} has no version {version}")))?;
    if shown.superseded_at.is_none() {
        return Err(Problem::NotFound(format!(
            "version {version} of the invoice {uuid} is the one that counts: /api/v1/billing/cost-lines?period={} has its lines",
            invoice.period
        )));
    }
    let total = CostLineTotal {
        count: shown.line_count.into(),
        amount: shown.line_total,
    };
    let after = page.after.unwrap_or_default();
    let lines = state
        .store
        .superseded_lines(&invoice, version, after, page.rows_to_fetch())
        .await?;
    let mut list: List<CostLine> = page.show(lines, |last| last.line_no);
    let split = cost_lines::split_lines(&list.data);
    if !split.is_empty() {
        let shares = state
            .store
            .superseded_line_shares(invoice.id, version, &split)
            .await?;
        cost_lines::add_shares(&mut list.data, shares);
    }
    for line in &mut list.data {
        line.supersede();
    }
    Ok(Json(CostLineList::new(
        list,
        invoice.period,
        false,
        true,
        &total,
    )))
}
