//! The formats of files.

/// A format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    /// CSV, compressed by gzip.
    CsvGzip,
    /// Parquet, compressed by Snappy.
    Parquet,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Csv, Self::CsvGzip, Self::Parquet];

    /// Returns the extension of the names of files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::CsvGzip => "csv.gz",
            Self::Parquet => "parquet",
        }
    }
}
