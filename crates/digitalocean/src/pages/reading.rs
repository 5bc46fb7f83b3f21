//! One pass over the pages of a list: its totals, its recorded pages and their contradictions.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::mem;

use domain::{Completeness, RecordedPage};

use super::{Page, PageRecord, PageSink, Source};
use crate::decode::Unreadable;
use crate::error::Error;

/// The items of a list in the order of their first appearance, each once. The later version of an
/// item replaces the earlier one.
pub(super) struct Collected<T> {
    items: Vec<T>,
    positions: HashMap<String, usize>,
    id: Option<fn(&T) -> String>,
    /// The longest of the earlier attempts, for items without ids.
    longest_attempt: Vec<T>,
}

impl<T> Collected<T> {
    pub(super) fn new(id: Option<fn(&T) -> String>) -> Self {
        Self {
            items: Vec::new(),
            positions: HashMap::new(),
            id,
            longest_attempt: Vec::new(),
        }
    }

    fn add(&mut self, item: T) {
        let known = self.id.and_then(|id| {
            let position = self.items.len();
            let known = *self.positions.entry(id(&item)).or_insert(position);
            (known < position).then_some(known)
        });
        match known {
            Some(position) => self.items[position] = item,
            None => self.items.push(item),
        }
    }

    pub(super) fn into_items(self) -> Vec<T> {
        if self.items.len() >= self.longest_attempt.len() {
            self.items
        } else {
            self.longest_attempt
        }
    }
}

impl<T: Send> PageSink<T> for Collected<T> {
    type Error = Infallible;

    async fn take(&mut self, items: Vec<T>) -> Result<(), Infallible> {
        for item in items {
            self.add(item);
        }
        Ok(())
    }

    /// Items without ids cannot be merged, so the longest attempt is kept.
    async fn restart_list(&mut self, _path: &str) -> Result<(), Infallible> {
        if self.id.is_none() {
            let items = mem::take(&mut self.items);
            if items.len() >= self.longest_attempt.len() {
                self.longest_attempt = items;
            }
        }
        Ok(())
    }
}

/// One pass over the pages of a list.
pub(super) struct Reading<'a, T> {
    path: &'a str,
    /// As reported by the first page.
    pub(super) total: Option<u64>,
    pub(super) failure: Option<Error>,
    /// Items on the first page: a server may return smaller pages than requested.
    pub(super) page_size: u64,
    /// Pages read so far.
    pub(super) pages: u64,
    /// Whether the last of them has a next page.
    pub(super) has_next: bool,
    unreadable: Vec<Unreadable>,
    contradiction: Option<String>,
    id: Option<fn(&T) -> String>,
    ids: HashSet<String>,
    /// Distinct items so far.
    distinct: usize,
    repeated: usize,
}

impl<'a, T: Send> Reading<'a, T> {
    pub(super) fn new(source: &Source<'a, T>) -> Self {
        Self {
            path: source.path,
            total: None,
            failure: None,
            page_size: 0,
            pages: 0,
            has_next: true,
            unreadable: Vec::new(),
            contradiction: None,
            id: source.id,
            ids: HashSet::new(),
            distinct: 0,
            repeated: 0,
        }
    }

    /// Returns the pass that continues after these recorded pages. None if they are not consecutive
    /// pages of one list.
    pub(super) fn after(source: &Source<'a, T>, before: &[RecordedPage]) -> Option<Self> {
        let first = before.first()?;
        let mut reading = Self::new(source);
        reading.total = Some(first.total);
        reading.page_size = to_u64(first.ids.len());
        for page in before {
            if page.total != first.total || page.ids.is_empty() || !reading.has_next {
                return None;
            }
            reading.ids.extend(page.ids.iter().cloned());
            reading.distinct += page.ids.len();
            reading.pages += 1;
            reading.has_next = page.has_next;
        }
        (reading.ids.len() == reading.distinct).then_some(reading)
    }

    /// Returns the number of the last page according to the total.
    pub(super) fn last_page(&self) -> u64 {
        let promised = self.total.filter(|_| self.page_size > 0);
        promised.map_or(1, |total| total.div_ceil(self.page_size).max(1))
    }

    /// Returns true if no page remains to be read.
    pub(super) fn is_finished(&self) -> bool {
        self.pages >= self.last_page() && !self.has_next
    }

    /// Returns true if a page equals its record.
    pub(super) fn is_unchanged(&self, record: &RecordedPage, page: &Page<T>) -> bool {
        let facts = page.facts;
        let ids = page.items.iter().filter_map(|item| Some(self.id?(item)));
        page.unreadable.is_empty()
            && facts.total == Some(record.total)
            && facts.has_next == record.has_next
            && ids.eq(record.ids.iter().cloned())
    }

    /// Adds the next page and passes its items to the sink. Returns whether to read a further page:
    /// not after a failed page, an empty page, or a page without new items, which is the end.
    pub(super) async fn take<S: PageSink<T>>(
        &mut self,
        page: Result<Page<T>, Error>,
        sink: &mut S,
    ) -> Result<bool, S::Error> {
        let page = match page {
            Ok(page) => page,
            Err(failure) => {
                self.failure = Some(failure);
                return Ok(false);
            }
        };
        let facts = page.facts;
        self.pages += 1;
        self.has_next = facts.has_next;
        if self.pages == 1 {
            self.total = facts.total;
            self.page_size = to_u64(facts.len);
        } else if facts.total != self.total {
            self.contradict("the total changed between pages");
        }
        if facts.len == 0 && facts.has_next {
            self.contradict("an empty page has a next page");
        }
        // If the previous page had a next page, and no total shows whether items are left, a
        // missing list is not the end.
        if !facts.is_array && self.pages > 1 && self.total.is_none() {
            self.contradict(format!("page {} has no list", self.pages));
        }
        self.unreadable.extend(page.unreadable);
        let before = self.distinct;
        let mut ids = Vec::with_capacity(page.items.len());
        for item in &page.items {
            let is_new = self.id.is_none_or(|id| {
                let id = id(item);
                ids.push(id.clone());
                self.ids.insert(id)
            });
            if is_new {
                self.distinct += 1;
            } else {
                self.repeated += 1;
            }
        }
        // A server that repeats one page forever would receive thousands of requests. Whether the
        // list is then complete follows from the total, or from the repeated items if there is
        // none.
        let is_repetition = !page.items.is_empty() && self.distinct == before;
        sink.take(page.items).await?;
        let page = PageRecord {
            path: self.path,
            number: self.pages,
            page_count: self.last_page(),
            record: self.record_of(ids),
        };
        sink.record_page(page).await?;
        Ok(facts.len > 0 && !is_repetition)
    }

    /// Returns the record of the last page, if all pages so far are consistent.
    fn record_of(&self, ids: Vec<String>) -> Option<RecordedPage> {
        let total = self.total?;
        let is_consistent = self.contradiction.is_none()
            && self.unreadable.is_empty()
            && self.repeated == 0
            && !ids.is_empty();
        is_consistent.then_some(RecordedPage {
            total,
            ids,
            has_next: self.has_next,
        })
    }

    /// Records that the pages contradict each other; the first reason is kept.
    pub(super) fn contradict(&mut self, reason: impl Into<String>) {
        self.contradiction.get_or_insert_with(|| reason.into());
    }

    /// Returns the reason that the pages contradict each other. Items that moved appear as repeated
    /// items and as a count that differs from the total.
    pub(super) fn contradiction(&self) -> Option<String> {
        if let Some(reason) = &self.contradiction {
            return Some(reason.clone());
        }
        let seen = self.distinct + self.unreadable.len();
        match self.total {
            Some(total) if u64::try_from(seen) != Ok(total) => {
                Some(format!("the total is {total}, but {seen} items were read"))
            }
            None if self.repeated > 0 => Some(format!(
                "{} items were read twice and there is no total",
                self.repeated
            )),
            _ => None,
        }
    }

    /// Returns complete, unless an item could not be parsed.
    pub(super) fn completeness(&self, path: &str) -> Completeness {
        match self.unreadable.first() {
            None => Completeness::Complete,
            Some(first) => Completeness::Incomplete(format!(
                "{path}: cannot parse {} items; the first error: {first}",
                self.unreadable.len()
            )),
        }
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
