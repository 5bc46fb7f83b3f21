//! Routes of a resource's relations to other resources, and of its projects over time.

use std::cmp::Reverse;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Serialize;
use serde_json::json;
use store::Store;
use store::inventory::Related;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Caller;
use crate::csv::{self, FileName};
use crate::envelope::List;
use crate::extract::Id;
use crate::freshness;
use crate::paging::PageQuery;
use crate::problem::{BadRequest, NotFound, Problem};
use crate::view::View;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(relations))
        .routes(routes!(memberships))
}

/// A relation between two resources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelatedResource {
    /// Type of the relation: `attached_to`, `backup_of`, `in_vpc`, `made_by_kubernetes`, `node_of`,
    /// `part_of`, `record_of`, `replica_of`, `serves` or `snapshot_of`.
    pub(crate) relation: String,
    /// `to`: this resource is the subject, such as "this is attached to the other". `from`: the
    /// other resource is the subject.
    pub(crate) direction: &'static str,
    /// `id` of the other resource; null if the mirror does not have it.
    pub(crate) id: Option<Uuid>,
    /// Kind of the other resource.
    pub(crate) kind: String,
    /// DigitalOcean's id of the other resource.
    pub(crate) provider_id: String,
    /// Name of the other resource; null if the mirror does not have it.
    pub(crate) name: Option<String>,
}

impl From<Related> for RelatedResource {
    fn from(related: Related) -> Self {
        Self {
            relation: related.relation,
            direction: if related.is_subject { "to" } else { "from" },
            id: related.id,
            kind: related.kind,
            provider_id: related.provider_id,
            name: related.name,
        }
    }
}

/// Returns the name of the CSV of a list of a resource: `relations-ID`.
pub(crate) fn file_of(list: &str, id: Uuid) -> FileName {
    FileName::new(list).with(Some(&id.to_string()))
}

/// Lists the relations of a resource in both directions
///
/// A tenant sees relations between its own resources.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}/relations",
    operation_id = "list_resource_relations",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), PageQuery),
    responses((status = OK, body = List<RelatedResource>, description = "A page of relations"), BadRequest, NotFound)
)]
async fn relations(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    query: PageQuery,
) -> Result<Response, Problem> {
    let list = read_relations(&state.store, caller.tenant(), id, &query).await?;
    csv::list(caller, &query, file_of("relations", id), list)
}

/// Reads a page of the relations of a resource; with `tenant`, as that tenant sees them.
pub(crate) async fn read_relations(
    store: &Store,
    tenant: Option<&TenantId>,
    id: Uuid,
    query: &PageQuery,
) -> Result<List<RelatedResource>, Problem> {
    let page = query.page(json!({ "relations": id }))?;
    let view = View::of_tenant(tenant, store).await?;
    let resource = store.resource(id, tenant.map(TenantId::as_str)).await?;
    let mut related = store.relations(resource.id).await?;
    related.retain(|related| view.shows_tenant(related.tenant_id.as_deref()));
    // DigitalOcean can report the same relation on both resources.
    let place = |related: &Related| {
        (
            related.relation.clone(),
            !related.is_subject,
            related.kind.clone(),
            related.provider_id.clone(),
        )
    };
    let shown: List<RelatedResource> = page.show_of_all(related, place).into();
    let others = shown.data.iter().map(|relation| &*relation.kind);
    let kinds = others.chain([&*resource.kind]);
    let freshness = freshness::of(store, kinds).await?;
    Ok(shown.fresh(freshness))
}

/// An interval during which a resource was in a project, by DigitalOcean or by an override.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Membership {
    /// `id` of the project.
    pub(crate) cloud_project_id: Uuid,
    /// True if an override assigned the resource to the project.
    pub(crate) is_override: bool,
    /// Current name of the project; null for a tenant that no longer has the project.
    pub(crate) project_name: Option<String>,
    /// Start of the interval.
    pub(crate) valid_from: DateTime<Utc>,
    /// End of the interval; null if it is current.
    pub(crate) valid_to: Option<DateTime<Utc>>,
}

impl Membership {
    fn new(membership: store::inventory::Membership, view: &View) -> Self {
        let is_theirs = view.shows_tenant(membership.project_tenant_id.as_deref());
        Self {
            cloud_project_id: membership.cloud_project_id,
            is_override: membership.is_override,
            project_name: is_theirs.then_some(membership.project_name),
            valid_from: membership.valid_from,
            valid_to: membership.valid_to,
        }
    }
}

/// Lists the projects of a resource over time, the latest first
///
/// A tenant sees the projects that are or were its own.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}/memberships",
    operation_id = "list_resource_memberships",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), PageQuery),
    responses((status = OK, body = List<Membership>, description = "A page of intervals"), BadRequest, NotFound)
)]
async fn memberships(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    query: PageQuery,
) -> Result<Response, Problem> {
    let list = read_memberships(&state.store, caller.tenant(), id, &query).await?;
    csv::list(caller, &query, file_of("memberships", id), list)
}

/// Reads a page of the projects of a resource over time; with `tenant`, as that tenant sees them.
pub(crate) async fn read_memberships(
    store: &Store,
    tenant: Option<&TenantId>,
    id: Uuid,
    query: &PageQuery,
) -> Result<List<Membership>, Problem> {
    let page = query.page(json!({ "memberships": id }))?;
    let view = View::of_tenant(tenant, store).await?;
    let resource = store.resource(id, tenant.map(TenantId::as_str)).await?;
    let memberships = store.memberships(resource.id).await?;
    let memberships: Vec<_> = memberships
        .into_iter()
        .filter(|membership| view.shows_project(membership.cloud_project_id))
        .map(|membership| Membership::new(membership, &view))
        .collect();
    let place = |membership: &Membership| Reverse(membership.valid_from);
    let shown = page.show_of_all(memberships, place);
    let kinds = [&*resource.kind].into_iter().chain(freshness::OF_PROJECTS);
    let freshness = freshness::of(store, kinds).await?;
    Ok(shown.fresh(freshness))
}
