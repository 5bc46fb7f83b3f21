//! Lists with `page` and `per_page`, absolute links built from the request's host, and a total.
//! Lists in other styles are in [`crate::paging_styles`].

use std::collections::BTreeMap;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
    response::Response,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::{NoneForm, answers::ok, errors::ApiError};

const DEFAULT_PER_PAGE: usize = 20;
const MAX_PER_PAGE: usize = 200;

/// The effect of a fault on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// The list is empty.
    Empty,
    /// The last item of page 1 is the first of page 2.
    ItemMoved,
    /// The last item of the page is missing but counted.
    Short,
    /// The last item of the list is neither present nor counted.
    Lagging,
}

/// The scheme and host of the request, with which links start.
#[derive(Clone, Debug)]
pub(crate) struct Origin(pub(crate) String);

impl Origin {
    fn of(parts: &Parts) -> Self {
        let host = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        Self(format!("http://{}", host.unwrap_or("localhost")))
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

/// The requested page.
#[derive(Clone, Debug)]
pub(crate) struct PageRequest {
    pub(crate) origin: Origin,
    path: String,
    query: String,
    page: usize,
    per_page: usize,
    disturbance: Option<Disturbance>,
    none_form: NoneForm,
}

impl<S: Sync> FromRequestParts<S> for PageRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Self::of(parts)
    }
}

/// A parameter of a query as written, without percent-decoding.
pub(crate) fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let mut parameters = query.split('&');
    parameters.find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))
}

/// A parameter that must be an integer of at least 1. DigitalOcean does not document others; an
/// error exposes a client's mistake.
fn number(query: &str, name: &str) -> Result<Option<usize>, ApiError> {
    parameter(query, name)
        .map(|value| match value.parse() {
            Ok(number) if number >= 1 => Ok(number),
            _ => Err(ApiError::unprocessable(&format!(
                "{name} must be a whole number of at least 1"
            ))),
        })
        .transpose()
}

impl PageRequest {
    pub(crate) fn of(parts: &Parts) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let per_page = number(&query, "per_page")?.unwrap_or(DEFAULT_PER_PAGE);
        if per_page > MAX_PER_PAGE {
            return Err(ApiError::unprocessable(
                "per_page must be between 1 and 200",
            ));
        }
        Ok(Self {
            origin: Origin::of(parts),
            path: parts.uri.path().to_owned(),
            page: number(&query, "page")?.unwrap_or(1),
            per_page,
            query,
            disturbance: parts.extensions.get().copied(),
            none_form: none_form_of(parts),
        })
    }

    /// The requested page of `items` under `key`, each formatted by `body`.
    pub(crate) fn answer<'a, T, B: Serialize>(
        &self,
        key: &'static str,
        items: &'a [T],
        body: impl Fn(&'a T) -> B,
    ) -> Response {
        self.answer_with(key, items, body, None)
    }

    /// Returns the requested page with another field.
    pub(crate) fn answer_with<'a, T, B: Serialize>(
        &self,
        key: &'static str,
        items: &'a [T],
        body: impl Fn(&'a T) -> B,
        extra: Option<(&'static str, Value)>,
    ) -> Response {
        let (page, total) = self.window(items);
        ok(&Envelope {
            list: self.list(key, page.into_iter().map(body).collect(), total),
            extra: extra.map(|field| BTreeMap::from([field])),
            links: self.links(total),
            meta: Meta { total },
        })
    }

    /// A page of a list with a total.
    pub(crate) fn list<B>(&self, key: &'static str, items: Vec<B>, total: usize) -> List<B> {
        let form = if total == 0 {
            self.none_form
        } else {
            NoneForm::EmptyList
        };
        List { key, items, form }
    }

    /// The items of the requested page, and the total.
    pub(crate) fn window<'a, T>(&self, items: &'a [T]) -> (Vec<&'a T>, usize) {
        let items = match self.disturbance {
            Some(Disturbance::Empty) => &[],
            Some(Disturbance::Lagging) => &items[..items.len().saturating_sub(1)],
            _ => items,
        };
        let start = (self.page - 1)
            .saturating_mul(self.per_page)
            .min(items.len());
        let end = start.saturating_add(self.per_page).min(items.len());
        let mut page: Vec<&'a T> = items[start..end].iter().collect();
        match self.disturbance {
            Some(Disturbance::ItemMoved) if start > 0 => {
                if let Some(first) = page.first_mut() {
                    *first = &items[start - 1];
                }
            }
            Some(Disturbance::Short) => drop(page.pop()),
            _ => {}
        }
        (page, items.len())
    }

    /// The requested page and the last page, both from 1.
    pub(crate) fn position(&self, total: usize) -> (usize, usize) {
        (self.page, total.div_ceil(self.per_page).max(1))
    }

    fn links(&self, total: usize) -> Links {
        let (_, last) = self.position(total);
        let link = |page: usize| Some(self.link(page));
        let mut pages = Pages::default();
        if self.page > 1 {
            pages.first = link(1);
            pages.prev = link(self.page - 1);
        }
        if self.page < last {
            pages.next = link(self.page + 1);
            pages.last = link(last);
        }
        let is_written = last > 1
            || self.page > 1
            // `NoKey` was observed together with empty pages.
            || (total == 0 && self.none_form == NoneForm::NoKey);
        Links {
            pages: is_written.then_some(pages),
        }
    }

    pub(crate) fn link(&self, page: usize) -> String {
        let mut link = format!("{}{}?page={page}", self.origin.0, self.path);
        let others = self
            .query
            .split('&')
            .filter(|parameter| !parameter.is_empty() && !parameter.starts_with("page="));
        for parameter in others {
            link.push('&');
            link.push_str(parameter);
        }
        link
    }
}

/// The form of an empty list, as set by the gate.
pub(crate) fn none_form_of(parts: &Parts) -> NoneForm {
    // The fault hides items behind an empty list.
    if parts.extensions.get() == Some(&Disturbance::Empty) {
        return NoneForm::EmptyList;
    }
    let form = parts.extensions.get().copied();
    form.unwrap_or(NoneForm::EmptyList)
}

/// A list under its key.
pub(crate) struct List<B> {
    pub(crate) key: &'static str,
    pub(crate) items: Vec<B>,
    /// The form if there are no items.
    pub(crate) form: NoneForm,
}

impl<B: Serialize> Serialize for List<B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.form {
            NoneForm::Null if self.items.is_empty() => map.serialize_entry(self.key, &())?,
            NoneForm::NoKey if self.items.is_empty() => {}
            _ => map.serialize_entry(self.key, &self.items)?,
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Envelope<B: Serialize> {
    #[serde(flatten)]
    list: List<B>,
    #[serde(flatten)]
    extra: Option<BTreeMap<&'static str, Value>>,
    links: Links,
    meta: Meta,
}

#[derive(Serialize)]
struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<Pages>,
}

#[derive(Default, Serialize)]
struct Pages {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
}

#[derive(Serialize)]
struct Meta {
    total: usize,
}
