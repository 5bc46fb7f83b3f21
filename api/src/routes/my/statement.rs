//! The route of a tenant's own statement with its lines, as JSON, CSV or a workbook.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use domain::TenantId;
use serde::{Deserialize, Serialize};
use store::invoices::OwnCostLine;
use store::own_statements::{OwnAdjustment, OwnStatementDocument};
use store::{Store, Usd};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::CostReader;
use crate::csv::{self, FileName};
use crate::envelope::One;
use crate::extract::{Period, Query, optional};
use crate::problem::{BadRequest, Problem};
use crate::routes::statement::{Format, Proven, adjustment_text, formats, json_of_statement, xlsx};
use crate::{ApiState, workbook};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MyStatementQuery {
    /// Month of the statement.
    #[param(inline, value_type = Period)]
    period: Period,
    /// Format; `json` by default. `csv` has the lines and the adjustments; `xlsx` has the sheets
    /// statement, lines, shared costs and adjustments.
    #[serde(default, deserialize_with = "optional")]
    #[param(schema_with = formats)]
    format: Option<Format>,
}

/// Returns the tenant's statement of a month with all its lines
///
/// Requires a token of the role `tenant` that was created with `--costs`. As JSON, `data` of a
/// closed month has the same bytes each time, and a proof that other programs can verify.
#[utoipa::path(
    get,
    path = "/api/v1/my/statement",
    operation_id = "get_my_statement",
    tag = "my",
    security(("bearer" = [])),
    params(MyStatementQuery),
    responses(
        (status = OK, body = One<Proven<OwnStatementDocument>>, description = "The statement; amounts in USD"),
        BadRequest,
    )
)]
pub(super) async fn statement(
    reader: CostReader,
    State(state): State<ApiState>,
    Query(query): Query<MyStatementQuery>,
) -> Result<Response, Problem> {
    let (tenant, format) = (reader.tenant.clone(), query.format.unwrap_or_default());
    respond_own(&state.store, reader, &tenant, query.period.0, format).await
}

/// Returns the statement of a tenant for itself. `caller` is kept until the end of the body.
pub(crate) async fn respond_own(
    store: &Store,
    caller: impl Send + 'static,
    tenant: &TenantId,
    period: NaiveDate,
    format: Format,
) -> Result<Response, Problem> {
    let statement = store.own_statement_document(tenant, period).await?;
    let file = FileName::new("statement").month(period);
    let file = file.with(Some(tenant.as_str()));
    match format {
        Format::Json => json_of_statement(statement, file),
        Format::Csv => csv::whole(caller, file, rows_of(statement.document()?)),
        Format::Xlsx => xlsx(file, statement.document()?, workbook::of_own_statement).await,
    }
}

/// A row of a tenant's statement as CSV: its part of a line, or an adjustment for a closed month;
/// USD.
#[derive(Debug, Default, Serialize, ToSchema)]
struct OwnStatementRow {
    period: NaiveDate,
    tenant_id: String,
    /// `direct`, `shared` or `adjustment`.
    costs: &'static str,
    line_id: Option<Uuid>,
    product: Option<String>,
    description: Option<String>,
    resource_id: Option<Uuid>,
    resource_name: Option<String>,
    project_name: Option<String>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    /// `whole`, or `split` between tenants by time; empty for others.
    share: Option<String>,
    /// The closed month of an adjustment.
    adjusted_period: Option<NaiveDate>,
    amount: Usd,
}

impl From<OwnCostLine> for OwnStatementRow {
    fn from(line: OwnCostLine) -> Self {
        let is_shared = line.share == "shared";
        Self {
            costs: if is_shared { "shared" } else { "direct" },
            line_id: Some(line.id),
            product: Some(line.product),
            description: line.description,
            resource_id: line.resource_id,
            resource_name: line.resource_name,
            project_name: line.project_name,
            start_at: line.start_at,
            end_at: line.end_at,
            share: (!is_shared).then_some(line.share),
            amount: Usd(line.amount),
            ..Self::default()
        }
    }
}

impl From<OwnAdjustment> for OwnStatementRow {
    fn from(adjustment: OwnAdjustment) -> Self {
        Self {
            costs: "adjustment",
            description: Some(adjustment_text(adjustment.period)),
            adjusted_period: Some(adjustment.period),
            amount: Usd(adjustment.amount),
            ..Self::default()
        }
    }
}

/// Returns the rows of the CSV: the direct lines, the shared ones, the adjustments.
fn rows_of(document: OwnStatementDocument) -> Vec<OwnStatementRow> {
    let lines = document.lines.into_iter().chain(document.shared_lines);
    let lines = lines.map(OwnStatementRow::from);
    let adjustments = document.adjustments.into_iter().map(OwnStatementRow::from);
    let mut rows: Vec<OwnStatementRow> = lines.chain(adjustments).collect();
    for row in &mut rows {
        row.period = document.period;
        row.tenant_id.clone_from(&document.tenant_id);
    }
    rows
}
