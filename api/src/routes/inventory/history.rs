//! Routes of a resource's history: its events, and its states between them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
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
use crate::csv::{self, FileName};
use crate::envelope::{List, json_of};
use crate::extract::Id;
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
    query: PageQuery,
) -> Result<Response, Problem> {
    if query.is_csv() {
        let tenant = caller.tenant().cloned();
        return csv_of_events(&state.store, caller, tenant.as_ref(), id).await;
    }
    let list = read_events(&state.store, caller.tenant(), id, &query).await?;
    Ok(json_of(list))
}

/// Returns all events of a resource as CSV; with `tenant`, as that tenant sees them.
pub(crate) async fn csv_of_events(
    store: &Store,
    caller: impl Send + 'static,
    tenant: Option<&TenantId>,
    id: Uuid,
) -> Result<Response, Problem> {
    let history = Arc::new(History::of(store, tenant, id).await?);
    let read = move |page| Arc::clone(&history).events(page);
    let file = FileName::new("events").with(Some(&id.to_string()));
    csv::stream(
        store,
        caller,
        file,
        events_page(&PageQuery::csv(), id)?,
        read,
    )
    .await
}

fn events_page(query: &PageQuery, id: Uuid) -> Result<Page<i64>, Problem> {
    query.page(json!({ "events": id }))
}

/// The history of a resource, as far as the caller may see it.
struct History {
    store: Store,
    resource: Uuid,
    kind: String,
    tenant: Option<TenantId>,
    view: View,
}

impl History {
    async fn of(store: &Store, tenant: Option<&TenantId>, id: Uuid) -> Result<Self, Problem> {
        let resource = store.resource(id, tenant.map(TenantId::as_str)).await?;
        Ok(Self {
            store: store.clone(),
            resource: resource.id,
            kind: resource.kind,
            tenant: tenant.cloned(),
            view: View::of_tenant(tenant, store).await?,
        })
    }

    async fn events(self: Arc<Self>, page: Page<i64>) -> Result<List<ResourceEvent>, Problem> {
        let mut events = if self.view.shows_all() {
            let (before, rows) = (page.after, page.rows_to_fetch());
            let events = self.store.resource_events(self.resource, before, rows);
            events.await?
        } else {
            // The states between the events have the tenant, which decides on visibility.
            let states = self.past_states(&page).await?;
            states.into_iter().map(|state| state.event).collect()
        };
        for event in &mut events {
            self.view.narrow_changes(&mut event.changes);
        }
        Ok(page.show(events, |last| last.id))
    }

    async fn states(self: Arc<Self>, page: Page<i64>) -> Result<List<TimelineEntry>, Problem> {
        let mut states = self.past_states(&page).await?;
        for state in &mut states {
            self.view.narrow_resource(&mut state.resource);
        }
        Ok(page.show(states, |last| last.event.id).into())
    }

    /// Reads states backwards from the current one, which is read for each page: it can change
    /// between two pages.
    async fn past_states(&self, page: &Page<i64>) -> Result<Vec<PastState>, Problem> {
        let tenant = self.tenant.as_ref().map(TenantId::as_str);
        let resource = self.store.resource(self.resource, tenant).await?;
        let (before, rows) = (page.after, page.rows_to_fetch());
        let states = self.store.timeline(&resource, tenant, before, rows);
        Ok(states.await?)
    }
}

/// Reads a page of the events of a resource; with `tenant`, as that tenant sees them.
pub(crate) async fn read_events(
    store: &Store,
    tenant: Option<&TenantId>,
    id: Uuid,
    query: &PageQuery,
) -> Result<List<ResourceEvent>, Problem> {
    let history = Arc::new(History::of(store, tenant, id).await?);
    let freshness = freshness::of(store, [&*history.kind]).await?;
    let list = history.events(events_page(query, id)?).await?;
    Ok(list.fresh(freshness))
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
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!({ "timeline": id }))?;
    let history = Arc::new(History::of(&state.store, caller.tenant(), id).await?);
    let freshness = freshness::of(&state.store, [&*history.kind]).await?;
    let read = move |page| Arc::clone(&history).states(page);
    if page.is_csv() {
        let file = FileName::new("timeline").with(Some(&id.to_string()));
        return csv::stream(&state.store, caller, file, page, read).await;
    }
    Ok(json_of(read(page).await?.fresh(freshness)))
}
