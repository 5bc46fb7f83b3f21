//! Routes of resources: lists, single resources, and their past states with `as_of`.

pub(crate) mod history;
mod listing;
pub(crate) mod overrides;
pub(crate) mod relations;

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::inventory::{KindCount, Resource, ResourceFilter, ResourceOverride};
use store::{Store, StoreError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::listing::Listing;
use crate::ApiState;
use crate::access::Caller;
use crate::choices;
use crate::csv::{self, FileName};
use crate::envelope::{List, One, json_of};
use crate::extract::{Id, KnownKind, Query, Text, TimeOrDate, optional};
use crate::freshness;
use crate::notes;
use crate::paging::{PageQuery, Paged};
use crate::problem::{BadRequest, NotFound, Problem};
use crate::view::View;

pub(crate) use self::listing::csv_of_resources;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(counts))
        .routes(routes!(one, overrides::change))
        .routes(routes!(overrides::unclassified))
        .merge(history::routes())
        .merge(relations::routes())
}

/// Filter for live or deleted resources.
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
        let choices = [
            ("live", Self::Live),
            ("deleted", Self::Deleted),
            ("all", Self::All),
        ];
        choices::one_of("state", text, &choices)
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

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InventoryQuery {
    /// Only resources of this kind, such as `droplet` or `dns_zone`; the error for an unknown kind
    /// lists all kinds.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = KnownKind)]
    kind: Option<KnownKind>,
    /// Only resources of the project with this `id`.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = Uuid)]
    project: Option<Id>,
    /// Only resources of this tenant. With the token of a tenant, only that tenant is accepted.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    tenant: Option<Text>,
    /// Only live or only deleted resources, or all; `live` by default.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline)]
    state: Option<Existence>,
    /// Only resources with this text in the name, in DigitalOcean's id or in a tag; case is
    /// ignored.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    q: Option<Text>,
    /// Only resources in this region, such as `nyc3`.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    region: Option<Text>,
    /// Only resources with this tag; case is ignored.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    tag: Option<Text>,
    /// Time in the past: returns and filters resources by the state and the tenant that the mirror
    /// had at this time.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = TimeOrDate)]
    as_of: Option<TimeOrDate>,
}

/// Lists resources by kind and name; a tenant sees its own
#[utoipa::path(
    get,
    path = "/api/v1/inventory",
    operation_id = "list_resources",
    tag = "inventory",
    security(("bearer" = [])),
    params(InventoryQuery, PageQuery),
    responses((status = OK, body = List<Resource>, description = "A page of resources"), BadRequest)
)]
async fn list(
    caller: Caller,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<InventoryQuery>,
) -> Result<Response, Problem> {
    if pages.is_csv() {
        let tenant = caller.tenant().cloned();
        return csv_of_resources(&state.store, caller, tenant.as_ref(), query, &pages).await;
    }
    let list = read_resources(&state.store, caller.tenant(), query, &pages).await?;
    Ok(json_of(list))
}

impl InventoryQuery {
    /// Returns the filter of a caller: all resources for an admin, else those of `tenant`.
    fn filter(self, tenant: Option<&TenantId>) -> Result<ResourceFilter, Problem> {
        Ok(ResourceFilter {
            kind: self.kind.map(String::from),
            project: self.project.map(|Id(id)| id),
            tenant: tenant_shown(tenant, self.tenant)?,
            state: self.state.unwrap_or_default().into(),
            region: self.region.map(String::from),
            tag: self.tag.map(String::from),
            text: self.q.map(String::from),
        })
    }
}

/// Reads a page of resources; with `tenant`, as that tenant sees them.
pub(crate) async fn read_resources(
    store: &Store,
    tenant: Option<&TenantId>,
    query: InventoryQuery,
    pages: &PageQuery,
) -> Result<List<Resource>, Problem> {
    let listing = Listing::of(store, tenant, query).await?;
    let shown = listing.read(pages.page(listing.name.clone())?).await?;
    let Listing { filter, view, .. } = &listing;
    let freshness = match &filter.kind {
        Some(kind) => freshness::of(store, [&**kind]).await?,
        None => freshness::of(store, shown.data.iter().map(|shown| &*shown.kind)).await?,
    };
    let mut notes = Vec::new();
    if let Some(tenant) = filter.tenant.as_deref().filter(|_| view.shows_all()) {
        notes.extend(notes::on_tenant(store, tenant).await?);
    }
    if let Some(project) = filter.project
        && !is_known_project(store, view, project).await?
    {
        notes.push(notes::unknown_project(project));
    }
    Ok(shown.at(listing.as_of).fresh(freshness).with_notes(notes))
}

/// Counts resources by kind; a tenant sees its own
///
/// The parameters are those of the list of resources. Kinds without resources are omitted.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/counts",
    operation_id = "count_resources",
    tag = "inventory",
    security(("bearer" = [])),
    params(InventoryQuery, PageQuery),
    responses((status = OK, body = List<KindCount>, description = "A page of kinds"), BadRequest)
)]
async fn counts(
    caller: Caller,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<InventoryQuery>,
) -> Result<Response, Problem> {
    let page = pages.page(json!("counts"))?;
    let as_of = past(&state.store, query.as_of).await?;
    let counts = read_counts(&state.store, caller.tenant(), query).await?;
    let shown = page.show_of_all(counts, |count| count.kind.clone());
    let file = FileName::new("inventory-counts");
    csv::list(caller, &pages, file, shown.at(as_of))
}

/// Counts resources by kind; with `tenant`, those of that tenant.
pub(crate) async fn read_counts(
    store: &Store,
    tenant: Option<&TenantId>,
    query: InventoryQuery,
) -> Result<Vec<KindCount>, Problem> {
    let as_of = past(store, query.as_of).await?;
    let filter = query.filter(tenant)?;
    Ok(match as_of {
        Some(at) => store.resource_counts_as_of(at, &filter).await?,
        None => store.resource_counts(&filter).await?,
    })
}

/// Returns true if a project with this id exists and is visible to the caller.
async fn is_known_project(store: &Store, view: &View, project: Uuid) -> Result<bool, Problem> {
    match store.project(project, None).await {
        Ok(_) => Ok(view.shows_project(project)),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Checks that the requested time is in the past, by the clock of the database, which also dates
/// all events, and not before the start of the history.
async fn past(
    store: &Store,
    requested: Option<TimeOrDate>,
) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(TimeOrDate(at)) = requested else {
        return Ok(None);
    };
    if at > store.now().await? {
        return Err(Problem::NotFound(format!(
            "as_of: {} is in the future: use a time in the past, or omit the parameter for the \
             current state",
            at.to_rfc3339()
        )));
    }
    if let Some(start) = store.history_start().await?.filter(|start| at < *start) {
        return Err(Problem::NotFound(format!(
            "as_of: {} is before {}, the start of the stored history, because older events were \
             exported: use a time from then on",
            at.to_rfc3339(),
            start.to_rfc3339()
        )));
    }
    Ok(Some(at))
}

/// Returns the tenant to filter by: the caller's own, or for an admin the requested one.
fn tenant_shown(
    tenant: Option<&TenantId>,
    requested: Option<Text>,
) -> Result<Option<String>, Problem> {
    let requested = requested.map(String::from);
    match (tenant, requested) {
        (None, requested) => Ok(requested),
        (Some(own), Some(requested)) if requested != own.as_str() => Err(Problem::Forbidden(
            "tenant: the token belongs to another tenant: omit the parameter",
        )),
        (Some(own), _) => Ok(Some(own.to_string())),
    }
}

/// A resource with its override.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResourceDetail {
    #[serde(flatten)]
    pub(crate) resource: Resource,
    /// Current override, for the role `platform_admin`. Null if there is none, for a tenant, and
    /// with `as_of`; the events of the resource have past overrides.
    #[serde(rename = "pin")]
    pub(crate) r#override: Option<ResourceOverride>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResourceQuery {
    /// Time in the past: returns the state that the mirror had at this time. A tenant sees the
    /// resource if it was the tenant's at this time.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = TimeOrDate)]
    as_of: Option<TimeOrDate>,
}

/// Returns one resource, live or deleted; a tenant sees its own
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}",
    operation_id = "show_resource",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), ResourceQuery),
    responses((status = OK, body = One<ResourceDetail>, description = "The resource"), BadRequest, NotFound)
)]
async fn one(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<ResourceQuery>,
) -> Result<Json<One<ResourceDetail>>, Problem> {
    read_resource(&state.store, caller.tenant(), id, query)
        .await
        .map(Json)
}

/// Reads a resource; with `tenant`, as that tenant sees it.
pub(crate) async fn read_resource(
    store: &Store,
    tenant: Option<&TenantId>,
    id: Uuid,
    query: ResourceQuery,
) -> Result<One<ResourceDetail>, Problem> {
    let as_of = past(store, query.as_of).await?;
    let view = View::of_tenant(tenant, store).await?;
    let tenant = tenant.map(TenantId::as_str);
    let mut resource = match as_of {
        Some(at) => store.resource_as_of(at, id, tenant).await?,
        None => store.resource(id, tenant).await?,
    };
    view.narrow_resource(&mut resource);
    let shows_override = as_of.is_none() && view.shows_all();
    let response = detail(store, resource, shows_override).await?;
    Ok(response.at(as_of))
}

async fn detail(
    store: &Store,
    resource: Resource,
    shows_override: bool,
) -> Result<One<ResourceDetail>, Problem> {
    let r#override = if shows_override {
        store.resource_override(resource.id).await?
    } else {
        None
    };
    let freshness = freshness::of(store, [&*resource.kind]).await?;
    Ok(One::now(ResourceDetail {
        resource,
        r#override,
    })
    .fresh(freshness))
}
