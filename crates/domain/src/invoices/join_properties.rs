//! Properties of the join of CSV rows and JSON items, after random changes to the items.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// A change to an item after the generation of the CSV.
#[derive(Debug, Clone, Copy)]
enum ItemChange {
    Unchanged,
    Missing,
    Renamed,
    OtherUnit,
    OtherTimes,
}

/// Charges from a small vocabulary, so that many are equal.
fn charges() -> impl Strategy<Value = Vec<InvoiceItem>> {
    let charge = (
        select(vec!["Droplets", "Kubernetes Clusters"]),
        select(vec!["", "prod"]),
        select(vec!["a (s-1)", "b (s-1)"]),
        select(vec![100_i64, 200]),
        select(vec![None, Some(1), Some(2)]),
        select(vec![None, Some(0), Some(1)]),
        select(vec!["", "shop", "blog"]),
    );
    let charge = charge.prop_map(
        |(product, group, description, cents, hours, start, project)| InvoiceItem {
            group_description: group.into(),
            duration: hours.map(Decimal::from),
            start_time: start.map(time),
            project_name: project.into(),
            ..item(product, description, Decimal::new(cents, 2))
        },
    );
    prop::collection::vec(charge, 0..24)
}

fn columns() -> impl Strategy<Value = CsvColumns> {
    any::<[bool; 6]>().prop_map(
        |[group_description, hours, start, end, project_name, category]| CsvColumns {
            group_description,
            hours,
            start,
            end,
            project_name,
            category,
        },
    )
}

/// The same charges, each with a unique id: the index of its row.
fn with_ids(charges: &[InvoiceItem]) -> Vec<InvoiceItem> {
    (0..)
        .zip(charges)
        .map(|(place, charge): (u32, _)| InvoiceItem {
            resource_id: Some(place.to_string().into()),
            start_time: charge
                .start_time
                .map(|time| time + TimeDelta::milliseconds(7)),
            ..charge.clone()
        })
        .collect()
}

fn changed((item, item_change): (InvoiceItem, ItemChange)) -> Option<InvoiceItem> {
    match item_change {
        ItemChange::Unchanged => Some(item),
        ItemChange::Missing => None,
        ItemChange::Renamed => Some(InvoiceItem {
            project_name: "renamed".into(),
            ..item
        }),
        ItemChange::OtherUnit => Some(InvoiceItem {
            duration: item.duration.map(|hours| hours * Decimal::from(3600)),
            duration_unit: Some("Seconds".into()),
            ..item
        }),
        ItemChange::OtherTimes => Some(InvoiceItem {
            end_time: Some(time(99)),
            ..item
        }),
    }
}

fn item_changes() -> impl Strategy<Value = Vec<ItemChange>> {
    let item_change = prop_oneof![
        4 => Just(ItemChange::Unchanged),
        1 => Just(ItemChange::Missing),
        1 => Just(ItemChange::Renamed),
        1 => Just(ItemChange::OtherUnit),
        1 => Just(ItemChange::OtherTimes),
    ];
    prop::collection::vec(item_change, 24)
}

/// Checks that each id went to its own row, or to a row that is equal in the CSV.
fn check_ids(csv: &InvoiceCsv, before: &InvoiceCsv) -> Result<(), TestCaseError> {
    let unplaced = |place: usize| InvoiceLine {
        line_no: 0,
        ..before.lines[place].clone()
    };
    let mut assigned = HashSet::new();
    for (place, line) in csv.lines.iter().enumerate() {
        let Some(id) = &line.item.resource_id else {
            continue;
        };
        prop_assert!(assigned.insert(id.clone()), "id {} assigned twice", id);
        let source = id.parse().unwrap();
        prop_assert_eq!(unplaced(place), unplaced(source));
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_order_of_items_does_not_change_the_joined_lines(
        charges in charges(),
        others in charges(),
        columns in columns(),
        (items, shuffled) in subsequence((0..24_usize).collect::<Vec<_>>(), 0..24)
            .prop_flat_map(|places| (Just(places.clone()), Just(places).prop_shuffle())),
    ) {
        let mut all = with_ids(&charges);
        all.extend(others);
        let pick = |places: &[usize]| -> Vec<InvoiceItem> {
            places.iter().filter_map(|place| all.get(*place).cloned()).collect()
        };
        let mut csv = csv(columns, &charges);
        let mut other = csv.clone();
        let joined = join_items(&mut csv, &pick(&items));
        prop_assert_eq!(join_items(&mut other, &pick(&shuffled)), joined);
        // Equal rows may have each other's ids.
        let sorted = |csv: &InvoiceCsv| {
            let mut lines: Vec<String> = csv.lines.iter().map(|line| format!("{:?}", InvoiceLine { line_no: 0, ..line.clone() })).collect();
            lines.sort_unstable();
            lines
        };
        prop_assert_eq!(sorted(&other), sorted(&csv));
    }

    #[test]
    fn every_row_and_every_item_is_counted_once(charges in charges(), others in charges(), columns in columns()) {
        let mut csv = csv(columns, &charges);
        let items = with_ids(&others);
        let joined = join_items(&mut csv, &items);
        prop_assert_eq!(joined.joined + joined.rows_without_item, charges.len());
        prop_assert_eq!(joined.joined + joined.items_without_row, items.len());
        let with_id = csv.lines.iter().filter(|line| line.item.resource_id.is_some());
        prop_assert_eq!(with_id.count(), joined.joined);
    }

    #[test]
    fn no_row_gets_an_id_of_another_amount(charges in charges(), others in charges(), columns in columns()) {
        let mut csv = csv(columns, &charges);
        let items = with_ids(&others);
        join_items(&mut csv, &items);
        let amounts: HashMap<_, _> = items.iter().map(|item| (&item.resource_id, item.amount)).collect();
        for line in csv.lines.iter().filter(|line| line.item.resource_id.is_some()) {
            prop_assert_eq!(amounts[&line.item.resource_id], line.amount);
        }
    }

    #[test]
    fn every_row_gets_the_id_of_the_item_made_from_it(charges in charges(), columns in columns()) {
        let mut csv = csv(columns, &charges);
        let before = csv.clone();
        prop_assert_eq!(join_items(&mut csv, &with_ids(&charges)).joined, charges.len());
        check_ids(&csv, &before)?;
    }

    #[test]
    fn no_row_gets_a_foreign_id_if_items_are_missing_or_changed(
        charges in charges(),
        item_changes in item_changes(),
        columns in columns(),
    ) {
        let mut csv = csv(columns, &charges);
        let before = csv.clone();
        let items: Vec<InvoiceItem> = with_ids(&charges).into_iter().zip(item_changes).filter_map(changed).collect();
        join_items(&mut csv, &items);
        check_ids(&csv, &before)?;
    }
}
