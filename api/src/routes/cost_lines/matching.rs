//! Routes of a single cost line: its changes, and the override of its match.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::Store;
use store::costs::Override;
use store::invoices::{CostLine, LineChange};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::effect::{DryRun, Effect};
use crate::envelope::One;
use crate::extract::{Body, Id, NoParameters, Query, is_remark, remark_or_null};
use crate::problem::{BadRequest, EstimateLine, KindMismatch, NotFound, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(one))
        .routes(routes!(override_match, withdraw))
}

/// A line with its override and its changes.
#[derive(Debug, Serialize, ToSchema)]
struct CostLineDetail {
    #[serde(flatten)]
    line: CostLine,
    /// Override of the match; null if the line has none.
    r#override: Option<Override>,
    /// Changes of the line since it was stored, the latest first; at most 100.
    changes: Vec<LineChange>,
}

async fn detail(store: &Store, id: Uuid) -> Result<One<CostLineDetail>, Problem> {
    Ok(One::now(CostLineDetail {
        line: store.cost_line(id).await?,
        r#override: store.override_of(id).await?,
        changes: store.line_changes(id).await?,
    }))
}

/// Returns one cost line with its override and its changes
#[utoipa::path(
    get,
    path = "/api/v1/billing/cost-lines/{id}",
    operation_id = "show_cost_line",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the cost line")),
    responses((status = OK, body = One<CostLineDetail>, description = "The line"), BadRequest, NotFound)
)]
async fn one(
    _: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoParameters,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    Ok(Json(detail(&state.store, id).await?))
}

/// The resource that a line is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LineMatch {
    /// `id` of the resource, live or deleted; null for no resource: the line is a shared cost.
    // Without this attribute an absent field would be read as null.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, value_type = Option<Uuid>)]
    resource_id: Option<Id>,
    /// Reason for the override, 1 to 500 characters.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Reason>,
    /// If true, accepts a resource of a kind that does not fit the line.
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Reason(String);

impl TryFrom<String> for Reason {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if is_remark(&text) {
            Ok(Self(text))
        } else {
            Err("expected 1 to 500 characters, no control characters, or null")
        }
    }
}

/// Overrides the match of a cost line to a resource
///
/// The line is attributed at once, to the tenant of the resource at the time of the charge.
/// `meta.effect` has the amounts that the change moves; `?dry_run=true` reports them without making
/// the change. A resource of a kind that does not fit the line, such as a droplet for a Spaces
/// line, is refused unless `force` is true. A line fits its own kind; a line for a backup also fits
/// the droplet; a line for a cluster also fits its node pools, nodes, load balancers and volumes; a
/// line for a database also fits its replicas; a line of an unknown product fits any kind.
#[utoipa::path(
    put,
    path = "/api/v1/billing/cost-lines/{id}/match",
    operation_id = "override_cost_line_match",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the cost line"), DryRun),
    request_body = LineMatch,
    responses(
        (status = OK, body = One<CostLineDetail>, description = "The line after the change"),
        BadRequest,
        NotFound,
        KindMismatch,
    )
)]
async fn override_match(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(dry_run): Query<DryRun>,
    Body(line_match): Body<LineMatch>,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    let reason = line_match.reason.as_ref().map(|Reason(text)| text.as_str());
    let commit = dry_run.commit();
    let measured = state
        .store
        .override_match(
            id,
            line_match.resource_id.map(|Id(id)| id),
            reason,
            &admin.token_name,
            line_match.force,
            commit,
        )
        .await?;
    tracing::info!(token = %admin.token_id, line = %id, ?line_match, ?commit, "match of a cost line overridden");
    let detail = detail(&state.store, id).await?;
    Ok(Json(detail.with_effect(Effect::of(measured, commit))))
}

/// Removes the override of a cost line; the match rules apply again
///
/// `meta.effect` has the amounts that the change moves; `?dry_run=true` reports them without making
/// the change.
#[utoipa::path(
    delete,
    path = "/api/v1/billing/cost-lines/{id}/match",
    operation_id = "withdraw_cost_line_match",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the cost line"), DryRun),
    responses((status = OK, body = One<CostLineDetail>, description = "The line after the change"), BadRequest, NotFound, EstimateLine)
)]
async fn withdraw(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(dry_run): Query<DryRun>,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    let commit = dry_run.commit();
    let measured = state
        .store
        .withdraw_override(id, &admin.token_name, commit)
        .await?;
    tracing::info!(token = %admin.token_id, line = %id, ?commit, "override of a cost line removed");
    let detail = detail(&state.store, id).await?;
    Ok(Json(detail.with_effect(Effect::of(measured, commit))))
}
