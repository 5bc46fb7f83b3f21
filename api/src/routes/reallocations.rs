//! Routes of reallocations: updates of many cost lines after a change of tenants, overrides or
//! projects.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use store::Store;
use store::reallocations::Reallocation;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{List, One};
use crate::extract::{Id, NoParameters};
use crate::paging::PageQuery;
use crate::problem::{BadRequest, NotFound, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
}

/// Lists the reallocations of the last 90 days, the latest first
///
/// A change that affects more than 1,000 cost lines or resources stores its facts, answers 202, and
/// leaves them to the workflow `Reallocate`, which updates them in portions. A sync that moves many
/// resources does the same. Each portion keeps the totals of its months; until all are done,
/// figures mix tenants of before and after the change, and no affected month is final.
#[utoipa::path(
    get,
    path = "/api/v1/billing/reallocations",
    operation_id = "list_reallocations",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = List<Reallocation>, description = "A page of reallocations"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let list = read_reallocations(&state.store, &query).await?;
    csv::list(admin, &query, file_of_reallocations(), list)
}

/// Returns the name of the CSV of reallocations.
pub(crate) fn file_of_reallocations() -> FileName {
    FileName::new("reallocations")
}

/// Reads a page of the reallocations.
pub(crate) async fn read_reallocations(
    store: &Store,
    query: &PageQuery,
) -> Result<List<Reallocation>, Problem> {
    let page = query.page(json!("reallocations"))?;
    let reallocations = store.reallocations().await?;
    let place = |one: &Reallocation| (Reverse(one.requested_at), one.id);
    Ok(page.show_of_all(reallocations, place))
}

/// Returns one reallocation with its progress
#[utoipa::path(
    get,
    path = "/api/v1/billing/reallocations/{id}",
    operation_id = "show_reallocation",
    tag = "billing",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "`id` of the reallocation")),
    responses((status = OK, body = One<Reallocation>, description = "The reallocation"), BadRequest, NotFound)
)]
async fn one(
    _: Admin,
    State(state): State<ApiState>,
    Id(id): Id,
    _: NoParameters,
) -> Result<Json<One<Reallocation>>, Problem> {
    let reallocation = state.store.reallocation(id).await?;
    Ok(Json(One::now(reallocation)))
}
