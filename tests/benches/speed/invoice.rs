//! Reading and storing an invoice's lines, against COPY of the same lines into the same table.

use std::time::Instant;

use domain::InvoiceUuid;
use domain::invoices::{InvoiceHeader, read_invoice_csv};
use rust_decimal::Decimal;
use simulator::{Invoice, InvoiceLine};
use store::invoices::InvoiceFile;

use crate::child::{Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit, median};
use crate::sweep::sync;

const RUNS: usize = 5;

/// Lines as a large account has them: most of them droplets, half of which still exist under their name.
fn csv(lines: usize, droplets: usize) -> String {
    const REGIONS: [&str; 3] = ["nyc3", "syd1", "fra1"];
    let mut invoice = Invoice::for_month(2026, 4, Vec::new());
    let (start, end) = (invoice.period, invoice.period + chrono::TimeDelta::days(30));
    invoice.lines = (0..lines)
        .map(|number| {
            let node = number % (droplets * 2);
            let region = REGIONS[node % REGIONS.len()];
            let cents = Decimal::new(i64::try_from(number % 90_000).unwrap_or_default() + 1, 2);
            match number % 10 {
                0 => InvoiceLine::new("Volumes", &format!("disk-{number} ({region}) 100GB"), cents),
                1 => InvoiceLine::new("Taxes", "GST (10%)", cents),
                _ => InvoiceLine::new(
                    "Droplets",
                    &format!("node-{node:06}.{region} (s-1vcpu-1gb)"),
                    cents,
                ),
            }
            .during(720, start, end)
            .in_project("storefront")
        })
        .collect();
    invoice.csv_text()
}

pub(crate) async fn measure(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    for droplets in [20_000, 100_000] {
        report.note(&format!("among {droplets} droplets"))?;
        measure_among(report, lines, droplets).await?;
    }
    Ok(())
}

async fn measure_among(report: &mut Report, lines: usize, droplets: usize) -> anyhow::Result<()> {
    let csv = csv(lines, droplets);
    let database = Database::new().await?;
    let store = database.store().await?;
    {
        let contents = Contents::Droplets(droplets);
        let simulator = SimulatorProcess::start(contents).await?;
        sync(&simulator, &store, contents).await?;
    }
    database.execute("vacuum analyze").await?;
    let header = InvoiceHeader {
        invoice_uuid: InvoiceUuid::from(uuid::Uuid::from_u128(1)),
        invoice_id: None,
        period: "2026-04".parse()?,
        amount: Decimal::ONE,
    };
    store
        .discover_invoices(std::slice::from_ref(&header))
        .await?;

    let (mut readings, mut storings, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        database
            .execute("truncate cloud_cost_lines; update cloud_invoices set csv_sha256 = null")
            .await?;
        let started = Instant::now();
        let read = read_invoice_csv(csv.as_bytes())?;
        let reading = started.elapsed().as_secs_f64();
        let file = InvoiceFile {
            csv: csv.as_bytes(),
            lines: &read,
        };
        let outcome = store.ingest_invoice(header.invoice_uuid, file).await?;
        storings.push(started.elapsed().as_secs_f64() - reading);
        readings.push(reading);
        anyhow::ensure!(
            outcome.lines == lines && outcome.matched > lines / 4,
            "stored: {outcome:?}"
        );

        let stored = database
            .copy_out("select * from cloud_cost_lines order by line_no")
            .await?;
        database.execute("truncate cloud_cost_lines").await?;
        copies.push(database.copy_in("cloud_cost_lines", &stored).await?);
    }
    let (reading, storing, copy) = (median(readings), median(storings), median(copies));
    report.known("COPY of the lines", copy, Unit::Seconds)?;
    report.known("reading the CSV", reading, Unit::Seconds)?;
    report.known("matching and storing the lines", storing, Unit::Seconds)?;
    report.limited(
        "reading, matching and storing over COPY",
        (reading + storing) / copy,
        2.0,
        Unit::Times,
    )
}
