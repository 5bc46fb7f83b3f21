//! CSV (RFC 4180, UTF-8, without a byte order mark): a row of names, then the rows.
//!
//! Null is an empty field. A text at which a spreadsheet would start a formula gets a leading `'`;
//! Parquet has the text itself.

use std::fmt::Write as _;
use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, Writer, WriterBuilder};
use domain::focus::{Column, Value};
use rust_decimal::Decimal;

use crate::ExportError;

/// The least number of decimals: readers that detect types would read `672` as an integer.
const MIN_DECIMALS: u32 = 2;

/// A CSV file that is being written.
pub(crate) struct CsvFile<R: 'static, W: Write> {
    columns: Vec<CsvColumn<R>>,
    writer: Writer<W>,
    text: String,
}

struct CsvColumn<R: 'static> {
    column: &'static Column<R>,
    /// The previous time of the column with its text: most rows repeat it.
    time: Option<(DateTime<Utc>, String)>,
}

impl<R, W: Write> CsvFile<R, W> {
    /// Starts with the row of names.
    pub(crate) fn new(columns: &[&'static Column<R>], out: W) -> Result<Self, ExportError> {
        let mut writer = WriterBuilder::new()
            .terminator(Terminator::CRLF)
            .from_writer(out);
        writer.write_record(columns.iter().map(|column| column.id))?;
        let columns = columns.iter();
        Ok(Self {
            columns: columns
                .map(|column| CsvColumn { column, time: None })
                .collect(),
            writer,
            text: String::new(),
        })
    }

    pub(crate) fn write(&mut self, row: &R) -> Result<(), ExportError> {
        for column in &mut self.columns {
            match column.column.value(row) {
                Value::Null => self.writer.write_field("")?,
                Value::Text(text) if starts_formula(text.as_bytes()) => {
                    self.text.clear();
                    self.text.push('\'');
                    self.text.push_str(text);
                    self.writer.write_field(&self.text)?;
                }
                Value::Text(text) => self.writer.write_field(text)?,
                Value::Time(time) => {
                    let known = column.time.take().filter(|(known, _)| *known == time);
                    let (_, text) = column.time.insert(known.unwrap_or_else(|| {
                        (time, time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
                    }));
                    self.writer.write_field(text)?;
                }
                Value::Decimal(decimal) => {
                    self.text.clear();
                    write_decimal(&mut self.text, decimal);
                    self.writer.write_field(&self.text)?;
                }
                Value::Integer(number) => {
                    self.text.clear();
                    let _ = write!(self.text, "{number}");
                    self.writer.write_field(&self.text)?;
                }
                Value::Boolean(true) => self.writer.write_field("true")?,
                Value::Boolean(false) => self.writer.write_field("false")?,
            }
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<W, ExportError> {
        let out = self.writer.into_inner();
        let mut out = out.map_err(|error| ExportError::Write(error.into_error()))?;
        out.flush()?;
        Ok(out)
    }
}

/// Writes a decimal without an exponent, with all its digits.
fn write_decimal(text: &mut String, mut decimal: Decimal) {
    if decimal.scale() < MIN_DECIMALS {
        decimal.rescale(MIN_DECIMALS);
    }
    let _ = write!(text, "{decimal}");
}

/// Returns true if a spreadsheet could read the text as a formula. Amounts are texts in JSON, and
/// are numbers in a spreadsheet, also negative ones.
pub fn starts_formula(text: &[u8]) -> bool {
    match text {
        [b'=' | b'+' | b'@' | b'\t' | b'\r' | b'\n', ..] => true,
        [b'-', rest @ ..] => !is_decimal(rest),
        // Full-width characters: some spreadsheets convert them.
        [0xEF, ..] => ["＝", "＋", "－", "＠"]
            .iter()
            .any(|sign| text.starts_with(sign.as_bytes())),
        _ => false,
    }
}

fn is_decimal(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    parts.all(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}
