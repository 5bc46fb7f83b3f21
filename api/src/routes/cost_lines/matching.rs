//! Routes of a single cost line: its changes, and the override of its match.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::costs::{Measured, Override};
use store::inventory::Commit;
use store::invoices::{CostLine, LineChange, TenantSpan};
use store::{Actor, Store, StoreError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::effect::{DryRun, commit_unless};
use crate::envelope::One;
use crate::extract::{Body, Id, NoParameters, Query, Remark, optional, remark, remark_or_null};
use crate::problem::{BadRequest, EstimateLine, KindMismatch, NotFound, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(one))
        .routes(routes!(override_match, withdraw))
}

/// A line with its override, its tenants over time and its changes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostLineDetail {
    #[serde(flatten)]
    pub(crate) line: CostLine,
    /// Override of the match; null if the line has none.
    pub(crate) r#override: Option<Override>,
    /// Tenants of the line over the charge period, the earliest first; empty for a shared cost.
    pub(crate) intervals: Vec<TenantSpan>,
    /// Changes of the line since it was stored, the latest first; at most 100.
    pub(crate) changes: Vec<LineChange>,
}

/// Reads a line with its override, its tenants over time and its changes.
pub(crate) async fn read_line(store: &Store, id: Uuid) -> Result<CostLineDetail, Problem> {
    let line = store.cost_line(id).await?;
    Ok(CostLineDetail {
        intervals: store.tenant_spans(&line).await?,
        r#override: store.override_of(id).await?,
        changes: store.line_changes(id).await?,
        line,
    })
}

async fn detail(store: &Store, id: Uuid) -> Result<One<CostLineDetail>, Problem> {
    read_line(store, id).await.map(One::now)
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
    /// Reason for the override, 1 to 500 characters; recorded in the audit.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Remark>,
    /// If true, accepts a resource of a kind that does not fit the line.
    #[serde(default)]
    force: bool,
}

/// A change of the match of a line by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchChange {
    Override {
        /// None for a shared cost.
        resource: Option<Uuid>,
        /// Accepts a resource of a kind that does not fit the line.
        is_forced: bool,
    },
    /// Removes the override.
    Withdraw,
}

/// Changes the match of a line, or measures the effect.
pub(crate) async fn change_match(
    store: &Store,
    actor: &Actor,
    line: Uuid,
    change: MatchChange,
    commit: Commit,
) -> Result<Measured, StoreError> {
    match change {
        MatchChange::Override {
            resource,
            is_forced,
        } => {
            store
                .override_match(line, resource, is_forced, actor, commit)
                .await
        }
        MatchChange::Withdraw => store.withdraw_override(line, actor, commit).await,
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
    let change = MatchChange::Override {
        resource: line_match.resource_id.map(|Id(id)| id),
        is_forced: line_match.force,
    };
    let actor = admin.actor.because(Remark::text(line_match.reason));
    changed(&state, &actor, id, change, dry_run.commit()).await
}

async fn changed(
    state: &ApiState,
    actor: &Actor,
    id: Uuid,
    change: MatchChange,
    commit: Commit,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    let store = &state.store;
    let measured = change_match(store, actor, id, change, commit).await?;
    let detail = detail(store, id).await?;
    Ok(Json(detail.changed(state, measured, commit).await))
}

/// The parameters of the removal of an override.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Withdrawal {
    /// If true, changes nothing and reports in `meta.effect` the amounts in USD that the change
    /// would move; `data` is the current state.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
    /// Reason for the removal, 1 to 500 characters; recorded in the audit.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = remark, required = false)]
    reason: Option<Remark>,
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
    params(("id" = Uuid, Path, description = "`id` of the cost line"), Withdrawal),
    responses((status = OK, body = One<CostLineDetail>, description = "The line after the change"), BadRequest, NotFound, EstimateLine)
)]
async fn withdraw(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(withdrawal): Query<Withdrawal>,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    let commit = commit_unless(withdrawal.dry_run);
    let actor = admin.actor.because(Remark::text(withdrawal.reason));
    changed(&state, &actor, id, MatchChange::Withdraw, commit).await
}
