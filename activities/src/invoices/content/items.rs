//! The items of an invoice: taken as they come, and whether they can be all.

use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem;

use digitalocean::{Client, InvoiceItemRead, InvoiceItemsListed, InvoiceKey, PageSink};
use domain::invoices::{InvoiceItem, Joined};
use store::invoices::{Document, DocumentWriter};

use super::{Notes, PATIENCE, may_do_without};
use crate::failure::Failure;

/// As they were read.
pub(super) struct Items {
    pub(super) all: Vec<InvoiceItem>,
    /// As they came: compressed page by page, since as text they would be the largest thing that a worker holds.
    pub(super) document: Document,
    pub(super) shown_twice: ShownTwice,
}

/// Items that are to the letter as one of the page before.
///
/// Items have no ids, and nothing keeps them from moving between pages while they are read: the last of a page becomes the first of the
/// next, and another, which it has pushed to where the reader has been already, is on none. The total fits all the same.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ShownTwice {
    /// With a resource's id: it is hardly charged twice for the same hours, as often as there are pages.
    of_a_resource: usize,
    /// Without: lines alike in everything are usual among those.
    of_none: usize,
}

impl ShownTwice {
    fn note(&mut self, item: &InvoiceItem) {
        if item.resource_id.is_some() || item.resource_uuid.is_some() {
            self.of_a_resource += 1;
        } else {
            self.of_none += 1;
        }
    }

    /// Why the items are not to be relied on, if so. Without a resource's id that shows in the join alone: an item is too many, and a row of
    /// the CSV has none.
    pub(super) fn contradiction(self, joined: Option<Joined>) -> Option<String> {
        let is_one_for_another = joined
            .is_some_and(|joined| joined.rows_without_item > 0 && joined.items_without_row > 0);
        let several = if is_one_for_another {
            self.of_a_resource + self.of_none
        } else {
            self.of_a_resource
        };
        (several > 0).then(|| {
            format!("items on two pages in a row: {several}, so that as many may be on none")
        })
    }
}

pub(super) async fn list_items(
    client: &Client,
    invoice: InvoiceKey,
) -> (InvoiceItemsListed, Items) {
    let mut reading = ItemsReading::default();
    let Ok(listed) = client.get_invoice(invoice, &mut reading).await;
    (listed, reading.longest().into_document())
}

/// Items as they come.
struct ItemsReading {
    items: Vec<InvoiceItem>,
    document: DocumentWriter,
    /// What the items of the latest page are, as hashes.
    page: HashSet<u64>,
    shown_twice: ShownTwice,
    /// Of the readings before: items without ids cannot be told apart, so that the longest reading stands for all.
    longest_before: Option<Box<Self>>,
}

impl Default for ItemsReading {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            document: DocumentWriter::items(),
            page: HashSet::new(),
            shown_twice: ShownTwice::default(),
            longest_before: None,
        }
    }
}

impl ItemsReading {
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
            shown_twice: self.shown_twice,
        }
    }
}

impl PageSink<InvoiceItemRead> for ItemsReading {
    type Error = Infallible;

    async fn take(&mut self, items: Vec<InvoiceItemRead>) -> Result<(), Infallible> {
        let mut page = HashSet::with_capacity(items.len());
        for InvoiceItemRead { item, json } in items {
            let mut hasher = DefaultHasher::new();
            json.hash(&mut hasher);
            let hash = hasher.finish();
            if self.page.contains(&hash) {
                self.shown_twice.note(&item);
            }
            page.insert(hash);
            self.items.push(item);
            self.document.line(&json);
        }
        self.page = page;
        Ok(())
    }

    async fn begin_again(&mut self, _path: &str) -> Result<(), Infallible> {
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
        Some(error) if may_do_without(&error, attempt) => {
            notes.lacking("items", &error);
            return Ok(None);
        }
        Some(error) => return Err(error.into()),
    }
    if let Some(reason) = listed.completeness.reason() {
        if attempt < PATIENCE {
            return Err(Failure::InconsistentItems(reason.to_owned()));
        }
        notes.temporary(format!("the items may not be all: {reason}"));
    }
    Ok(Some(items))
}
