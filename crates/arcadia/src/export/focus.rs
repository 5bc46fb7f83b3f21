//! `arcadia export focus`: the bill in the format of FOCUS, a directory for each month.

use std::path::PathBuf;

use anyhow::ensure;
use chrono::{Months, NaiveDate};
use clap::ValueEnum;
use devstack::Progress;
use digitalocean::spaces::ObjectStore;
use domain::focus::{
    BILLING_PERIOD, COST_AND_USAGE, Column, Dataset, INVOICE_DETAIL, Rows, Version,
};
use domain::invoices::InvoicePeriod;
use export::Format;
use store::Store;
use store::focus::FocusMonth;

use super::directory::{MonthDirectory, MonthFile, Written, file_name};
use super::upload::{self, UploadArguments};

/// Write the bill of each month in the format of FOCUS.
///
/// Each month is a directory with a file for each dataset, the estimate of an open month in a
/// separate file, and metadata.json, which is written last. A month that has not changed since
/// the last export is skipped, so that an interrupted export continues.
#[derive(clap::Args)]
#[command(disable_version_flag = true)]
pub(crate) struct Arguments {
    /// First month.
    #[arg(long, value_name = "YYYY-MM")]
    from: InvoicePeriod,
    /// Last month, included.
    #[arg(long, value_name = "YYYY-MM")]
    to: InvoicePeriod,
    /// Directory of the months; created if it does not exist.
    #[arg(long, value_name = "DIRECTORY")]
    dir: PathBuf,
    /// Version of FOCUS: 1.4, or 1.2 for tools that do not read 1.4.
    #[arg(long, default_value = "1.4")]
    version: Version,
    /// Rows of Cost and Usage: lines, or shares, one for each tenant's share of a line.
    #[arg(long, default_value = "lines")]
    rows: Rows,
    /// Format of the files.
    #[arg(long, value_enum, default_value_t = FileFormat::Csv)]
    format: FileFormat,
    /// Compress CSV by gzip; Parquet is compressed by Snappy.
    #[arg(long)]
    gzip: bool,
    #[command(flatten)]
    upload: UploadArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    Csv,
    Parquet,
}

impl Arguments {
    fn format(&self) -> Format {
        match (self.format, self.gzip) {
            (FileFormat::Parquet, _) => Format::Parquet,
            (FileFormat::Csv, true) => Format::CsvGzip,
            (FileFormat::Csv, false) => Format::Csv,
        }
    }

    /// Returns a text that changes with the options that change the files.
    fn options(&self) -> String {
        let (version, rows) = (self.version.as_str(), self.rows.as_str());
        let program = env!("CARGO_PKG_VERSION");
        format!("{program} {version} {rows} {}", self.format().extension())
    }
}

pub(crate) async fn run(store: &Store, arguments: &Arguments) -> anyhow::Result<()> {
    let (from, to) = (arguments.from.first_day(), arguments.to.first_day());
    ensure!(
        from <= to,
        "--from {} is after --to {}",
        arguments.from,
        arguments.to
    );
    ensure!(
        !arguments.gzip || arguments.format == FileFormat::Csv,
        "--gzip requires --format csv: Parquet is compressed already"
    );
    let remote = arguments.upload.object_store()?;
    let progress = Progress::terminal();
    let mut period = from;
    while period <= to {
        let task = progress.spinner(format!("{}: exporting", period.format("%Y-%m")));
        let directory = arguments.dir.join(period.format("%Y-%m").to_string());
        let directory = MonthDirectory::new(directory);
        let remote = remote.as_ref();
        let mut outcome = export_month(store, arguments, &directory, remote, period).await?;
        if let Some(remote) = remote {
            outcome.push_str(upload::month(remote, &directory, period).await?);
        }
        drop(task);
        progress.step(format!("{}: {outcome}", period.format("%Y-%m")));
        period = period + Months::new(1);
    }
    Ok(())
}

/// Exports a month, and describes the result.
async fn export_month(
    store: &Store,
    arguments: &Arguments,
    directory: &MonthDirectory,
    remote: Option<&ObjectStore>,
    period: NaiveDate,
) -> anyhow::Result<String> {
    let mut month = store.focus_month(period).await?;
    let has_bill = month.has_rows(false) || month.has_rows(true);
    // A bill that was exported may have moved to another month: then its files are removed.
    if !has_bill && !directory.has_export() {
        let is_uploaded = match remote {
            Some(remote) => upload::has_month(remote, period).await?,
            None => false,
        };
        if !is_uploaded {
            return Ok("no bill".to_owned());
        }
    }
    let stamp = format!("{} {}", month.stamp().await?, arguments.options());
    let is_unchanged = |written: Written| written.stamp == stamp;
    // The resources of an open month are exported as they are now, and the stamp lacks them.
    if month.statements.is_over && directory.written().is_some_and(is_unchanged) {
        return Ok("unchanged".to_owned());
    }
    directory.prepare()?;
    let mut files = Vec::new();
    let format = arguments.format();
    for estimates in [false, true] {
        if month.has_rows(estimates) {
            let name = file_name(Dataset::CostAndUsage, estimates, format);
            let file;
            (month, file) = write_costs(directory, arguments, name, month, estimates).await?;
            files.push(file);
        }
    }
    let version = arguments.version;
    if Dataset::InvoiceDetail.is_in(version) && month.has_rows(false) {
        let name = file_name(Dataset::InvoiceDetail, false, format);
        let columns = Column::of(INVOICE_DETAIL, version);
        let details = month.invoice_details().await?;
        files.push(write_rows(directory, name, format, &columns, details)?);
    }
    if Dataset::BillingPeriod.is_in(version) && has_bill {
        let name = file_name(Dataset::BillingPeriod, false, format);
        let columns = Column::of(BILLING_PERIOD, version);
        let row = vec![month.billing_period()];
        files.push(write_rows(directory, name, format, &columns, row)?);
    }
    let metadata = api::focus_metadata(&month, version, arguments.rows);
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let described = format!("{} files, {rows} rows", files.len());
    directory.complete(&metadata, &Written { stamp, files })?;
    Ok(described)
}

/// Writes the rows of Cost and Usage, and returns the month for its other datasets.
async fn write_costs(
    directory: &MonthDirectory,
    arguments: &Arguments,
    name: String,
    month: FocusMonth,
    estimates: bool,
) -> anyhow::Result<(FocusMonth, MonthFile)> {
    let mut pages = month.cost_rows(arguments.rows, estimates);
    let columns = Column::of(COST_AND_USAGE, arguments.version);
    let format = arguments.format();
    let directory = MonthDirectory::new(directory.path().to_owned());
    let writing = tokio::task::spawn_blocking(move || {
        let rows = std::iter::from_fn(|| pages.blocking_next().transpose());
        let file = directory.write(name, |out| Ok(export::write(format, &columns, rows, out)?))?;
        anyhow::Ok((pages, file))
    });
    let (pages, file) = writing.await??;
    Ok((pages.into_month().await?, file))
}

fn write_rows<R>(
    directory: &MonthDirectory,
    name: String,
    format: Format,
    columns: &[&'static Column<R>],
    rows: Vec<R>,
) -> anyhow::Result<MonthFile> {
    let page = std::iter::once(anyhow::Ok(rows));
    directory.write(name, |out| Ok(export::write(format, columns, page, out)?))
}
