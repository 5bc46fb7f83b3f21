//! The lines of invoices, and their CSV in the format of the specification and of public exports.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

/// One line of an invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvoiceLine {
    /// `Droplets`, `Volumes`, `Taxes`, …: an open set.
    pub product: String,
    /// The cluster or database that the resource belongs to; usually empty.
    pub group_description: String,
    /// The name of the resource, usually as `NAME (SIZE)`.
    pub description: String,
    /// Absent for taxes.
    pub hours: Option<u32>,
    /// When the usage began.
    pub start: Option<DateTime<Utc>>,
    /// When it ended: exclusive for droplets, inclusive for volumes and taxes.
    pub end: Option<DateTime<Utc>>,
    /// US dollars; negative for discounts.
    pub amount: Decimal,
    /// The name of the project at that time; empty for taxes.
    pub project_name: String,
    /// `iaas` or `paas`.
    pub category: String,
    /// The JSON item's `resource_id`; the CSV has none.
    pub resource_id: Option<String>,
    /// The JSON item's `resource_uuid`; the CSV has none.
    pub resource_uuid: Option<Uuid>,
}

impl InvoiceLine {
    /// Creates a line with a product, a description and an amount.
    pub fn new(product: &str, description: &str, amount: Decimal) -> Self {
        Self {
            product: product.to_owned(),
            description: description.to_owned(),
            amount,
            category: "iaas".to_owned(),
            ..Self::default()
        }
    }

    /// Sets the period of the usage.
    #[must_use]
    pub fn during(mut self, hours: u32, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        self.hours = Some(hours);
        self.start = Some(start);
        self.end = Some(end);
        self
    }

    /// Sets the cluster or database that the resource belongs to.
    #[must_use]
    pub fn in_group(mut self, name: &str) -> Self {
        name.clone_into(&mut self.group_description);
        self
    }

    /// Sets the number that identifies the resource in the JSON item: a droplet's (also for its
    /// backups) or a droplet snapshot's.
    #[must_use]
    pub fn with_id(mut self, id: &impl ToString) -> Self {
        self.resource_id = Some(id.to_string());
        self
    }

    /// Sets the UUID that identifies the resource in the JSON item: a volume's, a database's, a
    /// load balancer's.
    #[must_use]
    pub fn with_uuid(mut self, uuid: Uuid) -> Self {
        self.resource_uuid = Some(uuid);
        self
    }

    /// Sets the project that is charged.
    #[must_use]
    pub fn in_project(mut self, name: &str) -> Self {
        name.clone_into(&mut self.project_name);
        self
    }
}

/// The form of an invoice's CSV. Exports of different years, and files saved by a spreadsheet,
/// contain the same lines in other forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvForm {
    /// The header's column names, in order. The name determines the cells, ignoring case; the cells
    /// of unknown columns are empty.
    pub columns: Vec<&'static str>,
    /// The line terminator, also of the header.
    pub line_end: &'static str,
    /// Whether the file starts with U+FEFF.
    pub has_byte_order_mark: bool,
}

impl Default for CsvForm {
    /// The specification's example.
    fn default() -> Self {
        Self {
            columns: vec![
                "product",
                "group_description",
                "description",
                "hours",
                "start",
                "end",
                "USD",
                "project_name",
                "category",
            ],
            line_end: "\n",
            has_byte_order_mark: false,
        }
    }
}

impl CsvForm {
    /// The eight columns of older exports, which have no `category`.
    pub fn legacy() -> Self {
        Self::default().without("category")
    }

    /// These columns in this order.
    pub fn of_columns(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            ..Self::default()
        }
    }

    /// Removes a column.
    #[must_use]
    pub fn without(mut self, column: &str) -> Self {
        self.columns.retain(|known| *known != column);
        self
    }

    /// The form written by Windows programs: with a byte order mark, and CRLF as terminator.
    #[must_use]
    pub fn saved_on_windows(mut self) -> Self {
        self.line_end = "\r\n";
        self.has_byte_order_mark = true;
        self
    }
}

/// Writes lines as CSV.
pub(super) fn write_csv(lines: &[InvoiceLine], form: &CsvForm) -> String {
    let mut text = String::with_capacity(160 * (lines.len() + 1));
    if form.has_byte_order_mark {
        text.push('\u{feff}');
    }
    push_row(&mut text, form, str::to_owned);
    for line in lines {
        push_row(&mut text, form, |column| cell(line, column));
    }
    text
}

fn push_row(text: &mut String, form: &CsvForm, cell: impl Fn(&str) -> String) {
    for (place, column) in form.columns.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        push_cell(text, &cell(column));
    }
    text.push_str(form.line_end);
}

fn cell(line: &InvoiceLine, column: &str) -> String {
    match column.to_ascii_lowercase().as_str() {
        "product" => line.product.clone(),
        "group_description" => line.group_description.clone(),
        "description" => line.description.clone(),
        "hours" => line.hours.map_or(String::new(), |hours| hours.to_string()),
        "start" => date(line.start),
        "end" => date(line.end),
        "usd" => dollars(line.amount),
        "project_name" => line.project_name.clone(),
        "category" => line.category.clone(),
        _ => String::new(),
    }
}

fn date(moment: Option<DateTime<Utc>>) -> String {
    moment.map_or(String::new(), |moment| {
        moment.format("%Y-%m-%d %H:%M:%S +0000").to_string()
    })
}

/// Formats `$3.11` or `-$1,779.55`: the minus precedes the sign, and commas group thousands.
fn dollars(amount: Decimal) -> String {
    let digits = format!("{:.2}", amount.abs());
    let (whole, cents) = digits.split_once('.').unwrap_or((&digits, "00"));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if amount < Decimal::ZERO { "-" } else { "" };
    format!("{sign}${grouped}.{cents}")
}

fn push_cell(text: &mut String, cell: &str) {
    if cell.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dates::month_start;

    #[test]
    fn lines_are_written_as_the_specifications_example_writes_them() {
        let tax = InvoiceLine {
            start: Some(month_start(2020, 7)),
            end: Some(month_start(2020, 8) - chrono::TimeDelta::seconds(1)),
            ..InvoiceLine::new("Taxes", "STATE SALES TAX (6.25%)", Decimal::new(16, 2))
        };
        assert_eq!(
            write_csv(&[tax], &CsvForm::default()),
            "product,group_description,description,hours,start,end,USD,project_name,category\n\
             Taxes,,STATE SALES TAX (6.25%),,2020-07-01 00:00:00 +0000,2020-07-31 23:59:59 +0000,$0.16,,iaas\n"
        );
    }

    #[test]
    fn a_discount_of_thousands_is_quoted_and_old_exports_lack_the_category() {
        let line = InvoiceLine::new(
            "Discounts",
            "15% \"iaas\", yearly",
            Decimal::new(-177_955, 2),
        );
        assert_eq!(
            write_csv(&[line], &CsvForm::legacy()),
            "product,group_description,description,hours,start,end,USD,project_name\n\
             Discounts,,\"15% \"\"iaas\"\", yearly\",,,,\"-$1,779.55\",\n"
        );
    }

    #[test]
    fn a_form_sets_the_columns_their_order_and_the_line_ending() {
        let line = InvoiceLine::new("Droplets", "web", Decimal::new(600, 2)).in_project("Shop");
        let columns = ["USD", "Project_Name", "Colour", "hours", "PRODUCT"];
        let form = CsvForm::of_columns(&columns)
            .without("hours")
            .saved_on_windows();
        assert_eq!(
            write_csv(&[line], &form),
            "\u{feff}USD,Project_Name,Colour,PRODUCT\r\n$6.00,Shop,,Droplets\r\n"
        );
    }

    #[test]
    fn dollars_have_thousands_separators() {
        assert_eq!(dollars(Decimal::new(100, 2)), "$1.00");
        assert_eq!(dollars(Decimal::new(99_999, 2)), "$999.99");
        assert_eq!(dollars(Decimal::new(123_456_789, 2)), "$1,234,567.89");
        assert_eq!(dollars(Decimal::new(-5, 2)), "-$0.05");
        assert_eq!(dollars(Decimal::ZERO), "$0.00");
    }
}
