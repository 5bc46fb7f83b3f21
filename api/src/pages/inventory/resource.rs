//! `/inventory/{id}`: one resource with its attribution, costs, attributes, relations and history.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use domain::TenantId;
use store::audit::{Action, AuditFilter, ObjectType};
use store::inventory::{Resource, ResourceEvent, ResourceOverride};
use store::{Store, StoreError};
use uuid::Uuid;

use super::costs::{CostsView, read_costs_of};
use super::events::{EventRow, projects_of};
use super::{Choice, Link, Projects, control_panel, list_price, tables, words};
use crate::ApiState;
use crate::extract::Id;
use crate::pages::attributes::{Attribute, flatten};
use crate::pages::format::{Moment, Money};
use crate::pages::freshness::FreshnessView;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::Parameters;
use crate::pages::reallocations::in_progress;
use crate::pages::session::Viewer;
use crate::paging::{PageQuery, Paged};
use crate::routes::inventory::history::read_events;
use crate::routes::inventory::relations::{
    Membership, RelatedResource, read_memberships, read_relations,
};
use crate::routes::inventory::{ResourceDetail, ResourceQuery, read_resource};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/inventory/{id}", get(show))
}

/// A relation to another resource.
struct RelationRow {
    words: String,
    kind: String,
    /// The address is empty if the mirror does not have the other resource.
    other: Link,
}

/// An interval in a project.
struct MembershipRow {
    project: String,
    is_override: bool,
    from: Moment,
    to: Option<Moment>,
}

/// The override in force, in words; administrators see it.
struct OverrideView {
    tenant: Option<(String, Moment)>,
    project: Option<(String, Moment)>,
    set_by: String,
    /// The reason that the operator stated.
    reason: Option<String>,
    contradicted_by: Option<String>,
}

#[derive(Template)]
#[template(path = "resource.html")]
struct ResourcePage {
    frame: Frame,
    is_admin: bool,
    reallocating: Option<String>,
    path: String,
    as_of: String,
    /// The requested time in the past.
    past: Option<Moment>,
    facts: Facts,
    in_force: Option<OverrideView>,
    /// None if the viewer may not read costs.
    costs: Option<CostsView>,
    attributes: Vec<Attribute>,
    omitted: usize,
    relations: Vec<RelationRow>,
    events: Vec<EventRow>,
    is_first_page: bool,
    /// False if the viewer sees the resource only in the past.
    is_current: bool,
    next: Option<String>,
    memberships: Vec<MembershipRow>,
    tenants: Vec<Choice>,
    projects: Vec<Choice>,
    freshness: FreshnessView,
}

/// Identity, state and attribution of the resource.
struct Facts {
    kind: String,
    provider_id: String,
    status: String,
    region: String,
    tags: Vec<Link>,
    price: Option<Money>,
    control_panel: Option<String>,
    project: Option<Link>,
    tenant: Option<Link>,
    attribution: &'static str,
    first_seen: Moment,
    last_seen: Moment,
    strikes: i32,
    deleted: Option<Moment>,
}

/// The most attributes that the page shows.
const MAX_ATTRIBUTES: usize = 300;

async fn show(
    viewer: Viewer,
    State(state): State<ApiState>,
    Id(id): Id,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    let store = &state.store;
    if let Some(table) = parameters.take_table()? {
        return tables::csv_of(viewer, store, id, &table, parameters).await;
    }
    let tenant = viewer.tenant();
    let is_admin = tenant.is_none();
    let read = Paged::<ResourceQuery>::read(parameters.pairs())?;
    let detail = read_resource(store, tenant, id, read.filter).await?;
    let (
        ResourceDetail {
            resource,
            r#override,
        },
        meta,
    ) = (detail.data, detail.meta);
    let as_of = parameters.get("as_of").to_owned();
    let details = Details::read(store, tenant, id, &read.pages, !as_of.is_empty()).await?;
    let ids = [
        resource.cloud_project_id,
        r#override.as_ref().and_then(|found| found.cloud_project_id),
        r#override.as_ref().and_then(|found| found.contradicted_by),
    ];
    let named = ids
        .into_iter()
        .flatten()
        .chain(projects_of(&details.events));
    let projects = Projects::read(store, tenant, named).await?;
    let costs = if viewer.may_read_costs() {
        let costs = read_costs_of(store, tenant, id).await?;
        Some(CostsView::new(&resource, &costs))
    } else {
        None
    };
    let reallocating = if is_admin {
        in_progress(store).await?
    } else {
        None
    };
    let path = format!("/inventory/{id}");
    let temporal = state.temporal_ui.as_deref().filter(|_| is_admin);
    let mut attributes = flatten(&resource.attrs);
    let omitted = attributes.len().saturating_sub(MAX_ATTRIBUTES);
    attributes.truncate(MAX_ATTRIBUTES);
    let tenants = if is_admin {
        store.tenant_ids().await?
    } else {
        Vec::new()
    };
    let reason = match r#override {
        Some(_) => reason_of_override(store, id).await?,
        None => None,
    };
    render(&ResourcePage {
        frame: viewer.frame(&resource.name, "/inventory"),
        is_admin,
        reallocating,
        past: (!as_of.is_empty()).then_some(Moment(meta.as_of)),
        as_of,
        in_force: r#override.map(|found| override_view(found, reason, &projects)),
        costs,
        attributes,
        omitted,
        relations: details
            .relations
            .into_iter()
            .map(|related| RelationRow {
                words: words::relation(&related.relation, related.direction == "to"),
                kind: related.kind,
                other: Link {
                    name: related.name.unwrap_or(related.provider_id),
                    address: related
                        .id
                        .map_or_else(String::new, |id| format!("/inventory/{id}")),
                },
            })
            .collect(),
        is_first_page: parameters.get("cursor").is_empty(),
        is_current: details.is_current,
        next: details
            .next
            .map(|cursor| parameters.link(&path, "cursor", &cursor)),
        events: details
            .events
            .iter()
            .map(|event| EventRow::new(event, &projects, temporal, &path))
            .collect(),
        memberships: details.memberships.into_iter().map(membership).collect(),
        tenants: Choice::named(tenants, ""),
        projects: projects.choices(""),
        freshness: meta.freshness.unwrap_or_default().into(),
        facts: facts(resource, &projects),
        path,
    })
}

/// The tables of a resource that a tenant sees only while it has the resource.
#[derive(Default)]
struct Details {
    /// False if the viewer sees the resource only in the past.
    is_current: bool,
    events: Vec<ResourceEvent>,
    /// The cursor of the next page of events.
    next: Option<String>,
    relations: Vec<RelatedResource>,
    memberships: Vec<Membership>,
}

impl Details {
    async fn read(
        store: &Store,
        tenant: Option<&TenantId>,
        id: Uuid,
        pages: &PageQuery,
        is_past: bool,
    ) -> Result<Self, PageProblem> {
        if is_past && !is_visible(store, tenant, id).await? {
            return Ok(Self::default());
        }
        let events = read_events(store, tenant, id, pages).await?;
        let longest = PageQuery::longest();
        Ok(Self {
            is_current: true,
            events: events.data,
            next: events.meta.next_cursor,
            relations: read_relations(store, tenant, id, &longest).await?.data,
            memberships: read_memberships(store, tenant, id, &longest).await?.data,
        })
    }
}

/// Returns true if the viewer sees the resource as it is now.
async fn is_visible(
    store: &Store,
    tenant: Option<&TenantId>,
    id: Uuid,
) -> Result<bool, PageProblem> {
    match store.resource(id, tenant.map(TenantId::as_str)).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn membership(membership: Membership) -> MembershipRow {
    MembershipRow {
        project: membership
            .project_name
            .unwrap_or_else(|| membership.cloud_project_id.to_string()),
        is_override: membership.is_override,
        from: Moment(membership.valid_from),
        to: membership.valid_to.map(Moment),
    }
}

fn facts(resource: Resource, projects: &Projects) -> Facts {
    let filtered = |name: &str, value: &str| super::address("/inventory", &[(name, value)]);
    Facts {
        control_panel: resource
            .deleted_at
            .is_none()
            .then(|| control_panel::address(&resource.kind, &resource.provider_id))
            .flatten(),
        price: list_price(&resource.attrs),
        tags: resource
            .tags
            .into_iter()
            .map(|tag| Link {
                address: filtered("tag", &tag),
                name: tag,
            })
            .collect(),
        project: resource.cloud_project_id.map(|id| Link {
            name: projects.name(id),
            address: filtered("project", &id.to_string()),
        }),
        tenant: resource.tenant_id.map(|tenant| Link {
            address: filtered("tenant", &tenant),
            name: tenant,
        }),
        attribution: words::attribution(resource.attribution.as_deref()),
        status: resource.status.unwrap_or_default(),
        region: resource.region.unwrap_or_default(),
        first_seen: Moment(resource.first_seen_at),
        last_seen: Moment(resource.last_seen_at),
        strikes: resource.stale_strike_count,
        deleted: resource.deleted_at.map(Moment),
        kind: resource.kind,
        provider_id: resource.provider_id,
    }
}

/// Returns the reason of the last change of the resource's override, from the audit.
async fn reason_of_override(store: &Store, id: Uuid) -> Result<Option<String>, PageProblem> {
    let filter = AuditFilter {
        action: Some(Action::ResourceOverrideChanged),
        object_type: Some(ObjectType::Resource),
        object_id: Some(id.to_string()),
        ..AuditFilter::default()
    };
    let last = store.audit(&filter, None, 1).await?.pop();
    Ok(last.and_then(|entry| entry.reason))
}

fn override_view(
    found: ResourceOverride,
    reason: Option<String>,
    projects: &Projects,
) -> OverrideView {
    let since = |since: Option<_>| since.map(Moment);
    OverrideView {
        tenant: found.tenant_id.zip(since(found.tenant_since)),
        project: found
            .cloud_project_id
            .map(|id| projects.name(id))
            .zip(since(found.project_since)),
        set_by: found.set_by,
        reason,
        contradicted_by: found.contradicted_by.map(|id| projects.name(id)),
    }
}
