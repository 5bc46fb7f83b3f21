//! The reader of invoice CSVs against files that nobody wrote: it never panics, never reads another sum than the file holds, and reads
//! every file that says the same to the same lines.
//!
//! `ARCADIA_FUZZ_CASES=100000 cargo test --release -p domain --test csv_fuzz` for more than the usual few hundred of each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod changes;
mod files;
mod sums;

use std::env;

use domain::invoices::{InvoiceLine, read_invoice_csv};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use rust_decimal::Decimal;

use changes::{change, changes};
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
    fn every_form_of_a_file_is_read_to_the_rows_that_were_written(rows in vec(row(), 0..12), form in form()) {
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
    fn a_changed_file_is_refused_or_read_to_the_sum_that_it_holds(
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
    fn any_bytes_are_refused_or_read_to_the_sum_that_they_hold(
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

/// Changes that refuse every file would prove nothing.
#[test]
fn some_changed_files_are_accepted_and_some_refused() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (vec(row(), 1..6), form(), changes());
    let mut accepted = 0;
    for _ in 0..300 {
        let (rows, form, changes) = strategy.new_tree(&mut runner).unwrap().current();
        let mut file = write(&rows, &form);
        for step in &changes {
            change(&mut file, step);
        }
        accepted += usize::from(read_invoice_csv(&file).is_ok_and(|csv| !csv.lines.is_empty()));
    }
    assert!((15..285).contains(&accepted), "{accepted}");
}
