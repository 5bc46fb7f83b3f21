//! The sum of a file's amounts, calculated independently of the reader.

use csv::ReaderBuilder;
use domain::invoices::{InvoiceCsv, line_total};
use proptest::prelude::*;

use crate::BOM;

/// Digits after the point in the sums of this file.
const DIGITS: usize = 18;

/// Returns the number of rows and the exact sum of a file's amounts, in units of the last of
/// [`DIGITS`]. Treats every amount as valid, and shares only the CSV parser with the reader. None
/// if the numbers are too long.
fn independent_sum(file: &[u8]) -> Option<(usize, i128)> {
    let file = file.strip_prefix(BOM).unwrap_or(file);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
    let titles = reader.byte_headers().unwrap().clone();
    let column = titles
        .iter()
        .position(|title| title.trim_ascii().eq_ignore_ascii_case(b"usd"))
        .unwrap();
    let mut rows = 0;
    let mut sum = 0_i128;
    for record in reader.byte_records() {
        let record = record.unwrap();
        rows += 1;
        sum = sum.checked_add(units(&record[column])?)?;
    }
    Some((rows, sum))
}

fn units(amount: &[u8]) -> Option<i128> {
    let is_negative = amount.iter().any(|byte| matches!(byte, b'-' | b'('));
    let mut digits: String = amount
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .map(|byte| char::from(*byte))
        .collect();
    let after_the_point = amount
        .iter()
        .rev()
        .take_while(|byte| **byte != b'.')
        .filter(|byte| byte.is_ascii_digit())
        .count();
    let decimals = if amount.contains(&b'.') {
        after_the_point
    } else {
        0
    };
    digits.push_str(&"0".repeat(DIGITS.checked_sub(decimals)?));
    let units: i128 = digits.parse().ok()?;
    Some(if is_negative { -units } else { units })
}

pub(crate) fn check_sum(file: &[u8], csv: &InvoiceCsv) -> Result<(), TestCaseError> {
    let Some((rows, sum)) = independent_sum(file) else {
        return Ok(());
    };
    prop_assert_eq!(csv.lines.len(), rows);
    let total = line_total(&csv.lines).unwrap();
    let missing = u32::try_from(DIGITS).unwrap() - total.scale();
    prop_assert_eq!(total.mantissa() * 10_i128.pow(missing), sum);
    Ok(())
}

#[test]
fn the_independent_sum_reads_every_form_of_an_amount() {
    for (text, expected) in [
        ("$1,779.55", 177_955),
        ("-$1,779.55", -177_955),
        ("($5.00)", -500),
        ("$-3", -300),
        ("0.1", 10),
    ] {
        assert_eq!(
            units(text.as_bytes()),
            Some(expected * 10_i128.pow(16)),
            "{text}"
        );
    }
}
