//! Measures reading, joining and storing an invoice's lines, relative to COPY of the same lines
//! into the same table, and a worker's memory for it.

use std::collections::HashMap;
use std::time::Instant;

use domain::InvoiceUuid;
use domain::invoices::{InvoiceHeader, InvoiceItem, join_items, read_invoice_csv};
use rust_decimal::Decimal;
use simulator::{Account, Invoice, InvoiceLine};
use store::invoices::{Document, InvoiceContent, Sources};
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use workflows::invoices::IngestInvoice;
use workflows::{Input, task_queue};

use crate::backfill::largest_event;
use crate::child::{self, Contents, SimulatorProcess};
use crate::database::Database;
use crate::report::{Report, Unit, median};
use crate::sweep::sync;

const RUNS: usize = 5;

/// Returns an invoice with the lines of a large account: mostly droplets, half of which still
/// exist.
pub(crate) fn invoice(lines: usize, droplets: usize) -> Invoice {
    const REGIONS: [&str; 3] = ["nyc3", "syd1", "fra1"];
    // The sizes of the simulated droplets.
    const SIZES: [&str; 4] = ["s-1vcpu-1gb", "s-2vcpu-4gb", "s-4vcpu-8gb", "g-2vcpu-8gb"];
    let mut invoice = Invoice::for_month(2026, 6, Vec::new());
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
                    &format!("node-{node:06}.{region} ({})", SIZES[node % SIZES.len()]),
                    cents,
                ),
            }
            .during(720, start, end)
            .in_project("storefront")
        })
        .collect();
    invoice.amount = invoice.lines.iter().map(|line| line.amount).sum();
    invoice
}

/// Returns an account with one invoice. Its items name droplets that do not exist any more.
pub(crate) fn account(lines: usize) -> Account {
    let mut account = Account::empty();
    let mut invoice = invoice(lines, lines);
    for (number, line) in (500_000_000_u64..).zip(&mut invoice.lines) {
        if line.product == "Droplets" {
            line.resource_id = Some(number.to_string());
        }
    }
    account.add_invoice(invoice);
    account
}

/// Returns the items of an invoice. Those of existing droplets have their ids.
fn items(invoice: &Invoice, droplets: &HashMap<String, String>) -> Vec<InvoiceItem> {
    let name = |line: &InvoiceLine| {
        line.description
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let lines = invoice.lines.iter();
    lines
        .map(|line| InvoiceItem {
            product: line.product.as_str().into(),
            group_description: "".into(),
            description: line.description.as_str().into(),
            resource_uuid: None,
            resource_id: droplets.get(&name(line)).map(|id| id.as_str().into()),
            amount: line.amount,
            duration: line.hours.map(Decimal::from),
            duration_unit: Some("Hours".into()),
            start_time: line.start,
            end_time: line.end,
            project_name: line.project_name.as_str().into(),
            category: Some(line.category.as_str().into()),
        })
        .collect()
}

pub(crate) async fn measure(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    for droplets in [20_000, 100_000] {
        for has_items in [true, false] {
            let sources = if has_items {
                "with items"
            } else {
                "by names only"
            };
            report.note(&format!("among {droplets} droplets, {sources}"))?;
            measure_among(report, lines, droplets, has_items).await?;
        }
    }
    Ok(())
}

async fn measure_among(
    report: &mut Report,
    lines: usize,
    droplets: usize,
    has_items: bool,
) -> anyhow::Result<()> {
    let invoice = invoice(lines, droplets);
    let csv = invoice.csv_text();
    let database = Database::new().await?;
    let store = database.store().await?;
    {
        let contents = Contents::Droplets(droplets);
        let simulator = SimulatorProcess::start(contents).await?;
        sync(&simulator, &store, contents).await?;
    }
    database.execute("vacuum analyze").await?;
    let named = database
        .pairs("select name, provider_id from cloud_resources where kind = 'droplet'")
        .await?;
    let items = if has_items {
        items(&invoice, &named)
    } else {
        Vec::new()
    };
    let header = InvoiceHeader {
        invoice_uuid: InvoiceUuid::from(uuid::Uuid::from_u128(1)),
        invoice_id: None,
        period: "2026-06".parse()?,
        amount: invoice.amount,
    };
    let listed = store.begin_fetch().await?;
    store
        .store_invoice_list(std::slice::from_ref(&header), listed, false)
        .await?;

    let (mut readings, mut storings, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        database.execute(EMPTY).await?;
        let started = Instant::now();
        let evidence = store.begin_fetch().await?;
        let mut read = read_invoice_csv(csv.as_bytes())?;
        let joined = has_items.then(|| join_items(&mut read, &items));
        let reading = started.elapsed().as_secs_f64();
        let document = Document::csv(csv.as_bytes());
        let content = InvoiceContent {
            lines: &read.lines,
            sources: if has_items {
                Sources::CsvAndItems
            } else {
                Sources::Csv
            },
            source_note: None,
            unread: None,
            joined,
            csv: Some(&document),
            items: None,
            summary: None,
        };
        let outcome = store
            .ingest_invoice(header.invoice_uuid, evidence, content)
            .await?;
        storings.push(started.elapsed().as_secs_f64() - reading);
        readings.push(reading);
        let matched = outcome
            .rules
            .get("id")
            .or(outcome.rules.get("name"))
            .copied();
        anyhow::ensure!(
            outcome.lines == lines && matched > Some(lines / 4),
            "stored: {outcome:?}"
        );

        let stored = database
            .copy_out(&format!(
                "select {COLUMNS} from cloud_cost_lines order by line_no"
            ))
            .await?;
        database.execute(EMPTY).await?;
        copies.push(
            database
                .copy_in(&format!("cloud_cost_lines ({COLUMNS})"), &stored)
                .await?,
        );
    }
    let (reading, storing, copy) = (median(readings), median(storings), median(copies));
    report.known("COPY of the lines", copy, Unit::Seconds)?;
    report.known(
        "reading the CSV and joining the items",
        reading,
        Unit::Seconds,
    )?;
    report.known("matching and storing the lines", storing, Unit::Seconds)?;
    report.limited(
        "reading, joining, matching and storing, relative to COPY",
        (reading + storing) / copy,
        3.0,
        Unit::Times,
    )
}

const COLUMNS: &str = "id, invoice_id, estimate_id, bill_period, line_no, product, kind, group_description, description, hours, start_at,
    end_at, amount, project_name, category, resource_name, is_named_by_group, described_region, described_size, part, is_for_account, item_resource_id,
    item_resource_uuid, identified_kind, resource_id, match_rule, match_note, match_candidates, is_shared, tenant_id, is_split,
    attributed_by";

/// Resets all ingests. Disables the triggers that prevent truncation.
const EMPTY: &str = "alter table cloud_cost_lines disable trigger user;
    alter table cloud_cost_line_shares disable trigger user;
    truncate cloud_cost_lines, cloud_cost_line_shares, cloud_cost_totals;
    alter table cloud_cost_lines enable trigger user;
    alter table cloud_cost_line_shares enable trigger user;
    update cloud_invoices set version = 0, csv_sha256 = null, lines_sha256 = null;
    delete from cloud_invoice_versions";

/// Measures a worker's memory while it ingests such an invoice, fetched with its items.
pub(crate) async fn measure_memory(report: &mut Report, lines: usize) -> anyhow::Result<()> {
    let temporal = devstack::testing::temporal().await;
    let client = worker::temporal::connect_to(temporal.address()).await?;
    let simulator = SimulatorProcess::start(Contents::OneInvoice(lines)).await?;
    let database = Database::new().await?;
    let worker = child::worker(&database.url(), temporal.address(), &simulator.url).await?;
    let uuid = InvoiceUuid::from(invoice(0, 1).uuid);
    let id = format!("ingest-invoice-{}", uuid::Uuid::new_v4());
    let started = Instant::now();
    let ingested = client
        .start_workflow(
            IngestInvoice::run,
            Input::Valid(uuid),
            WorkflowStartOptions::new(task_queue::CLOUD_BILLING, id.as_str()).build(),
        )
        .await?
        .get_result(WorkflowGetResultOptions::default())
        .await?;
    anyhow::ensure!(
        ingested.lines == lines
            && ingested.verification == "verified"
            && ingested.sources == "csv+items",
        "{ingested:?}"
    );
    report.known(
        "from start to result, including requests",
        started.elapsed().as_secs_f64(),
        Unit::Seconds,
    )?;
    match worker.peak_memory() {
        Some(peak) => report.limited("peak memory of the worker", peak, 150.0, Unit::Megabytes)?,
        None => report.note("this system does not report the worker's memory")?,
    }
    let largest = largest_event::<IngestInvoice>(&client, &id).await?;
    report.limited(
        "largest event of the history, including payloads",
        largest as f64,
        100_000.0,
        Unit::Bytes,
    )?;
    worker.stop().await
}
