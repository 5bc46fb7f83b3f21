//! Tests of the join of CSV rows and JSON items.

use chrono::TimeDelta;

use super::*;
use crate::invoices::lines_of_items;
use crate::invoices::samples::item;
use crate::kind::ResourceKind;

#[path = "join_properties.rs"]
mod properties;

const ALL: CsvColumns = CsvColumns {
    group_description: true,
    hours: true,
    start: true,
    end: true,
    project_name: true,
    category: true,
};

fn time(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_775_001_600 + hour * 3600, 0).unwrap()
}

fn droplet(id: &str) -> InvoiceItem {
    InvoiceItem {
        resource_id: Some(id.into()),
        duration: Some(24.into()),
        duration_unit: Some("Hours".into()),
        start_time: Some(time(0)),
        end_time: Some(time(24)),
        project_name: "shop".into(),
        category: Some("iaas".into()),
        ..item("Droplets", "web (s-1vcpu-1gb)", Decimal::new(600, 2))
    }
}

/// The CSV of an invoice with these items, limited to these columns.
fn csv(columns: CsvColumns, items: &[InvoiceItem]) -> InvoiceCsv {
    let shown: Vec<InvoiceItem> = items.iter().map(|item| shown(item, columns)).collect();
    InvoiceCsv {
        lines: lines_of_items(&shown),
        columns,
    }
}

fn shown(item: &InvoiceItem, columns: CsvColumns) -> InvoiceItem {
    let text = |has: bool, text: &CompactString| {
        if has {
            text.clone()
        } else {
            CompactString::default()
        }
    };
    InvoiceItem {
        resource_uuid: None,
        resource_id: None,
        group_description: text(columns.group_description, &item.group_description),
        duration: item.duration.filter(|_| columns.hours),
        start_time: item.start_time.filter(|_| columns.start),
        end_time: item.end_time.filter(|_| columns.end),
        project_name: text(columns.project_name, &item.project_name),
        category: item.category.clone().filter(|_| columns.category),
        ..item.clone()
    }
}

fn ids(csv: &InvoiceCsv) -> Vec<&str> {
    let id = |line: &'_ InvoiceLine| line.item.resource_id.is_some();
    assert!(
        csv.lines
            .iter()
            .all(|line| id(line) || line.item.resource_uuid.is_none())
    );
    csv.lines
        .iter()
        .map(|line| line.item.resource_id.as_deref().unwrap_or("-"))
        .collect()
}

#[test]
fn leftover_items_do_not_depend_on_the_order_of_the_list() {
    let columns = CsvColumns {
        group_description: false,
        start: false,
        end: false,
        project_name: false,
        category: false,
        ..ALL
    };
    let row = |hours: Option<i64>| InvoiceItem {
        duration: hours.map(Decimal::from),
        ..item("Droplets", "web (s-1vcpu-1gb)", Decimal::new(200, 2))
    };
    let rows = [row(Some(2)), row(None)];
    let dated = InvoiceItem {
        start_time: Some(time(0)),
        ..row(Some(2))
    };
    let joined = |items: &[InvoiceItem]| {
        let mut csv = csv(columns, &rows);
        join_items(&mut csv, items);
        csv.lines
    };
    let one = joined(&[dated.clone(), row(Some(2))]);
    assert_eq!(joined(&[row(Some(2)), dated]), one);
}

#[test]
fn a_row_gets_the_ids_of_its_item_and_keeps_the_rest() {
    let backup = InvoiceItem {
        product: "Droplet Backups".into(),
        description: " web ".into(),
        resource_uuid: Some(CompactString::default()),
        start_time: Some(time(0) + TimeDelta::milliseconds(300)),
        duration: Some(Decimal::new(2400, 2)),
        ..droplet("42")
    };
    let mut csv = csv(ALL, &[droplet("7"), backup.clone()]);
    let before = csv.lines.clone();
    let joined = join_items(&mut csv, &[backup, droplet("7")]);
    assert_eq!(
        joined,
        Joined {
            joined: 2,
            ..Joined::default()
        }
    );
    assert_eq!(ids(&csv), ["7", "42"]);
    assert_eq!(csv.lines[1].item.resource_uuid, None);
    assert_eq!(csv.lines[1].identified_kind, Some(ResourceKind::DROPLET));
    for (mut line, before) in csv.lines.into_iter().zip(before) {
        line.item = before.item.clone();
        assert_eq!(line, before);
    }
}

#[test]
fn equal_rows_get_the_ids_of_as_many_equal_items() {
    let items = [droplet("9"), droplet("7"), droplet("8")];
    let mut csv = csv(ALL, &items);
    assert_eq!(join_items(&mut csv, &items).joined, 3);
    assert_eq!(ids(&csv), ["9", "7", "8"]);
}

#[test]
fn equal_rows_get_no_id_from_another_number_of_items() {
    let two = [droplet("7"), droplet("8")];
    let mut three_rows = csv(ALL, &[droplet("7"), droplet("8"), droplet("9")]);
    let joined = join_items(&mut three_rows, &two);
    assert_eq!(
        joined,
        Joined {
            joined: 0,
            rows_without_item: 3,
            items_without_row: 2
        }
    );
    assert_eq!(ids(&three_rows), ["-", "-", "-"]);
    let mut one_row = csv(ALL, &[droplet("7")]);
    assert_eq!(join_items(&mut one_row, &two).joined, 0);
}

#[test]
fn items_with_one_id_are_joined_with_any_number_of_rows() {
    let items = [droplet("7"), droplet("7")];
    for (rows, expected) in [
        (vec![droplet("")], vec!["7"]),
        (vec![droplet(""); 3], vec!["7", "7", "-"]),
    ] {
        let mut csv = csv(ALL, &rows);
        assert_eq!(join_items(&mut csv, &items).joined, rows.len().min(2));
        assert_eq!(ids(&csv), expected);
    }
}

#[test]
fn a_renamed_project_does_not_prevent_a_join() {
    let renamed = InvoiceItem {
        project_name: "store".into(),
        ..droplet("7")
    };
    let mut csv = csv(ALL, &[droplet("8"), droplet("7")]);
    assert_eq!(
        join_items(&mut csv, &[renamed.clone(), droplet("8")]).joined,
        2
    );
    assert_eq!(ids(&csv), ["8", "7"]);
    assert_eq!(csv.lines[1].project_name, "shop");

    let elsewhere = InvoiceItem {
        project_name: "other".into(),
        ..droplet("8")
    };
    let mut two = self::csv(ALL, &[droplet("7"), elsewhere.clone()]);
    let both_renamed = [
        renamed,
        InvoiceItem {
            project_name: "else".into(),
            ..elsewhere
        },
    ];
    assert_eq!(join_items(&mut two, &both_renamed).joined, 0);
}

#[test]
fn other_units_and_times_are_ignored_if_one_row_fits() {
    let in_seconds = InvoiceItem {
        duration: Some(86_400.into()),
        duration_unit: Some("Seconds".into()),
        ..droplet("7")
    };
    let inclusive = InvoiceItem {
        end_time: Some(time(24) - TimeDelta::seconds(1)),
        ..droplet("7")
    };
    for changed in [in_seconds, inclusive.clone()] {
        let mut csv = csv(ALL, &[droplet("7")]);
        assert_eq!(join_items(&mut csv, &[changed]).joined, 1);
        assert_eq!(ids(&csv), ["7"]);
    }
    let longer = InvoiceItem {
        duration: Some(25.into()),
        ..droplet("8")
    };
    let mut csv = csv(ALL, &[droplet("7"), longer]);
    let also_inclusive = InvoiceItem {
        resource_id: Some("8".into()),
        ..inclusive.clone()
    };
    assert_eq!(join_items(&mut csv, &[inclusive, also_inclusive]).joined, 0);
}

#[test]
fn several_rows_and_items_with_other_times_are_not_joined() {
    let inclusive = |id: &str| InvoiceItem {
        end_time: Some(time(24) - TimeDelta::seconds(1)),
        ..droplet(id)
    };
    let mut csv = csv(ALL, &[droplet("7"), droplet("8")]);
    let joined = join_items(&mut csv, &[inclusive("7"), inclusive("8")]);
    assert_eq!(joined.joined, 0);
    assert_eq!(
        join_items(&mut csv, &[inclusive("7"), inclusive("7")]).joined,
        2
    );
    assert_eq!(ids(&csv), ["7", "7"]);
}

#[test]
fn the_category_of_the_csv_is_kept() {
    let platform = InvoiceItem {
        category: Some("paas".into()),
        ..droplet("7")
    };
    let mut csv = csv(ALL, &[droplet("7")]);
    assert_eq!(
        join_items(&mut csv, std::slice::from_ref(&platform)).joined,
        1
    );
    assert_eq!(csv.lines[0].category.as_deref(), Some("iaas"));
    csv.lines[0].category = None;
    join_items(&mut csv, &[platform]);
    assert_eq!(csv.lines[0].category.as_deref(), Some("paas"));
}

#[test]
fn an_item_with_another_amount_is_not_joined() {
    let dearer = InvoiceItem {
        amount: Decimal::new(601, 2),
        ..droplet("7")
    };
    let mut csv = csv(ALL, &[droplet("7")]);
    assert_eq!(join_items(&mut csv, &[dearer]).joined, 0);
    let same = InvoiceItem {
        amount: Decimal::new(6000, 3),
        ..droplet("7")
    };
    assert_eq!(join_items(&mut csv, &[same]).joined, 1);
}

#[test]
fn an_old_csv_gets_its_missing_columns_from_the_items() {
    let node = InvoiceItem {
        product: "Kubernetes Clusters".into(),
        group_description: "prod".into(),
        description: "3 nodes - 4 GB".into(),
        ..droplet("7")
    };
    let fewest = CsvColumns {
        group_description: false,
        hours: false,
        start: false,
        end: false,
        project_name: false,
        category: false,
    };
    let mut csv = csv(fewest, std::slice::from_ref(&node));
    assert_eq!(
        csv.lines[0].resource_name.as_deref(),
        Some("3 nodes - 4 GB")
    );
    let expected = lines_of_items(std::slice::from_ref(&node));
    assert_eq!(join_items(&mut csv, &[node]).joined, 1);
    assert_eq!(csv.lines, expected);
}

#[test]
fn only_ids_are_added_if_other_fields_are_uncertain() {
    let columns = CsvColumns {
        start: false,
        category: false,
        ..ALL
    };
    let second = InvoiceItem {
        start_time: Some(time(1)),
        ..droplet("7")
    };
    let mut csv = csv(columns, &[droplet("7")]);
    assert_eq!(join_items(&mut csv, &[droplet("7"), second]).joined, 1);
    assert_eq!(ids(&csv), ["7"]);
    assert_eq!(
        (csv.lines[0].start_at, &csv.lines[0].category),
        (None, &None)
    );
}

#[test]
fn an_empty_field_of_an_existing_column_stays_empty() {
    let mut csv = csv(
        ALL,
        &[InvoiceItem {
            project_name: CompactString::default(),
            duration: None,
            ..droplet("7")
        }],
    );
    assert_eq!(join_items(&mut csv, &[droplet("7")]).joined, 1);
    assert_eq!(
        (csv.lines[0].hours, csv.lines[0].project_name.as_str()),
        (None, "")
    );
}
