//! Routes of a single cost line: its changes, and the override of its match.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::costs::{Measured, Override};
use store::inventory::Commit;
use store::invoices::{CostLine, LineChange, TenantSpan};
use store::{Store, StoreError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::{Admin, Author};
use crate::effect::{DryRun, Effect};
use crate::envelope::One;
use crate::extract::{Body, Id, NoParameters, Query, is_remark, remark_or_null};
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

/// A change of the match of a line by an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MatchChange {
    Override {
        /// None for a shared cost.
        resource: Option<Uuid>,
        reason: Option<String>,
        /// Accepts a resource of a kind that does not fit the line.
        is_forced: bool,
    },
    /// Removes the override.
    Withdraw,
}

/// Changes the match of a line, or measures the effect.
pub(crate) async fn change_match(
    store: &Store,
    author: Author<'_>,
    line: Uuid,
    change: &MatchChange,
    commit: Commit,
) -> Result<Measured, StoreError> {
    let measured = match change {
        MatchChange::Override {
            resource,
            reason,
            is_forced,
        } => {
            let (reason, set_by) = (reason.as_deref(), author.token_name);
            store
                .override_match(line, *resource, reason, set_by, *is_forced, commit)
                .await?
        }
        MatchChange::Withdraw => {
            store
                .withdraw_override(line, author.token_name, commit)
                .await?
        }
    };
    tracing::info!(token = %author.token_id, %line, ?change, ?commit, "match of a cost line changed");
    Ok(measured)
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
        reason: line_match.reason.map(|Reason(text)| text),
        is_forced: line_match.force,
    };
    changed(&state.store, &admin, id, &change, dry_run.commit()).await
}

async fn changed(
    store: &Store,
    admin: &Admin,
    id: Uuid,
    change: &MatchChange,
    commit: Commit,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    let measured = change_match(store, admin.author(), id, change, commit).await?;
    let detail = detail(store, id).await?;
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
    changed(&state.store, &admin, id, &MatchChange::Withdraw, commit).await
}
