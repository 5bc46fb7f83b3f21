//! Fuzz tests of the invoice CSV reader: it never panics, never returns a sum other than the
//! file's, and reads every form of the same rows to the same lines.
//!
//! `ARCADIA_FUZZ_CASES=100000 cargo test --release -p domain --test csv_fuzz` runs more than the
//! default few hundred cases of each property.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod changes;
mod files;
mod sums;

use std::env;
use std::ops::RangeInclusive;

use domain::invoices::{InvoiceLine, read_invoice_csv};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use rust_decimal::Decimal;

use changes::{Change, change, changes};
use files::{Form, Row, form, row, write};
use sums::check_sum;

const BOM: &[u8] = b"\xef\xbb\xbf";

fn config() -> ProptestConfig {
    let cases = env::var("ARCADIA_FUZZ_CASES").map_or(400, |cases| cases.parse().unwrap());
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn check_line(line: &InvoiceLine, row: &Row, form: &Form) -> Result<(), TestCaseError> {
    let has = |column: &str| form.columns.contains(&column);
    let text = |column: &str, text: &str| {
        if has(column) {
            text.to_owned()
        } else {
            String::new()
        }
    };
    let hours = row.hundredths_of_hours.map(|hours| Decimal::new(hours, 2));
    prop_assert_eq!(&line.product, &row.product);
    prop_assert_eq!(&line.description, &row.description);
    prop_assert_eq!(line.amount, Decimal::new(row.cents, 2));
    prop_assert_eq!(
        &line.group_description,
        &text("group_description", &row.group_description)
    );
    prop_assert_eq!(&line.project_name, &text("project_name", &row.project_name));
    prop_assert_eq!(line.hours, hours.filter(|_| has("hours")));
    prop_assert_eq!(line.start_at, row.start.filter(|_| has("start")));
    prop_assert_eq!(line.end_at, row.end.filter(|_| has("end")));
    prop_assert_eq!(
        line.category.as_deref(),
        row.category.filter(|_| has("category"))
    );
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_form_of_a_file_is_read_to_the_written_rows(rows in vec(row(), 0..12), form in form()) {
        let file = write(&rows, &form);
        let csv = read_invoice_csv(&file).map_err(|error| TestCaseError::fail(format!("{error}: {}", String::from_utf8_lossy(&file))))?;
        prop_assert_eq!(csv.lines.len(), rows.len());
        for ((line, row), place) in csv.lines.iter().zip(&rows).zip(1..) {
            prop_assert_eq!(line.line_no, place);
            check_line(line, row, &form)?;
        }
        let has = |column: &str| form.columns.contains(&column);
        prop_assert_eq!(csv.columns.group_description, has("group_description"));
        prop_assert_eq!(csv.columns.hours, has("hours"));
        prop_assert_eq!(csv.columns.start, has("start"));
        prop_assert_eq!(csv.columns.end, has("end"));
        prop_assert_eq!(csv.columns.project_name, has("project_name"));
        prop_assert_eq!(csv.columns.category, has("category"));
        check_sum(&file, &csv)?;
    }

    #[test]
    fn a_damaged_file_is_rejected_or_read_with_its_own_sum(
        rows in vec(row(), 0..6),
        form in form(),
        changes in changes(),
    ) {
        let mut file = write(&rows, &form);
        for step in &changes {
            change(&mut file, step);
        }
        if let Ok(csv) = read_invoice_csv(&file) {
            check_sum(&file, &csv)?;
        }
    }

    #[test]
    fn arbitrary_bytes_are_rejected_or_read_with_their_own_sum(
        bytes in vec(any::<u8>(), 0..300),
        fields in vec(select(vec!["Droplets", ",", "\n", "\"", "$1.00", "-$2", "(3.5)", ".", "\r\n", "\0", "é", "1,000.00"]), 0..40),
        has_header in any::<bool>(),
    ) {
        for tail in [bytes, fields.concat().into_bytes()] {
            let header: &[u8] = if has_header { b"product,description,USD\n" } else { b"" };
            let file = [header, &tail].concat();
            if let Ok(csv) = read_invoice_csv(&file) {
                check_sum(&file, &csv)?;
            }
        }
    }
}

/// Applies each kind of change at every position of a fixed file. The format decides the positions
/// at which the changed file is still valid, so the properties above see both outcomes.
#[test]
fn each_change_is_accepted_at_exactly_the_valid_positions() {
    // The line breaks are at 23, 44 and 65; the amounts begin at 39 and 60.
    const FILE: &[u8] = b"product,description,USD\nDroplets,web-1,$1.00\nDroplets,web-2,$2.00\n";
    let changed = |step: Change| {
        let mut file = FILE.to_vec();
        change(&mut file, &step);
        read_invoice_csv(&file).map(|csv| csv.lines.len()).ok()
    };
    let accepted = |step: &dyn Fn(usize) -> Change| -> Vec<usize> {
        let places = 0..=FILE.len();
        places
            .filter(|place| changed(step(*place)).is_some())
            .collect()
    };
    let ranges = |ranges: &[RangeInclusive<usize>]| -> Vec<usize> {
        ranges.iter().cloned().flatten().collect()
    };

    for byte in [0xff, 0] {
        // Neither a zero byte nor an invalid UTF-8 byte is text.
        assert!(accepted(&|place| Change::Put(place, vec![byte])).is_empty());
    }
    // A letter is valid in a product and in a description, but in no title and no amount.
    let letter = accepted(&|place| Change::Put(place, b"x".to_vec()));
    assert_eq!(letter, ranges(&[24..=38, 45..=59]));
    // A digit is valid in place of every byte of a field, and of the last line break. A comma and
    // the other line breaks are needed.
    let digit = accepted(&|place| Change::Replace(place, b'5'));
    assert_eq!(
        digit,
        ranges(&[24..=31, 33..=37, 39..=43, 45..=52, 54..=58, 60..=66])
    );
    // A file may end before or after a line break.
    assert_eq!(accepted(&Change::CutOff), [23, 24, 44, 45, 65, 66]);
    // A whole line can be missing or repeated without a trace.
    let line = 45 - 24;
    assert_eq!(changed(Change::Remove(24, line)), Some(1));
    assert_eq!(changed(Change::Repeat(24, line)), Some(3));
}
