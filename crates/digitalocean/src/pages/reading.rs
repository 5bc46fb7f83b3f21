//! What one pass over the pages of a list saw, and whether it fits together.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::mem;

use domain::{Completeness, TakenPage};

use super::{Page, PageNote, PageSink, Source};
use crate::decode::Unreadable;
use crate::error::Error;

/// Items in the order in which they were first seen, each once; the later version of an item replaces the earlier.
pub(super) struct Collected<T> {
    in_order: Vec<T>,
    places: HashMap<String, usize>,
    id: Option<fn(&T) -> String>,
    /// Of the readings before, for items without ids.
    longest_before: Vec<T>,
}

impl<T> Collected<T> {
    pub(super) fn new(id: Option<fn(&T) -> String>) -> Self {
        Self {
            in_order: Vec::new(),
            places: HashMap::new(),
            id,
            longest_before: Vec::new(),
        }
    }

    fn add(&mut self, item: T) {
        let known = self.id.and_then(|id| {
            let place = self.in_order.len();
            let known = *self.places.entry(id(&item)).or_insert(place);
            (known < place).then_some(known)
        });
        match known {
            Some(place) => self.in_order[place] = item,
            None => self.in_order.push(item),
        }
    }

    pub(super) fn into_items(self) -> Vec<T> {
        if self.in_order.len() >= self.longest_before.len() {
            self.in_order
        } else {
            self.longest_before
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

    /// Items without ids cannot be told apart, so that the longest reading stands for all.
    async fn begin_again(&mut self, _path: &str) -> Result<(), Infallible> {
        if self.id.is_none() {
            let items = mem::take(&mut self.in_order);
            if items.len() >= self.longest_before.len() {
                self.longest_before = items;
            }
        }
        Ok(())
    }
}

/// One pass over the pages.
pub(super) struct Reading<'a, T> {
    path: &'a str,
    /// As the first page gives it.
    pub(super) total: Option<u64>,
    pub(super) failure: Option<Error>,
    /// Items on the first page: a server may give fewer a page than it was asked for.
    pub(super) page_size: u64,
    /// Taken so far.
    pub(super) pages: u64,
    /// Whether the last of them promises another.
    pub(super) has_next: bool,
    unreadable: Vec<Unreadable>,
    contradiction: Option<String>,
    id: Option<fn(&T) -> String>,
    ids: HashSet<String>,
    /// Items seen, those counted once that were seen again.
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

    /// The pass whose first pages were these. None if they do not make one list.
    pub(super) fn after(source: &Source<'a, T>, before: &[TakenPage]) -> Option<Self> {
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

    /// The number of the last page, by the total.
    pub(super) fn last_page(&self) -> u64 {
        let promised = self.total.filter(|_| self.page_size > 0);
        promised.map_or(1, |total| total.div_ceil(self.page_size).max(1))
    }

    /// Whether no page is left to be read.
    pub(super) fn is_at_end(&self) -> bool {
        self.pages >= self.last_page() && !self.has_next
    }

    /// Whether a page is as it was when it was taken.
    pub(super) fn is_still(&self, taken: &TakenPage, page: &Page<T>) -> bool {
        let facts = page.facts;
        let ids = page.items.iter().filter_map(|item| Some(self.id?(item)));
        page.unreadable.is_empty()
            && facts.total == Some(taken.total)
            && facts.has_next == taken.has_next
            && ids.eq(taken.ids.iter().cloned())
    }

    /// Takes the next page in and hands its items on. Says whether a further page is worth reading: not if this one failed, or is
    /// empty or shows nothing new and so the end.
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
            self.contradict("the total changed from page to page");
        }
        if facts.len == 0 && facts.has_next {
            self.contradict("an empty page promises another one");
        }
        // Where the page before promised items and no total tells whether there were any, no list is no end.
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
        // A server that shows one page again and again would be asked for it thousands of times. What that says of the whole, the
        // total tells, or that items were repeated where there is none.
        let is_repetition = !page.items.is_empty() && self.distinct == before;
        sink.take(page.items).await?;
        let note = PageNote {
            path: self.path,
            number: self.pages,
            of: self.last_page(),
            taken: self.remembered(ids),
        };
        sink.note(note).await?;
        Ok(facts.len > 0 && !is_repetition)
    }

    /// What to remember of the page that was just taken, if all pages so far make a part of one list.
    fn remembered(&self, ids: Vec<String>) -> Option<TakenPage> {
        let total = self.total?;
        let is_sound = self.contradiction.is_none()
            && self.unreadable.is_empty()
            && self.repeated == 0
            && !ids.is_empty();
        is_sound.then_some(TakenPage {
            total,
            ids,
            has_next: self.has_next,
        })
    }

    /// Notes why the pages do not fit together; the first reason is kept.
    pub(super) fn contradict(&mut self, reason: impl Into<String>) {
        self.contradiction.get_or_insert_with(|| reason.into());
    }

    /// Why the pages do not fit together. Items that moved show as repeated ones and by a number that is not the total.
    pub(super) fn contradiction(&self) -> Option<String> {
        if let Some(reason) = &self.contradiction {
            return Some(reason.clone());
        }
        let seen = self.distinct + self.unreadable.len();
        match self.total {
            Some(total) if u64::try_from(seen) != Ok(total) => {
                Some(format!("the total is {total}, but {seen} items were seen"))
            }
            None if self.repeated > 0 => Some(format!(
                "{} items were seen twice and there is no total",
                self.repeated
            )),
            _ => None,
        }
    }

    /// Complete unless an item could not be read.
    pub(super) fn readability(&self, path: &str) -> Completeness {
        match self.unreadable.first() {
            None => Completeness::Complete,
            Some(first) => Completeness::Incomplete(format!(
                "{path}: {} items cannot be read, the first because: {first}",
                self.unreadable.len()
            )),
        }
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
