//! Routes of orphaned overrides: matches of lines that operators set, and that a correction of the
//! invoice removed.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::Store;
use store::costs::{AfterOrphan, OrphanedOverride};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::cost_lines::matching::{CostLineDetail, read_line};
use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::effect::{DryRun, commit_unless};
use crate::envelope::{List, One, json_of};
use crate::extract::{Body, Id, Period, Query, Remark, optional, remark, remark_or_null};
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{BadRequest, KindMismatch, NotFound, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(dismiss))
        .routes(routes!(apply))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrphansQuery {
    /// Month of the invoices; all months without it.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Option<Period>)]
    period: Option<Period>,
}

#[derive(Serialize, Deserialize)]
struct OrphanPlace {
    period: NaiveDate,
    id: Uuid,
}

/// Lists the overrides of lines that a correction removed, the latest month first
///
/// A correction of an invoice that changes the times of a line replaces the line. Its override
/// moves to the new line if exactly one fits; otherwise it is listed here and has no effect. Apply
/// it to a line with `POST /api/v1/billing/orphaned-overrides/{id}/apply`, or dismiss it with
/// `DELETE /api/v1/billing/orphaned-overrides/{id}`.
#[utoipa::path(
    get,
    path = "/api/v1/billing/orphaned-overrides",
    operation_id = "list_orphaned_overrides",
    tag = "billing",
    security(("bearer" = [])),
    params(OrphansQuery, PageQuery),
    responses((status = OK, body = List<OrphanedOverride>, description = "A page of overrides"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<OrphansQuery>,
) -> Result<Response, Problem> {
    let period = filter.period.map(|Period(period)| period);
    if pages.is_csv() {
        return csv_of_orphans(&state.store, admin, period, &pages).await;
    }
    Ok(json_of(
        page_of_orphans(&state.store, period, &pages).await?,
    ))
}

fn page_of(period: Option<NaiveDate>, pages: &PageQuery) -> Result<Page<OrphanPlace>, Problem> {
    pages.page(json!({ "orphaned-overrides": period }))
}

/// Returns a page of overrides without a line, of a month or of all months.
pub(crate) async fn page_of_orphans(
    store: &Store,
    period: Option<NaiveDate>,
    pages: &PageQuery,
) -> Result<List<OrphanedOverride>, Problem> {
    read_orphans(store.clone(), period, page_of(period, pages)?).await
}

/// Returns all overrides without a line, of a month or of all months, as CSV.
pub(crate) async fn csv_of_orphans(
    store: &Store,
    caller: impl Send + 'static,
    period: Option<NaiveDate>,
    pages: &PageQuery,
) -> Result<Response, Problem> {
    let page = page_of(period, pages)?;
    let file = FileName::new("orphaned-overrides");
    let file = match period {
        Some(period) => file.month(period),
        None => file,
    };
    let connected = store.clone();
    let read = move |page| read_orphans(connected.clone(), period, page);
    csv::stream(store, caller, file, page, read).await
}

async fn read_orphans(
    store: Store,
    period: Option<NaiveDate>,
    page: Page<OrphanPlace>,
) -> Result<List<OrphanedOverride>, Problem> {
    let after = page.after.as_ref().map(|place| AfterOrphan {
        period: place.period,
        id: place.id,
    });
    let orphans = store
        .orphaned_overrides(period, after, page.rows_to_fetch())
        .await?;
    Ok(page.show(orphans, |last| OrphanPlace {
        period: last.period,
        id: last.id,
    }))
}

/// The line to which an override is applied.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLine {
    /// `id` of the cost line.
    #[schema(value_type = Uuid)]
    line_id: Id,
    /// Reason for the application, 1 to 500 characters; without one, the override keeps its reason.
    #[schema(schema_with = remark_or_null, required = false)]
    reason: Option<Remark>,
    /// If true, accepts a line of a kind that does not fit the resource.
    #[serde(default)]
    force: bool,
}

/// Applies the override of a removed line to another cost line
///
/// The line is attributed at once. `meta.effect` has the amounts that the change moves;
/// `?dry_run=true` reports them without making the change. An override of the line is replaced.
#[utoipa::path(
    post,
    path = "/api/v1/billing/orphaned-overrides/{id}/apply",
    operation_id = "apply_orphaned_override",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the orphaned override"), DryRun),
    request_body = NewLine,
    responses(
        (status = OK, body = One<CostLineDetail>, description = "The line after the change"),
        BadRequest,
        NotFound,
        KindMismatch,
    )
)]
async fn apply(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(dry_run): Query<DryRun>,
    Body(new): Body<NewLine>,
) -> Result<Json<One<CostLineDetail>>, Problem> {
    let (store, commit) = (&state.store, dry_run.commit());
    let Id(line) = new.line_id;
    let actor = admin.actor.because(Remark::text(new.reason));
    let measured = store
        .apply_orphan(id, line, new.force, &actor, commit)
        .await?;
    let detail = One::now(read_line(store, line).await?);
    Ok(Json(detail.changed(&state, measured, commit).await))
}

/// The parameters of a dismissal.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Dismissal {
    /// If true, changes nothing.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
    /// Reason for the dismissal, 1 to 500 characters; recorded in the audit.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = remark, required = false)]
    reason: Option<Remark>,
}

/// Dismisses the override of a removed cost line: deletes it, and changes no line
#[utoipa::path(
    delete,
    path = "/api/v1/billing/orphaned-overrides/{id}",
    operation_id = "dismiss_orphaned_override",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the orphaned override"), Dismissal),
    responses((status = OK, body = One<OrphanedOverride>, description = "The dismissed override"), BadRequest, NotFound)
)]
async fn dismiss(
    admin: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    Query(dismissal): Query<Dismissal>,
) -> Result<Json<One<OrphanedOverride>>, Problem> {
    let commit = commit_unless(dismissal.dry_run);
    let actor = admin.actor.because(Remark::text(dismissal.reason));
    let orphan = state.store.dismiss_orphan(id, &actor, commit).await?;
    Ok(Json(One::now(orphan)))
}
