//! The loop that reads every list, page by page, and detects changes between the pages.

mod reading;
mod response;
mod sink;

use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::{Body, Client};
use crate::decode::Unreadable;
use crate::error::{Call, Error};
use crate::listing::Listing;
use crate::paging::Paging;
use domain::Completeness;
use futures::{StreamExt as _, poll, stream};
use reading::{Collected, Reading};
use tracing::Span;

pub(crate) use response::PageResponse;
pub use sink::{PageRecord, PageSink};

/// The maximum page size of DigitalOcean (spec).
const PAGE_SIZE: usize = 200;
/// The number of pages requested concurrently: far below the limit of 250 requests a minute per
/// token.
const CONCURRENT_PAGES: usize = 4;
/// The number of pages parsed concurrently, in separate tasks: parsing a page of droplets takes
/// several milliseconds, in which the listing could neither receive responses nor use another core.
const PARSED_PAGES: usize = 2;
/// The maximum number of attempts to read a list with pages that contradict each other.
const MAX_ATTEMPTS: usize = 3;
/// Two million items. A larger total, or an endless chain of next pages, is treated as an error.
const MAX_PAGES: u64 = 10_000;

/// Parses an item from its JSON.
pub(crate) type ItemReader<T> = Arc<dyn Fn(&str) -> Result<T, Unreadable> + Send + Sync>;

/// A list to read, and the parser of its items.
pub(crate) struct Source<'a, T> {
    /// May contain a query.
    pub(crate) path: &'a str,
    /// The key of the items in the response.
    pub(crate) envelope: &'static str,
    pub(crate) paging: Paging,
    pub(crate) read: ItemReader<T>,
    /// Returns the id of an item. None if items have no id, so that two equal items are two.
    pub(crate) id: Option<fn(&T) -> String>,
    pub(crate) extra: Option<ExtraField<'a>>,
}

/// Another part of the response, which each page repeats.
#[derive(Clone, Copy)]
pub(crate) struct ExtraField<'a> {
    pub(crate) key: &'a str,
    /// Receives its JSON from the first page, again for each attempt to read the list. None if it
    /// is missing.
    pub(crate) read: &'a (dyn Fn(Option<&str>) + Sync),
}

impl<T> Source<'_, T> {
    fn call(&self, page: u64) -> Call {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        match self.paging {
            Paging::Whole => Call::get(self.path),
            Paging::Pages => Call::get(format!(
                "{}{separator}page={page}&per_page={PAGE_SIZE}",
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
    /// Items on the page, including those that cannot be parsed.
    len: usize,
    /// Whether the page has a list, possibly an empty one.
    is_array: bool,
    total: Option<u64>,
    has_next: bool,
}

/// The result of reading a list, without its items.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) total: Option<u64>,
    pub(crate) requests: u32,
    pub(crate) completeness: Completeness,
    pub(crate) failure: Option<Error>,
}

impl Client {
    /// Reads a whole list into memory.
    pub(crate) async fn list<T: Send + 'static>(&self, source: &Source<'_, T>) -> Listing<T> {
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

    /// Reads a whole list and passes each page to `sink` as it is received.
    ///
    /// Items may move between pages while they are read. A list with pages that contradict each
    /// other is therefore read again, up to three times in total; after that it is incomplete,
    /// regardless of its pages. If an earlier attempt recorded pages of the list, and the list
    /// is unchanged, reading continues after them.
    pub(crate) async fn list_into<T: Send + 'static, S: PageSink<T>>(
        &self,
        source: &Source<'_, T>,
        sink: &mut S,
    ) -> Result<Read, S::Error> {
        let requests = AtomicU32::new(0);
        let mut total = None;
        let mut contradiction = String::new();
        for number in 0..MAX_ATTEMPTS {
            let reading = if number == 0 {
                self.resume(source, &requests, sink).await?
            } else {
                sink.restart_list(source.path).await?;
                Reading::new(source)
            };
            let reading = self.read(source, reading, &requests, sink).await?;
            total = reading.total.or(total);
            let contradicts = reading.contradiction();
            if contradicts.is_none() || reading.failure.is_some() {
                return Ok(Read {
                    completeness: match &reading.failure {
                        None => reading.completeness(source.path),
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
                "the pages of a list contradict each other"
            );
        }
        let reason = format!(
            "{}: {contradiction}, in each of {MAX_ATTEMPTS} attempts",
            source.path
        );
        Ok(Read {
            total,
            requests: requests.into_inner(),
            completeness: Completeness::Incomplete(reason),
            failure: None,
        })
    }

    /// Returns the position at which an earlier attempt stopped, or the start of the list.
    ///
    /// The last recorded page is refetched. If it has the same items in the same order and the
    /// total is the same, no item has moved past this position since: all items before it have been
    /// read, and all items after it will be.
    async fn resume<'s, T: Send, S: PageSink<T>>(
        &self,
        source: &Source<'s, T>,
        requests: &AtomicU32,
        sink: &mut S,
    ) -> Result<Reading<'s, T>, S::Error> {
        let before = sink.resumable_pages(source.path);
        let Some(last) = before.last() else {
            return Ok(Reading::new(source));
        };
        if let Some(mut reading) = Reading::after(source, &before) {
            if reading.is_finished() {
                return Ok(reading);
            }
            match self.page(source, reading.pages, requests).await {
                Ok(page) if reading.is_unchanged(last, &page) => {
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
            "the list has changed since the earlier attempt; reading it from the start"
        );
        sink.restart_list(source.path).await?;
        Ok(Reading::new(source))
    }

    async fn read<'s, T: Send + 'static, S: PageSink<T>>(
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
            if !reading.take(first, sink).await? {
                return Ok(reading);
            }
            if source.paging == Paging::Whole {
                if reading.has_next {
                    reading.contradict("a next page of a list without pages".to_owned());
                }
                return Ok(reading);
            }
        }
        let last = reading.last_page();
        if last > MAX_PAGES {
            let page_size = reading.page_size;
            reading.contradict(format!(
                "{last} pages of {page_size} items exceed the limit of {MAX_PAGES} pages"
            ));
            return Ok(reading);
        }
        let pages = stream::iter(reading.pages + 1..=last)
            .map(async |number| (number, self.body(source, number, requests).await))
            .buffered(CONCURRENT_PAGES)
            .map(async |(number, body)| read_later_page(source, number, body?).await)
            .buffered(PARSED_PAGES);
        let mut pages = pin!(pages.peekable());
        while let Some(page) = pages.next().await {
            // Sends the next request before this page is processed. The future is dropped, the
            // stream keeps its request.
            let _ = poll!(pages.as_mut().peek());
            if !reading.take(page, sink).await? {
                return Ok(reading);
            }
        }

        // Without a total, only the previous page indicates a next one.
        while reading.has_next {
            let number = reading.pages + 1;
            if number > MAX_PAGES {
                reading.contradict(format!("more than {MAX_PAGES} pages"));
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
        let body = self.body(source, number, requests).await?;
        let call = source.call(number);
        let response = PageResponse::read(&call, &body, source.envelope, number)?;
        if let Some(extra) = source.extra.filter(|_| number == 1) {
            (extra.read)(response.parts.get(extra.key).map(|json| json.get()));
        }
        Ok(items_of(response, &call, &source.read))
    }

    async fn body<T>(
        &self,
        source: &Source<'_, T>,
        number: u64,
        requests: &AtomicU32,
    ) -> Result<Body, Error> {
        requests.fetch_add(1, Ordering::Relaxed);
        self.get(&source.call(number)).await
    }
}

/// Parses a page after the first in a separate task.
async fn read_later_page<T: Send + 'static>(
    source: &Source<'_, T>,
    number: u64,
    body: Body,
) -> Result<Page<T>, Error> {
    let (call, envelope, read) = (source.call(number), source.envelope, source.read.clone());
    let span = Span::current();
    let parse = move || {
        let response = PageResponse::read(&call, &body, envelope, number)?;
        Ok(items_of(response, &call, &read))
    };
    let parsing = tokio::spawn(async move { span.in_scope(parse) });
    // It is never aborted, so that the only error is a panic.
    let parsed = parsing.await;
    parsed.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

/// Parses the items of a page.
fn items_of<T>(response: PageResponse<'_>, call: &Call, read: &ItemReader<T>) -> Page<T> {
    let mut page = Page {
        items: Vec::with_capacity(response.items.len()),
        unreadable: Vec::new(),
        facts: response.facts,
    };
    for item in response.items {
        match read(item.get()) {
            Ok(item) => page.items.push(item),
            Err(problem) => {
                tracing::warn!(%call, %problem, "cannot parse an item");
                page.unreadable.push(problem);
            }
        }
    }
    page
}
