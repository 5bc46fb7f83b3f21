//! Encodes rows of FOCUS as CSV and Parquet, in constant memory, and describes the files.

mod csv_file;
mod files;
mod metadata;
mod parquet_file;

use std::error::Error;
use std::io::{self, Write};

use domain::focus::Column;
use flate2::Compression;
use flate2::write::GzEncoder;

pub use csv_file::starts_formula;
pub use files::Format;
pub use metadata::{Metadata, Recency, SchemaColumn, columns_of};

use csv_file::CsvFile;
use parquet_file::ParquetFile;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot read the rows")]
    Rows(#[source] Box<dyn Error + Send + Sync>),
    #[error("cannot write the file")]
    Write(#[from] io::Error),
    #[error("cannot encode CSV")]
    Csv(#[from] csv::Error),
    #[error("cannot encode Parquet")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error(
        "{column} {value} has more than {limit} digits after the point or before it: Parquet cannot hold it, export CSV"
    )]
    DecimalTooLong {
        column: &'static str,
        value: rust_decimal::Decimal,
        limit: u8,
    },
}

/// Writes a file with these rows, and returns their number. Reads the next page of rows after it
/// has encoded the previous one.
pub fn write<R, E>(
    format: Format,
    columns: &[&'static Column<R>],
    pages: impl Iterator<Item = Result<Vec<R>, E>>,
    out: impl Write + Send,
) -> Result<u64, ExportError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    match format {
        Format::Csv => {
            let mut file = CsvFile::new(columns, out)?;
            let count = write_pages(pages, |row| file.write(row))?;
            file.finish()?;
            Ok(count)
        }
        Format::CsvGzip => {
            let mut file = CsvFile::new(columns, GzEncoder::new(out, Compression::fast()))?;
            let count = write_pages(pages, |row| file.write(row))?;
            file.finish()?.finish()?.flush()?;
            Ok(count)
        }
        Format::Parquet => {
            let mut file = ParquetFile::new(columns, out)?;
            let count = write_pages(pages, |row| file.write(row))?;
            file.finish()?;
            Ok(count)
        }
    }
}

fn write_pages<R, E>(
    pages: impl Iterator<Item = Result<Vec<R>, E>>,
    mut write: impl FnMut(&R) -> Result<(), ExportError>,
) -> Result<u64, ExportError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let mut count = 0;
    for page in pages {
        for row in &page.map_err(|error| ExportError::Rows(error.into()))? {
            write(row)?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
