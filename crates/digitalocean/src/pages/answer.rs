//! One page of a list as DigitalOcean writes it, and its several ways to write "none".

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::PageFacts;
use crate::client::{Body, Client};
use crate::error::{Call, Error};

/// Keys of error bodies, none of which a list has (spec; the last two are the tags API's). An error can come with status 200
/// (observed).
const ERROR_KEYS: [&str; 5] = ["error", "id", "message", "messages", "root_causes"];

#[derive(Deserialize)]
struct Meta {
    total: Option<u64>,
}

#[derive(Deserialize)]
struct Links {
    pages: Option<PageLinks>,
}

/// Only whether there is a next page matters. Where it is said to be does not: the token would go there.
#[derive(Deserialize)]
struct PageLinks {
    next: Option<IgnoredAny>,
}

/// A page, its items still unread.
pub(crate) struct PageAnswer<'a> {
    pub(super) items: Vec<&'a RawValue>,
    pub(super) facts: PageFacts,
    /// The parts of the answer by their keys.
    pub(super) parts: HashMap<String, &'a RawValue>,
}

impl<'a> PageAnswer<'a> {
    /// Takes a page apart whose list stands under `key`.
    ///
    /// An empty array, null, and a missing key are all DigitalOcean's answers for "none" (observed). Null is taken for it unless a
    /// total says otherwise; a missing key only beside a total of 0, since any JSON lacks the key. The total of a later page
    /// counts all pages: whether it was reached is not this page's matter.
    pub(crate) fn read(call: &Call, body: &'a Body, key: &str, number: u64) -> Result<Self, Error> {
        let unexpected = |error: serde_json::Error| {
            if error.is_data() {
                Error::unexpected(call, format!("JSON of another form: {error}"))
            } else {
                Client::foreign(call, body)
            }
        };
        let parts: HashMap<String, &RawValue> =
            serde_json::from_slice(&body.bytes).map_err(unexpected)?;
        let meta: Option<Meta> = part(&parts, "meta").map_err(unexpected)?;
        let links: Option<Links> = part(&parts, "links").map_err(unexpected)?;
        // Vector databases have it beside their list (spec).
        let bare_total: Option<u64> = part(&parts, "total").map_err(unexpected)?;
        let total = meta.and_then(|meta| meta.total).or(bare_total);
        let listed: Option<Vec<&RawValue>> = part(&parts, key).map_err(unexpected)?;
        if listed.as_ref().is_none_or(Vec::is_empty)
            && ERROR_KEYS.iter().any(|key| is_given(&parts, key))
        {
            let error = Client::stated_error(body);
            let problem = format!("an error in place of {key:?}: {error}");
            return Err(Error::unexpected(call, problem));
        }
        if listed.is_none() {
            let problem = match (parts.contains_key(key), total) {
                (_, Some(0)) | (true, None) => None,
                (true, Some(_)) if number > 1 => None,
                (true, Some(total)) => Some(format!("{key:?}: null beside a total of {total}")),
                (false, _) => Some(format!("JSON without {key:?}")),
            };
            if let Some(problem) = problem {
                return Err(Error::unexpected(call, problem));
            }
        }
        Ok(Self {
            facts: PageFacts {
                len: listed.as_ref().map_or(0, Vec::len),
                is_array: listed.is_some(),
                total,
                has_next: links
                    .and_then(|links| links.pages)
                    .is_some_and(|pages| pages.next.is_some()),
            },
            items: listed.unwrap_or_default(),
            parts,
        })
    }
}

fn is_given(parts: &HashMap<String, &RawValue>, key: &str) -> bool {
    parts.get(key).is_some_and(|json| json.get() != "null")
}

/// A part of the answer that may be absent or null.
fn part<'a, T: Deserialize<'a>>(
    parts: &HashMap<String, &'a RawValue>,
    key: &str,
) -> Result<Option<T>, serde_json::Error> {
    parts
        .get(key)
        .map_or(Ok(None), |json| serde_json::from_str(json.get()))
}
