//! Lists as CSV: the whole result as a stream, page by page with the cursors of the JSON list.
//!
//! One page is read while the previous one is sent, so that memory does not grow with the list.
//! Each page is read in a separate task that runs to completion; when the client disconnects, no
//! further page is read. If a page fails, the connection is aborted: a complete body is a complete
//! list.

mod accept;
mod file_name;
mod rows;

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Store, Unfinished};
use tracing::Instrument as _;
use utoipa::ToSchema;

use self::rows::{Columns, RowWriter};
use crate::envelope::{List, json_of};
use crate::paging::{Page, PageQuery};
use crate::problem::Problem;

pub(crate) use self::accept::{Format, require_http_1_1};
pub(crate) use self::file_name::FileName;

/// The media type of CSV.
pub(crate) const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// Size of a chunk of the body in bytes: large enough that few writes are needed.
const CHUNK: usize = 64 * 1024;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The rows of a page, and the next page.
type Read<A, R> = Result<(Vec<R>, Option<Page<A>>), Problem>;

/// Starts to read a page.
type Reader<A, R> = Box<dyn Fn(Page<A>) -> Boxed<Read<A, R>> + Send>;

/// Returns a list as CSV. `read` reads a page, as for JSON; `caller` is kept until the end of the
/// body, so that its permit counts the download as a request in progress.
///
/// An error of the first page is a problem document.
pub(crate) async fn stream<A, R, F>(
    store: &Store,
    caller: impl Send + 'static,
    file: FileName,
    first: Page<A>,
    read: impl Fn(Page<A>) -> F + Send + 'static,
) -> Result<Response, Problem>
where
    A: DeserializeOwned + Send + 'static,
    R: Serialize + ToSchema + Send + 'static,
    F: Future<Output = Result<List<R>, Problem>> + Send + 'static,
{
    let (rows, next) = read_page(&read, first).await?;
    let store = store.clone();
    let read = move |page| -> Boxed<Read<A, R>> {
        let reading = read_page(&read, page).in_current_span();
        let reading = store.run_to_completion(reading);
        Box::pin(async move {
            match reading.await {
                Ok(read) => read,
                Err(Unfinished::Stalled(error)) => Err(error.into()),
                Err(error @ Unfinished::Panic(_)) => Err(Problem::Internal(error.into())),
            }
        })
    };
    respond(caller, file, rows, next, Box::new(read))
}

/// Returns the response: the rows, and those of the next pages.
fn respond<A, R>(
    caller: impl Send + 'static,
    file: FileName,
    rows: Vec<R>,
    next: Option<Page<A>>,
    read: Reader<A, R>,
) -> Result<Response, Problem>
where
    A: Send + 'static,
    R: Serialize + ToSchema + Send + 'static,
{
    let writer =
        RowWriter::new(Columns::of::<R>()).map_err(|error| Problem::Internal(error.into()))?;
    let download = Download {
        read,
        rows: rows.into_iter(),
        next,
        reading: None,
        writer,
        is_written: false,
        _caller: caller,
    };
    // The handler ends before the body: the log of further pages belongs to its request too.
    let span = tracing::Span::current();
    let chunks = stream::try_unfold(download, move |download| {
        download.chunk().instrument(span.clone())
    });
    let mut response = Body::from_stream(chunks).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CONTENT_DISPOSITION, file.disposition());
    Ok(response)
}

/// Returns all rows of a short list as CSV, which the handler read at once.
pub(crate) fn whole<R: Serialize + ToSchema + Send + 'static>(
    caller: impl Send + 'static,
    file: FileName,
    rows: Vec<R>,
) -> Result<Response, Problem> {
    let nothing_more = |_: Page<()>| -> Boxed<Read<(), R>> {
        Box::pin(std::future::ready(Ok((Vec::new(), None))))
    };
    respond(caller, file, rows, None, Box::new(nothing_more))
}

/// Returns a list that was read for a page as JSON, or, if it is requested as CSV and was read
/// completely, as CSV.
pub(crate) fn list<R: Serialize + ToSchema + Send + 'static>(
    caller: impl Send + 'static,
    pages: &PageQuery,
    file: FileName,
    list: List<R>,
) -> Result<Response, Problem> {
    if pages.is_csv() {
        return whole(caller, file, list.data);
    }
    Ok(json_of(list))
}

/// Starts to read a page, and finds the next one by its cursor.
fn read_page<A, R, F, P>(
    read: &P,
    page: Page<A>,
) -> impl Future<Output = Read<A, R>> + Send + use<A, R, F, P>
where
    P: Fn(Page<A>) -> F,
    A: DeserializeOwned + Send + 'static,
    R: Send,
    F: Future<Output = Result<List<R>, Problem>> + Send + 'static,
{
    let place = page.place();
    let reading = read(page);
    async move {
        let list = reading.await?;
        let next = place.next_of(&list)?;
        Ok((list.data, next))
    }
}

/// A list that is being sent.
struct Download<A, R, C> {
    read: Reader<A, R>,
    /// Rows that were read and are not written yet.
    rows: std::vec::IntoIter<R>,
    /// The page after the one that is being read.
    next: Option<Page<A>>,
    reading: Option<Boxed<Read<A, R>>>,
    writer: RowWriter,
    /// True once the first chunk, which starts with the names of the columns, is written.
    is_written: bool,
    _caller: C,
}

type Failed = Box<dyn Error + Send + Sync>;

impl<A, R: Serialize, C> Download<A, R, C> {
    /// Returns the next chunk of the body; none after the last row.
    async fn chunk(mut self) -> Result<Option<(Vec<u8>, Self)>, Failed> {
        loop {
            if self.reading.is_none() {
                self.reading = self.next.take().map(&self.read);
            }
            let chunk = self.write().inspect_err(|error| {
                tracing::error!(error = error as &dyn Error, "CSV aborted: invalid row");
            })?;
            if !chunk.is_empty() {
                return Ok(Some((chunk, self)));
            }
            let Some(reading) = self.reading.take() else {
                return Ok(None);
            };
            let (rows, next) = reading.await.inspect_err(|problem| {
                tracing::error!(error = problem as &dyn Error, "CSV aborted: page not read");
            })?;
            self.rows = rows.into_iter();
            self.next = next;
        }
    }

    /// Writes rows up to the size of a chunk; returns nothing if there are none.
    fn write(&mut self) -> Result<Vec<u8>, csv::Error> {
        let mut size = 0;
        while size < CHUNK
            && let Some(row) = self.rows.next()
        {
            size += self.writer.write(&row)?;
        }
        if size == 0 && self.is_written {
            return Ok(Vec::new());
        }
        self.is_written = true;
        self.writer.take()
    }
}
