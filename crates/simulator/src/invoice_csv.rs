//! The CSV of an invoice, in the format that the specification's example and public exports show.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::InvoiceLine;

const HEADER: &str = "product,group_description,description,hours,start,end,USD,project_name";

pub(crate) fn write(lines: &[InvoiceLine], has_category: bool) -> String {
    let mut text = String::with_capacity(160 * (lines.len() + 1));
    text.push_str(HEADER);
    text.push_str(if has_category { ",category\n" } else { "\n" });
    for line in lines {
        let hours = line.hours.map(|hours| hours.to_string());
        let cells = [
            line.product.clone(),
            line.group_description.clone(),
            line.description.clone(),
            hours.unwrap_or_default(),
            date(line.start),
            date(line.end),
            dollars(line.amount),
            line.project_name.clone(),
        ];
        for (place, cell) in cells.iter().enumerate() {
            if place > 0 {
                text.push(',');
            }
            push_cell(&mut text, cell);
        }
        if has_category {
            text.push(',');
            push_cell(&mut text, &line.category);
        }
        text.push('\n');
    }
    text
}

fn date(moment: Option<DateTime<Utc>>) -> String {
    moment.map_or(String::new(), |moment| {
        moment.format("%Y-%m-%d %H:%M:%S +0000").to_string()
    })
}

/// `$3.11`, `-$1,779.55`: the minus before the sign, a comma for every thousand.
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
    use crate::account::moment_of;

    #[test]
    fn lines_are_written_as_the_specifications_example_writes_them() {
        let tax = InvoiceLine {
            start: Some(moment_of(2020, 7)),
            end: Some(moment_of(2020, 8) - chrono::TimeDelta::seconds(1)),
            ..InvoiceLine::new("Taxes", "STATE SALES TAX (6.25%)", Decimal::new(16, 2))
        };
        assert_eq!(
            write(&[tax], true),
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
            write(&[line], false),
            "product,group_description,description,hours,start,end,USD,project_name\n\
             Discounts,,\"15% \"\"iaas\"\", yearly\",,,,\"-$1,779.55\",\n"
        );
    }

    #[test]
    fn every_third_digit_of_the_dollars_is_followed_by_a_comma() {
        assert_eq!(dollars(Decimal::new(100, 2)), "$1.00");
        assert_eq!(dollars(Decimal::new(99_999, 2)), "$999.99");
        assert_eq!(dollars(Decimal::new(123_456_789, 2)), "$1,234,567.89");
        assert_eq!(dollars(Decimal::new(-5, 2)), "-$0.05");
        assert_eq!(dollars(Decimal::ZERO), "$0.00");
    }
}
