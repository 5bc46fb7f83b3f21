//! Joins an invoice's CSV, which has no resource ids, with its JSON items, which have them.
//!
//! Neither has line ids, and equal lines are common, so both are joined as multisets.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use rust_decimal::Decimal;

use super::line::non_empty;
use super::{CsvColumns, InvoiceCsv, InvoiceItem, InvoiceLine};

/// The counts of a join.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joined {
    pub joined: usize,
    pub rows_without_item: usize,
    pub items_without_row: usize,
}

/// Adds the data of its item to each row of the CSV: the ids, and the category and the columns that
/// the CSV lacks. Values of the CSV are kept. Kind, name and part are read again if the group was
/// added.
///
/// The order of the items matters only for equal rows: the first of them gets the item listed
/// first. A row without a certain item gets no item (rule of ours): a missing id leaves a cost
/// unallocated, a wrong id charges another tenant.
pub fn join_items(csv: &mut InvoiceCsv, items: &[InvoiceItem]) -> Joined {
    let mut pairs = Vec::with_capacity(csv.lines.len().min(items.len()));
    let mut unpaired = Unpaired {
        rows: (0..csv.lines.len()).collect(),
        items: (0..items.len()).collect(),
    };
    for criteria in TIERS {
        let join = Join {
            columns: csv.columns,
            criteria,
            rows: &csv.lines,
            items,
        };
        let paired = join.pair(&unpaired);
        unpaired.remove(&paired);
        pairs.extend(paired);
    }
    for pair in &pairs {
        fill(
            &mut csv.lines[pair.row],
            &items[pair.item],
            pair,
            csv.columns,
        );
    }
    Joined {
        joined: pairs.len(),
        rows_without_item: unpaired.rows.len(),
        items_without_row: unpaired.items.len(),
    }
}

/// The fields that a row and an item must share, in addition to product, group, description and
/// amount.
#[derive(Clone, Copy)]
struct Criteria {
    hours: bool,
    times: bool,
    project: bool,
}

const EXACT: Criteria = Criteria {
    hours: true,
    times: true,
    project: true,
};

/// From the strictest criteria to the loosest. A project may have been renamed between the
/// generation of the CSV and of the items; a duration in a unit other than hours is not comparable;
/// and the two can state different times.
const TIERS: [Criteria; 5] = [
    EXACT,
    Criteria {
        project: false,
        ..EXACT
    },
    Criteria {
        hours: false,
        ..EXACT
    },
    Criteria {
        hours: false,
        project: false,
        ..EXACT
    },
    Criteria {
        hours: false,
        times: false,
        project: false,
    },
];

/// Indexes of the rows and items without a partner, ascending.
struct Unpaired {
    rows: Vec<usize>,
    items: Vec<usize>,
}

impl Unpaired {
    fn remove(&mut self, pairs: &[Pair]) {
        let without = |unpaired: &mut Vec<usize>, mut paired: Vec<usize>| {
            paired.sort_unstable();
            unpaired.retain(|place| paired.binary_search(place).is_err());
        };
        without(&mut self.rows, pairs.iter().map(|pair| pair.row).collect());
        without(
            &mut self.items,
            pairs.iter().map(|pair| pair.item).collect(),
        );
    }
}

struct Pair {
    row: usize,
    item: usize,
    /// Whether only the ids are certain: the item is one of several with equal ids and different
    /// other fields.
    only_ids: bool,
}

/// A duration for comparison.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hours {
    Missing,
    Known(Decimal),
    /// Only items have other units, so it equals no row's duration.
    OtherUnit,
}

/// The compared fields. A field that is not compared is empty, and so equal.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key<'a> {
    description: &'a str,
    amount: Decimal,
    product: &'a str,
    group_description: &'a str,
    hours: Hours,
    /// Whole seconds: JSON times may have fractions.
    start: Option<i64>,
    end: Option<i64>,
    project_name: &'a str,
}

impl<'a> Key<'a> {
    fn of_row(row: &'a InvoiceLine) -> Self {
        Self {
            description: &row.description,
            amount: row.amount,
            product: &row.product,
            group_description: &row.group_description,
            hours: row.hours.map_or(Hours::Missing, Hours::Known),
            start: row.start_at.map(|time| time.timestamp()),
            end: row.end_at.map(|time| time.timestamp()),
            project_name: &row.project_name,
        }
    }

    fn of_item(item: &'a InvoiceItem) -> Self {
        Self {
            description: &item.description,
            amount: item.amount,
            product: &item.product,
            group_description: &item.group_description,
            hours: match item.duration {
                None => Hours::Missing,
                Some(hours) if item.counts_hours() => Hours::Known(hours),
                Some(_) => Hours::OtherUnit,
            },
            start: item.start_time.map(|time| time.timestamp()),
            end: item.end_time.map(|time| time.timestamp()),
            project_name: &item.project_name,
        }
    }
}

/// The data that an item can add to a row; none for each field that has a column in the CSV.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ItemFields<'a> {
    resource_uuid: Option<&'a str>,
    resource_id: Option<&'a str>,
    category: Option<&'a str>,
    group_description: Option<&'a str>,
    hours: Option<Decimal>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    project_name: Option<&'a str>,
}

impl<'a> ItemFields<'a> {
    fn of(item: &'a InvoiceItem, columns: CsvColumns) -> Self {
        Self {
            resource_uuid: item.resource_uuid.as_deref().and_then(non_empty),
            resource_id: item.resource_id.as_deref().and_then(non_empty),
            category: item.category.as_deref().and_then(non_empty),
            group_description: non_empty(&item.group_description)
                .filter(|_| !columns.group_description),
            hours: item.hours().filter(|_| !columns.hours),
            start_at: item.start_time.filter(|_| !columns.start),
            end_at: item.end_time.filter(|_| !columns.end),
            project_name: non_empty(&item.project_name).filter(|_| !columns.project_name),
        }
    }

    fn ids(&self) -> (Option<&'a str>, Option<&'a str>) {
        (self.resource_uuid, self.resource_id)
    }
}

/// A row or an item in a list sorted by key. Keys are rebuilt for each comparison: a hundred
/// thousand stored keys would need more memory than the invoice.
struct Entry {
    hash: u64,
    is_item: bool,
    place: usize,
}

struct Join<'a> {
    columns: CsvColumns,
    criteria: Criteria,
    rows: &'a [InvoiceLine],
    items: &'a [InvoiceItem],
}

impl<'a> Join<'a> {
    fn pair(&self, unpaired: &Unpaired) -> Vec<Pair> {
        if unpaired.rows.is_empty() || unpaired.items.is_empty() {
            return Vec::new();
        }
        let rows = unpaired.rows.iter().map(|row| self.entry(false, *row));
        let items = unpaired.items.iter().map(|item| self.entry(true, *item));
        let mut entries: Vec<Entry> = rows.chain(items).collect();
        entries.sort_unstable_by(|one, other| {
            (one.hash.cmp(&other.hash))
                .then_with(|| self.key(one).cmp(&self.key(other)))
                .then_with(|| (one.is_item, one.place).cmp(&(other.is_item, other.place)))
        });
        let mut pairs = Vec::new();
        for group in entries
            .chunk_by(|one, other| one.hash == other.hash && self.key(one) == self.key(other))
        {
            let rows = group.partition_point(|entry| !entry.is_item);
            let (rows, items) = group.split_at(rows);
            if !rows.is_empty() && !items.is_empty() {
                self.pair_group(rows, items, &mut pairs);
            }
        }
        pairs
    }

    /// Pairs rows and items with equal keys, the first with the first.
    ///
    /// Equal rows cost the same, so no cent depends on which of them gets which id, as long as each
    /// item has its row. If their numbers differ, an id could go to the wrong row. If the rows
    /// differ in fields that were not compared, the row of an id is unknown. In both cases only ids
    /// that all the items share are assigned.
    fn pair_group(&self, rows: &[Entry], items: &[Entry], pairs: &mut Vec<Pair>) {
        let mut candidates: Vec<(ItemFields<'_>, usize)> = items
            .iter()
            .map(|item| (self.fields(item), item.place))
            .collect();
        let all_equal = |is_equal: &dyn Fn(&ItemFields<'_>, &ItemFields<'_>) -> bool| {
            let mut pairs = candidates.windows(2);
            pairs.all(|pair| is_equal(&pair[0].0, &pair[1].0))
        };
        let exact = Join {
            criteria: EXACT,
            ..*self
        };
        let rows_are_equal = rows
            .windows(2)
            .all(|pair| exact.key(&pair[0]) == exact.key(&pair[1]));
        let one_to_one = rows.len() == candidates.len()
            && rows_are_equal
            && (self.criteria.times || rows.len() == 1);
        let one_resource = all_equal(&|one, other| one.ids() == other.ids())
            && (rows.len() <= candidates.len() || rows_are_equal);
        if !one_to_one && !one_resource {
            return;
        }
        let only_ids = !one_to_one && !all_equal(&|one, other| one == other);
        // Leftover items pair with other rows in a later tier, so their choice must not depend on
        // the order of the list.
        if !one_to_one {
            candidates.sort_unstable();
        }
        pairs.extend(rows.iter().zip(&candidates).map(|(row, (_, item))| Pair {
            row: row.place,
            item: *item,
            only_ids,
        }));
    }

    fn entry(&self, is_item: bool, place: usize) -> Entry {
        let mut entry = Entry {
            hash: 0,
            is_item,
            place,
        };
        // Has a fixed seed. A collision of hashes only costs one more comparison.
        let mut hasher = DefaultHasher::new();
        self.key(&entry).hash(&mut hasher);
        entry.hash = hasher.finish();
        entry
    }

    fn fields(&self, item: &Entry) -> ItemFields<'a> {
        ItemFields::of(&self.items[item.place], self.columns)
    }

    fn key(&self, entry: &Entry) -> Key<'a> {
        let all = if entry.is_item {
            Key::of_item(&self.items[entry.place])
        } else {
            Key::of_row(&self.rows[entry.place])
        };
        let (columns, criteria) = (self.columns, self.criteria);
        let text = |is_compared: bool, text: &'a str| if is_compared { text.trim() } else { "" };
        Key {
            description: all.description.trim(),
            amount: all.amount,
            product: all.product.trim(),
            group_description: text(columns.group_description, all.group_description),
            hours: if columns.hours && criteria.hours {
                all.hours
            } else {
                Hours::Missing
            },
            start: all.start.filter(|_| columns.start && criteria.times),
            end: all.end.filter(|_| columns.end && criteria.times),
            project_name: text(columns.project_name && criteria.project, all.project_name),
        }
    }
}

fn fill(line: &mut InvoiceLine, item: &InvoiceItem, pair: &Pair, columns: CsvColumns) {
    line.item = item.ids();
    if pair.only_ids {
        return;
    }
    let added = ItemFields::of(item, columns);
    if line.category.is_none() {
        line.category = added.category.map(CompactString::from);
    }
    line.hours = line.hours.or(added.hours);
    line.start_at = line.start_at.or(added.start_at);
    line.end_at = line.end_at.or(added.end_at);
    if let Some(project_name) = added.project_name {
        line.project_name = project_name.into();
    }
    if let Some(group_description) = added.group_description {
        line.group_description = group_description.into();
        line.read_charge();
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
