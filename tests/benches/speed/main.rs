//! Measures speed and memory on real servers, and compares them with the limits in
//! `docs/performance.md`.
//!
//! `cargo bench -p tests --bench speed -- [FILTER ...]` runs the measurements with a name that
//! contains a filter, or all. A figure over its limit is marked but fails nothing, since it is
//! affected by other work on the machine.

#![expect(
    clippy::cast_precision_loss,
    reason = "figures are rounded for people to read"
)]

mod account;
mod actions;
mod backfill;
mod bill;
mod child;
mod csv;
mod database;
mod durable;
mod first_start;
mod focus;
mod idle;
mod invoice;
mod memory;
mod new_rows;
mod pages;
mod report;
mod sweep;

use child::Contents;
use report::Report;

const MEASUREMENTS: &[&str] = &[
    "sweep-20000-droplets",
    "sweep-10000",
    "sweep-100000",
    "durable-20000-droplets",
    "durable-100000",
    "durable-members-110000",
    "new-10000",
    "new-100000",
    "invoice-100000",
    "memory-invoice-100000",
    "bill-1000000",
    "csv-1000000",
    "focus-1000000",
    "pages",
    "backfill",
    "first-start",
    "actions-day",
    "actions-growth",
    "worker",
    "memory-20000-droplets",
    "memory-10000",
    "memory-100000",
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = child::Role::of(&arguments) {
        return role.run().await;
    }
    // Building an HTTP client requires a crypto provider even without TLS.
    drop(rustls::crypto::ring::default_provider().install_default());
    // Cargo itself passes `--bench`.
    let filters: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut report = Report::new()?;
    for name in MEASUREMENTS {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        report.heading(name)?;
        match *name {
            "sweep-20000-droplets" => {
                sweep::measure(&mut report, Contents::Droplets(20_000)).await?;
            }
            "sweep-10000" => sweep::measure(&mut report, Contents::TenKinds(10_000)).await?,
            "sweep-100000" => sweep::measure(&mut report, Contents::TenKinds(100_000)).await?,
            "durable-20000-droplets" => {
                let limits = durable::Limits {
                    at_100_ms: 1.1,
                    at_20_ms: 1.3,
                };
                durable::measure_sweep(&mut report, Contents::Droplets(20_000), limits).await?;
            }
            "durable-100000" => {
                let limits = durable::Limits {
                    at_100_ms: 1.2,
                    at_20_ms: 2.0,
                };
                durable::measure_sweep(&mut report, Contents::TenKinds(100_000), limits).await?;
            }
            "durable-members-110000" => {
                durable::measure_members(&mut report, 110_000).await?;
            }
            "new-10000" => new_rows::measure(&mut report, Contents::TenKinds(10_000)).await?,
            "new-100000" => new_rows::measure(&mut report, Contents::TenKinds(100_000)).await?,
            "invoice-100000" => invoice::measure(&mut report, 100_000).await?,
            "memory-invoice-100000" => invoice::measure_memory(&mut report, 100_000).await?,
            "bill-1000000" => bill::measure(&mut report, 1_000_000).await?,
            "csv-1000000" => csv::measure(&mut report, 1_000_000).await?,
            "focus-1000000" => focus::measure(&mut report, 1_000_000).await?,
            "pages" => {
                let size = account::Size {
                    resources: 100_000,
                    changes: 1_000_000,
                    lines: 1_000_000,
                    months: 36,
                };
                pages::measure(&mut report, size).await?;
            }
            "backfill" => backfill::measure(&mut report).await?,
            "first-start" => first_start::measure(&mut report).await?,
            "actions-day" => actions::measure_day(&mut report).await?,
            "actions-growth" => actions::measure_growth(&mut report).await?,
            "worker" => idle::measure(&mut report).await?,
            "memory-20000-droplets" => {
                memory::measure(&mut report, Contents::Droplets(20_000), 150.0).await?;
            }
            "memory-10000" => {
                memory::measure(&mut report, Contents::TenKinds(10_000), 200.0).await?;
            }
            _ => memory::measure(&mut report, Contents::TenKinds(100_000), 200.0).await?,
        }
    }
    Ok(())
}
