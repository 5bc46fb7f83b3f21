//! Routes of resource overrides, and of DNS zones without a tenant or project.

use axum::extract::State;
use axum::response::Response;
use domain::TenantId;
use serde::Deserialize;
use serde_json::json;
use store::Actor;
use store::inventory::{Commit, OverrideChange, Resource};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ResourceDetail, detail};
use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::effect::DryRun;
use crate::envelope::{List, One};
use crate::extract::{
    Body, Id, Query, Remark, Text, TimeOrDate, not_in_the_future, present, remark_or_null,
    tenant_or_null,
};
use crate::freshness;
use crate::paging::{Page, PageQuery};
use crate::problem::{BadRequest, FutureTime, NotFound, Problem};

/// A change of the override of a resource; an absent field keeps its value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three different changes"
)]
pub(super) struct ResourcePatch {
    /// The tenant, 1 to 100 characters. Applies to the resource, to its parts, and to charges from
    /// `since` on. Null without `since` removes the override for all time: charges are attributed
    /// as if it had never existed. Null with `since` ends the override at that time.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = tenant_or_null, required = false)]
    tenant_id: Option<Option<TenantId>>,
    /// `id` of a live project. The resource gets the tenant of the project, unless `tenant_id` is
    /// set too. Null as for `tenant_id`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Uuid>)]
    cloud_project_id: Option<Option<Id>>,
    /// Time from which the change applies, not in the future; the current time if absent. The
    /// change replaces overrides after this time.
    since: Option<TimeOrDate>,
    /// Reason for the change, 1 to 500 characters; recorded in the audit.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Remark>,
}

/// Overrides the tenant or the project of a resource
///
/// Requires the role `platform_admin`. The change applies at once to the resource and its parts,
/// and to charges from `since` on. `meta.effect` has the amounts that the change moves;
/// `?dry_run=true` reports them without making the change. With more than 1,000 cost lines, they
/// follow in portions: then the response is 202, and `meta.reallocation` has the path of the
/// progress.
#[utoipa::path(
    patch,
    path = "/api/v1/inventory/{id}",
    operation_id = "pin_resource",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource"), DryRun),
    request_body = ResourcePatch,
    responses(
        (status = OK, body = One<ResourceDetail>, description = "The resource after the change"),
        (status = ACCEPTED, body = One<ResourceDetail>, description = "The resource after the change; its cost lines follow",
            headers(("location" = String, description = "Path of the reallocation"))),
        BadRequest,
        NotFound,
        FutureTime,
    )
)]
pub(super) async fn change(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(dry_run): Query<DryRun>,
    Body(patch): Body<ResourcePatch>,
) -> Result<Response, Problem> {
    let since = patch.since.map(|TimeOrDate(time)| time);
    if since.is_some() && patch.tenant_id.is_none() && patch.cloud_project_id.is_none() {
        return Err(Problem::InvalidBody(
            "since: requires tenant_id or cloud_project_id: add one, or omit since".to_owned(),
        ));
    }
    let change = OverrideChange {
        tenant_id: patch.tenant_id,
        cloud_project_id: patch.cloud_project_id.map(|id| id.map(|Id(id)| id)),
        since,
    };
    let commit = dry_run.commit();
    let actor = admin.actor.because(Remark::text(patch.reason));
    let changed = change_override(&state, &actor, id, &change, commit).await?;
    Ok(changed.into_changed())
}

/// Changes the override of a resource, or measures the effect, and returns the resource with the
/// effect.
pub(crate) async fn change_override(
    state: &ApiState,
    actor: &Actor,
    id: Uuid,
    change: &OverrideChange,
    commit: Commit,
) -> Result<One<ResourceDetail>, Problem> {
    let store = &state.store;
    not_in_the_future("since", change.since)?;
    let measured = store.change_override(id, change, actor, commit).await?;
    let resource = store.resource(id, None).await?;
    let response = detail(store, resource, true).await?.since(change.since);
    Ok(response.changed(state, measured, commit).await)
}

#[derive(Deserialize)]
struct ZonePlace {
    name: Text,
    id: Uuid,
}

/// Lists live DNS zones without project and tenant, by name
///
/// Requires the role `platform_admin`. `PATCH /api/v1/inventory/{id}` assigns one to a tenant or a
/// project.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/unclassified",
    operation_id = "list_unclassified_zones",
    tag = "inventory",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Resource>, description = "A page of DNS zones"), BadRequest)
)]
pub(super) async fn unclassified(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page: Page<ZonePlace> = query.page(json!("unclassified"))?.at_once();
    let zones = state
        .store
        .unclassified_zones(
            page.after
                .as_ref()
                .map(|place| (place.name.as_str(), place.id)),
            page.rows_to_fetch(),
        )
        .await?;
    let shown = page.show(zones, |last| json!({ "name": last.name, "id": last.id }));
    let freshness = freshness::of(&state.store, ["dns_zone"]).await?;
    let file = FileName::new("unclassified-zones");
    csv::list(admin, &query, file, shown.fresh(freshness))
}
