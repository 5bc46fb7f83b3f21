//! What one pass over the pages of a list saw, and whether it fits together.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::mem;

use domain::Completeness;

use super::{Page, PageFacts, PageSink};
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
    fn begin_again(&mut self) {
        if self.id.is_none() {
            let items = mem::take(&mut self.in_order);
            if items.len() >= self.longest_before.len() {
                self.longest_before = items;
            }
        }
    }
}

/// One pass over the pages.
pub(super) struct Reading<T> {
    /// As the first page gives it.
    pub(super) total: Option<u64>,
    pub(super) failure: Option<Error>,
    unreadable: Vec<Unreadable>,
    contradiction: Option<String>,
    pages: usize,
    id: Option<fn(&T) -> String>,
    ids: HashSet<String>,
    /// Items seen, those counted once that were seen again.
    distinct: usize,
    repeated: usize,
}

impl<T: Send> Reading<T> {
    pub(super) fn new(id: Option<fn(&T) -> String>) -> Self {
        Self {
            total: None,
            failure: None,
            unreadable: Vec::new(),
            contradiction: None,
            pages: 0,
            id,
            ids: HashSet::new(),
            distinct: 0,
            repeated: 0,
        }
    }

    /// Takes the next page in and hands its items on. None when no further page is worth reading: this one failed, or it is empty
    /// or shows nothing new and so the end.
    pub(super) async fn take<S: PageSink<T>>(
        &mut self,
        page: Result<Page<T>, Error>,
        sink: &mut S,
    ) -> Result<Option<PageFacts>, S::Error> {
        let page = match page {
            Ok(page) => page,
            Err(failure) => {
                self.failure = Some(failure);
                return Ok(None);
            }
        };
        let facts = page.facts;
        self.pages += 1;
        if self.pages == 1 {
            self.total = facts.total;
        } else if facts.total != self.total {
            self.contradict("the total changed from page to page");
        }
        if facts.len == 0 && facts.has_next {
            self.contradict("an empty page promises another one");
        }
        self.unreadable.extend(page.unreadable);
        let before = self.distinct;
        for item in &page.items {
            if self.id.is_none_or(|id| self.ids.insert(id(item))) {
                self.distinct += 1;
            } else {
                self.repeated += 1;
            }
        }
        // A server that shows one page again and again would be asked for it thousands of times. What that says of the whole, the
        // total tells, or that items were repeated where there is none.
        let is_repetition = !page.items.is_empty() && self.distinct == before;
        sink.take(page.items).await?;
        Ok((facts.len > 0 && !is_repetition).then_some(facts))
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
