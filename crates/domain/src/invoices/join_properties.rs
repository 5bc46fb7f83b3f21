use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// What could have happened to an item since the CSV was made.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Kept,
    Missing,
    Renamed,
    OtherUnit,
    OtherTimes,
}

/// Charges from few words, so that many are alike.
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

/// The same charges, each with an id of its own: the place of its row.
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

fn befallen((item, fate): (InvoiceItem, Fate)) -> Option<InvoiceItem> {
    match fate {
        Fate::Kept => Some(item),
        Fate::Missing => None,
        Fate::Renamed => Some(InvoiceItem {
            project_name: "renamed".into(),
            ..item
        }),
        Fate::OtherUnit => Some(InvoiceItem {
            duration: item.duration.map(|hours| hours * Decimal::from(3600)),
            duration_unit: Some("Seconds".into()),
            ..item
        }),
        Fate::OtherTimes => Some(InvoiceItem {
            end_time: Some(time(99)),
            ..item
        }),
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Kept),
        1 => Just(Fate::Missing),
        1 => Just(Fate::Renamed),
        1 => Just(Fate::OtherUnit),
        1 => Just(Fate::OtherTimes),
    ];
    prop::collection::vec(fate, 24)
}

/// Checks that each id went to its own row, or to one that the CSV does not tell from it.
fn check_owners(csv: &InvoiceCsv, before: &InvoiceCsv) -> Result<(), TestCaseError> {
    let unplaced = |place: usize| InvoiceLine {
        line_no: 0,
        ..before.lines[place].clone()
    };
    let mut given = HashSet::new();
    for (place, line) in csv.lines.iter().enumerate() {
        let Some(id) = &line.item.resource_id else {
            continue;
        };
        prop_assert!(given.insert(id.clone()), "the id {} was given twice", id);
        let owner = id.parse().unwrap();
        prop_assert_eq!(unplaced(place), unplaced(owner));
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_order_of_the_items_changes_nothing_that_anybody_could_tell(
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
        // Of rows alike in everything, either may have the one id and the other.
        let told = |csv: &InvoiceCsv| {
            let mut lines: Vec<String> = csv.lines.iter().map(|line| format!("{:?}", InvoiceLine { line_no: 0, ..line.clone() })).collect();
            lines.sort_unstable();
            lines
        };
        prop_assert_eq!(told(&other), told(&csv));
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
        check_owners(&csv, &before)?;
    }

    #[test]
    fn no_row_gets_anothers_id_though_items_are_missing_or_tell_it_otherwise(
        charges in charges(),
        fates in fates(),
        columns in columns(),
    ) {
        let mut csv = csv(columns, &charges);
        let before = csv.clone();
        let items: Vec<InvoiceItem> = with_ids(&charges).into_iter().zip(fates).filter_map(befallen).collect();
        join_items(&mut csv, &items);
        check_owners(&csv, &before)?;
    }
}
