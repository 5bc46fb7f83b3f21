//! Measures the FOCUS export of a month of many cost lines, as CSV and Parquet, relative to COPY of
//! the columns that it reads, and the memory that it takes.

use crate::csv::{Month, report_memory};
use crate::report::{Report, Unit, median};

const ROUNDS: usize = 3;

/// The lines in the order of the export, with their invoices and resources.
const COPY: &str = "copy (
    select invoice.invoice_uuid, invoice.invoice_id, invoice.version, line.line_no, line.product, line.group_description,
        line.description, line.hours, line.start_at, line.end_at, line.amount, line.project_name, line.category, line.part,
        line.resource_name, line.described_region, line.described_size, line.identified_kind, line.item_resource_id,
        line.item_resource_uuid, line.match_rule, line.attributed_by, line.is_shared, line.tenant_id, resource.kind,
        resource.provider_id, resource.name, resource.region, resource.tags
    from cloud_cost_lines line join cloud_invoices invoice on invoice.id = line.invoice_id
    left join cloud_resource_rows resource on resource.id = line.resource_id
    where line.bill_period = '2026-06-01'
    order by invoice.invoice_uuid, line.line_no
) to stdout (format csv, header)";

pub(crate) async fn measure(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    let month = Month::of(lines).await?;
    let path = |format: &str, dataset: &str| {
        let period = Month::PERIOD;
        format!("/api/v1/billing/focus?period={period}&format={format}&dataset={dataset}")
    };
    // The first request reads the catalogue and fills caches.
    let warm = path("csv", "billing-period");
    month.download(&warm, "*/*").await?;
    let before = month.process.peak_memory();

    let (mut copies, mut csvs, mut parquets) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        copies.push(month.copy(COPY).await?);
        let csv = month
            .download(&path("csv", "cost-and-usage"), "*/*")
            .await?;
        let found = csv.line_feeds;
        anyhow::ensure!(found == lines + 1, "the CSV has {found} lines");
        csvs.push(csv.seconds);
        let parquet = month
            .download(&path("parquet", "cost-and-usage"), "*/*")
            .await?;
        anyhow::ensure!(
            parquet.bytes > lines,
            "the Parquet has {} bytes",
            parquet.bytes
        );
        parquets.push(parquet.seconds);
    }
    let (copy, csv, parquet) = (median(copies), median(csvs), median(parquets));
    report.known("COPY of the columns of the export", copy, Unit::Seconds)?;
    report.known("FOCUS as CSV", csv, Unit::Seconds)?;
    report.limited("CSV relative to COPY", csv / copy, 2.0, Unit::Times)?;
    report.known("FOCUS as Parquet", parquet, Unit::Seconds)?;
    report.limited("Parquet relative to COPY", parquet / copy, 3.0, Unit::Times)?;
    report_memory(report, "the first export", before, month, 60.0).await
}
