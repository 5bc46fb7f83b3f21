//! The files of a statement: workbook, JSON, and its tables as CSV.

use axum::extract::State;
use axum::response::Response;
use chrono::NaiveDate;
use serde::Serialize;
use store::Usd;
use store::costs::StatementDetail;
use utoipa::ToSchema;

use super::{ADJUSTMENTS, CAUSES, LINES, SHARED, StatementPath, own_tenant};
use crate::ApiState;
use crate::csv::{self, FileName};
use crate::extract::{InPath, Period};
use crate::pages::page::PageProblem;
use crate::pages::parameters::{Parameters, unknown_table};
use crate::pages::session::{CostViewer, Viewer};
use crate::routes::my::statement::respond_own;
use crate::routes::statement::{Format, respond, tenant_of};

pub(super) async fn workbook(
    viewer: CostViewer,
    State(state): State<ApiState>,
    InPath(path): InPath<StatementPath>,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    parameters.refuse_others()?;
    download(viewer, &state, path, Format::Xlsx).await
}

pub(super) async fn json(
    viewer: CostViewer,
    State(state): State<ApiState>,
    InPath(path): InPath<StatementPath>,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    parameters.refuse_others()?;
    download(viewer, &state, path, Format::Json).await
}

/// Returns the statement of a tenant as a file.
async fn download(
    CostViewer(viewer): CostViewer,
    state: &ApiState,
    path: StatementPath,
    format: Format,
) -> Result<Response, PageProblem> {
    let (store, Period(period), tenant) = (&state.store, path.period, tenant_of(&path.tenant));
    let response = match own_tenant(&viewer, tenant)? {
        Some(own) => respond_own(store, viewer, &own, period, format).await,
        None => respond(store, viewer, period, tenant, format).await,
    };
    Ok(response?)
}

/// A row of the CSV of the shared costs; USD.
#[derive(Serialize, ToSchema)]
struct SharedRow {
    period: NaiveDate,
    product: String,
    lines: i64,
    /// Whole lines.
    line_amount: Usd,
    /// Part of the tenant.
    amount: Usd,
}

/// Returns a table of a statement as CSV.
pub(super) fn csv_of(
    viewer: Viewer,
    period: NaiveDate,
    tenant: Option<&str>,
    table: &str,
    detail: StatementDetail,
) -> Result<Response, PageProblem> {
    let file = |list: &str| {
        let file = FileName::new(list).month(period);
        file.with(Some(tenant.unwrap_or("unallocated")))
    };
    let response = match table {
        SHARED => {
            let shared = detail.products.into_iter().filter(|cost| cost.is_shared);
            let rows = shared.map(|cost| SharedRow {
                period,
                product: cost.product,
                lines: cost.lines,
                line_amount: Usd(cost.line_amount.unwrap_or_default()),
                amount: Usd(cost.amount),
            });
            csv::whole(viewer, file("shared-costs"), rows.collect())
        }
        ADJUSTMENTS => csv::whole(viewer, file("adjustments"), detail.adjustments),
        CAUSES => csv::whole(viewer, file("adjustment-causes"), detail.adjustment_causes),
        _ => {
            let known = [LINES, SHARED, ADJUSTMENTS, CAUSES];
            return Err(unknown_table(table, &known));
        }
    };
    Ok(response?)
}
