//! The lists and single resources of the kinds in [`crate::kinds`].

use axum::{
    Router,
    extract::{Path, State},
    http::request::Parts,
    response::Response,
    routing::get,
};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::tags;
use crate::{
    Account,
    answers::one,
    caller::Caller,
    catalogue,
    errors::ApiError,
    kinds::{KINDS, Kind, Style},
    paging::{PageRequest, parameter},
    paging_styles::answer_whole,
    state::Shared,
    stock::{Parent, Resource},
};

pub(crate) fn routes() -> Router<Shared> {
    let mut router = Router::new().route("/v2/regions", get(regions));
    for kind in KINDS.iter().filter(|kind| !kind.path.is_empty()) {
        router = match kind.parent {
            None => router.route(
                kind.path,
                get(async move |shared, caller, parts: Parts| list(kind, &shared, &caller, &parts)),
            ),
            Some(parent) => router.route(
                kind.path,
                get(
                    async move |shared, caller, id: Path<String>, parts: Parts| {
                        children(kind, parent, &shared, &caller, &id, &parts)
                    },
                ),
            ),
        };
        if let Some(key) = kind.single {
            router = router.route(
                &format!("{}/{{id}}", kind.path),
                get(async move |shared, caller, id: Path<String>| {
                    single(kind, key, &shared, &caller, &id)
                }),
            );
        }
    }
    router
}

fn list(
    kind: &'static Kind,
    State(shared): &State<Shared>,
    caller: &Caller,
    parts: &Parts,
) -> Result<Response, ApiError> {
    caller.needs(kind.scope)?;
    let account = shared.account();
    answer(kind, account.stock.of(kind.slug), caller, parts)
}

fn children(
    kind: &'static Kind,
    parent: &'static str,
    State(shared): &State<Shared>,
    caller: &Caller,
    id: &str,
    parts: &Parts,
) -> Result<Response, ApiError> {
    caller.needs(kind.scope)?;
    let account = shared.account();
    if !is_there(&account, parent, id) {
        return Err(ApiError::not_found());
    }
    let parent = Parent::new(parent, id);
    let all = account.stock.of(kind.slug).iter();
    let children = all.filter(|resource| resource.is_of(&parent));
    answer(kind, children, caller, parts)
}

fn is_there(account: &Account, kind: &str, id: &str) -> bool {
    match kind {
        "droplet" => id.parse().is_ok_and(|id| account.droplet(id).is_some()),
        "dns_zone" => account.domains.iter().any(|domain| domain.name == id),
        _ => account.stock.find(kind, id).is_some(),
    }
}

fn single(
    kind: &'static Kind,
    key: &'static str,
    State(shared): &State<Shared>,
    caller: &Caller,
    id: &str,
) -> Result<Response, ApiError> {
    caller.needs(kind.scope)?;
    let account = shared.account();
    let found = account.stock.find(kind.slug, id);
    let mut body = found.ok_or_else(ApiError::not_found)?.body();
    hide(kind, &mut body, caller);
    Ok(one(key, &body))
}

/// A list in the style of its kind, filtered by the query.
pub(crate) fn answer<'a>(
    kind: &Kind,
    resources: impl IntoIterator<Item = &'a Resource>,
    caller: &Caller,
    parts: &Parts,
) -> Result<Response, ApiError> {
    let query = parts.uri.query().unwrap_or_default();
    let filters: Vec<(&str, &str)> = kind
        .filters
        .iter()
        .filter_map(|(name, pointer)| Some((*pointer, parameter(query, name)?)))
        .collect();
    let mut resources: Vec<&Resource> = resources.into_iter().collect();
    if !filters.is_empty() {
        resources.retain(|resource| {
            let body = resource.body();
            let has = |(pointer, value): &(&str, &str)| {
                body.pointer(pointer).is_some_and(|found| found == value)
            };
            filters.iter().all(has)
        });
    }
    let key = kind.key;
    let with_projects = parameter(query, "with_projects") == Some("true");
    let whole = caller.may_everything() && (kind.slug != "app" || with_projects);
    let body = |resource: &&'a Resource| Shown::of(kind, resource, caller, whole);
    Ok(match kind.style {
        Style::Pages => PageRequest::of(parts)?.answer(key, &resources, body),
        Style::GenAi => PageRequest::of(parts)?.answer_gen_ai(key, &resources, body),
        Style::Total => PageRequest::of(parts)?.answer_with_total(key, &resources, body),
        Style::Whole => answer_whole(parts, key, &resources, body),
    })
}

/// A body with the fields that the caller's scopes cover.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    AsStored(&'a RawValue),
    Reduced(Value),
}

impl<'a> Shown<'a> {
    fn of(kind: &Kind, resource: &'a Resource, caller: &Caller, whole: bool) -> Self {
        if whole {
            return Self::AsStored(resource.text());
        }
        let mut body = resource.body();
        hide(kind, &mut body, caller);
        Self::Reduced(body)
    }
}

/// Removes the fields that the caller's scopes do not cover, as DigitalOcean does without an error,
/// and `project_id` of apps, which only a list with `with_projects` has.
fn hide(kind: &Kind, body: &mut Value, caller: &Caller) {
    let Value::Object(fields) = body else { return };
    if !caller.may(tags::SCOPE) {
        fields.remove("tags");
    }
    if !caller.may("project:read") || kind.slug == "app" {
        fields.remove("project_id");
    }
    if !caller.may("database:view_credentials") && kind.slug.starts_with("database_") {
        fields.retain(|name, _| !name.ends_with("connection"));
        let users = fields.get_mut("users").and_then(Value::as_array_mut);
        for user in users.into_iter().flatten().filter_map(Value::as_object_mut) {
            user.retain(|name, _| name == "name" || name == "role");
        }
    }
}

async fn regions(caller: Caller, page: PageRequest) -> Result<Response, ApiError> {
    caller.needs("regions:read")?;
    Ok(page.answer("regions", &catalogue::regions(), Clone::clone))
}
