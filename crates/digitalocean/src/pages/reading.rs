//! What one pass over the pages of a list saw, and whether it fits together.

use std::collections::HashMap;

use domain::Completeness;

use super::{Page, PageFacts};
use crate::decode::Unreadable;
use crate::error::Error;

/// Items in the order in which they were first seen, each once; the later version of an item replaces the earlier.
pub(super) struct Items<T> {
    pub(super) in_order: Vec<T>,
    places: HashMap<String, usize>,
    id: Option<fn(&T) -> String>,
    repeated: usize,
}

impl<T> Items<T> {
    pub(super) fn new(id: Option<fn(&T) -> String>) -> Self {
        Self {
            in_order: Vec::new(),
            places: HashMap::new(),
            id,
            repeated: 0,
        }
    }

    fn add(&mut self, item: T) {
        let known = self.id.and_then(|id| {
            let place = self.in_order.len();
            let known = *self.places.entry(id(&item)).or_insert(place);
            (known < place).then_some(known)
        });
        match known {
            Some(place) => {
                self.in_order[place] = item;
                self.repeated += 1;
            }
            None => self.in_order.push(item),
        }
    }

    /// Adds what a later reading saw. Items without ids cannot be told apart, so that the longer reading stands for both.
    pub(super) fn absorb(&mut self, later: Self) {
        if self.id.is_some() {
            for item in later.in_order {
                self.add(item);
            }
        } else if later.in_order.len() >= self.in_order.len() {
            *self = later;
        }
    }
}

/// One pass over the pages.
pub(super) struct Reading<T> {
    pub(super) items: Items<T>,
    /// As the first page gives it.
    pub(super) total: Option<u64>,
    pub(super) failure: Option<Error>,
    unreadable: Vec<Unreadable>,
    contradiction: Option<String>,
    pages: usize,
}

impl<T> Reading<T> {
    pub(super) fn new(id: Option<fn(&T) -> String>) -> Self {
        Self {
            items: Items::new(id),
            total: None,
            failure: None,
            unreadable: Vec::new(),
            contradiction: None,
            pages: 0,
        }
    }

    /// Takes the next page in. None when no further page can be read: this one failed, or it is empty and so the end.
    pub(super) fn take(&mut self, page: Result<Page<T>, Error>) -> Option<PageFacts> {
        let page = match page {
            Ok(page) => page,
            Err(failure) => {
                self.failure = Some(failure);
                return None;
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
        for item in page.items {
            self.items.add(item);
        }
        (facts.len > 0).then_some(facts)
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
        let seen = self.items.in_order.len() + self.unreadable.len();
        match self.total {
            Some(total) if u64::try_from(seen) != Ok(total) => {
                Some(format!("the total is {total}, but {seen} items were seen"))
            }
            None if self.items.repeated > 0 => Some(format!(
                "{} items were seen twice and there is no total",
                self.items.repeated
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
