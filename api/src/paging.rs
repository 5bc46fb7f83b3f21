//! Pages of lists: the parameters `limit` and `cursor`. A cursor has the list, its filter and the
//! key of the last row of the previous page.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::envelope::{List, ListMeta};
use crate::extract::{Query, optional, read_parameters, required};
use crate::problem::Problem;

const MAX_LIMIT: u16 = 500;

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

/// The parameters of pagination.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Maximum number of rows of the page.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 500, default = 100)]
    limit: Limit,
    /// `meta.next_cursor` of the previous page; absent for the first page.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String, pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<Cursor>,
}

impl PageQuery {
    const PARAMETERS: [&str; 2] = ["limit", "cursor"];

    /// Returns the query of the first page with the maximum number of rows.
    pub(crate) fn longest() -> Self {
        Self {
            limit: Limit(MAX_LIMIT),
            cursor: None,
        }
    }

    /// Returns the requested page of a list. `list` identifies it by name and filter.
    pub(crate) fn page<A: DeserializeOwned>(&self, list: Value) -> Result<Page<A>, Problem> {
        let after = self
            .cursor
            .as_ref()
            .map_or(Ok(None), |cursor| read_cursor(&list, cursor))?;
        Ok(Page {
            list,
            limit: self.limit,
            after,
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
            .partition(|(name, _)| PageQuery::PARAMETERS.contains(&name.as_str()));
        Ok(Self {
            filter: read_parameters(filter, &PageQuery::PARAMETERS)?,
            pages: read_parameters(pages, &[])?,
        })
    }
}

impl<S: Sync, F: DeserializeOwned> FromRequestParts<S> for Paged<F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::from_request_parts(parts, state).await?;
        Self::read(parameters)
    }
}

/// One page of a list, ordered by keys of type `A`.
#[derive(Debug)]
pub(crate) struct Page<A> {
    /// Name and filter of the list: a cursor is valid for its own list only.
    list: Value,
    limit: Limit,
    /// Key of the last row of the previous page; none for the first page.
    pub(crate) after: Option<A>,
}

impl<A> Page<A> {
    /// Returns the number of rows to fetch: one more than the page has, to detect a next page.
    pub(crate) fn rows_to_fetch(&self) -> i64 {
        i64::from(self.limit.0) + 1
    }

    /// Builds the page from the fetched rows, of which there are up to [`Page::rows_to_fetch`].
    /// `key` returns the key of a row in the serialised form of `A`.
    pub(crate) fn show<R, P: Serialize>(
        &self,
        mut rows: Vec<R>,
        key: impl FnOnce(&R) -> P,
    ) -> List<R> {
        let limit = usize::from(self.limit.0);
        let next_cursor = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|last| {
                let cursor = json!({ "list": self.list, "after": key(last) });
                URL_SAFE_NO_PAD.encode(cursor.to_string())
            })
        } else {
            None
        };
        List {
            data: rows,
            meta: ListMeta::now(self.limit.0, next_cursor),
        }
    }

    /// Builds the page from all rows of a short list, ordered by key and without duplicate keys.
    pub(crate) fn show_of_all<R>(&self, mut rows: Vec<R>, key: impl Fn(&R) -> A) -> List<R>
    where
        A: Ord + Serialize,
    {
        let after = self.after.as_ref();
        rows.retain(|row| after.is_none_or(|after| key(row) > *after));
        rows.sort_by_cached_key(&key);
        rows.dedup_by(|one, other| key(one) == key(other));
        self.show(rows, key)
    }
}

fn read_cursor<A: DeserializeOwned>(list: &Value, cursor: &Cursor) -> Result<Option<A>, Problem> {
    let mut read: Value = URL_SAFE_NO_PAD
        .decode(&cursor.0)
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
mod tests {
    use axum::http::Request;

    use super::*;

    fn first_page(list: Value) -> Page<u32> {
        page_after(list, None).unwrap()
    }

    fn page_after(list: Value, cursor: Option<Cursor>) -> Result<Page<u32>, Problem> {
        let limit = "2".parse().unwrap();
        PageQuery { limit, cursor }.page(list)
    }

    fn cursor_after_two_rows(page: &Page<u32>) -> Option<Cursor> {
        let shown = page.show(vec![1_u32, 2, 3], |row| *row);
        assert_eq!(shown.data, [1, 2]);
        shown.meta.next_cursor.map(Cursor)
    }

    #[test]
    fn a_cursor_leads_to_the_row_after_the_last_one_shown() {
        let cursor = cursor_after_two_rows(&first_page(json!("numbers")));
        let next = page_after(json!("numbers"), cursor).unwrap();
        assert_eq!(next.after, Some(2));
    }

    #[test]
    fn a_page_that_is_just_full_is_the_last() {
        let shown = first_page(json!("numbers")).show(vec![1_u32, 2], |row| *row);
        assert_eq!(
            (shown.data.len(), shown.meta.next_cursor.as_deref()),
            (2, None)
        );
    }

    #[test]
    fn a_page_of_all_rows_is_ordered_and_has_no_duplicate_keys() {
        let rows = vec![4, 3, 1, 2, 3];
        let first = first_page(json!("numbers")).show_of_all(rows.clone(), |row| *row);
        assert_eq!(first.data, [1, 2]);
        let cursor = first.meta.next_cursor.map(Cursor);
        let last = page_after(json!("numbers"), cursor)
            .unwrap()
            .show_of_all(rows, |row| *row);
        assert_eq!((last.data, last.meta.next_cursor), (vec![3, 4], None));
    }

    #[test]
    fn a_cursor_of_another_filter_is_refused() {
        let cursor = cursor_after_two_rows(&first_page(json!({"kind": "droplet"})));
        let problem = page_after(json!({"kind": "volume"}), cursor).unwrap_err();
        assert!(matches!(problem, Problem::NotFound(_)), "{problem}");
    }

    #[test]
    fn an_invalid_cursor_is_refused() {
        for text in ["x", "bnVsbA", "e30", "eyJhZnRlciI6ICJhIn0"] {
            let refused = page_after(json!(null), text.parse().ok());
            assert!(refused.is_err(), "{text}");
        }
        for text in ["", "!", "a b"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        #[serde(default, deserialize_with = "optional")]
        kind: Option<u8>,
    }

    fn parts(query: &str) -> Parts {
        let request = Request::get(format!("/?{query}")).body(());
        request.unwrap().into_parts().0
    }

    async fn read_query<F: DeserializeOwned>(query: &str) -> Result<Paged<F>, String> {
        Paged::from_request_parts(&mut parts(query), &())
            .await
            .map_err(|problem| problem.to_string())
    }

    #[tokio::test]
    async fn a_filter_and_its_page_are_read_from_one_query() {
        for query in ["kind=7&limit=2&cursor=x", "li%6Dit=2&cursor=x&kind=7"] {
            let Paged { filter, pages } = read_query::<Filter>(query).await.unwrap();
            assert_eq!((filter.kind, pages.limit), (Some(7), Limit(2)));
            assert_eq!(pages.cursor.unwrap().0, "x");
        }
        for query in ["kind=", "limit=", "cursor="] {
            let problem = read_query::<Filter>(query).await.err().unwrap();
            assert!(
                problem.starts_with(query.trim_end_matches('=')),
                "{problem}"
            );
        }
    }

    #[tokio::test]
    async fn filter_and_page_have_the_errors_of_one_query() {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only its errors are compared")]
        struct All {
            #[serde(default, deserialize_with = "optional")]
            kind: Option<u8>,
            #[serde(default)]
            limit: Limit,
            #[serde(default, deserialize_with = "optional")]
            cursor: Option<Cursor>,
        }
        for query in [
            "limits=2",
            "x",
            "kind=droplet",
            "kind=1&kind=2",
            "limit=0",
            "limit=1&limit=2",
        ] {
            let expected = Query::<All>::from_request_parts(&mut parts(query), &()).await;
            let refused = read_query::<Filter>(query).await.err();
            assert_eq!(
                refused,
                expected.err().map(|problem| problem.to_string()),
                "{query}"
            );
        }
    }

    #[test]
    fn a_limit_is_a_number_from_1_to_500() {
        for (text, is_limit) in [
            ("1", true),
            ("500", true),
            ("0", false),
            ("501", false),
            ("-1", false),
            ("1.5", false),
            ("99999999999", false),
            ("ten", false),
        ] {
            assert_eq!(text.parse::<Limit>().is_ok(), is_limit, "{text}");
        }
    }
}
