//! The files of an export.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rust_decimal::Decimal;
use serde_json::Value;

/// A row by column; null is an empty text.
pub(super) type Row = BTreeMap<String, String>;

pub(super) struct Month {
    /// `YYYY-MM`
    pub(super) name: String,
    pub(super) metadata: Value,
    /// Names of columns and rows by the name of the file without its extension.
    pub(super) files: BTreeMap<String, (Vec<String>, Vec<Row>)>,
}

/// The directories of an export in CSV.
pub(super) struct Months(pub(super) Vec<Month>);

impl Months {
    pub(super) fn read(directory: &Path) -> Self {
        let mut months: Vec<Month> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| Month::read(&entry.unwrap().path()))
            .collect();
        months.sort_by(|one, other| one.name.cmp(&other.name));
        Self(months)
    }

    /// Returns the rows of all months.
    pub(super) fn rows(&self, file: &str) -> Vec<&Row> {
        let months = self.0.iter().filter_map(|month| month.files.get(file));
        months.flat_map(|(_, rows)| rows).collect()
    }

    /// Writes one file with the rows of all months for each file of a month.
    pub(super) fn merge(&self, directory: &Path) {
        fs::create_dir(directory).unwrap();
        let names = self.0.iter().flat_map(|month| &month.files);
        let names: BTreeMap<&String, &Vec<String>> =
            names.map(|(name, (columns, _))| (name, columns)).collect();
        for (name, columns) in names {
            let path = directory.join(format!("{name}.csv"));
            let mut file = csv::Writer::from_path(path).unwrap();
            file.write_record(columns).unwrap();
            for row in self.rows(name) {
                file.write_record(columns.iter().map(|column| &row[column]))
                    .unwrap();
            }
            file.flush().unwrap();
        }
    }
}

impl Month {
    fn read(directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        let text = fs::read_to_string(directory.join("metadata.json")).unwrap();
        let metadata: Value = serde_json::from_str(&text).unwrap();
        for described in metadata["files"].as_array().unwrap() {
            let name = described["name"].as_str().unwrap();
            let Some(stem) = name.strip_suffix(".csv") else {
                continue;
            };
            let mut reader = csv::Reader::from_path(directory.join(name)).unwrap();
            let columns: Vec<String> = reader
                .headers()
                .unwrap()
                .iter()
                .map(str::to_owned)
                .collect();
            let rows = reader.records().map(|record| {
                let record = record.unwrap();
                let cells = record.iter().map(str::to_owned);
                columns.iter().cloned().zip(cells).collect()
            });
            let rows: Vec<Row> = rows.collect();
            assert_eq!(described["rows"], rows.len(), "{name}");
            files.insert(stem.to_owned(), (columns, rows));
        }
        Self {
            name: directory.file_name().unwrap().to_str().unwrap().to_owned(),
            metadata,
            files,
        }
    }
}

pub(super) fn number(row: &Row, column: &str) -> Option<Decimal> {
    let text = &row[column];
    (!text.is_empty()).then(|| text.parse().unwrap_or_else(|_| panic!("{column}: {text}")))
}

/// Returns the totals of a column by the values of others.
pub(super) fn totals<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    by: &[&str],
    column: &str,
) -> BTreeMap<Vec<String>, Decimal> {
    let mut totals: BTreeMap<Vec<String>, Decimal> = BTreeMap::new();
    for row in rows {
        let key = by.iter().map(|column| row[*column].clone()).collect();
        *totals.entry(key).or_default() += number(row, column).unwrap_or_default();
    }
    totals
}
