//! Decodes one page of a list, in each of the forms that DigitalOcean uses for an empty one.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::PageFacts;
use crate::client::{Body, Client};
use crate::error::{Call, Error};

/// Keys of error bodies, which no list has (spec; the last two are of the tags API). An error may
/// be sent with status 200 (observed).
const ERROR_KEYS: [&str; 5] = ["error", "id", "message", "messages", "root_causes"];

#[derive(Deserialize)]
struct Meta {
    total: Option<u64>,
}

#[derive(Deserialize)]
struct Links {
    pages: Option<PageLinks>,
}

/// Only the presence of a next page is used. Its URL is ignored, because the token would be sent
/// there.
#[derive(Deserialize)]
struct PageLinks {
    next: Option<IgnoredAny>,
}

/// A page with unparsed items.
pub(crate) struct PageResponse<'a> {
    pub(super) items: Vec<&'a RawValue>,
    pub(super) facts: PageFacts,
    /// The parts of the response by key.
    pub(super) parts: HashMap<String, &'a RawValue>,
}

impl<'a> PageResponse<'a> {
    /// Decodes a page with its list under `key`.
    ///
    /// An empty array, null and a missing key are all DigitalOcean's forms of an empty list
    /// (observed). Null is an empty list unless the total contradicts it; a missing key only with a
    /// total of 0, because any JSON lacks the key. The total of a later page counts all pages, and
    /// is checked after the last page.
    pub(crate) fn read(call: &Call, body: &'a Body, key: &str, number: u64) -> Result<Self, Error> {
        let unexpected = |error: serde_json::Error| {
            if error.is_data() {
                Error::unexpected(call, format!("unexpected JSON: {error}"))
            } else {
                Client::unexpected_body(call, body)
            }
        };
        let parts: HashMap<String, &RawValue> =
            serde_json::from_slice(&body.bytes).map_err(unexpected)?;
        let meta: Option<Meta> = part(&parts, "meta").map_err(unexpected)?;
        let links: Option<Links> = part(&parts, "links").map_err(unexpected)?;
        // Vector databases have the total next to their list (spec).
        let bare_total: Option<u64> = part(&parts, "total").map_err(unexpected)?;
        let total = meta.and_then(|meta| meta.total).or(bare_total);
        let list: Option<Vec<&RawValue>> = part(&parts, key).map_err(unexpected)?;
        if list.as_ref().is_none_or(Vec::is_empty)
            && ERROR_KEYS.iter().any(|key| has_value(&parts, key))
        {
            let error = Client::error_text(body);
            let problem = format!("an error instead of {key:?}: {error}");
            return Err(Error::unexpected(call, problem));
        }
        if list.is_none() {
            let problem = match (parts.contains_key(key), total) {
                (_, Some(0)) | (true, None) => None,
                (true, Some(_)) if number > 1 => None,
                (true, Some(total)) => Some(format!("{key:?}: null with a total of {total}")),
                (false, _) => Some(format!("JSON without {key:?}")),
            };
            if let Some(problem) = problem {
                return Err(Error::unexpected(call, problem));
            }
        }
        Ok(Self {
            facts: PageFacts {
                len: list.as_ref().map_or(0, Vec::len),
                is_array: list.is_some(),
                total,
                has_next: links
                    .and_then(|links| links.pages)
                    .is_some_and(|pages| pages.next.is_some()),
            },
            items: list.unwrap_or_default(),
            parts,
        })
    }
}

fn has_value(parts: &HashMap<String, &RawValue>, key: &str) -> bool {
    parts.get(key).is_some_and(|json| json.get() != "null")
}

/// Returns a part of the response that may be absent or null.
fn part<'a, T: Deserialize<'a>>(
    parts: &HashMap<String, &'a RawValue>,
    key: &str,
) -> Result<Option<T>, serde_json::Error> {
    parts
        .get(key)
        .map_or(Ok(None), |json| serde_json::from_str(json.get()))
}
