//! What operators say of single resources, and which resources wait for it.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::inventory::PinChange;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Resource, ResourceDetail, detail};
use crate::ApiState;
use crate::access::Admin;
use crate::envelope::{List, One};
use crate::extract::{Body, Id, Query, Text, present};
use crate::freshness;
use crate::paging::{Page, PageQuery};
use crate::problem::{Absent, Invalid, Problem};

/// An operator's word on a resource: it comes before all that DigitalOcean says, and survives every sync.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pin {
    tenant_id: Option<String>,
    cloud_project_id: Option<Uuid>,
    /// `id` of the project that DigitalOcean was last seen to put it into, against this word.
    contradicted_by: Option<Uuid>,
    /// The name of the access token by which it was said.
    pinned_by: String,
    pinned_at: DateTime<Utc>,
}

impl From<store::inventory::Pin> for Pin {
    fn from(pin: store::inventory::Pin) -> Self {
        Self {
            tenant_id: pin.tenant_id,
            cloud_project_id: pin.cloud_project_id,
            contradicted_by: pin.contradicted_by,
            pinned_by: pin.pinned_by,
            pinned_at: pin.pinned_at,
        }
    }
}

/// What to pin of a resource; what is absent stays, null takes the pin away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "absent, null and a value are three different changes"
)]
pub(super) struct ResourcePatch {
    /// Whose it is: 1 to 100 characters. What is a part of it follows, and cost lines for the time from now on.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    tenant_id: Option<Option<TenantId>>,
    /// `id` of the live project that it counts to; its tenant is the resource's, unless one is pinned too.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Uuid>)]
    cloud_project_id: Option<Option<Uuid>>,
}

/// Says whose a resource is, against whatever DigitalOcean says
///
/// For the role `platform_admin`. What is a part of the resource follows at once, and cost lines for the time from now on.
#[utoipa::path(
    patch,
    path = "/api/v1/inventory/{id}",
    operation_id = "pin_resource",
    tag = "inventory",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the resource")),
    request_body = ResourcePatch,
    responses((status = OK, body = One<ResourceDetail>, description = "The resource as it is now"), Invalid, Absent)
)]
pub(super) async fn change(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Body(patch): Body<ResourcePatch>,
) -> Result<Json<One<ResourceDetail>>, Problem> {
    let change = PinChange {
        tenant_id: patch.tenant_id,
        cloud_project_id: patch.cloud_project_id,
    };
    state
        .store
        .change_pin(id, &change, &admin.token_name)
        .await?;
    tracing::info!(token = %admin.token_id, resource = %id, ?change, "a resource's pin was changed");
    let resource = state.store.resource(id, None).await?;
    Ok(Json(detail(&state.store, resource, true).await?))
}

#[derive(Deserialize)]
struct ZonePlace {
    name: Text,
    id: Uuid,
}

/// Live DNS zones of no project and no tenant, by name: they wait for an operator's word
///
/// For the role `platform_admin`. `PATCH /api/v1/inventory/{id}` gives that word.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/unclassified",
    operation_id = "list_unclassified_zones",
    tag = "inventory",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Resource>, description = "A page of DNS zones"), Invalid)
)]
pub(super) async fn unclassified(
    _: Admin,
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<List<Resource>>, Problem> {
    let page: Page<ZonePlace> = query.page(json!("unclassified"))?;
    let zones = state
        .store
        .unclassified_zones(
            page.after
                .as_ref()
                .map(|place| (place.name.as_str(), place.id)),
            page.rows_to_fetch(),
        )
        .await?;
    let shown: List<Resource> =
        page.show(zones, |last| json!({ "name": last.name, "id": last.id }));
    let freshness = freshness::of(&state.store, ["dns_zone"]).await?;
    Ok(Json(shown.fresh(freshness)))
}
