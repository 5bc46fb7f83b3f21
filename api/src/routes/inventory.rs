//! Resources and their events.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::inventory::{AfterResource, ResourceFilter};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Caller;
use crate::envelope::{List, One};
use crate::extract::{Id, Query, Text, optional};
use crate::paging::{Cursor, Limit, Page};
use crate::problem::{Absent, Invalid, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(events))
}

/// A resource of the account, live or gone.
#[derive(Debug, Serialize, ToSchema)]
struct Resource {
    id: Uuid,
    provider: String,
    #[schema(example = "droplet")]
    kind: String,
    /// DigitalOcean's id of it: a number, a uuid, a name or an address, by kind.
    provider_id: String,
    name: String,
    region: Option<String>,
    status: Option<String>,
    tags: Vec<String>,
    /// DigitalOcean's body of it, less secrets.
    #[schema(value_type = Object)]
    attrs: Value,
    cloud_project_id: Option<Uuid>,
    /// Whose it is.
    tenant_id: Option<String>,
    /// How its project is known: `operator`, `membership`, `body`, `parent` or `fallback`.
    attribution: Option<String>,
    first_seen_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    /// How many complete listings in a row have missed it; three make a tombstone.
    stale_strike_count: i32,
    /// When it was found to be gone; null while it is live.
    deleted_at: Option<DateTime<Utc>>,
}

impl From<store::inventory::Resource> for Resource {
    fn from(resource: store::inventory::Resource) -> Self {
        Self {
            id: resource.id,
            provider: resource.provider,
            kind: resource.kind,
            provider_id: resource.provider_id,
            name: resource.name,
            region: resource.region,
            status: resource.status,
            tags: resource.tags,
            attrs: resource.attrs,
            cloud_project_id: resource.cloud_project_id,
            tenant_id: resource.tenant_id,
            attribution: resource.attribution,
            first_seen_at: resource.first_seen_at,
            last_seen_at: resource.last_seen_at,
            stale_strike_count: resource.stale_strike_count,
            deleted_at: resource.deleted_at,
        }
    }
}

/// What happened to a resource.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "they are the columns' names")]
struct Event {
    id: i64,
    resource_id: Uuid,
    /// `discovered`, `updated`, `deleted`, `drift_detected`, `tagged` or `restored`.
    event: String,
    /// `{"field": {"before": ..., "after": ...}}`
    #[schema(value_type = Object)]
    changes: Value,
    occurred_at: DateTime<Utc>,
    /// The Temporal workflow that saw it; null where an operator made the change.
    workflow_id: Option<String>,
    run_id: Option<String>,
}

impl From<store::inventory::ResourceEvent> for Event {
    fn from(event: store::inventory::ResourceEvent) -> Self {
        Self {
            id: event.id,
            resource_id: event.resource_id,
            event: event.event,
            changes: event.changes,
            occurred_at: event.occurred_at,
            workflow_id: event.workflow_id,
            run_id: event.run_id,
        }
    }
}

impl Event {
    /// Leaves out which other tenants the resource came from: who else there is is none of this one's business.
    fn hide_other_tenants(&mut self, own: &TenantId) {
        let Some(change) = self.changes.get_mut("tenant_id") else {
            return;
        };
        for side in ["before", "after"] {
            if let Some(tenant) = change.get_mut(side)
                && tenant.as_str() != Some(own.as_str())
            {
                *tenant = Value::Null;
            }
        }
    }
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
        match text {
            "live" => Ok(Self::Live),
            "deleted" => Ok(Self::Deleted),
            "all" => Ok(Self::All),
            _ => Err(format!(
                "{text:?} is no state: expected live, deleted or all"
            )),
        }
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
    /// A kind like `droplet` or `dns_zone`.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    kind: Option<Text>,
    /// `id` of a project.
    #[serde(default, deserialize_with = "optional")]
    project: Option<Uuid>,
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
    /// The most rows of a page.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 500, default = 100)]
    limit: Limit,
    /// `meta.next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = String)]
    cursor: Cursor,
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
    params(InventoryQuery),
    responses((status = OK, body = List<Resource>, description = "A page of resources"), Invalid)
)]
async fn list(
    caller: Caller,
    State(state): State<ApiState>,
    Query(query): Query<InventoryQuery>,
) -> Result<Json<List<Resource>>, Problem> {
    let existence = query.state.unwrap_or_default();
    let filter = ResourceFilter {
        kind: query.kind.map(String::from),
        project: query.project,
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
    }});
    let page = Page::new(name, query.limit);
    let after = page
        .after(&query.cursor)?
        .map(|place: ResourcePlace| AfterResource {
            kind: place.kind.into(),
            name: place.name.into(),
            id: place.id,
        });
    let resources = state
        .store
        .resources(&filter, after.as_ref(), page.rows_to_fetch())
        .await?;
    Ok(Json(page.show(
        resources,
        |last| json!({ "kind": last.kind, "name": last.name, "id": last.id }),
    )))
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

/// One resource, live or gone; another tenant's is not found
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}",
    operation_id = "show_resource",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource")),
    responses((status = OK, body = One<Resource>, description = "The resource"), Invalid, Absent)
)]
async fn one(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
) -> Result<Json<One<Resource>>, Problem> {
    let tenant = caller.tenant().map(TenantId::as_str);
    let resource = state.store.resource(id, tenant).await?;
    Ok(Json(One::now(resource.into())))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// The most rows of a page.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 500, default = 100)]
    limit: Limit,
    /// `meta.next_cursor` of the page before.
    #[serde(default)]
    #[param(value_type = String)]
    cursor: Cursor,
}

/// What happened to a resource, the newest first
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}/events",
    operation_id = "list_resource_events",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), EventsQuery),
    responses((status = OK, body = List<Event>, description = "A page of events"), Invalid, Absent)
)]
async fn events(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<EventsQuery>,
) -> Result<Json<List<Event>>, Problem> {
    let page = Page::new(json!({ "events": id }), query.limit);
    let before: Option<i64> = page.after(&query.cursor)?;
    let tenant = caller.tenant();
    let resource = state
        .store
        .resource(id, tenant.map(TenantId::as_str))
        .await?;
    let events = state
        .store
        .resource_events(resource.id, before, page.rows_to_fetch())
        .await?;
    let mut shown: List<Event> = page.show(events, |last| last.id);
    if let Some(own) = tenant {
        for event in &mut shown.data {
            event.hide_other_tenants(own);
        }
    }
    Ok(Json(shown))
}
