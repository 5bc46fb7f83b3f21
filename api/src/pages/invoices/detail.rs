//! `/invoices/{uuid}`: one invoice, its reconciliation, its versions and its documents.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use rust_decimal::Decimal;
use serde::Deserialize;
use store::invoices::{Invoice, InvoicePart, InvoiceVersion, LineDifference, StoredDocument};

use super::tables::{self, CHANGES};
use super::{InvoiceState, PARTS, number};
use crate::ApiState;
use crate::extract::{Id, optional_field};
use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::Parameters;
use crate::pages::session::AdminViewer;
use crate::problem::Problem;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/invoices/{uuid}", get(show))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DetailQuery {
    /// The two versions to compare; by default the last two.
    #[serde(default, deserialize_with = "optional_field")]
    before: Option<i32>,
    #[serde(default, deserialize_with = "optional_field")]
    after: Option<i32>,
}

/// A sum that is compared with the amount of the invoice, or with the summary.
struct Sum {
    name: &'static str,
    /// The amount that DigitalOcean states; `None` if it states none.
    stated: Option<Money>,
    /// The total of the lines; `None` before the lines are read.
    lines: Option<Money>,
    off_by: Option<Money>,
}

impl Sum {
    fn verdict(&self) -> (&'static str, &'static str) {
        match (&self.off_by, &self.lines, &self.stated) {
            (Some(off_by), ..) if off_by.0.is_zero() => ("reconciles", "good-text"),
            (Some(_), ..) => ("off", "bad-text"),
            (None, _, None) => ("not stated", "faint"),
            (None, ..) => ("not read yet", "warn-text"),
        }
    }
}

/// The sums of an invoice: lines and summary against the header, then the four parts.
fn sums(invoice: &Invoice, parts: &[InvoicePart]) -> Vec<Sum> {
    let mut sums = vec![
        Sum {
            name: "Lines against the header",
            stated: Some(Money(invoice.amount)),
            lines: invoice.line_total.map(Money),
            off_by: invoice.off_by.map(Money),
        },
        Sum {
            name: "Lines against the summary",
            stated: invoice.summary_amount.map(Money),
            lines: invoice.line_total.map(Money),
            off_by: invoice
                .summary_amount
                .zip(invoice.line_total)
                .map(|(summary, lines)| Money(summary - lines)),
        },
    ];
    sums.extend(PARTS.iter().map(|(part, name)| {
        let part = parts.iter().find(|found| found.part == *part);
        Sum {
            name,
            stated: part.and_then(|part| part.stated).map(Money),
            lines: part.map(|part| Money(part.lines)),
            off_by: part.and_then(|part| part.off_by).map(Money),
        }
    }));
    sums
}

struct Version {
    number: i32,
    amount: Money,
    line_count: i32,
    line_total: Money,
    ingested_at: Moment,
    superseded_at: Option<Moment>,
    /// The amount minus the amount of the version before.
    change: Option<Money>,
    comparison: Option<String>,
}

fn versions(uuid: &str, stored: &[InvoiceVersion]) -> Vec<Version> {
    let versions = stored.iter().enumerate().map(|(index, version)| {
        let before = stored.get(index + 1);
        Version {
            number: version.version,
            amount: Money(version.amount),
            line_count: version.line_count,
            line_total: Money(version.line_total),
            ingested_at: Moment(version.ingested_at),
            superseded_at: version.superseded_at.map(Moment),
            change: before.map(|before| Money(version.amount - before.amount)),
            comparison: before.map(|before| {
                format!(
                    "/invoices/{uuid}?before={}&after={}#changes",
                    before.version, version.version
                )
            }),
        }
    });
    versions.collect()
}

struct Difference {
    path: Option<String>,
    product: String,
    description: String,
    project: String,
    kind: &'static str,
    before: Option<Money>,
    after: Option<Money>,
    change: Money,
}

impl From<LineDifference> for Difference {
    fn from(line: LineDifference) -> Self {
        let kind = match (line.before, line.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        Self {
            path: line.after.map(|_| format!("/lines/{}", line.id)),
            product: line.product,
            description: line.description,
            project: line.project_name,
            kind,
            before: line.before.map(Money),
            after: line.after.map(Money),
            change: Money(line.after.unwrap_or_default() - line.before.unwrap_or_default()),
        }
    }
}

/// Two versions side by side.
struct Comparison {
    before: Version,
    after: Version,
    line_count_change: i32,
    line_total_change: Money,
    amount_change: Money,
    differences: Vec<Difference>,
    /// Differing lines beyond the limit, and their total change.
    omitted: i64,
    omitted_change: Money,
}

struct File {
    version: i32,
    name: &'static str,
    path: String,
    size: String,
    sha256: String,
}

fn file(uuid: &str, document: StoredDocument) -> File {
    let (name, file) = match document.source.as_str() {
        "csv" => ("CSV", "invoice.csv"),
        _ => ("Items (JSON, one per line)", "items.jsonl"),
    };
    File {
        version: document.version,
        name,
        path: format!("/invoices/{uuid}/versions/{}/{file}", document.version),
        size: size(document.bytes),
        sha256: document.sha256,
    }
}

/// A size with a unit: `512 B`, `12.3 kB`, `4.0 MB`.
fn size(bytes: i64) -> String {
    let amount = Decimal::from(bytes);
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", amount / Decimal::from(1000)),
        _ => format!("{:.1} MB", amount / Decimal::from(1_000_000)),
    }
}

#[derive(Template)]
#[template(path = "invoice.html")]
struct InvoicePage {
    frame: Frame,
    uuid: String,
    month: String,
    month_path: String,
    lines_path: String,
    amount: Money,
    state: InvoiceState,
    sums: Vec<Sum>,
    invoice: Invoice,
    ingested_at: Option<Moment>,
    verified_at: Option<Moment>,
    checked_at: Option<Moment>,
    versions: Vec<Version>,
    comparison: Option<Comparison>,
    files: Vec<File>,
    /// True if this API starts workflows.
    can_ingest: bool,
}

/// The most differing lines of a comparison.
const MAX_DIFFERENCES: i64 = 200;

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(uuid): Id,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    let table = parameters.take_table()?;
    let query: DetailQuery = parameters.read()?;
    let store = &state.store;
    let invoice = store.invoice(uuid).await?;
    let parts = store.invoice_parts(invoice.id).await?;
    let stored = store.invoice_versions(invoice.id).await?;
    let documents = store.invoice_documents(invoice.id).await?;
    let uuid = uuid.to_string();
    if let Some(table) = table.as_deref().filter(|table| *table != CHANGES) {
        return tables::csv_of(viewer, table, &invoice, &parts, stored, documents);
    }
    let pair = match (query.before, query.after, stored.as_slice()) {
        (Some(before), Some(after), _) => Some((before, after)),
        (None, None, [after, before, ..]) => Some((before.version, after.version)),
        (None, None, _) => None,
        _ => {
            let text = "before and after: use both to compare two versions, or none".to_owned();
            return Err(Problem::InvalidParameter(text).into());
        }
    };
    // A table is the differing lines, and complete.
    let limit = table.as_ref().map_or(MAX_DIFFERENCES, |_| i64::MAX);
    let comparison = match pair {
        Some((before, after)) => {
            let lines = store
                .version_differences(invoice.id, before, after, limit)
                .await?;
            if table.is_some() {
                let pair = (before, after);
                return tables::csv_of_changes(viewer, &invoice, pair, lines);
            }
            let pair = (before, after);
            Some(comparison(&uuid, &stored, pair, lines)?)
        }
        None if table.is_some() => {
            let text = "table: the invoice has one version: there are no changes".to_owned();
            return Err(Problem::NotFound(text).into());
        }
        None => None,
    };
    render(&InvoicePage {
        frame: viewer.frame(&format!("Invoice {}", number(&invoice)), "/invoices"),
        month: month_name(invoice.period),
        month_path: format!("/months/{}", month(invoice.period)),
        lines_path: format!("/lines?period={}", month(invoice.period)),
        amount: Money(invoice.amount),
        state: InvoiceState::of(&invoice, &parts),
        sums: sums(&invoice, &parts),
        ingested_at: invoice.ingested_at.map(Moment),
        verified_at: invoice.verified_at.map(Moment),
        checked_at: invoice.checked_at.map(Moment),
        versions: versions(&uuid, &stored),
        comparison,
        files: documents
            .into_iter()
            .map(|document| file(&uuid, document))
            .collect(),
        invoice,
        uuid,
        can_ingest: state.workflows.is_some(),
    })
}

fn comparison(
    uuid: &str,
    stored: &[InvoiceVersion],
    (before, after): (i32, i32),
    lines: Vec<LineDifference>,
) -> Result<Comparison, Problem> {
    let find = |number: i32| {
        let mut versions = versions(uuid, stored).into_iter();
        versions
            .find(|version| version.number == number)
            .ok_or_else(|| {
                Problem::NotFound(format!(
                    "the invoice has no version {number}: /invoices/{uuid} lists its versions"
                ))
            })
    };
    let (before, after) = (find(before)?, find(after)?);
    let line_total_change = Money(after.line_total.0 - before.line_total.0);
    let count = lines.first().map_or(0, |line| line.differences);
    let differences: Vec<Difference> = lines.into_iter().map(Difference::from).collect();
    let shown: Decimal = differences.iter().map(|line| line.change.0).sum();
    let shown_count = i64::try_from(differences.len()).unwrap_or(count);
    Ok(Comparison {
        line_count_change: after.line_count - before.line_count,
        amount_change: Money(after.amount.0 - before.amount.0),
        omitted: count - shown_count,
        omitted_change: Money(line_total_change.0 - shown),
        line_total_change,
        before,
        after,
        differences,
    })
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn a_size_has_a_unit() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (12_345, "12.3 kB"),
            (4_000_000, "4.0 MB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
