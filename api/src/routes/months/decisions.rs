//! Routes of the decisions on a month: the close, its approval, the reopening, and the acceptance
//! of a correction.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::NaiveDate;
use serde::Deserialize;
use store::audit::RunRequest;
use store::{Actor, Usd};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{MonthDetail, read_month};
use crate::access::Admin;
use crate::envelope::One;
use crate::extract::{Body, InPath, NoParameters, Period, Remark, remark, remark_or_null};
use crate::problem::{BadRequest, MonthConflict, Problem};
use crate::routes::sync::LinkedRun;
use crate::runs::{self, in_time, starter};
use crate::{ApiState, CloseApproval, WorkflowRun};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(close))
        .routes(routes!(reopen))
        .routes(routes!(accept))
}

/// The start of a close.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CloseRequest {
    /// True to approve the close, too: then the month closes at once.
    #[serde(default)]
    approve: bool,
    /// Reason for the approval, 1 to 500 characters; recorded in the audit and with the close.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Remark>,
}

/// Starts the close of a month, which waits for an approval; with `approve`, approves it
///
/// The workflow `CloseMonth` waits until every invoice of the month is final, and then for the
/// approval. If it is in progress already, the response has its run.
#[utoipa::path(
    post,
    path = "/api/v1/billing/months/{period}/close",
    operation_id = "close_month",
    tag = "billing",
    security(("bearer" = [])),
    params(("period" = inline(Period), Path, description = "Month")),
    request_body = Option<CloseRequest>,
    responses((status = ACCEPTED, body = One<LinkedRun>, description = "The run"), BadRequest, MonthConflict)
)]
async fn close(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    _: NoParameters,
    body: Option<Body<CloseRequest>>,
) -> Result<(StatusCode, Json<One<LinkedRun>>), Problem> {
    let CloseRequest { approve, reason } = body.map(|Body(body)| body).unwrap_or_default();
    let actor = admin.actor.because(Remark::text(reason));
    let run = close_month(&state, period, approve, &actor).await?;
    let ui = state.temporal_ui.as_deref();
    let run = LinkedRun::new(run.workflow_id, run.run_id, ui);
    Ok((StatusCode::ACCEPTED, Json(One::now(run))))
}

/// Starts the close of a month, or finds the one in progress; approves it if `approve`.
pub(crate) async fn close_month(
    state: &ApiState,
    period: NaiveDate,
    approve: bool,
    actor: &Actor,
) -> Result<WorkflowRun, Problem> {
    let (starter, store) = (starter(state)?, &state.store);
    let month = period.format("%Y-%m");
    let readiness = store.month_readiness(period).await?;
    if let Some(close) = readiness.close {
        return Err(Problem::Conflict(format!(
            "{month} is closed already, by {} at {}: reopen it first",
            close.closed_by,
            close.closed_at.format("%Y-%m-%dT%H:%M:%SZ")
        )));
    }
    if store.month_summary(period).await?.is_none() {
        return Err(Problem::Conflict(format!(
            "{month} cannot be closed: it has neither an invoice nor an estimate"
        )));
    }
    if approve && !readiness.is_final {
        return Err(Problem::Conflict(format!(
            "{month} cannot be closed: {}; start the close without approval to wait for that",
            readiness.reasons.join("; ")
        )));
    }
    store
        .record_run_request(RunRequest::Close(period), actor)
        .await?;
    let run = runs::start(state, actor, starter.close(period)).await?;
    if !approve {
        return Ok(run);
    }
    let approval = CloseApproval {
        by: actor.name().to_owned(),
        reason: actor.reason().map(str::to_owned),
    };
    in_time(starter.approve_close(period, &approval)).await
}

/// The reopening of a closed month.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReopenRequest {
    /// Reason for the reopening, 1 to 500 characters; recorded in the audit and with the close.
    #[schema(schema_with = remark)]
    reason: Remark,
}

/// Reopens a closed month: its statements follow its lines again
///
/// The close and its files are kept. The adjustments that it contains apply to the open month
/// again.
#[utoipa::path(
    post,
    path = "/api/v1/billing/months/{period}/reopen",
    operation_id = "reopen_month",
    tag = "billing",
    security(("bearer" = [])),
    params(("period" = inline(Period), Path, description = "Month")),
    request_body = ReopenRequest,
    responses((status = OK, body = One<MonthDetail>, description = "The month after the change"), BadRequest, MonthConflict)
)]
async fn reopen(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    _: NoParameters,
    Body(body): Body<ReopenRequest>,
) -> Result<Json<One<MonthDetail>>, Problem> {
    let actor = admin.actor.because(Remark::text(Some(body.reason)));
    state.store.reopen_month(period, &actor).await?;
    Ok(Json(One::now(read_month(&state.store, period).await?)))
}

/// The decision on a correction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CorrectionDecision {
    /// True: the difference becomes an adjustment of the open month. To correct the statements of
    /// the closed month instead, reopen it.
    #[schema(schema_with = only_true)]
    accept: bool,
    /// `after` of the correction that you accept; refused if the invoices were corrected again.
    after: Usd,
    /// Reason for the decision, 1 to 500 characters; recorded in the audit and with the close.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Remark>,
}

fn only_true() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    utoipa::openapi::schema::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::Boolean)
        .enum_values(Some([true]))
        .into()
}

/// Accepts the correction by `DigitalOcean` of a closed month: the difference becomes an adjustment
#[utoipa::path(
    post,
    path = "/api/v1/billing/months/{period}/correction",
    operation_id = "accept_correction",
    tag = "billing",
    security(("bearer" = [])),
    params(("period" = inline(Period), Path, description = "Month")),
    request_body = CorrectionDecision,
    responses((status = OK, body = One<MonthDetail>, description = "The month after the decision"), BadRequest, MonthConflict)
)]
async fn accept(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    _: NoParameters,
    Body(body): Body<CorrectionDecision>,
) -> Result<Json<One<MonthDetail>>, Problem> {
    if !body.accept {
        return Err(Problem::InvalidBody(
            "accept: expected true; to correct the statements of the closed month, reopen it"
                .to_owned(),
        ));
    }
    let actor = admin.actor.because(Remark::text(body.reason));
    let Usd(after) = body.after;
    state.store.accept_correction(period, after, &actor).await?;
    Ok(Json(One::now(read_month(&state.store, period).await?)))
}
