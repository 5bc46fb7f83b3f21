//! Resources, what happened to them and how they belong together.

mod history;
mod overrides;
mod relations;

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::inventory::{AfterResource, Resource, ResourceFilter, ResourceOverride};
use store::{Store, StoreError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Caller;
use crate::envelope::{List, One};
use crate::extract::{Id, KnownKind, Query, Text, TimeOrDate, optional};
use crate::freshness;
use crate::notes;
use crate::paging::{PageQuery, Paged};
use crate::problem::{Absent, Invalid, Problem};
use crate::view::View;
use crate::words;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one, overrides::change))
        .routes(routes!(overrides::unclassified))
        .merge(history::routes())
        .merge(relations::routes())
}

/// Whether a resource still exists.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Existence {
    #[default]
    Live,
    Deleted,
    All,
}

impl FromStr for Existence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = [
            ("live", Self::Live),
            ("deleted", Self::Deleted),
            ("all", Self::All),
        ];
        words::one_of("state", text, &words)
    }
}

impl From<Existence> for store::inventory::State {
    fn from(existence: Existence) -> Self {
        match existence {
            Existence::Live => Self::Live,
            Existence::Deleted => Self::Deleted,
            Existence::All => Self::All,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InventoryQuery {
    /// A kind like `droplet` or `dns_zone`; an unknown one is refused with the list of kinds.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    kind: Option<KnownKind>,
    /// `id` of a project.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Uuid)]
    project: Option<Id>,
    /// Whose resources. A tenant may name only itself.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    tenant: Option<Text>,
    /// `live` unless given.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline)]
    state: Option<Existence>,
    /// Part of the name, of DigitalOcean's id or of a tag, in any case.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    q: Option<Text>,
    /// A time of the past: resources as the mirror knew them then, the filters and whose they were included.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = TimeOrDate)]
    as_of: Option<TimeOrDate>,
}

#[derive(Deserialize)]
struct ResourcePlace {
    kind: Text,
    name: Text,
    id: Uuid,
}

/// Resources by kind and name; a tenant sees its own
#[utoipa::path(
    get,
    path = "/api/v1/inventory",
    operation_id = "list_resources",
    tag = "inventory",
    security(("bearer" = [])),
    params(InventoryQuery, PageQuery),
    responses((status = OK, body = List<Resource>, description = "A page of resources"), Invalid)
)]
async fn list(
    caller: Caller,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<InventoryQuery>,
) -> Result<Json<List<Resource>>, Problem> {
    let as_of = past(&state.store, query.as_of).await?;
    let existence = query.state.unwrap_or_default();
    let filter = ResourceFilter {
        kind: query.kind.map(String::from),
        project: query.project.map(|Id(id)| id),
        tenant: tenant_shown(&caller, query.tenant)?,
        state: existence.into(),
        text: query.q.map(String::from),
    };
    let name = json!({ "inventory": {
        "kind": filter.kind,
        "project": filter.project,
        "tenant": filter.tenant,
        "state": existence,
        "q": filter.text,
        "as_of": as_of,
    }});
    let mut page = pages.page(name)?;
    let after = page.after.take().map(|place: ResourcePlace| AfterResource {
        kind: place.kind.into(),
        name: place.name.into(),
        id: place.id,
    });
    let (after, rows) = (after.as_ref(), page.rows_to_fetch());
    let mut resources = match as_of {
        Some(at) => {
            state
                .store
                .resources_as_of(at, &filter, after, rows)
                .await?
        }
        None => state.store.resources(&filter, after, rows).await?,
    };
    let view = View::of(&caller, &state.store).await?;
    for resource in &mut resources {
        view.narrow_resource(resource);
    }
    let shown = page.show(
        resources,
        |last| json!({ "kind": last.kind, "name": last.name, "id": last.id }),
    );
    let freshness = match &filter.kind {
        Some(kind) => freshness::of(&state.store, [&**kind]).await?,
        None => freshness::of(&state.store, shown.data.iter().map(|shown| &*shown.kind)).await?,
    };
    let mut notes = Vec::new();
    if let Some(tenant) = filter.tenant.as_deref().filter(|_| view.shows_all()) {
        notes.extend(notes::on_tenant(&state.store, tenant).await?);
    }
    if let Some(project) = filter.project
        && !is_known_project(&state.store, &view, project).await?
    {
        notes.push(notes::unknown_project(project));
    }
    Ok(Json(shown.at(as_of).fresh(freshness).noting(notes)))
}

/// Whether there is a project of this id that the caller may know.
async fn is_known_project(store: &Store, view: &View, project: Uuid) -> Result<bool, Problem> {
    match store.project(project, None).await {
        Ok(_) => Ok(view.shows_project(project)),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A time that was asked for; by the database's clock, as all that happened is.
async fn past(store: &Store, asked: Option<TimeOrDate>) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(TimeOrDate(at)) = asked else {
        return Ok(None);
    };
    if at > store.now().await? {
        return Err(Problem::InvalidParameter(format!(
            "as_of: {} is in the future: give a time of the past, or leave it out for what is known now",
            at.to_rfc3339()
        )));
    }
    Ok(Some(at))
}

/// The tenant whose resources are shown: the caller's own, or for an admin the one that was asked for.
fn tenant_shown(caller: &Caller, asked: Option<Text>) -> Result<Option<String>, Problem> {
    let asked = asked.map(String::from);
    match (caller.tenant(), asked) {
        (None, asked) => Ok(asked),
        (Some(own), Some(asked)) if asked != own.as_str() => Err(Problem::Forbidden(
            "tenant: the token is another tenant's; leave the parameter out",
        )),
        (Some(own), _) => Ok(Some(own.to_string())),
    }
}

/// A resource with its override.
#[derive(Debug, Serialize, ToSchema)]
struct ResourceDetail {
    #[serde(flatten)]
    resource: Resource,
    /// The override in force, for the role `platform_admin`. Null without one, for a tenant, and with `as_of`; the events have the
    /// overrides of the past.
    pin: Option<ResourceOverride>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResourceQuery {
    /// A time of the past: the resource as the mirror knew it then. A tenant finds it if it was its own then.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = TimeOrDate)]
    as_of: Option<TimeOrDate>,
}

/// One resource, live or gone; another tenant's is not found
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}",
    operation_id = "show_resource",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), ResourceQuery),
    responses((status = OK, body = One<ResourceDetail>, description = "The resource"), Invalid, Absent)
)]
async fn one(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<ResourceQuery>,
) -> Result<Json<One<ResourceDetail>>, Problem> {
    let store = &state.store;
    let as_of = past(store, query.as_of).await?;
    let tenant = caller.tenant().map(TenantId::as_str);
    let view = View::of(&caller, store).await?;
    let mut resource = match as_of {
        Some(at) => store.resource_as_of(at, id, tenant).await?,
        None => store.resource(id, tenant).await?,
    };
    view.narrow_resource(&mut resource);
    let shows_pin = as_of.is_none() && view.shows_all();
    let answer = detail(store, resource, shows_pin).await?;
    Ok(Json(answer.at(as_of)))
}

async fn detail(
    store: &Store,
    resource: Resource,
    shows_pin: bool,
) -> Result<One<ResourceDetail>, Problem> {
    let pin = if shows_pin {
        store.resource_override(resource.id).await?
    } else {
        None
    };
    let freshness = freshness::of(store, [&*resource.kind]).await?;
    Ok(One::now(ResourceDetail { resource, pin }).fresh(freshness))
}
