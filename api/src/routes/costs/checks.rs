//! Checks of the stored costs: sums that do not reconcile, and overrides without a line.

use std::cmp::Reverse;

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::json;
use store::costs::{Discrepancy, OrphanedOverride};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::Admin;
use crate::csv::{self, FileName};
use crate::envelope::{ListMeta, json_of};
use crate::notes;
use crate::paging::PageQuery;
use crate::problem::{BadRequest, Problem};
use crate::routes::cost_lines::ORPHANS;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(checks))
}

/// A page of discrepancies.
#[derive(Debug, Serialize, ToSchema)]
struct CheckList {
    data: Vec<Discrepancy>,
    meta: CheckMeta,
}

/// Further checks of the stored costs.
#[derive(Debug, Serialize, ToSchema)]
struct CheckMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// Overrides of lines that a correction of their invoice removed, the latest month first; at
    /// most 100. `GET /api/v1/billing/orphaned-overrides` lists all.
    orphaned_overrides: Vec<OrphanedOverride>,
}

/// Lists stored sums that do not reconcile, the latest month first; at most 100
///
/// The list is empty unless the database was changed by hand. Each request sums all cost lines.
/// `meta` has the overrides of lines that a correction removed.
#[utoipa::path(
    get,
    path = "/api/v1/billing/checks",
    operation_id = "check_costs",
    tag = "billing",
    security(("bearer" = [])),
    params(PageQuery),
    responses((status = OK, body = CheckList, description = "A page of discrepancies"), BadRequest)
)]
async fn checks(
    admin: Admin,
    State(state): State<ApiState>,
    query: PageQuery,
) -> Result<Response, Problem> {
    let page = query.page(json!("checks"))?;
    let discrepancies = state.store.cost_discrepancies().await?;
    let place = |row: &Discrepancy| (Reverse(row.period), row.subject, row.what.clone());
    let shown = page.show_of_all(discrepancies, place);
    let shown = shown.with_notes(notes::on_books(&state.store).await?);
    let (from, to) = (NaiveDate::default(), state.store.now().await?.date_naive());
    let shown = shown.with_notes(notes::on_reallocation(&state.store, from, to).await?);
    if query.is_csv() {
        return csv::list(admin, &query, FileName::new("checks"), shown);
    }
    let orphans = state.store.orphaned_overrides(None, None, ORPHANS).await?;
    Ok(json_of(CheckList {
        data: shown.data,
        meta: CheckMeta {
            page: shown.meta,
            orphaned_overrides: orphans,
        },
    }))
}
