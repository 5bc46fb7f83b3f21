//! Tests of reading an invoice's CSV.

use std::fmt::Write as _;

use chrono::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::invoices::line_total;
use crate::kind::ResourceKind;

const HEADER: &str =
    "product,group_description,description,hours,start,end,USD,project_name,category";

fn read(text: &str) -> Result<Vec<InvoiceLine>, UnreadableInvoice> {
    read_invoice_csv(text.as_bytes()).map(|csv| csv.lines)
}

fn error(text: &str) -> UnreadableInvoice {
    read(text).unwrap_err()
}

/// Checks that a file is rejected with an error at this line and column.
fn assert_rejected(text: &str, line: u64, column: &str) {
    let error = error(text);
    let place = (error.line, error.column.as_deref());
    assert_eq!(place, (line, Some(column)), "{error}");
}

/// The example of DigitalOcean's API description.
const SPEC_EXAMPLE: &str = "\
product,group_description,description,hours,start,end,USD,project_name,category
Floating IPs,,Unused Floating IP - 1.1.1.1,100,2020-07-01 00:00:00 +0000,2020-07-22 18:14:39 +0000,$3.11,,iaas
Taxes,,STATE SALES TAX (6.25%),,2020-07-01 00:00:00 +0000,2020-07-31 23:59:59 +0000,$0.16,,iaas
";

#[test]
fn the_example_of_the_api_description_is_read() {
    let lines = read(SPEC_EXAMPLE).unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(line_total(&lines), Some(Decimal::new(327, 2)));
    let floating_ip = &lines[0];
    assert_eq!(floating_ip.kind, Some(ResourceKind::RESERVED_IP));
    assert_eq!(floating_ip.resource_name.as_deref(), Some("1.1.1.1"));
    assert_eq!(floating_ip.hours, Some(Decimal::from(100)));
    assert_eq!(
        floating_ip.end_at,
        Some(Utc.with_ymd_and_hms(2020, 7, 22, 18, 14, 39).unwrap())
    );
    let tax = &lines[1];
    assert_eq!((tax.line_no, tax.hours, tax.for_account), (2, None, true));
    assert_eq!(tax.category.as_deref(), Some("iaas"));
}

#[test]
fn order_case_and_number_of_columns_do_not_matter() {
    let reordered = "USD,Extra,Description,PRODUCT\r\n\"-$1,779.55\",x,\"Discount, yearly\",Credits\r\n$3.00,,web-1 (s-1vcpu-1gb),Droplets\r\n";
    let lines = read(&format!("\u{feff}{reordered}")).unwrap();
    assert_eq!(line_total(&lines), Some(Decimal::new(-177_655, 2)));
    assert_eq!(lines[0].description, "Discount, yearly");
    assert_eq!(lines[0].project_name, "");
    assert_eq!(
        (lines[0].start_at, lines[0].hours, lines[0].category.clone()),
        (None, None, None)
    );
    assert_eq!(lines[1].resource_name.as_deref(), Some("web-1"));
}

#[test]
fn the_columns_of_a_file_are_reported() {
    let columns = |header: &str| {
        let file = format!("{header}\n");
        read_invoice_csv(file.as_bytes()).unwrap().columns
    };
    let all = CsvColumns {
        group_description: true,
        hours: true,
        start: true,
        end: true,
        project_name: true,
        category: true,
    };
    assert_eq!(columns(HEADER), all);
    let old = CsvColumns {
        category: false,
        ..all
    };
    assert_eq!(columns(HEADER.trim_end_matches(",category")), old);
    let none = CsvColumns {
        group_description: false,
        hours: false,
        start: false,
        end: false,
        project_name: false,
        category: false,
    };
    assert_eq!(columns("product,description,USD"), none);
    let one = CsvColumns { end: true, ..none };
    assert_eq!(columns("product,description,USD,End"), one);
}

#[test]
fn a_last_line_without_a_line_break_is_read() {
    assert_eq!(
        read(SPEC_EXAMPLE.trim_end()).unwrap(),
        read(SPEC_EXAMPLE).unwrap()
    );
}

#[test]
fn a_quoted_field_may_hold_commas_quotes_and_line_breaks() {
    let lines = read(&format!(
        "{HEADER}\nDroplets,,\"a \"\"b\"\",\nc (s-1)\",1,,,$1.00,,\"iaas\""
    ))
    .unwrap();
    assert_eq!(lines[0].description, "a \"b\",\nc (s-1)");
}

#[test]
fn a_quoted_last_line_is_complete_after_any_line_break() {
    for line_break in ["\n", "\r\n", "\r\n\r\n"] {
        let file = format!("description,product,USD{line_break}\"web, one\",Droplets,$1.00");
        assert_eq!(read(&file).unwrap()[0].description, "web, one");
        let cut = file.replace("\",Droplets", ",Droplets");
        assert!(read(&cut).is_err(), "{cut}");
    }
}

#[test]
fn line_numbers_equal_those_of_an_editor_for_every_line_break() {
    let broken = SPEC_EXAMPLE.replace("$0.16", "oops");
    for (line_break, line) in [("\n", 3), ("\r\n", 3), ("\r\n\r\n", 5)] {
        assert_rejected(&broken.replace('\n', line_break), line, "USD");
    }
    let mut bytes = SPEC_EXAMPLE.replace('\n', "\r\n").into_bytes();
    bytes.extend(b"Droplets,,\xff,1,,,$1.00,,iaas\r\n");
    let error = read_invoice_csv(&bytes).unwrap_err();
    assert_eq!(
        (error.line, error.column.as_deref()),
        (4, Some("description"))
    );
}

#[test]
fn a_header_alone_is_an_invoice_without_lines() {
    assert_eq!(read(&format!("{HEADER}\n")).unwrap(), []);
}

#[test]
fn a_missing_required_column_is_named() {
    assert_rejected("product,description,hours\nDroplets,web-1,1\n", 1, "USD");
}

#[test]
fn a_duplicate_column_is_rejected() {
    let file = "product,description,USD,usd\nDroplets,web-1,$1.00,$2.00\n";
    assert_rejected(file, 1, "USD");
}

#[test]
fn an_invalid_amount_is_reported_by_line_and_column() {
    let file = SPEC_EXAMPLE.replace("$0.16", "oops");
    assert_rejected(&file, 3, "USD");
    let message = error(&file).to_string();
    assert!(
        message.contains("line 3, column USD") && message.contains("oops"),
        "{message}"
    );
}

#[test]
fn invalid_hours_and_times_are_reported_by_line_and_column() {
    assert_rejected(&SPEC_EXAMPLE.replace(",100,", ",many,"), 2, "hours");
    let file = SPEC_EXAMPLE.replace("2020-07-22 18:14:39 +0000", "yesterday");
    assert_rejected(&file, 2, "end");
}

#[test]
fn an_unquoted_thousands_comma_is_rejected() {
    let error = error(&SPEC_EXAMPLE.replace("$3.11", "$1,779.55"));
    assert_eq!(error.line, 2);
    assert!(error.problem.contains("10 fields"), "{error}");
}

#[test]
fn an_html_page_is_rejected() {
    let page = "<!DOCTYPE html>\n<html><body>504 Gateway Time-out</body></html>\n";
    assert_rejected(page, 1, "product");
}

#[test]
fn an_empty_file_and_bytes_that_are_not_text_are_rejected() {
    for empty in ["", "\u{feff}\r\n"] {
        let error = error(empty);
        assert_eq!((error.line, &error.column), (1, &None), "{error}");
    }
    assert_rejected(&SPEC_EXAMPLE.replace("STATE", "ST\0TE"), 3, "description");
    let mut bytes = format!("{HEADER}\nDroplets,,").into_bytes();
    bytes.extend([0xff, 0xfe]);
    bytes.extend(b",1,,,$1.00,,iaas\n");
    let error = read_invoice_csv(&bytes).unwrap_err();
    assert_eq!(
        (error.line, error.column.as_deref()),
        (2, Some("description"))
    );
}

/// Files in other encodings, with the line and the column of their error.
fn files_in_other_encodings() -> Vec<(&'static str, Vec<u8>, u64, &'static str)> {
    let file = format!("{HEADER}\nDroplets,,web-1 (s-1vcpu-1gb),1,,,$1.00,Caf\u{e9} prod,iaas\n");
    let latin1 = |text: &str| -> Vec<u8> { text.chars().map(|letter| letter as u8).collect() };
    let utf16 =
        |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { file.encode_utf16().flat_map(bytes).collect() };
    let with_bom = |bom: &[u8], rest: Vec<u8>| [bom, &rest].concat();
    let ascii = file.replace('\u{e9}', "e");
    let mut nul = ascii.clone().into_bytes();
    let place = ascii.find("Cafe").unwrap();
    nul[place] = 0;
    let mut in_header = ascii.clone().into_bytes();
    in_header[2] = 0xe9;
    let quoted = "product,description,USD\nDroplets,\"two\nlines \u{e9}\",$1.00\n";
    vec![
        ("latin-1", latin1(&file), 2, "project_name"),
        (
            "latin-1 after a BOM",
            with_bom(b"\xef\xbb\xbf", latin1(&file)),
            2,
            "project_name",
        ),
        (
            "latin-1 with CRLF",
            latin1(&file.replace('\n', "\r\n")),
            2,
            "project_name",
        ),
        (
            "latin-1 with bare CR",
            latin1(&file.replace('\n', "\r")),
            2,
            "project_name",
        ),
        (
            "latin-1 after bare CRs",
            latin1(&file.replace('\n', "\r\r\r")),
            4,
            "project_name",
        ),
        (
            "latin-1 in a quoted field",
            latin1(quoted),
            2,
            "description",
        ),
        ("latin-1 in the header", in_header, 1, "field 1"),
        (
            "UTF-16LE",
            with_bom(b"\xff\xfe", utf16(u16::to_le_bytes)),
            1,
            "product",
        ),
        (
            "UTF-16BE",
            with_bom(b"\xfe\xff", utf16(u16::to_be_bytes)),
            1,
            "product",
        ),
        (
            "UTF-16LE without a BOM",
            utf16(u16::to_le_bytes),
            1,
            "product",
        ),
        (
            "UTF-16BE without a BOM",
            utf16(u16::to_be_bytes),
            1,
            "product",
        ),
        (
            "a BOM of UTF-16 and nothing else",
            b"\xff\xfe".to_vec(),
            1,
            "field 1",
        ),
        ("a zero byte", nul, 2, "project_name"),
    ]
}

#[test]
fn another_encoding_is_reported_by_line_and_column() {
    for (name, file, line, column) in files_in_other_encodings() {
        let error = read_invoice_csv(&file).unwrap_err();
        assert_eq!(
            (error.line, error.column.as_deref()),
            (line, Some(column)),
            "{name}: {error}"
        );
        assert!(error.problem.contains("UTF-8"), "{name}: {error}");
    }
}

#[test]
fn every_error_ends_with_a_hint() {
    let mut files: Vec<Vec<u8>> = files_in_other_encodings()
        .into_iter()
        .map(|(_, file, ..)| file)
        .collect();
    files.extend(
        [
            "",
            "<html></html>",
            "product,description,EUR\nDroplets,web-1,$1.00\n",
            "product,description,USD,usd\n",
            &SPEC_EXAMPLE.replace("$0.16", "oops"),
            &SPEC_EXAMPLE.replace(",100,", ",many,"),
            &SPEC_EXAMPLE.replace("$3.11", "$1,779.55"),
            "product,description,USD\nDroplets,\"web-1,$1.00",
            "product,description,USD\nDroplets,web-1,$1.",
        ]
        .map(|text| text.as_bytes().to_vec()),
    );
    for file in files {
        let error = read_invoice_csv(&file).unwrap_err();
        assert!(error.hint.contains("IngestInvoice"), "{error}");
        assert!(error.to_string().ends_with(error.hint), "{error}");
        assert!(error.column.is_some() || file.is_empty(), "{error}");
    }
}

#[test]
fn lines_that_end_with_cr_alone_and_repeated_boms_are_read() {
    let lines = read(SPEC_EXAMPLE).unwrap();
    for file in [
        SPEC_EXAMPLE.replace('\n', "\r"),
        format!("\u{feff}\u{feff}{SPEC_EXAMPLE}"),
    ] {
        assert_eq!(read(&file).unwrap(), lines);
    }
    let error = read_invoice_csv(
        SPEC_EXAMPLE
            .replace("$0.16", "oops")
            .replace('\n', "\r")
            .as_bytes(),
    );
    assert_eq!(error.unwrap_err().line, 3);
}

/// A file that is truncated inside a line is rejected. At a line break no cut can be detected.
#[test]
fn a_truncated_file_is_rejected_unless_it_ends_with_a_line() {
    let whole = "product,description,project_name,hours,start,end,USD\n\
                 Droplets,web-1 (s-1vcpu-1gb),\"one, two\",744,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$6.00\n\
                 Droplets,web-2 (s-1vcpu-1gb),web,744,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,\"$1,080.92\"";
    let second_line = whole.find("Droplets").unwrap();
    let third_line = whole.rfind("Droplets").unwrap();
    for end in second_line + 1..whole.len() {
        let at_a_line_break = end == third_line || end == third_line - 1;
        assert_eq!(
            read(&whole[..end]).is_ok(),
            at_a_line_break,
            "cut after {:?}",
            &whole[..end]
        );
    }
}

#[test]
fn an_amount_with_fewer_decimals_than_all_others_is_truncated() {
    let file = |amounts: &[&str]| {
        let lines: Vec<String> = amounts
            .iter()
            .map(|amount| format!("Droplets,web-1 (s-1vcpu-1gb),{amount}"))
            .collect();
        format!("product,description,USD\n{}", lines.join("\n"))
    };
    let whole = file(&["$0.012", "$0.500", "$86.925"]);
    for (end, is_read) in [(0, true), (1, false), (2, false)] {
        let file = &whole[..whole.len() - end];
        assert_eq!(read(file).is_ok(), is_read, "{file}");
        // A line break proves the amount.
        assert!(read(&format!("{file}\n")).is_ok(), "{file}");
    }
    assert_rejected(&file(&["$0.012", "$0.500", "$86.92"]), 4, "USD");
    for amounts in [
        &["$0.012", "$6.00", "$86.92"] as &[&str],
        &["$86.92"],
        &["$86.925"],
        &["$6", "$86.92"],
    ] {
        assert!(read(&file(amounts)).is_ok(), "{amounts:?}");
    }
}

fn amounts() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(-1_000_000_i64..10_000_000, 0..40)
}

proptest! {
    #[test]
    fn the_sum_of_lines_is_the_exact_sum_of_cents(cents in amounts()) {
        let mut file = format!("{HEADER}\n");
        for amount in &cents {
            let sign = if *amount < 0 { "-" } else { "" };
            let (whole, part) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
            writeln!(file, "Droplets,,web (s-1),1,,,{sign}${whole}.{part:02},,").unwrap();
        }
        let lines = read(&file).unwrap();
        prop_assert_eq!(line_total(&lines), Some(Decimal::new(cents.iter().sum(), 2)));
        prop_assert!(lines.iter().zip(1..).all(|(line, place)| line.line_no == place));
    }

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), headed in any::<bool>()) {
        let mut file = if headed { format!("{HEADER}\n").into_bytes() } else { Vec::new() };
        file.extend(bytes);
        let _ = read_invoice_csv(&file);
    }
}
