//! `/invoices`: all invoices with their parts and their state.

mod detail;
mod documents;
mod state;
mod tables;

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use store::invoices::{Invoice, InvoicePart};
use uuid::Uuid;

use super::format::{Moment, Money, month, month_name};
use super::page::{Frame, PageProblem, render};
use super::session::AdminViewer;
use crate::ApiState;
use crate::paging::PageQuery;
use crate::problem::Problem;
use crate::routes::invoices::{csv_of_invoices, page_of_invoices};

pub(super) use self::state::InvoiceState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/invoices", get(show))
        .merge(detail::routes())
        .merge(documents::routes())
}

/// The four parts of an invoice, in the order of the pages.
pub(super) const PARTS: [(&str, &str); 4] = [
    ("product_charges", "Product charges"),
    ("overages", "Overages"),
    ("taxes", "Taxes"),
    ("credits_and_adjustments", "Credits and adjustments"),
];

struct Row {
    period: String,
    month: String,
    month_path: String,
    number: String,
    path: String,
    amount: Money,
    /// The total of the lines of each part; `None` before the lines are read.
    parts: Vec<Option<Money>>,
    state: InvoiceState,
    off_by: Option<Money>,
    verified_at: Option<Moment>,
}

impl Row {
    fn new(invoice: &Invoice, parts: &[InvoicePart]) -> Self {
        let amount = |(name, _): &(&str, &str)| {
            let part = parts.iter().find(|part| part.part == *name);
            part.map(|part| Money(part.lines))
        };
        Self {
            period: month(invoice.period),
            month: month_name(invoice.period),
            month_path: format!("/months/{}", month(invoice.period)),
            number: number(invoice),
            path: format!("/invoices/{}", invoice.invoice_uuid),
            amount: Money(invoice.amount),
            parts: PARTS.iter().map(amount).collect(),
            state: InvoiceState::of(invoice, parts),
            off_by: invoice.off_by.filter(|off_by| !off_by.is_zero()).map(Money),
            verified_at: invoice.verified_at.map(Moment),
        }
    }
}

/// The number on the printed invoice, or the start of its UUID if the number is unknown.
pub(super) fn number(invoice: &Invoice) -> String {
    number_of(invoice.invoice_uuid, invoice.invoice_id.as_deref())
}

/// As [`number`], of an invoice with this UUID and number.
pub(super) fn number_of(invoice_uuid: Uuid, invoice_id: Option<&str>) -> String {
    let uuid = invoice_uuid.to_string();
    let short = uuid.split('-').next().unwrap_or_default();
    invoice_id.unwrap_or(short).to_owned()
}

#[derive(Template)]
#[template(path = "invoices.html")]
struct InvoicesPage {
    frame: Frame,
    rows: Vec<Row>,
    part_names: Vec<&'static str>,
    note: Option<String>,
    next: Option<String>,
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    query: Result<PageQuery, Problem>,
) -> Result<Response, PageProblem> {
    let query = query?;
    if query.is_csv() {
        return Ok(csv_of_invoices(&state.store, viewer, &query).await?);
    }
    let (invoices, note) = page_of_invoices(&state.store, &query).await?;
    let ids: Vec<Uuid> = invoices.data.iter().map(|invoice| invoice.id).collect();
    let parts: BTreeMap<Uuid, Vec<InvoicePart>> = state.store.parts_of_invoices(&ids).await?;
    let rows = invoices.data.iter().map(|invoice| {
        let parts = parts.get(&invoice.id).map(Vec::as_slice);
        Row::new(invoice, parts.unwrap_or_default())
    });
    let next = invoices.meta.next_cursor.as_ref();
    render(&InvoicesPage {
        frame: viewer.frame("Invoices", "/invoices"),
        rows: rows.collect(),
        part_names: PARTS.map(|(_, name)| name).to_vec(),
        note: note.map(|note| note.detail),
        next: next.map(|cursor| format!("/invoices?cursor={cursor}")),
    })
}
