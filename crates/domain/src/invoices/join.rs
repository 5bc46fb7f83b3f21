//! Joining an invoice's CSV, which names no resource, with its JSON items, which do. Neither has ids for its lines, and lines that are
//! alike in everything are usual, so both are joined as multisets.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use rust_decimal::Decimal;

use super::line::said;
use super::{CsvColumns, InvoiceCsv, InvoiceItem, InvoiceLine};

/// How a join went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joined {
    pub joined: usize,
    pub rows_without_item: usize,
    pub items_without_row: usize,
}

/// Gives each row of the CSV what its item says: the ids, and the category and whole columns that the CSV lacks. What the CSV itself
/// says stays. Kind, name and part follow a group that was lacking.
///
/// The order of the items means nothing but for rows that are alike in everything: of those the first gets the item listed first. An
/// invoice listed in another order is joined the same, as far as anybody can tell. A row whose item cannot be
/// told gets none (rule of ours): a missing id leaves a cost open, a wrong one charges another tenant.
pub fn join_items(csv: &mut InvoiceCsv, items: &[InvoiceItem]) -> Joined {
    let mut pairs = Vec::with_capacity(csv.lines.len().min(items.len()));
    let mut open = Open {
        rows: (0..csv.lines.len()).collect(),
        items: (0..items.len()).collect(),
    };
    for likeness in TIERS {
        let join = Join {
            columns: csv.columns,
            likeness,
            rows: &csv.lines,
            items,
        };
        let paired = join.pair(&open);
        open.close(&paired);
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
        rows_without_item: open.rows.len(),
        items_without_row: open.items.len(),
    }
}

/// What a row and an item must have in common, beside product, group, description and amount.
#[derive(Clone, Copy)]
struct Likeness {
    hours: bool,
    times: bool,
    project: bool,
}

const EXACT: Likeness = Likeness {
    hours: true,
    times: true,
    project: true,
};

/// The most alike first. A project may have been renamed between the making of the one and the other; a duration in another unit
/// than hours compares with none; and in the end the two may tell times differently.
const TIERS: [Likeness; 5] = [
    EXACT,
    Likeness {
        project: false,
        ..EXACT
    },
    Likeness {
        hours: false,
        ..EXACT
    },
    Likeness {
        hours: false,
        project: false,
        ..EXACT
    },
    Likeness {
        hours: false,
        times: false,
        project: false,
    },
];

/// The places of what has no partner yet, ascending.
struct Open {
    rows: Vec<usize>,
    items: Vec<usize>,
}

impl Open {
    fn close(&mut self, pairs: &[Pair]) {
        let without = |open: &mut Vec<usize>, mut gone: Vec<usize>| {
            gone.sort_unstable();
            open.retain(|place| gone.binary_search(place).is_err());
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
    /// Whether the ids are all that is certain: the row's item is one of several that agree in no more.
    only_ids: bool,
}

/// A duration as it is compared.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hours {
    NotGiven,
    Given(Decimal),
    /// Only an item's can be, so that it is like no row's.
    InAnotherUnit,
}

/// What is compared. What is not is left empty, and so is alike.
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
            hours: row.hours.map_or(Hours::NotGiven, Hours::Given),
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
                None => Hours::NotGiven,
                Some(hours) if item.counts_hours() => Hours::Given(hours),
                Some(_) => Hours::InAnotherUnit,
            },
            start: item.start_time.map(|time| time.timestamp()),
            end: item.end_time.map(|time| time.timestamp()),
            project_name: &item.project_name,
        }
    }
}

/// What an item adds to a row; none where the CSV has a column of its own for it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Told<'a> {
    resource_uuid: Option<&'a str>,
    resource_id: Option<&'a str>,
    category: Option<&'a str>,
    group_description: Option<&'a str>,
    hours: Option<Decimal>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    project_name: Option<&'a str>,
}

impl<'a> Told<'a> {
    fn by(item: &'a InvoiceItem, columns: CsvColumns) -> Self {
        Self {
            resource_uuid: item.resource_uuid.as_deref().and_then(said),
            resource_id: item.resource_id.as_deref().and_then(said),
            category: item.category.as_deref().and_then(said),
            group_description: said(&item.group_description).filter(|_| !columns.group_description),
            hours: item.hours().filter(|_| !columns.hours),
            start_at: item.start_time.filter(|_| !columns.start),
            end_at: item.end_time.filter(|_| !columns.end),
            project_name: said(&item.project_name).filter(|_| !columns.project_name),
        }
    }

    fn ids(&self) -> (Option<&'a str>, Option<&'a str>) {
        (self.resource_uuid, self.resource_id)
    }
}

/// A row or an item, sorted by what it is compared by. Keys are made anew for each comparison: a hundred thousand of them kept would
/// weigh more than the invoice.
struct Entry {
    hash: u64,
    is_item: bool,
    place: usize,
}

struct Join<'a> {
    columns: CsvColumns,
    likeness: Likeness,
    rows: &'a [InvoiceLine],
    items: &'a [InvoiceItem],
}

impl<'a> Join<'a> {
    fn pair(&self, open: &Open) -> Vec<Pair> {
        if open.rows.is_empty() || open.items.is_empty() {
            return Vec::new();
        }
        let rows = open.rows.iter().map(|row| self.entry(false, *row));
        let items = open.items.iter().map(|item| self.entry(true, *item));
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

    /// Pairs rows and items that are alike as far as they are compared, the first with the first.
    ///
    /// Rows that are alike in everything cost the same, so that no cent depends on which of them gets which id, as long as each
    /// of the items has its row. Where their numbers differ, an id might go to a row that is not its; and where the rows differ in
    /// what was not compared, nothing tells which of them an id belongs to. There, only ids that are all the same are given.
    fn pair_group(&self, rows: &[Entry], items: &[Entry], pairs: &mut Vec<Pair>) {
        let mut told: Vec<(Told<'_>, usize)> = items
            .iter()
            .map(|item| (self.told(item), item.place))
            .collect();
        let agree = |alike: &dyn Fn(&Told<'_>, &Told<'_>) -> bool| {
            told.windows(2).all(|pair| alike(&pair[0].0, &pair[1].0))
        };
        let exact = Join {
            likeness: EXACT,
            ..*self
        };
        let rows_are_alike = rows
            .windows(2)
            .all(|pair| exact.key(&pair[0]) == exact.key(&pair[1]));
        let one_to_one =
            rows.len() == told.len() && rows_are_alike && (self.likeness.times || rows.len() == 1);
        let one_resource = agree(&|one, other| one.ids() == other.ids())
            && (rows.len() <= told.len() || rows_are_alike);
        if !one_to_one && !one_resource {
            return;
        }
        let only_ids = !one_to_one && !agree(&|one, other| one == other);
        // Items that are left over pair with other rows later: which ones they are must not depend on the order of the list.
        if !one_to_one {
            told.sort_unstable();
        }
        pairs.extend(rows.iter().zip(&told).map(|(row, (_, item))| Pair {
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
        // Of a fixed seed; equal hashes of different keys cost a comparison and no more.
        let mut hasher = DefaultHasher::new();
        self.key(&entry).hash(&mut hasher);
        entry.hash = hasher.finish();
        entry
    }

    fn told(&self, item: &Entry) -> Told<'a> {
        Told::by(&self.items[item.place], self.columns)
    }

    fn key(&self, entry: &Entry) -> Key<'a> {
        let all = if entry.is_item {
            Key::of_item(&self.items[entry.place])
        } else {
            Key::of_row(&self.rows[entry.place])
        };
        let (columns, likeness) = (self.columns, self.likeness);
        let text = |is_compared: bool, text: &'a str| if is_compared { text.trim() } else { "" };
        Key {
            description: all.description.trim(),
            amount: all.amount,
            product: all.product.trim(),
            group_description: text(columns.group_description, all.group_description),
            hours: if columns.hours && likeness.hours {
                all.hours
            } else {
                Hours::NotGiven
            },
            start: all.start.filter(|_| columns.start && likeness.times),
            end: all.end.filter(|_| columns.end && likeness.times),
            project_name: text(columns.project_name && likeness.project, all.project_name),
        }
    }
}

fn fill(line: &mut InvoiceLine, item: &InvoiceItem, pair: &Pair, columns: CsvColumns) {
    line.item = item.ids();
    if pair.only_ids {
        return;
    }
    let told = Told::by(item, columns);
    if line.category.is_none() {
        line.category = told.category.map(CompactString::from);
    }
    line.hours = line.hours.or(told.hours);
    line.start_at = line.start_at.or(told.start_at);
    line.end_at = line.end_at.or(told.end_at);
    if let Some(project_name) = told.project_name {
        line.project_name = project_name.into();
    }
    if let Some(group_description) = told.group_description {
        line.group_description = group_description.into();
        line.read_charge();
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
