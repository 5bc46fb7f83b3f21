//! Lists in other styles: those of the gen-ai product, that of vector databases, and those without
//! pages.

use axum::{http::request::Parts, response::Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    NoneForm,
    answers::ok,
    paging::{Disturbance, List, PageRequest, none_form_of},
};

impl PageRequest {
    /// The requested page in the style of gen-ai.
    pub(crate) fn answer_gen_ai<'a, T, B: Serialize>(
        &self,
        key: &'static str,
        items: &'a [T],
        body: impl Fn(&'a T) -> B,
    ) -> Response {
        let (page, total) = self.window(items);
        let (number, last) = self.position(total);
        let mut pages = serde_json::Map::new();
        if last > 1 || number > 1 {
            pages.insert("first".to_owned(), self.link(1).into());
            pages.insert("last".to_owned(), self.link(last).into());
        }
        if number > 1 {
            pages.insert("previous".to_owned(), self.link(number - 1).into());
        }
        if number < last {
            pages.insert("next".to_owned(), self.link(number + 1).into());
        }
        ok(&Keyed {
            list: self.list(key, page.into_iter().map(body).collect(), total),
            rest: json!({
                "links": { "pages": pages },
                "meta": { "page": number, "pages": last, "total": total },
            }),
        })
    }

    /// Returns the requested page with only the total as another field.
    pub(crate) fn answer_with_total<'a, T, B: Serialize>(
        &self,
        key: &'static str,
        items: &'a [T],
        body: impl Fn(&'a T) -> B,
    ) -> Response {
        let (page, total) = self.window(items);
        ok(&Keyed {
            list: self.list(key, page.into_iter().map(body).collect(), total),
            rest: json!({ "total": total }),
        })
    }
}

/// A list without pages, which ignores `page` and `per_page`.
pub(crate) fn answer_whole<'a, T, B: Serialize>(
    parts: &Parts,
    key: &'static str,
    items: &'a [T],
    body: impl Fn(&'a T) -> B,
) -> Response {
    let seen = match parts.extensions.get() {
        Some(Disturbance::Empty) => 0,
        Some(Disturbance::Short | Disturbance::Lagging) => items.len().saturating_sub(1),
        Some(Disturbance::ItemMoved) | None => items.len(),
    };
    let form = match none_form_of(parts) {
        // `{}` could be the response to any request.
        NoneForm::NoKey => NoneForm::Null,
        form => form,
    };
    ok(&List {
        key,
        items: items[..seen].iter().map(body).collect(),
        form,
    })
}

/// A list under its key, and other fields.
#[derive(Serialize)]
struct Keyed<B: Serialize> {
    #[serde(flatten)]
    list: List<B>,
    #[serde(flatten)]
    rest: Value,
}
