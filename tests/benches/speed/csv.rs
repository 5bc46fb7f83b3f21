//! Measures the CSV of a month of many cost lines, relative to COPY of the same columns, and the
//! memory that it takes.

use std::time::Instant;

use anyhow::Context as _;
use futures::StreamExt as _;
use reqwest::Client;
use secrecy::ExposeSecret as _;
use sqlx::postgres::PgPoolCopyExt as _;
use store::{Actor, NewToken, Role};

use crate::bill::bill;
use crate::child::{self, Process, http_client};
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

/// A month of many lines, and the API that serves it.
pub(crate) struct Month {
    database: Database,
    pub(crate) process: Process,
    client: Client,
    url: String,
    token: String,
    lines: usize,
}

/// A download, measured by its reader.
pub(crate) struct Download {
    pub(crate) seconds: f64,
    pub(crate) milliseconds_to_first_byte: f64,
    pub(crate) line_feeds: usize,
    pub(crate) bytes: usize,
}

impl Month {
    /// The month of the bill.
    pub(crate) const PERIOD: &str = "2026-06";

    pub(crate) async fn of(lines: usize) -> anyhow::Result<Self> {
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
            lifetime: None,
        };
        let store = database.store().await?;
        store.create_token(new, &Actor::of_command("bench")).await?;
        let (url, process) = child::api(&database.url()).await?;
        Ok(Self {
            database,
            process,
            client: http_client()?,
            url,
            token: token.to_owned(),
            lines,
        })
    }

    /// Returns the seconds of a COPY of all lines.
    pub(crate) async fn copy(&self, copy: &str) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut chunks = self.database.pool.copy_out_raw(copy).await?;
        let mut lines = 0;
        while let Some(chunk) = chunks.next().await {
            lines += count_lines(&chunk?);
        }
        anyhow::ensure!(lines == self.lines + 1, "COPY has {lines} lines");
        Ok(started.elapsed().as_secs_f64())
    }

    pub(crate) async fn download(&self, path: &str, accept: &str) -> anyhow::Result<Download> {
        let started = Instant::now();
        let request = self.client.get(format!("{}{path}", self.url));
        let request = request.bearer_auth(&self.token).header("accept", accept);
        let response = request.send().await?.error_for_status()?;
        let mut chunks = response.bytes_stream();
        let milliseconds_to_first_byte = started.elapsed().as_secs_f64() * 1_000.0;
        let (mut line_feeds, mut bytes) = (0, 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            line_feeds += count_lines(&chunk);
            bytes += chunk.len();
        }
        Ok(Download {
            seconds: started.elapsed().as_secs_f64(),
            milliseconds_to_first_byte,
            line_feeds,
            bytes,
        })
    }
}

pub(crate) async fn measure(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    let month = Month::of(lines).await?;
    let path = format!("/api/v1/billing/cost-lines?period={}", Month::PERIOD);
    // The first request reads the catalogue and fills caches.
    month.download(&path, "application/json").await?;
    let before = month.process.peak_memory();

    let (mut copies, mut downloads, mut first_bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        copies.push(month.copy(COPY).await?);
        let download = month.download(&path, "text/csv").await?;
        let found = download.line_feeds;
        anyhow::ensure!(found == lines + 1, "the CSV has {found} lines");
        downloads.push(download.seconds);
        first_bytes.push(download.milliseconds_to_first_byte);
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
    report_memory(report, "the first CSV", before, month, 30.0).await
}

/// Reports the memory of the API since `before`, and stops it.
pub(crate) async fn report_memory(
    report: &mut Report,
    first: &str,
    before: Option<f64>,
    month: Month,
    limit: f64,
) -> anyhow::Result<()> {
    match before.zip(month.process.peak_memory()) {
        Some((before, after)) => report.limited(
            &format!("peak memory of the API, minus that before {first}"),
            after - before,
            limit,
            Unit::Megabytes,
        )?,
        None => report.note("this system does not report the memory of a process")?,
    }
    month.process.stop().await.context("the API")
}

fn count_lines(chunk: &[u8]) -> usize {
    chunk.split(|byte| *byte == b'\n').count() - 1
}
