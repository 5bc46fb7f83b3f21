//! The one loop that reads a list, a page at a time.

mod answer;
mod reading;
mod sink;

use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::Client;
use crate::decode::Unreadable;
use crate::error::{Call, Error};
use crate::listing::Listing;
use crate::paging::Paging;
use domain::Completeness;
use futures::{StreamExt as _, stream};
use reading::{Collected, Reading};

pub(crate) use answer::PageAnswer;
pub use sink::{PageNote, PageSink};

/// The most that DigitalOcean gives (spec).
const ITEMS_A_PAGE: usize = 200;
/// Pages under way at a time: far below the 250 requests a minute that a token has.
const SIDE_BY_SIDE: usize = 4;
/// How often a list is read whose pages contradict each other.
const READINGS: usize = 3;
/// Two million items: a server that promises more, or a next page without end, is not believed.
const MOST_PAGES: u64 = 10_000;

/// What to read, and how an item of it is read.
pub(crate) struct Source<'a, T> {
    /// May hold a query.
    pub(crate) path: &'a str,
    /// The key of the items in the answer.
    pub(crate) envelope: &'a str,
    pub(crate) paging: Paging,
    /// Reads an item from its JSON.
    pub(crate) read: &'a (dyn Fn(&str) -> Result<T, Unreadable> + Sync),
    /// What tells two items apart; none where they have no id and two alike are two.
    pub(crate) id: Option<fn(&T) -> String>,
    pub(crate) beside: Option<Beside<'a>>,
}

/// Another part of the answer, which each page repeats.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) key: &'a str,
    /// Takes its JSON from the first page, and once more where the list is read again. None where it is missing.
    pub(crate) read: &'a (dyn Fn(Option<&str>) + Sync),
}

impl<T> Source<'_, T> {
    fn call(&self, page: u64) -> Call {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        match self.paging {
            Paging::Whole => Call::get(self.path),
            Paging::Pages => Call::get(format!(
                "{}{separator}page={page}&per_page={ITEMS_A_PAGE}",
                self.path
            )),
        }
    }
}

struct Page<T> {
    items: Vec<T>,
    unreadable: Vec<Unreadable>,
    facts: PageFacts,
}

#[derive(Debug, Clone, Copy)]
struct PageFacts {
    /// Items on it, those included that cannot be read.
    len: usize,
    /// Whether it has a list at all, if only an empty one.
    is_array: bool,
    total: Option<u64>,
    has_next: bool,
}

/// How a list went, apart from what it held.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) total: Option<u64>,
    pub(crate) requests: u32,
    pub(crate) completeness: Completeness,
    pub(crate) failure: Option<Error>,
}

impl Client {
    /// Reads a list to its end, and keeps it.
    pub(crate) async fn list<T: Send>(&self, source: &Source<'_, T>) -> Listing<T> {
        let mut items = Collected::new(source.id);
        let Ok(read) = self.list_into(source, &mut items).await;
        Listing {
            items: items.into_items(),
            total: read.total,
            requests: read.requests,
            completeness: read.completeness,
            failure: read.failure,
        }
    }

    /// Reads a list to its end, handing over each page as it comes.
    ///
    /// Nothing keeps items from moving between pages while they are read. A list whose pages contradict each other is therefore
    /// read again, up to three times in all; after that it is incomplete, whatever it showed. A list that an earlier attempt has
    /// taken pages of is gone on with, if it is still the same.
    pub(crate) async fn list_into<T: Send, S: PageSink<T>>(
        &self,
        source: &Source<'_, T>,
        sink: &mut S,
    ) -> Result<Read, S::Error> {
        let requests = AtomicU32::new(0);
        let mut total = None;
        let mut contradiction = String::new();
        for number in 0..READINGS {
            let reading = if number == 0 {
                self.go_on(source, &requests, sink).await?
            } else {
                sink.begin_again(source.path).await?;
                Reading::new(source)
            };
            let reading = self.read(source, reading, &requests, sink).await?;
            total = reading.total.or(total);
            let contradicts = reading.contradiction();
            if contradicts.is_none() || reading.failure.is_some() {
                return Ok(Read {
                    completeness: match &reading.failure {
                        None => reading.readability(source.path),
                        Some(failure) => Completeness::Incomplete(failure.to_string()),
                    },
                    total,
                    requests: requests.into_inner(),
                    failure: reading.failure,
                });
            }
            contradiction = contradicts.unwrap_or_default();
            tracing::debug!(
                path = source.path,
                contradiction,
                "the pages contradict each other"
            );
        }
        let reason = format!(
            "{}: {contradiction}, in each of {READINGS} readings",
            source.path
        );
        Ok(Read {
            total,
            requests: requests.into_inner(),
            completeness: Completeness::Incomplete(reason),
            failure: None,
        })
    }

    /// Where an earlier attempt broke the list off; its start if there was none.
    ///
    /// The last page that was taken then is asked for again. If the same items stand on it in the same order, and the total is the
    /// same, nothing has moved past this place meanwhile: what was before it has been seen, what is after it will be.
    async fn go_on<'s, T: Send, S: PageSink<T>>(
        &self,
        source: &Source<'s, T>,
        requests: &AtomicU32,
        sink: &mut S,
    ) -> Result<Reading<'s, T>, S::Error> {
        let before = sink.taken_before(source.path);
        let Some(last) = before.last() else {
            return Ok(Reading::new(source));
        };
        if let Some(mut reading) = Reading::after(source, &before) {
            if reading.is_at_end() {
                return Ok(reading);
            }
            match self.page(source, reading.pages, requests).await {
                Ok(page) if reading.is_still(last, &page) => {
                    sink.take(page.items).await?;
                    return Ok(reading);
                }
                Ok(_) => {}
                Err(failure) => {
                    reading.failure = Some(failure);
                    return Ok(reading);
                }
            }
        }
        tracing::info!(
            path = source.path,
            pages = before.len(),
            "the list has changed since it was broken off, and is read from its start again"
        );
        sink.begin_again(source.path).await?;
        Ok(Reading::new(source))
    }

    async fn read<'s, T: Send, S: PageSink<T>>(
        &self,
        source: &Source<'s, T>,
        mut reading: Reading<'s, T>,
        requests: &AtomicU32,
        sink: &mut S,
    ) -> Result<Reading<'s, T>, S::Error> {
        if reading.failure.is_some() {
            return Ok(reading);
        }
        if reading.pages == 0 {
            let first = self.page(source, 1, requests).await;
            if !reading.take(first, sink).await? || source.paging == Paging::Whole {
                return Ok(reading);
            }
        }
        let last = reading.last_page();
        if last > MOST_PAGES {
            let page_size = reading.page_size;
            reading.contradict(format!("{last} pages of {page_size} are not believed"));
            return Ok(reading);
        }
        let mut pages = stream::iter(reading.pages + 1..=last)
            .map(|number| self.page(source, number, requests))
            .buffered(SIDE_BY_SIDE);
        while let Some(page) = pages.next().await {
            if !reading.take(page, sink).await? {
                return Ok(reading);
            }
        }

        // Without a total, only the page before tells that there is another.
        while reading.has_next {
            let number = reading.pages + 1;
            if number > MOST_PAGES {
                reading.contradict("there is a next page without end");
                return Ok(reading);
            }
            let page = self.page(source, number, requests).await;
            if !reading.take(page, sink).await? {
                return Ok(reading);
            }
        }
        Ok(reading)
    }

    async fn page<T>(
        &self,
        source: &Source<'_, T>,
        number: u64,
        requests: &AtomicU32,
    ) -> Result<Page<T>, Error> {
        requests.fetch_add(1, Ordering::Relaxed);
        let call = source.call(number);
        let body = self.get(&call).await?;
        let answer = PageAnswer::read(&call, &body, source.envelope, number)?;
        if let Some(beside) = source.beside.filter(|_| number == 1) {
            (beside.read)(answer.parts.get(beside.key).map(|json| json.get()));
        }
        let mut page = Page {
            items: Vec::with_capacity(answer.items.len()),
            unreadable: Vec::new(),
            facts: answer.facts,
        };
        for item in answer.items {
            match (source.read)(item.get()) {
                Ok(item) => page.items.push(item),
                Err(problem) => {
                    tracing::warn!(%call, %problem, "an item cannot be read");
                    page.unreadable.push(problem);
                }
            }
        }
        Ok(page)
    }
}
