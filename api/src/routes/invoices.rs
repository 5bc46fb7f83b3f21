//! Routes of invoices, with their sums and the lines of superseded versions.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Store;
use store::invoices::{AfterInvoice, CostLineTotal, Invoice, InvoicePart, InvoiceVersion};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::cost_lines::CostLineList;
use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{List, One, json_of};
use crate::extract::{Id, InPath, NoParameters, required};
use crate::notes::{self, Note};
use crate::paging::{Page, PageQuery};
use crate::problem::{BadRequest, NotFound, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(superseded))
}

#[derive(Serialize, Deserialize)]
struct InvoicePlace {
    period: NaiveDate,
    invoice_uuid: Uuid,
}

/// Lists all invoices, the latest month first
#[utoipa::path(
    get,
    path = "/api/v1/billing/invoices",
    operation_id = "list_invoices",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Invoice>, description = "A page of invoices"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    if query.is_csv() {
        return csv_of_invoices(&state.store, admin, &query).await;
    }
    let (invoices, note) = page_of_invoices(&state.store, &query).await?;
    Ok(json_of(invoices.with_notes(note)))
}

/// The name of the list of invoices in cursors and files.
const INVOICES: &str = "invoices";

/// Returns all invoices as CSV.
pub(crate) async fn csv_of_invoices(
    store: &Store,
    caller: impl Send + 'static,
    query: &PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!(INVOICES))?;
    let (file, connected) = (FileName::new(INVOICES), store.clone());
    let read = move |page| read_invoices(connected.clone(), page);
    csv::stream(store, caller, file, page, read).await
}

/// Returns a page of the invoices, the latest month first, and the reason if there are none.
pub(crate) async fn page_of_invoices(
    store: &Store,
    query: &PageQuery,
) -> Result<(List<Invoice>, Option<Note>), Problem> {
    let shown = read_invoices(store.clone(), query.page(json!(INVOICES))?).await?;
    let note = if shown.data.is_empty() {
        notes::on_books(store).await?
    } else {
        None
    };
    Ok((shown, note))
}

async fn read_invoices(store: Store, page: Page<InvoicePlace>) -> Result<List<Invoice>, Problem> {
    let after = page.after.as_ref().map(|place| AfterInvoice {
        period: place.period,
        invoice_uuid: place.invoice_uuid,
    });
    let invoices = store.invoices(after, page.rows_to_fetch()).await?;
    Ok(page.show(invoices, |last| InvoicePlace {
        period: last.period,
        invoice_uuid: last.invoice_uuid,
    }))
}

/// An invoice with its sums and its versions.
#[derive(Debug, Serialize, ToSchema)]
struct InvoiceDetail {
    #[serde(flatten)]
    invoice: Invoice,
    /// The four sums of the invoice; empty before its lines are ingested.
    parts: Vec<InvoicePart>,
    /// Versions of the invoice, the latest first.
    versions: Vec<InvoiceVersion>,
}

/// Returns one invoice with its sums and versions, by DigitalOcean's UUID
#[utoipa::path(
    get,
    path = "/api/v1/billing/invoices/{uuid}",
    operation_id = "show_invoice",
    tag = "billing",
    security(("bearer" = [])),
    params(("uuid" = Uuid, Path, description = "`invoice_uuid` of the invoice")),
    responses((status = OK, body = One<InvoiceDetail>, description = "The invoice"), BadRequest, NotFound)
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
        invoice,
        parts,
        versions,
    })))
}

#[derive(Debug, Deserialize)]
struct VersionPath {
    uuid: Id,
    #[serde(deserialize_with = "required")]
    version: Version,
}

/// Number of a version of an invoice, from 1 on.
#[derive(Debug)]
struct Version(i32);

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number
            .map(Self)
            .ok_or_else(|| format!("invalid version {text:?}: expected an integer from 1 on"))
    }
}

/// Lists the cost lines of a superseded invoice version, in file order
///
/// Superseded lines are in no total of the month.
#[utoipa::path(
    get,
    path = "/api/v1/billing/invoices/{uuid}/versions/{version}/cost-lines",
    operation_id = "list_superseded_cost_lines",
    tag = "billing",
    security(("bearer" = [])),
    params(
        ("uuid" = Uuid, Path, description = "`invoice_uuid` of the invoice"),
        ("version" = i32, Path, minimum = 1, description = "`version` of a version with `superseded_at`"),
        PageQuery,
    ),
    responses((status = OK, body = CostLineList, description = "A page of lines with the totals of all pages"), BadRequest, NotFound)
)]
async fn superseded(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(path): InPath<VersionPath>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let (Id(uuid), Version(version)) = (path.uuid, path.version);
    let page: Page<i32> = query.page(json!({ "superseded": [uuid, version] }))?;
    let invoice = state.store.invoice(uuid).await?;
    let versions = state.store.invoice_versions(invoice.id).await?;
    let shown = versions
        .iter()
        .find(|shown| shown.version == version)
        .ok_or_else(|| Problem::NotFound(format!("invoice {uuid} has no version {version}: GET /api/v1/billing/invoices/{uuid} lists its versions")))?;
    if shown.superseded_at.is_none() {
        return Err(Problem::NotFound(format!(
            "version {version} of invoice {uuid} is not superseded: \
             /api/v1/billing/cost-lines?period={} lists its lines",
            invoice.period
        )));
    }
    let total = CostLineTotal {
        count: shown.line_count.into(),
        amount: shown.line_total,
        attributed: shown.line_total,
    };
    let period = invoice.period;
    let store = state.store.clone();
    let read = move |page: Page<i32>| {
        let (store, invoice) = (store.clone(), invoice.clone());
        async move {
            let (after, rows) = (page.after.unwrap_or_default(), page.rows_to_fetch());
            let lines = store.superseded_lines(&invoice, version, after, rows);
            Ok(page.show(lines.await?, |last| last.line_no))
        }
    };
    if page.is_csv() {
        let file = FileName::new("cost-lines").month(period);
        let file = file.with(Some(&format!("{uuid}-version-{version}")));
        return csv::stream(&state.store, admin, file, page, read).await;
    }
    Ok(json_of(CostLineList::new(
        read(page).await?,
        period,
        false,
        true,
        &total,
    )))
}
