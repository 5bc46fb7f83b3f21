//! Reads the lines of an invoice's CSV, or rejects the whole file with the place of the first
//! problem.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use compact_str::CompactString;
use csv::{ReaderBuilder, StringRecord};
use rust_decimal::Decimal;

use super::InvoiceLine;
use super::encoding;
use super::line::{LineFields, non_empty};
use super::unreadable::{Place, REFETCH, REPORT, UnreadableInvoice};
use crate::money::parse_amount;

/// The lines of an invoice, and the optional columns of its file (files of different years differ).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceCsv {
    pub lines: Vec<InvoiceLine>,
    pub columns: CsvColumns,
}

/// The optional columns of a file. An empty field means an empty value if the column exists, and an
/// unknown value if it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each column; any combination occurs"
)]
pub struct CsvColumns {
    pub group_description: bool,
    pub hours: bool,
    pub start: bool,
    pub end: bool,
    pub project_name: bool,
    pub category: bool,
}

/// The index of each known column. Columns are found by name, in any order and case (files of
/// different years differ).
struct Columns {
    product: usize,
    description: usize,
    amount: usize,
    group_description: Option<usize>,
    hours: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
    project_name: Option<usize>,
    category: Option<usize>,
    count: usize,
}

/// The column of the amount is named after its currency (spec).
const AMOUNT: &str = "USD";

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, UnreadableInvoice> {
        let position = |name: &str| {
            let mut found = header
                .iter()
                .enumerate()
                .filter(|(_, title)| title.trim().eq_ignore_ascii_case(name));
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => Err(UnreadableInvoice::in_column(
                    1,
                    name,
                    "duplicate column in the header",
                    REPORT,
                )),
                (first, _) => Ok(first.map(|(index, _)| index)),
            }
        };
        let required = |name: &str| {
            position(name)?.ok_or_else(|| {
                let titles: Vec<String> = header
                    .iter()
                    .map(|title| title.chars().take(40).collect())
                    .take(12)
                    .collect();
                UnreadableInvoice::in_column(
                    1,
                    name,
                    format!("missing column; the header has {titles:?}"),
                    REPORT,
                )
            })
        };
        Ok(Self {
            product: required("product")?,
            description: required("description")?,
            amount: required(AMOUNT)?,
            group_description: position("group_description")?,
            hours: position("hours")?,
            start: position("start")?,
            end: position("end")?,
            project_name: position("project_name")?,
            category: position("category")?,
            count: header.len(),
        })
    }

    fn optional(&self) -> CsvColumns {
        CsvColumns {
            group_description: self.group_description.is_some(),
            hours: self.hours.is_some(),
            start: self.start.is_some(),
            end: self.end.is_some(),
            project_name: self.project_name.is_some(),
            category: self.category.is_some(),
        }
    }
}

/// Reads the lines of an invoice's CSV (`GET /v2/customers/my/invoices/{uuid}/csv`).
///
/// Accepts every form of the same content: with or without a BOM, LF or CRLF, columns in any order
/// and case, unknown columns, missing optional columns, empty hours and dates. Rejects everything
/// that could be misread: the first problem is returned with its line, its column and a hint, and
/// without any line.
pub fn read_invoice_csv(file: &[u8]) -> Result<InvoiceCsv, UnreadableInvoice> {
    let file = encoding::utf8_text(file)?;
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader
        .headers()
        .map_err(|error| malformed(file, &error))?
        .clone();
    let columns = Columns::find(&header)?;

    let mut lines = Vec::new();
    let mut record = StringRecord::new();
    // The smallest number of decimals of the amounts before the last one.
    let mut decimals = None;
    while reader
        .read_record(&mut record)
        .map_err(|error| malformed(file, &error))?
    {
        let place = Place::of(file, record.position());
        if record.len() != columns.count {
            let problem = format!(
                "{} fields, but the header has {}: the file is truncated, or a field with a \
                 comma or a line break is not quoted",
                record.len(),
                columns.count
            );
            let last_title = header
                .get(record.len().min(columns.count) - 1)
                .unwrap_or_default();
            let line = place.line();
            return Err(UnreadableInvoice::in_column(
                line, last_title, problem, REFETCH,
            ));
        }
        let line_no = i32::try_from(lines.len() + 1)
            .map_err(|_| UnreadableInvoice::at(place.line(), "too many lines"))?;
        lines.push(read_line(&columns, &record, line_no, place)?);
        let rest = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        if rest >= file.len() {
            check_end(&columns, &header, &record, place, decimals)?;
        }
        let own = decimals_of(record.get(columns.amount).unwrap_or_default());
        decimals = Some(decimals.map_or(own, |least: usize| least.min(own)));
    }
    Ok(InvoiceCsv {
        lines,
        columns: columns.optional(),
    })
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Returns the number of decimals of an amount as it is written.
fn decimals_of(amount: &str) -> usize {
    let decimals = amount.rsplit_once('.');
    decimals.map_or(0, |(_, cents)| cents.trim_end_matches(')').len())
}

/// Rejects a truncated last field: the number of fields can be correct nevertheless. `decimals` is
/// the smallest number of decimals of the amounts before the last one.
fn check_end(
    columns: &Columns,
    header: &StringRecord,
    record: &StringRecord,
    place: Place<'_>,
    decimals: Option<usize>,
) -> Result<(), UnreadableInvoice> {
    let last_record = place.rest();
    if ends_inside_quotes(last_record) {
        let last_title = header.get(columns.count - 1).unwrap_or_default();
        let problem = "the file is truncated inside a quoted field";
        let line = place.line();
        return Err(UnreadableInvoice::in_column(
            line, last_title, problem, REFETCH,
        ));
    }
    let is_terminated = last_record.last().is_some_and(|byte| is_line_end(*byte));
    if !is_terminated && columns.amount + 1 == columns.count {
        // `$86.9` can be the start of `$86.92`: invoices write cents with two digits. If all other
        // amounts have more digits, this one had them too. The total of the invoice detects the
        // truncated amounts of all other files.
        let text = record.get(columns.amount).unwrap_or_default();
        if decimals_of(text) < decimals.unwrap_or_default().max(2) {
            let problem = format!("the file is truncated inside the amount {text:?}");
            let line = place.line();
            return Err(UnreadableInvoice::in_column(line, AMOUNT, problem, REFETCH));
        }
    }
    Ok(())
}

fn ends_inside_quotes(record: &[u8]) -> bool {
    let mut quoted = false;
    let mut at_field_start = true;
    for &byte in record {
        match byte {
            b'"' if quoted || at_field_start => {
                // A doubled quote closes and opens, which has no effect.
                quoted = !quoted;
                at_field_start = !quoted;
            }
            b',' if !quoted => at_field_start = true,
            _ => at_field_start = false,
        }
    }
    quoted
}

fn malformed(file: &[u8], error: &csv::Error) -> UnreadableInvoice {
    UnreadableInvoice::at(Place::of(file, error.position()).line(), error.to_string())
}

fn read_line(
    columns: &Columns,
    record: &StringRecord,
    line_no: i32,
    place: Place<'_>,
) -> Result<InvoiceLine, UnreadableInvoice> {
    let field = |index: usize| record.get(index).unwrap_or_default().trim();
    let optional = |index: Option<usize>| index.map(field).unwrap_or_default();
    let bad = |column: &str, problem: String| {
        let problem = format!("{problem} (cost line {line_no})");
        UnreadableInvoice::in_column(place.line(), column, problem, REPORT)
    };

    let amount =
        parse_amount(field(columns.amount)).map_err(|error| bad(AMOUNT, error.to_string()))?;
    let fields = LineFields {
        product: field(columns.product).into(),
        group_description: optional(columns.group_description).into(),
        description: field(columns.description).into(),
        hours: parse_hours(optional(columns.hours)).map_err(|problem| bad("hours", problem))?,
        start_at: parse_time(optional(columns.start)).map_err(|problem| bad("start", problem))?,
        end_at: parse_time(optional(columns.end)).map_err(|problem| bad("end", problem))?,
        amount,
        project_name: optional(columns.project_name).into(),
        category: non_empty(optional(columns.category)).map(CompactString::from),
    };
    Ok(fields.into_line(line_no))
}

fn parse_hours(text: &str) -> Result<Option<Decimal>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.replace(',', "")
        .parse()
        .map(Some)
        .map_err(|_| format!("invalid number of hours {text:?}"))
}

/// `2026-04-01 00:00:00 +0000` (observed), RFC 3339, or a bare date for midnight UTC.
fn parse_time(text: &str) -> Result<Option<DateTime<Utc>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S %z")
        .or_else(|_| DateTime::parse_from_rfc3339(text))
        .map(|time| time.to_utc())
        .ok()
        .or_else(|| parse_utc_without_offset(text))
        .map(Some)
        .ok_or_else(|| format!("invalid time {text:?}: expected e.g. 2026-04-01 00:00:00 +0000"))
}

fn parse_utc_without_offset(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim_end_matches(" UTC");
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .ok()
        .or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()?
                .and_hms_opt(0, 0, 0)
        })
        .map(|time| time.and_utc())
}

#[cfg(test)]
#[path = "csv_file_tests.rs"]
mod tests;
