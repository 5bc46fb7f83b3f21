//! Pages of lists: the parameters `limit`, `cursor` and `format`. A cursor has the list, its filter
//! and the key of the last row of the previous page.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::csv::Format;
use crate::envelope::{List, ListMeta};
use crate::extract::{Query, optional, read_parameters, required};
use crate::problem::Problem;

const MAX_LIMIT: u16 = 500;

/// Number of rows that a CSV reads at a time.
const CSV_ROWS: usize = 2000;

/// Maximum number of rows of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(u16);

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .map(Self)
            .ok_or_else(|| {
                format!("invalid limit {text:?}: expected a number from 1 to {MAX_LIMIT}")
            })
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        required(deserializer)
    }
}

/// The parameter `cursor`: base64url of JSON.
#[derive(Debug)]
struct Cursor(String);

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !text.is_empty() && text.bytes().all(is_base64url) {
            Ok(Self(text.to_owned()))
        } else {
            Err("invalid cursor: use meta.next_cursor of the previous page")
        }
    }
}

/// The parameters of pagination and format.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Maximum number of rows of the page. CSV ignores it.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 500, default = 100)]
    limit: Limit,
    /// `meta.next_cursor` of the previous page; absent for the first page. CSV ignores it.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<Cursor>,
    /// `csv` for the rows of all pages as one file, `json` for a page; by default the preferred one
    /// of the header `accept`, else `json`.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline)]
    format: Option<Format>,
}

impl Parameters {
    const NAMES: [&str; 3] = ["limit", "cursor", "format"];
}

/// The requested page of a list, or the whole list as CSV.
#[derive(Debug)]
pub(crate) struct PageQuery {
    limit: Limit,
    cursor: Option<Cursor>,
    format: Option<Format>,
}

impl IntoParams for PageQuery {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        Parameters::into_params(parameter_in)
    }
}

impl<S: Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::from_request_parts(parts, state).await?;
        let mut pages = Self::new(parameters);
        pages.prefer(&parts.headers);
        Ok(pages)
    }
}

impl PageQuery {
    fn new(parameters: Parameters) -> Self {
        Self {
            limit: parameters.limit,
            cursor: parameters.cursor,
            format: parameters.format,
        }
    }

    /// Chooses the format by the header `accept`, unless the parameter `format` chooses it.
    fn prefer(&mut self, headers: &HeaderMap) {
        self.format = self.format.or_else(|| Some(Format::preferred(headers)));
    }

    /// Returns true if the whole list is requested as CSV.
    pub(crate) fn is_csv(&self) -> bool {
        self.format == Some(Format::Csv)
    }

    /// Returns the query of the first page with the maximum number of rows.
    pub(crate) fn longest() -> Self {
        Self {
            limit: Limit(MAX_LIMIT),
            cursor: None,
            format: None,
        }
    }

    /// Returns the query of the whole list as CSV.
    pub(crate) fn csv() -> Self {
        Self {
            format: Some(Format::Csv),
            ..Self::longest()
        }
    }

    /// Returns the requested page of a list. `list` identifies it by name and filter.
    pub(crate) fn page<A: DeserializeOwned>(&self, list: Value) -> Result<Page<A>, Problem> {
        let is_csv = self.is_csv();
        let cursor = self.cursor.as_ref().filter(|_| !is_csv);
        Ok(Page {
            after: cursor.map_or(Ok(None), |cursor| read_cursor(&list, &cursor.0))?,
            place: Place {
                list,
                limit: self.limit,
                csv_rows: is_csv.then_some(CSV_ROWS),
            },
        })
    }
}

/// The query string of a list with a filter.
pub(crate) struct Paged<F> {
    pub(crate) filter: F,
    pub(crate) pages: PageQuery,
}

impl<F: DeserializeOwned> Paged<F> {
    /// Reads the filter and the page from the parameters of a query string.
    pub(crate) fn read(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let (pages, filter) = parameters
            .into_iter()
            .partition(|(name, _)| Parameters::NAMES.contains(&name.as_str()));
        Ok(Self {
            filter: read_parameters(filter, &Parameters::NAMES)?,
            pages: PageQuery::new(read_parameters(pages, &[])?),
        })
    }
}

impl<S: Sync, F: DeserializeOwned> FromRequestParts<S> for Paged<F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::from_request_parts(parts, state).await?;
        let mut read = Self::read(parameters)?;
        read.pages.prefer(&parts.headers);
        Ok(read)
    }
}

/// A list, and the size of its pages.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Name and filter of the list: a cursor is valid for its own list only.
    list: Value,
    limit: Limit,
    /// Number of rows of a page of a CSV; none for JSON.
    csv_rows: Option<usize>,
}

impl Place {
    /// Returns the page after a page of the list; none after the last one.
    pub(crate) fn next_of<A: DeserializeOwned, R>(
        self,
        page: &List<R>,
    ) -> Result<Option<Page<A>>, Problem> {
        let Some(cursor) = &page.meta.next_cursor else {
            return Ok(None);
        };
        let after = read_cursor(&self.list, cursor)?;
        Ok(Some(Page { place: self, after }))
    }

    /// Returns the maximum number of rows of the page.
    fn rows(&self) -> usize {
        self.csv_rows.unwrap_or(self.limit.0.into())
    }
}

/// One page of a list, ordered by keys of type `A`.
#[derive(Debug, Clone)]
pub(crate) struct Page<A> {
    place: Place,
    /// Key of the last row of the previous page; none for the first page.
    pub(crate) after: Option<A>,
}

impl<A> Page<A> {
    /// Returns true if the whole list is requested as CSV.
    pub(crate) fn is_csv(&self) -> bool {
        self.place.csv_rows.is_some()
    }

    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Reads a CSV at once: for a list that is short, or of which the keys can change, so that a
    /// row that moves between two reads would be missing or doubled.
    pub(crate) fn at_once(mut self) -> Self {
        self.place.csv_rows = self.place.csv_rows.map(|_| i32::MAX as usize);
        self
    }

    /// Returns the number of rows to fetch: one more than the page has, to detect a next page.
    pub(crate) fn rows_to_fetch(&self) -> i64 {
        i64::try_from(self.place.rows()).map_or(i64::MAX, |rows| rows + 1)
    }

    /// Builds the page from the fetched rows, of which there are up to [`Page::rows_to_fetch`].
    /// `key` returns the key of a row in the serialised form of `A`.
    pub(crate) fn show<R, P: Serialize>(
        &self,
        mut rows: Vec<R>,
        key: impl FnOnce(&R) -> P,
    ) -> List<R> {
        let limit = self.place.rows();
        let next_cursor = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|last| {
                let cursor = json!({ "list": self.place.list, "after": key(last) });
                URL_SAFE_NO_PAD.encode(cursor.to_string())
            })
        } else {
            None
        };
        List {
            data: rows,
            meta: ListMeta::now(self.place.limit.0, next_cursor),
        }
    }

    /// Builds the page from all rows of a short list, ordered by key and without duplicate keys. A
    /// CSV has one page with all of them.
    pub(crate) fn show_of_all<R>(&self, mut rows: Vec<R>, key: impl Fn(&R) -> A) -> List<R>
    where
        A: Ord + Serialize,
    {
        let after = self.after.as_ref();
        rows.retain(|row| after.is_none_or(|after| key(row) > *after));
        rows.sort_by_cached_key(&key);
        rows.dedup_by(|one, other| key(one) == key(other));
        if self.is_csv() {
            let meta = ListMeta::now(self.place.limit.0, None);
            return List { data: rows, meta };
        }
        self.show(rows, key)
    }
}

fn read_cursor<A: DeserializeOwned>(list: &Value, cursor: &str) -> Result<Option<A>, Problem> {
    let mut read: Value = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(unknown_cursor)?;
    if read["list"] != *list {
        return Err(unknown_cursor());
    }
    serde_json::from_value(read["after"].take())
        .map(Some)
        .map_err(|_| unknown_cursor())
}

/// A cursor that this list did not return. The status is 404: the parameter is well formed, and its
/// page does not exist.
fn unknown_cursor() -> Problem {
    Problem::NotFound(
        "cursor: this list did not return it: use meta.next_cursor of the previous page with the \
         same parameters, or omit it for the first page"
            .to_owned(),
    )
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
