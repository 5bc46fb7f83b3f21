//! Statements as workbooks: tables of a spreadsheet.

mod own_statement;
mod statement;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use rust_xlsxwriter::{Format, Formula, Workbook, Worksheet, XlsxError};
use store::costs::CloseOfStatement;
use uuid::Uuid;

pub(crate) use self::own_statement::of_own_statement;
pub(crate) use self::statement::of_statement;

/// The media type of XLSX.
pub(crate) const MEDIA_TYPE: &str =
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// USD with all digits, at least two decimals.
const USD: &str = "#,##0.00######;[Red]-#,##0.00######";
const TIME: &str = "yyyy-mm-dd hh:mm:ss";

struct Styles {
    bold: Format,
    usd: Format,
    bold_usd: Format,
    time: Format,
}

impl Styles {
    fn new() -> Self {
        Self {
            bold: Format::new().set_bold(),
            usd: Format::new().set_num_format(USD),
            bold_usd: Format::new().set_bold().set_num_format(USD),
            time: Format::new().set_num_format(TIME),
        }
    }
}

/// A cell of a row.
enum Cell<'a> {
    Text(&'a str),
    Owned(String),
    Name(&'a str),
    Number(i32),
    Plain(Decimal),
    Usd(Decimal),
    /// UTC.
    Time(Option<DateTime<Utc>>),
    /// The total (USD) of a column of the rows from this one (counted from 1) on.
    Total(u16, u32, Decimal),
    Empty,
}

impl<'a> Cell<'a> {
    fn optional(text: Option<&'a str>) -> Self {
        text.map_or(Self::Empty, Self::Text)
    }

    /// The invoice of a line.
    fn invoice(invoice: Option<Uuid>) -> Self {
        invoice.map_or(Self::Text("estimate"), |uuid| Self::Owned(uuid.to_string()))
    }
}

/// A column of a table.
struct Column<'a, R> {
    name: &'static str,
    width: u16,
    cell: Box<dyn Fn(&'a R) -> Cell<'a> + 'a>,
}

/// The columns of a table with rows of type `R`.
struct Columns<'a, R>(Vec<Column<'a, R>>);

impl<'a, R> Columns<'a, R> {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a column with its name, its width and the cell of a row.
    fn with(
        mut self,
        name: &'static str,
        width: u16,
        cell: impl Fn(&'a R) -> Cell<'a> + 'a,
    ) -> Self {
        self.0.push(Column {
            name,
            width,
            cell: Box::new(cell),
        });
        self
    }
}

/// A sheet that is written row by row.
struct Sheet<'a> {
    worksheet: &'a mut Worksheet,
    styles: &'a Styles,
    row: u32,
}

impl<'a> Sheet<'a> {
    fn add(workbook: &'a mut Workbook, name: &str, styles: &'a Styles) -> Result<Self, XlsxError> {
        let worksheet = workbook.add_worksheet();
        worksheet.set_name(name)?;
        Ok(Self {
            worksheet,
            styles,
            row: 0,
        })
    }

    /// Writes a table. The head of the first one stays visible. If there are rows, `total` of the
    /// last column follows.
    fn table<'r, R>(
        &mut self,
        Columns(columns): Columns<'r, R>,
        rows: &'r [R],
        total: Option<Decimal>,
    ) -> Result<(), XlsxError> {
        if self.row == 0 {
            for (place, column) in (0..).zip(&columns) {
                self.worksheet.set_column_width(place, column.width)?;
            }
            self.worksheet.set_freeze_panes(1, 0)?;
        }
        self.write(columns.iter().map(|column| Cell::Name(column.name)))?;
        let first = self.row + 1;
        for row in rows {
            self.write(columns.iter().map(|column| (column.cell)(row)))?;
        }
        let Some(total) = total.filter(|_| !rows.is_empty()) else {
            return Ok(());
        };
        let last = columns.len().saturating_sub(1);
        let mut cells = vec![Cell::Name("Total")];
        cells.resize_with(last, || Cell::Empty);
        let last = u16::try_from(last).unwrap_or(u16::MAX);
        cells.push(Cell::Total(last, first, total));
        self.write(cells)
    }

    fn write<'c>(&mut self, cells: impl IntoIterator<Item = Cell<'c>>) -> Result<(), XlsxError> {
        let (row, styles) = (self.row, self.styles);
        for (column, cell) in (0..).zip(cells) {
            match cell {
                Cell::Text(text) => self.worksheet.write_string(row, column, text)?,
                Cell::Owned(text) => self.worksheet.write_string(row, column, text)?,
                Cell::Name(text) => {
                    self.worksheet
                        .write_string_with_format(row, column, text, &styles.bold)?
                }
                Cell::Number(number) => self.worksheet.write_number(row, column, number)?,
                Cell::Plain(number) => self.worksheet.write(row, column, number)?,
                Cell::Usd(amount) => {
                    self.worksheet
                        .write_with_format(row, column, amount, &styles.usd)?
                }
                Cell::Time(Some(time)) => self.worksheet.write_with_format(
                    row,
                    column,
                    &time.naive_utc(),
                    &styles.time,
                )?,
                Cell::Total(of, from, total) => {
                    let name = rust_xlsxwriter::utility::column_number_to_name(of);
                    let formula = Formula::new(format!("=SUM({name}{from}:{name}{row})"));
                    let formula = formula.set_result(total.normalize().to_string());
                    self.worksheet.write_formula_with_format(
                        row,
                        column,
                        formula,
                        &styles.bold_usd,
                    )?
                }
                Cell::Time(None) | Cell::Empty => continue,
            };
        }
        self.row += 1;
        Ok(())
    }

    /// Writes names with amounts.
    fn amounts(&mut self, amounts: &[(&str, Decimal)]) -> Result<(), XlsxError> {
        for (name, amount) in amounts {
            self.write([Cell::Name(name), Cell::Usd(*amount)])?;
        }
        Ok(())
    }

    /// Writes the close of the month.
    fn close(&mut self, close: Option<CloseOfStatement>) -> Result<(), XlsxError> {
        let Some(close) = close else {
            return Ok(());
        };
        let number = i32::try_from(close.number).unwrap_or(i32::MAX);
        self.write([Cell::Name("Close"), Cell::Number(number)])?;
        let time = Cell::Time(Some(close.frozen_at));
        self.write([Cell::Name("Frozen at (UTC)"), time])
    }
}

/// The state of the month of a statement.
fn state_of(close: Option<CloseOfStatement>, is_final: bool, is_estimate: bool) -> &'static str {
    match (is_final, is_estimate) {
        _ if close.is_some() => "closed",
        (true, _) => "final",
        (false, true) => "estimate",
        (false, false) => "not final",
    }
}
