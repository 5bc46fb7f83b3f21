//! The tables of the page of an invoice as CSV.

use axum::response::Response;
use serde::Serialize;
use store::Usd;
use store::invoices::{Invoice, InvoicePart, InvoiceVersion, LineDifference, StoredDocument};
use utoipa::ToSchema;
use uuid::Uuid;

use super::number;
use crate::csv::{self, FileName};
use crate::pages::page::PageProblem;
use crate::pages::parameters::unknown_table;
use crate::pages::session::Viewer;

const SUMS: &str = "sums";
const VERSIONS: &str = "versions";
const DOCUMENTS: &str = "documents";
pub(super) const CHANGES: &str = "changes";

fn file(list: &str, invoice: &Invoice) -> FileName {
    let file = FileName::new(list).month(invoice.period);
    file.with(Some(&number(invoice)))
}

/// A sum of the invoice; amounts in USD.
#[derive(Serialize, ToSchema)]
struct Sum {
    #[serde(rename = "sum")]
    name: String,
    stated: Option<Usd>,
    lines: Option<Usd>,
    off_by: Option<Usd>,
}

fn sums(invoice: &Invoice, parts: &[InvoicePart]) -> Vec<Sum> {
    let lines = invoice.line_total;
    let against = |sum: &str, stated: Option<_>| Sum {
        name: sum.to_owned(),
        stated: stated.map(Usd),
        lines: lines.map(Usd),
        off_by: stated.zip(lines).map(|(stated, lines)| Usd(stated - lines)),
    };
    let mut sums = vec![
        against("header", Some(invoice.amount)),
        against("summary", invoice.summary_amount),
    ];
    sums.extend(parts.iter().map(|part| Sum {
        name: part.part.clone(),
        stated: part.stated.map(Usd),
        lines: Some(Usd(part.lines)),
        off_by: part.off_by.map(Usd),
    }));
    sums
}

/// A document of a version.
#[derive(Serialize, ToSchema)]
struct DocumentRow {
    version: i32,
    source: String,
    bytes: i64,
    sha256: String,
}

/// Returns a table other than [`CHANGES`] as CSV.
pub(super) fn csv_of(
    viewer: Viewer,
    table: &str,
    invoice: &Invoice,
    parts: &[InvoicePart],
    versions: Vec<InvoiceVersion>,
    documents: Vec<StoredDocument>,
) -> Result<Response, PageProblem> {
    let response = match table {
        SUMS => csv::whole(viewer, file("invoice-sums", invoice), sums(invoice, parts)),
        VERSIONS => csv::whole(viewer, file("invoice-versions", invoice), versions),
        DOCUMENTS => {
            let rows = documents.into_iter().map(|document| DocumentRow {
                version: document.version,
                source: document.source,
                bytes: document.bytes,
                sha256: document.sha256,
            });
            let file = file("invoice-documents", invoice);
            csv::whole(viewer, file, rows.collect::<Vec<_>>())
        }
        _ => {
            let known = [SUMS, VERSIONS, CHANGES, DOCUMENTS];
            return Err(unknown_table(table, &known));
        }
    };
    Ok(response?)
}

/// A line that differs between two versions; amounts in USD.
#[derive(Serialize, ToSchema)]
struct ChangeRow {
    line_id: Uuid,
    product: String,
    description: String,
    project_name: String,
    before: Option<Usd>,
    after: Option<Usd>,
}

/// Returns the lines that differ between two versions as CSV.
pub(super) fn csv_of_changes(
    viewer: Viewer,
    invoice: &Invoice,
    (before, after): (i32, i32),
    lines: Vec<LineDifference>,
) -> Result<Response, PageProblem> {
    let file = file("invoice-changes", invoice);
    let file = file.with(Some(&format!("{before}-{after}")));
    let rows = lines.into_iter().map(|line| ChangeRow {
        line_id: line.id,
        product: line.product,
        description: line.description,
        project_name: line.project_name,
        before: line.before.map(Usd),
        after: line.after.map(Usd),
    });
    Ok(csv::whole(viewer, file, rows.collect())?)
}
