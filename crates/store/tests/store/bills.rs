//! Helpers that create invoices and estimates.

use std::time::Duration;

use chrono::NaiveDate;
use domain::InvoiceUuid;
use domain::invoices::{
    ChargePart, InvoiceHeader, InvoiceItem, InvoiceLine, InvoiceSummary, join_items,
    part_by_summary, read_invoice_csv,
};
use rust_decimal::Decimal;
use store::invoices::{
    CostLine, CostLineFilter, Document, DocumentWriter, EstimateOutcome, IngestOutcome,
    InvoiceContent, Recheck, Sources,
};
use uuid::Uuid;

use super::support::Fixture;

pub(crate) const HEADER: &str =
    "product,group_description,description,hours,start,end,USD,project_name,category";
pub(crate) const APRIL: &str = "\
Droplets,,WEB-1 (s-1vcpu-1gb),744,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$6.00,web,iaas
Droplets,,gone (s-1vcpu-1gb),10,2026-04-01 00:00:00 +0000,2026-04-02 00:00:00 +0000,$0.09,web,iaas
Taxes,,\"GST (18%), India\\\t\",,2026-04-01 00:00:00 +0000,2026-04-30 23:59:59 +0000,\"-$1,001.10\",,iaas
";

pub(crate) fn uuid(number: u128) -> InvoiceUuid {
    Uuid::from_u128(number).into()
}

pub(crate) fn header(number: u128, period: &str, cents: i64) -> InvoiceHeader {
    InvoiceHeader {
        invoice_uuid: uuid(number),
        invoice_id: Some(number.to_string()),
        period: period.parse().unwrap(),
        amount: Decimal::new(cents, 2),
    }
}

/// Rechecks no invoice.
pub(crate) fn no_recheck() -> Recheck {
    Recheck {
        since: NaiveDate::MAX,
        after: Duration::ZERO,
    }
}

/// Returns the summary that DigitalOcean states for these lines.
pub(crate) fn summary_of(lines: &[InvoiceLine]) -> InvoiceSummary {
    let total = |part: ChargePart| -> Decimal {
        let lines = lines.iter().filter(|line| line.part == part);
        lines.map(|line| line.amount).sum()
    };
    InvoiceSummary {
        invoice_uuid: None,
        invoice_id: None,
        period: "2026-04".parse().unwrap(),
        amount: lines.iter().map(|line| line.amount).sum(),
        parts: ChargePart::ALL.map(|part| (part, total(part))).into(),
        charged_products: Vec::new(),
    }
}

/// Returns content with a CSV only.
pub(crate) fn csv_only<'a>(csv: &'a Document, lines: &'a [InvoiceLine]) -> InvoiceContent<'a> {
    InvoiceContent {
        lines,
        sources: Sources::Csv,
        source_note: None,
        unread: None,
        joined: None,
        csv: Some(csv),
        items: None,
        summary: None,
    }
}

/// Ingests a CSV with its summary.
pub(crate) async fn ingest(fixture: &Fixture, number: u128, lines: &str) -> IngestOutcome {
    let csv = format!("{HEADER}\n{lines}");
    let file = read_invoice_csv(csv.as_bytes()).unwrap();
    let (document, summary) = (Document::csv(csv.as_bytes()), summary_of(&file.lines));
    let content = InvoiceContent {
        summary: Some(&summary),
        ..csv_only(&document, &file.lines)
    };
    fixture.ingest_invoice(uuid(number), content).await.unwrap()
}

/// Ingests an invoice after a correction of its amount in DigitalOcean's list.
pub(crate) async fn correct(fixture: &Fixture, number: u128, lines: &str) -> IngestOutcome {
    let file = read_invoice_csv(format!("{HEADER}\n{lines}").as_bytes()).unwrap();
    let invoice = fixture.invoice(uuid(number).as_uuid()).await.unwrap();
    let mut corrected = header(number, &invoice.period.format("%Y-%m").to_string(), 0);
    corrected.amount = domain::invoices::line_total(&file.lines).unwrap();
    fixture.discover_invoices(&[corrected]).await.unwrap();
    ingest(fixture, number, lines).await
}

/// Returns an item for each line. An id is a number or has the prefix `uuid:`.
pub(crate) fn items(lines: &str, ids: &[Option<&str>]) -> Vec<InvoiceItem> {
    let file = read_invoice_csv(format!("{HEADER}\n{lines}").as_bytes()).unwrap();
    file.lines
        .into_iter()
        .zip(ids)
        .map(|(line, id)| InvoiceItem {
            product: line.product,
            group_description: line.group_description,
            description: line.description,
            resource_uuid: id.and_then(|id| id.strip_prefix("uuid:")).map(Into::into),
            resource_id: id.filter(|id| !id.starts_with("uuid:")).map(Into::into),
            amount: line.amount,
            duration: line.hours,
            duration_unit: Some("Hours".into()),
            start_time: line.start_at,
            end_time: line.end_at,
            project_name: line.project_name,
            category: line.category,
        })
        .collect()
}

/// Ingests a CSV with items and an optional summary.
pub(crate) async fn ingest_with(
    fixture: &Fixture,
    number: u128,
    lines: &str,
    ids: &[Option<&str>],
    summary: Option<&InvoiceSummary>,
) -> IngestOutcome {
    let csv = format!("{HEADER}\n{lines}");
    let mut file = read_invoice_csv(csv.as_bytes()).unwrap();
    let items = items(lines, ids);
    let joined = join_items(&mut file, &items);
    if let Some(summary) = summary {
        part_by_summary(&mut file.lines, summary);
    }
    let csv = Document::csv(csv.as_bytes());
    let mut items = DocumentWriter::items();
    items.line("{}");
    let items = items.finish();
    let content = InvoiceContent {
        sources: Sources::CsvAndItems,
        joined: Some(joined),
        items: Some(&items),
        summary,
        ..csv_only(&csv, &file.lines)
    };
    fixture.ingest_invoice(uuid(number), content).await.unwrap()
}

pub(crate) async fn estimate(
    fixture: &Fixture,
    period: &str,
    cents: i64,
    lines: &str,
) -> EstimateOutcome {
    let csv = format!("{HEADER}\n{lines}");
    let file = read_invoice_csv(csv.as_bytes()).unwrap();
    let evidence = fixture.evidence().await;
    fixture
        .store_estimate(
            period.parse().unwrap(),
            Decimal::new(cents, 2),
            evidence,
            csv_only(&Document::csv(csv.as_bytes()), &file.lines),
        )
        .await
        .unwrap()
}

pub(crate) async fn lines_of(fixture: &Fixture, period: &str) -> Vec<CostLine> {
    let filter = CostLineFilter {
        period: period.parse().unwrap(),
        ..CostLineFilter::default()
    };
    fixture.cost_lines(&filter, None, 1_000).await.unwrap()
}

pub(crate) async fn april_lines(fixture: &Fixture) -> Vec<CostLine> {
    lines_of(fixture, "2026-04-01").await
}

/// Returns `(tenant, direct, shared)` of a month, in cents.
pub(crate) async fn statements(fixture: &Fixture, period: &str) -> Vec<(Option<String>, i64, i64)> {
    let month = fixture.statements(period.parse().unwrap()).await.unwrap();
    let total: Decimal = month.rows.iter().map(store::costs::Statement::total).sum();
    assert_eq!(total, month.line_total, "the statements of {period}");
    let cents =
        |amount: Decimal| i64::try_from((amount * Decimal::from(100)).trunc().mantissa()).unwrap();
    let rows = month.rows.into_iter();
    rows.map(|row| (row.tenant_id, cents(row.direct), cents(row.shared)))
        .collect()
}

/// Asserts that all totals reconcile.
pub(crate) async fn assert_balanced(fixture: &Fixture) {
    let discrepancies = fixture.cost_discrepancies().await.unwrap();
    assert!(discrepancies.is_empty(), "{discrepancies:?}");
}
