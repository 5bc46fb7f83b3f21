//! Measures the CSV of a month of many cost lines, relative to COPY of the same columns, and the
//! memory that it takes.

use std::time::Instant;

use anyhow::Context as _;
use futures::StreamExt as _;
use secrecy::ExposeSecret as _;
use sqlx::postgres::PgPoolCopyExt as _;
use store::{NewToken, Role};

use crate::bill::bill;
use crate::child::{self, http_client};
use crate::database::Database;
use crate::report::{Report, Unit, median};

const ROUNDS: usize = 3;

/// The lines in the order of the CSV, with its columns except the shares, of which there are none.
const COPY: &str = "copy (
    select line.id, line.invoice_id, invoice.invoice_uuid, line.estimate_id is not null, false, line.bill_period, line.line_no,
        line.product, line.kind, line.group_description, line.description, line.hours, line.start_at, line.end_at, line.amount,
        line.project_name, line.category, line.part, line.resource_name, line.described_region, line.described_size,
        line.item_resource_id, line.item_resource_uuid, line.resource_id, line.match_rule, line.match_note,
        line.match_candidates, line.is_shared, line.tenant_id, line.attributed_by
    from cloud_cost_lines line left join cloud_invoices invoice on invoice.id = line.invoice_id
    where line.bill_period = '2026-06-01'
    order by invoice.invoice_uuid, line.line_no
) to stdout (format csv, header)";

pub(crate) async fn measure(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    let database = Database::new().await?;
    database.execute(&bill(1, lines)).await?;
    database.execute("vacuum analyze").await?;
    let token = api::generate_token();
    let token = token.expose_secret();
    let new = NewToken {
        name: "speed",
        role: &Role::PlatformAdmin,
        costs: false,
        token,
    };
    database.store().await?.create_token(new).await?;
    let (url, process) = child::api(&database.url()).await?;
    let url = format!("{url}/api/v1/billing/cost-lines?period=2026-06");
    let client = http_client()?;
    // The first request reads the catalogue and fills caches.
    let page = client.get(&url).bearer_auth(token).send().await?;
    page.error_for_status()?;
    let before = process.peak_memory();

    let (mut copies, mut downloads, mut first_bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut chunks = database.pool.copy_out_raw(COPY).await?;
        let mut copy_lines = 0;
        while let Some(chunk) = chunks.next().await {
            copy_lines += count_lines(&chunk?);
        }
        copies.push(started.elapsed().as_secs_f64());

        let started = Instant::now();
        let request = client.get(&url).bearer_auth(token);
        let response = request.header("accept", "text/csv").send().await?;
        let mut chunks = response.error_for_status()?.bytes_stream();
        first_bytes.push(started.elapsed().as_secs_f64() * 1_000.0);
        let mut downloaded = 0;
        while let Some(chunk) = chunks.next().await {
            downloaded += count_lines(&chunk?);
        }
        downloads.push(started.elapsed().as_secs_f64());
        let expected = lines + 1;
        anyhow::ensure!(
            (copy_lines, downloaded) == (expected, expected),
            "COPY has {copy_lines} lines, the CSV {downloaded}"
        );
    }
    let (copy, download) = (median(copies), median(downloads));
    report.known("COPY of the lines", copy, Unit::Seconds)?;
    report.known("CSV of the lines", download, Unit::Seconds)?;
    report.limited("CSV relative to COPY", download / copy, 2.0, Unit::Times)?;
    report.known(
        "first byte of the CSV",
        median(first_bytes),
        Unit::Milliseconds,
    )?;
    match before.zip(process.peak_memory()) {
        Some((before, after)) => report.limited(
            "peak memory of the API, minus that before the first CSV",
            after - before,
            30.0,
            Unit::Megabytes,
        )?,
        None => report.note("this system does not report the memory of a process")?,
    }
    process.stop().await.context("the API")
}

fn count_lines(chunk: &[u8]) -> usize {
    chunk.split(|byte| *byte == b'\n').count() - 1
}
