//! Routes of a resource's history: its events, and its states between them.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Serialize;
use serde_json::json;
use store::Store;
use store::inventory::{PastState, Resource, ResourceEvent};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Caller;
use crate::envelope::List;
use crate::extract::{Id, Query};
use crate::freshness;
use crate::paging::{Page, PageQuery};
use crate::problem::{BadRequest, NotFound, Problem};
use crate::view::View;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(timeline))
}

/// Lists the events of a resource, the latest first
///
/// A tenant sees the events of the time during which the resource was its own.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}/events",
    operation_id = "list_resource_events",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), PageQuery),
    responses((status = OK, body = List<ResourceEvent>, description = "A page of events"), BadRequest, NotFound)
)]
async fn events(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<ResourceEvent>>, Problem> {
    read_events(&state.store, caller.tenant(), id, &query)
        .await
        .map(Json)
}

/// Reads a page of the events of a resource; with `tenant`, as that tenant sees them.
pub(crate) async fn read_events(
    store: &Store,
    tenant: Option<&TenantId>,
    id: Uuid,
    query: &PageQuery,
) -> Result<List<ResourceEvent>, Problem> {
    let page: Page<i64> = query.page(json!({ "events": id }))?;
    let view = View::of_tenant(tenant, store).await?;
    let tenant = tenant.map(TenantId::as_str);
    let resource = store.resource(id, tenant).await?;
    let (before, rows) = (page.after, page.rows_to_fetch());
    let mut events = if view.shows_all() {
        store.resource_events(resource.id, before, rows).await?
    } else {
        // The states between the events have the tenant, which decides on visibility.
        let states = store.timeline(&resource, tenant, before, rows).await?;
        states.into_iter().map(|state| state.event).collect()
    };
    for event in &mut events {
        view.narrow_changes(&mut event.changes);
    }
    let freshness = freshness::of(store, [resource.kind]).await?;
    Ok(page.show(events, |last| last.id).fresh(freshness))
}

/// State of a resource between two of its events.
#[derive(Debug, Serialize, ToSchema)]
struct TimelineEntry {
    /// Start of the state: time of `event`.
    valid_from: DateTime<Utc>,
    /// End of the state: time of the next event; null for the current state.
    valid_to: Option<DateTime<Utc>>,
    /// Type of the event that the state starts with, such as `discovered`, `updated` or `deleted`.
    event: String,
    /// `id` of the event; the events of the resource have the changed fields.
    event_id: i64,
    /// `workflow_id` of the Temporal run that recorded the event; null for a change by an operator.
    workflow_id: Option<String>,
    /// `run_id` of the same run.
    run_id: Option<String>,
    /// The resource in this state. Past strikes and listings are not stored: in past states
    /// `stale_strike_count` is 0, and `last_seen_at` is at most `valid_to`.
    resource: Resource,
}

impl From<PastState> for TimelineEntry {
    fn from(past: PastState) -> Self {
        let PastState {
            event,
            mut resource,
            valid_to,
        } = past;
        if let Some(valid_to) = valid_to {
            resource.last_seen_at = resource.last_seen_at.min(valid_to);
            resource.stale_strike_count = 0;
        }
        Self {
            valid_from: event.occurred_at,
            valid_to,
            event: event.event,
            event_id: event.id,
            workflow_id: event.workflow_id,
            run_id: event.run_id,
            resource,
        }
    }
}

/// Lists the states of a resource, the current one first
///
/// A tenant sees the states of the time during which the resource was its own.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}/timeline",
    operation_id = "list_resource_states",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), PageQuery),
    responses((status = OK, body = List<TimelineEntry>, description = "A page of states"), BadRequest, NotFound)
)]
async fn timeline(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<TimelineEntry>>, Problem> {
    let page: Page<i64> = query.page(json!({ "timeline": id }))?;
    let tenant = caller.tenant().map(TenantId::as_str);
    let resource = state.store.resource(id, tenant).await?;
    let view = View::of(&caller, &state.store).await?;
    let mut states = state
        .store
        .timeline(&resource, tenant, page.after, page.rows_to_fetch())
        .await?;
    for state in &mut states {
        view.narrow_resource(&mut state.resource);
    }
    let freshness = freshness::of(&state.store, [resource.kind]).await?;
    Ok(Json(
        page.show(states, |last| last.event.id)
            .into()
            .fresh(freshness),
    ))
}
