//! Tests of the encoders.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read as _;

use domain::focus::{
    Account, BILLING_PERIOD, Bill, BilledInvoice, BillingPeriod, COST_AND_USAGE, Column, CostRow,
    Line, Mapper, PeriodStatus, Version,
};
use domain::invoices::ChargePart;
use flate2::read::GzDecoder;
use parquet::data_type::Decimal as ParquetDecimal;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::*;

type Pages<R> = Vec<Result<Vec<R>, Infallible>>;

fn written<R>(format: Format, columns: &[&'static Column<R>], pages: Pages<R>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(format, columns, pages.into_iter(), &mut bytes).unwrap();
    bytes
}

/// Opens a file. The reader accepts no bytes in memory without another crate.
fn reader(bytes: &[u8]) -> SerializedFileReader<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    SerializedFileReader::new(file).unwrap()
}

fn row(description: &str, amount: &str) -> CostRow {
    let mut mapper = Mapper::new(Bill {
        account: Account {
            team_uuid: "team".to_owned(),
            name: None,
        },
        period: "2026-04-01".parse().unwrap(),
        invoice: Some(BilledInvoice {
            uuid: "3f0f3c0e-6f0b-4b7e-8f4e-000000000001".parse().unwrap(),
            number: None,
            version: 1,
        }),
    });
    mapper.row(Line {
        line_no: 1,
        product: "Droplets".to_owned(),
        group_description: String::new(),
        description: description.to_owned(),
        hours: Some("24".parse().unwrap()),
        start_at: None,
        end_at: Some("2026-04-02T00:00:00.5Z".parse().unwrap()),
        amount: amount.parse().unwrap(),
        project_name: String::new(),
        category: None,
        part: ChargePart::ProductCharges,
        resource_name: None,
        region: None,
        size: None,
        identified_kind: None,
        item_id: None,
        match_rule: "unmatched".to_owned(),
        attributed_by: "none".to_owned(),
        tenant_id: None,
        resource: None,
        project: None,
    })
}

/// Some columns of Cost and Usage.
fn columns(ids: &[&str]) -> Vec<&'static Column<CostRow>> {
    let mut columns = Column::of(COST_AND_USAGE, Version::V1_4);
    columns.retain(|column| ids.contains(&column.id));
    columns
}

#[test]
fn csv_has_empty_nulls_quoted_texts_and_decimals_with_a_point() {
    let shown = columns(&[
        "BilledCost",
        "BillingAccountName",
        "ChargeDescription",
        "ChargePeriodEnd",
        "PricingQuantity",
        "x_IsEstimate",
        "x_LineNumber",
    ]);
    let page = vec![row("a, \"b\"\nc", "1.5"), row("=1+1", "-0.00744")];
    let csv = written(Format::Csv, &shown, vec![Ok(page)]);
    let expected = "BilledCost,BillingAccountName,ChargeDescription,ChargePeriodEnd,PricingQuantity,x_IsEstimate,x_LineNumber\r\n\
        1.50,,\"a, \"\"b\"\"\nc\",2026-04-02T00:00:00.500Z,24.00,false,1\r\n\
        -0.00744,,'=1+1,2026-04-02T00:00:00.500Z,,false,1\r\n";
    assert_eq!(String::from_utf8(csv).unwrap(), expected);
}

#[test]
fn compressed_csv_is_the_same_text() {
    let shown = columns(&["BilledCost", "ChargeDescription"]);
    let pages = || vec![Ok(vec![row("web", "1.50")]), Ok(vec![row("db", "2.50")])];
    let plain = written(Format::Csv, &shown, pages());
    let mut text = Vec::new();
    let compressed = written(Format::CsvGzip, &shown, pages());
    GzDecoder::new(&*compressed).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain);
}

#[test]
fn parquet_has_every_row_in_bounded_row_groups() {
    let row = BillingPeriod::new(
        "2026-04-01".parse().unwrap(),
        "2026-05-02T00:00:00Z".parse().unwrap(),
        PeriodStatus::Closed,
    );
    let pages = (0..25).map(|_| Ok(vec![row.clone(); 1_000])).collect();
    let columns = Column::of(BILLING_PERIOD, Version::V1_4);
    let bytes = written(Format::Parquet, &columns, pages);
    let reader = reader(&bytes);
    assert_eq!(reader.num_row_groups(), 3);
    assert_eq!(reader.metadata().file_metadata().num_rows(), 25_000);
    let statuses = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let (_, status) = row
            .get_column_iter()
            .find(|(name, _)| *name == "BillingPeriodStatus")
            .unwrap();
        status.to_string()
    });
    assert!(statuses.into_iter().all(|status| status == "\"Closed\""));
}

#[test]
fn parquet_has_exact_decimals_and_refuses_longer_ones() {
    let shown = columns(&["BilledCost", "ListUnitPrice"]);
    let page = vec![row("web", "-1779.55"), row("web", "0.00744")];
    let bytes = written(Format::Parquet, &shown, vec![Ok(page)]);
    let reader = reader(&bytes);
    let unscaled = |field: &Field| match field {
        Field::Decimal(decimal @ ParquetDecimal::Bytes { .. }) => {
            assert_eq!((decimal.precision(), decimal.scale()), (38, 14));
            let bytes: [u8; 16] = decimal.data().try_into().unwrap();
            Some(i128::from_be_bytes(bytes))
        }
        Field::Null => None,
        other => panic!("{other:?}"),
    };
    let rows: Vec<Vec<Option<i128>>> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            row.unwrap()
                .get_column_iter()
                .map(|(_, field)| unscaled(field))
                .collect()
        })
        .collect();
    assert_eq!(
        rows,
        [
            [Some(-177_955_000_000_000_000), None],
            [Some(744_000_000_000), Some(31_000_000_000)],
        ]
    );
    let long = vec![Ok::<_, Infallible>(vec![row("web", "0.123456789012345")])];
    let refused = write(Format::Parquet, &shown, long.into_iter(), Vec::new());
    assert!(matches!(
        refused,
        Err(ExportError::DecimalTooLong {
            column: "BilledCost",
            ..
        })
    ));
}

#[test]
fn an_error_of_a_page_ends_the_file() {
    let pages = [Ok(vec![row("web", "1.50")]), Err("the database is away")];
    for format in [Format::Csv, Format::CsvGzip, Format::Parquet] {
        let shown = columns(&["BilledCost"]);
        let mut bytes = Vec::new();
        let pages = pages.clone().into_iter();
        let ended = write(format, &shown, pages, &mut bytes);
        assert!(matches!(ended, Err(ExportError::Rows(_))), "{format:?}");
        // Parquet has its magic number at the start, and no footer.
        assert!(bytes.len() <= 4 || !bytes.ends_with(b"PAR1"), "{format:?}");
    }
}

#[test]
fn parquet_has_no_statistics_that_would_keep_the_buffers() {
    let columns = Column::of(COST_AND_USAGE, Version::V1_4);
    let pages = vec![Ok(vec![row("droplet-1", "1.25"), row("droplet-2", "2.50")])];
    let reader = reader(&written(Format::Parquet, &columns, pages));
    let group = reader.metadata().row_group(0);
    let with_statistics = group
        .columns()
        .iter()
        .filter(|column| column.statistics().is_some());
    assert_eq!(with_statistics.count(), 0);
}
