//! How a resource and others belong together, and in which projects it was.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Serialize;
use serde_json::json;
use store::inventory::Related;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Caller;
use crate::envelope::List;
use crate::extract::{Id, Query};
use crate::freshness;
use crate::paging::PageQuery;
use crate::problem::{Absent, Invalid, Problem};
use crate::view::View;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(relations))
        .routes(routes!(memberships))
}

/// How a resource and another one belong together.
#[derive(Debug, Serialize, ToSchema)]
struct RelatedResource {
    /// `attached_to`, `backup_of`, `in_vpc`, `made_by_kubernetes`, `node_of`, `part_of`, `record_of`, `replica_of`, `serves` or
    /// `snapshot_of`.
    relation: String,
    /// `to`: this resource is RELATION the other one. `from`: the other one is RELATION this resource.
    direction: &'static str,
    /// `id` of the other one; null where the mirror does not have it.
    id: Option<Uuid>,
    kind: String,
    /// DigitalOcean's id of the other one.
    provider_id: String,
    /// Null where the mirror does not have the other one.
    name: Option<String>,
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

/// What a resource is related to, and what is related to it; a tenant sees its own on both ends
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}/relations",
    operation_id = "list_resource_relations",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), PageQuery),
    responses((status = OK, body = List<RelatedResource>, description = "A page of relations"), Invalid, Absent)
)]
async fn relations(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<RelatedResource>>, Problem> {
    let page = query.page(json!({ "relations": id }))?;
    let tenant = caller.tenant().map(TenantId::as_str);
    let resource = state.store.resource(id, tenant).await?;
    let view = View::of(&caller, &state.store).await?;
    let mut related = state.store.relations(resource.id).await?;
    related.retain(|related| view.shows_tenant(related.tenant_id.as_deref()));
    // Both ends may say the same.
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
    let freshness = freshness::of(&state.store, kinds).await?;
    Ok(Json(shown.fresh(freshness)))
}

/// The time that a resource was in a project, by DigitalOcean's evidence or by an override.
#[derive(Debug, Serialize, ToSchema)]
struct Membership {
    cloud_project_id: Uuid,
    /// An operator moved the resource there.
    is_override: bool,
    /// As it is now; null to a tenant whose project it is no longer.
    project_name: Option<String>,
    valid_from: DateTime<Utc>,
    /// Null while it holds.
    valid_to: Option<DateTime<Utc>>,
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

/// In which projects a resource was and is, the latest first; a tenant sees those that are its own or were
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{id}/memberships",
    operation_id = "list_resource_memberships",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), PageQuery),
    responses((status = OK, body = List<Membership>, description = "A page of intervals"), Invalid, Absent)
)]
async fn memberships(
    caller: Caller,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Membership>>, Problem> {
    let page = query.page(json!({ "memberships": id }))?;
    let tenant = caller.tenant().map(TenantId::as_str);
    let resource = state.store.resource(id, tenant).await?;
    let view = View::of(&caller, &state.store).await?;
    let memberships = state.store.memberships(resource.id).await?;
    let memberships: Vec<_> = memberships
        .into_iter()
        .filter(|membership| view.shows_project(membership.cloud_project_id))
        .map(|membership| Membership::new(membership, &view))
        .collect();
    let place = |membership: &Membership| Reverse(membership.valid_from);
    let shown = page.show_of_all(memberships, place);
    let kinds = [&*resource.kind].into_iter().chain(freshness::OF_PROJECTS);
    let freshness = freshness::of(&state.store, kinds).await?;
    Ok(Json(shown.fresh(freshness)))
}
