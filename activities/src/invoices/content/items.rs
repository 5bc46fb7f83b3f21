//! Reads the items of an invoice page by page, and detects items that moved between pages.

use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem;

use digitalocean::{Client, InvoiceItemRead, InvoiceItemsListed, InvoiceKey, PageSink};
use domain::invoices::{InvoiceItem, Joined};
use store::invoices::{Document, DocumentWriter};

use super::{Notes, OPTIONAL_FROM_ATTEMPT, is_optional};
use crate::failure::Failure;

/// The items of an invoice as they were read.
pub(super) struct Items {
    pub(super) all: Vec<InvoiceItem>,
    /// The items as received, compressed page by page: as text they would be the largest value in a
    /// worker's memory.
    pub(super) document: Document,
    pub(super) duplicates: DuplicateItems,
}

/// The number of items that are equal to an item of the page before, byte for byte.
///
/// Items have no ids and can move between pages while they are read: the last item of a page
/// becomes the first of the next, and another item, which moved to a page already read, is skipped.
/// The total is correct nevertheless.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DuplicateItems {
    /// Items with a resource's id. A resource is unlikely to be charged twice for the same hours.
    with_resource: usize,
    /// Items without one. Equal lines are common among those.
    without_resource: usize,
}

impl DuplicateItems {
    fn note(&mut self, item: &InvoiceItem) {
        if item.resource_id.is_some() || item.resource_uuid.is_some() {
            self.with_resource += 1;
        } else {
            self.without_resource += 1;
        }
    }

    /// Returns the reason if the items are unreliable. Items without a resource's id count only if
    /// the join confirms it: an item has no row, and a row of the CSV has no item.
    pub(super) fn contradiction(self, joined: Option<Joined>) -> Option<String> {
        let join_has_gaps = joined
            .is_some_and(|joined| joined.rows_without_item > 0 && joined.items_without_row > 0);
        let count = if join_has_gaps {
            self.with_resource + self.without_resource
        } else {
            self.with_resource
        };
        (count > 0).then(|| format!("items on two pages in a row: {count}; as many may be missing"))
    }
}

pub(super) async fn list_items(
    client: &Client,
    invoice: InvoiceKey,
) -> (InvoiceItemsListed, Items) {
    let mut reading = ItemsRead::default();
    let Ok(listed) = client.get_invoice(invoice, &mut reading).await;
    (listed, reading.longest().into_document())
}

/// The items of the current read, page by page.
struct ItemsRead {
    items: Vec<InvoiceItem>,
    document: DocumentWriter,
    /// Hashes of the items of the latest page.
    page: HashSet<u64>,
    duplicates: DuplicateItems,
    /// The longest of the earlier reads: items without ids cannot be compared, so the longest read
    /// is used.
    longest_before: Option<Box<Self>>,
}

impl Default for ItemsRead {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            document: DocumentWriter::items(),
            page: HashSet::new(),
            duplicates: DuplicateItems::default(),
            longest_before: None,
        }
    }
}

impl ItemsRead {
    fn longest(mut self) -> Self {
        match self.longest_before.take() {
            Some(before) if before.items.len() > self.items.len() => *before,
            _ => self,
        }
    }

    fn into_document(self) -> Items {
        Items {
            all: self.items,
            document: self.document.finish(),
            duplicates: self.duplicates,
        }
    }
}

impl PageSink<InvoiceItemRead> for ItemsRead {
    type Error = Infallible;

    async fn take(&mut self, items: Vec<InvoiceItemRead>) -> Result<(), Infallible> {
        let mut page = HashSet::with_capacity(items.len());
        for InvoiceItemRead { item, json } in items {
            let mut hasher = DefaultHasher::new();
            json.hash(&mut hasher);
            let hash = hasher.finish();
            if self.page.contains(&hash) {
                self.duplicates.note(&item);
            }
            page.insert(hash);
            self.items.push(item);
            self.document.line(&json);
        }
        self.page = page;
        Ok(())
    }

    async fn restart_list(&mut self, _path: &str) -> Result<(), Infallible> {
        let longest = mem::take(self).longest();
        self.longest_before = Some(Box::new(longest));
        Ok(())
    }
}

pub(super) fn take_items(
    (listed, items): (InvoiceItemsListed, Items),
    attempt: u32,
    notes: &mut Notes,
) -> Result<Option<Items>, Failure> {
    match listed.failure {
        None => {}
        Some(error) if is_optional(&error, attempt) => {
            notes.missing("items", &error);
            return Ok(None);
        }
        Some(error) => return Err(error.into()),
    }
    if let Some(reason) = listed.completeness.reason() {
        if attempt < OPTIONAL_FROM_ATTEMPT {
            return Err(Failure::InconsistentItems(reason.to_owned()));
        }
        notes.temporary(format!("the items may be incomplete: {reason}"));
    }
    Ok(Some(items))
}
