//! One line: what became of it, and what an operator says it is for.

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
use crate::extract::{Body, Id, NoParameters, Query, is_remark};
use crate::problem::{Absent, Estimated, Invalid, Problem, Unfitting};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(one))
        .routes(routes!(say, withdraw))
}

/// A line with what an operator says of it, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
struct CostLineDetail {
    #[serde(flatten)]
    line: CostLine,
    /// Null where no operator has said anything.
    r#override: Option<Override>,
    /// What changed since it was stored, the latest first; at most 100 changes.
    changes: Vec<LineChange>,
}

async fn detail(store: &Store, id: Uuid) -> Result<One<CostLineDetail>, Problem> {
    Ok(One::now(CostLineDetail {
        line: store.cost_line(id).await?,
        r#override: store.override_of(id).await?,
        changes: store.line_changes(id).await?,
    }))
}

/// One line, with what an operator says of it, and what became of it
#[utoipa::path(
    get,
    path = "/api/v1/billing/cost-lines/{id}",
    operation_id = "show_cost_line",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the line")),
    responses((status = OK, body = One<CostLineDetail>, description = "The line"), Invalid, Absent)
)]
async fn one(
    _: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoParameters,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    Ok(Json(detail(&state.store, id).await?))
}

/// What a line is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LineMatch {
    /// `id` of the resource, live or gone; null for no resource, so that all tenants bear it.
    // Without this a field that is absent would be null.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, value_type = Option<Uuid>)]
    resource_id: Option<Id>,
    /// Why: 1 to 500 characters.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    reason: Option<Reason>,
    /// Whether to accept a resource of a kind that the line cannot be for.
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

/// Matches a line to a resource, whatever the rules match it to
///
/// The tenant of the line follows at once: it is the resource's at the time of the charge. `meta.effect` has the amounts that this moves;
/// `?dry_run=true` reports them without making the change. A resource of a kind that the line cannot be for, such as a droplet for a Spaces line, is
/// refused unless `force` is true. A line fits its own kind; a charge for a backup also fits the droplet; a cluster's line also fits
/// its node pools, nodes, load balancers and volumes; a database's also its replicas; a line of an unknown product fits any kind.
#[utoipa::path(
    put,
    path = "/api/v1/billing/cost-lines/{id}/match",
    operation_id = "override_cost_line_match",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the line"), DryRun),
    request_body = LineMatch,
    responses(
        (status = OK, body = One<CostLineDetail>, description = "The line as it is now"),
        Invalid,
        Absent,
        Unfitting,
    )
)]
async fn say(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(dry_run): Query<DryRun>,
    Body(word): Body<LineMatch>,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    let reason = word.reason.as_ref().map(|Reason(text)| text.as_str());
    let commit = dry_run.commit();
    let measured = state
        .store
        .override_match(
            id,
            word.resource_id.map(|Id(id)| id),
            reason,
            &admin.token_name,
            word.force,
            commit,
        )
        .await?;
    tracing::info!(token = %admin.token_id, line = %id, ?word, ?commit, "match of a cost line overridden");
    let detail = detail(&state.store, id).await?;
    Ok(Json(detail.with_effect(Effect::of(measured, commit))))
}

/// Removes the override of a line, so that the rules match it again
///
/// `meta.effect` has the amounts that this moves; `?dry_run=true` reports them without making the change.
#[utoipa::path(
    delete,
    path = "/api/v1/billing/cost-lines/{id}/match",
    operation_id = "withdraw_cost_line_match",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the line"), DryRun),
    responses((status = OK, body = One<CostLineDetail>, description = "The line as it is now"), Invalid, Absent, Estimated)
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
