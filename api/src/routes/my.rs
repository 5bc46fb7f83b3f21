//! Routes of a tenant's own costs, for tokens that were created with `--costs`.

pub(crate) mod cost_lines;
pub(crate) mod costs;
pub(crate) mod statement;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use domain::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::costs::{CloseOfStatement, OwnStatement};
use store::{Store, Usd};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;
use crate::access::CostReader;
use crate::csv::{self, FileName};
use crate::envelope::{List, json_of};
use crate::extract::Period;
use crate::notes::Coverage;
use crate::paging::{PageQuery, Paged};
use crate::problem::{BadRequest, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(costs::series))
        .merge(cost_lines::routes())
        .routes(routes!(statements))
        .routes(routes!(statement::statement))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct MyStatementsQuery {
    /// Month of the statement.
    #[param(inline, value_type = Period)]
    period: Period,
}

/// Costs of the tenant in a month; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MyStatement {
    /// First day of the month.
    period: NaiveDate,
    /// The tenant of the token.
    tenant_id: String,
    /// Costs of the tenant's resources, in USD.
    pub(crate) direct: Usd,
    /// The tenant's part of the shared costs (taxes, credits and similar lines), in USD.
    pub(crate) shared: Usd,
    /// Adjustments for closed months, in USD: the differences that this month settles.
    pub(crate) adjusted: Usd,
    /// `direct` plus `shared` plus `adjusted`, in USD.
    pub(crate) total: Usd,
    /// The close of the month; null if it is open. The figures of a closed month are those at its
    /// close.
    pub(crate) close: Option<CloseOfStatement>,
    /// Rule by which shared costs are allocated: `proportional` to the direct costs; `even`, equal
    /// parts for every tenant with costs; `fixed`, by weights.
    pub(crate) spread_rule: &'static str,
    /// True if some amounts are an estimate: the last invoice of the month is not issued yet.
    pub(crate) is_estimate: bool,
    /// True if the month is over, every invoice of it is final, and no line waits for a
    /// reallocation.
    pub(crate) is_final: bool,
    /// Time at which all invoices of the month were last confirmed; null if one of them never was,
    /// and for an estimate.
    pub(crate) verified_at: Option<DateTime<Utc>>,
    /// Time at which the preview of the month was last read; null for billed costs.
    pub(crate) estimated_at: Option<DateTime<Utc>>,
}

impl MyStatement {
    pub(crate) fn new(tenant: &TenantId, period: NaiveDate, own: &OwnStatement) -> Self {
        Self {
            period,
            tenant_id: tenant.to_string(),
            direct: Usd(own.direct),
            shared: Usd(own.shared),
            adjusted: Usd(own.adjusted),
            total: Usd(own.direct + own.shared + own.adjusted),
            close: own.close,
            spread_rule: own.rule,
            is_estimate: own.is_estimate,
            is_final: own.is_final,
            verified_at: own.verified_at,
            estimated_at: own.estimated_at,
        }
    }
}

/// Reads the tenant's statement of a month; none if the month has no lines.
pub(crate) async fn read_own_statement(
    store: &Store,
    tenant: &TenantId,
    period: NaiveDate,
) -> Result<Option<MyStatement>, Problem> {
    let own = store.own_statement(tenant, period).await?;
    Ok(own.map(|own| MyStatement::new(tenant, period, &own)))
}

/// Returns the tenant's statement of a month; no statement if the month has no lines
///
/// Requires a token of the role `tenant` that was created with `--costs`.
#[utoipa::path(
    get,
    path = "/api/v1/my/statements",
    operation_id = "list_my_statements",
    tag = "my",
    security(("bearer" = [])),
    params(MyStatementsQuery, PageQuery),
    responses((status = OK, body = List<MyStatement>, description = "The statement of the month"), BadRequest)
)]
async fn statements(
    reader: CostReader,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<MyStatementsQuery>,
) -> Result<Response, Problem> {
    let Period(period) = filter.period;
    let tenant = &reader.tenant;
    let page = pages.page(json!({ "my-statements": [tenant, period] }))?;
    let own = read_own_statement(&state.store, tenant, period).await?;
    let list = page.show_of_all(own.into_iter().collect(), |row: &MyStatement| row.period);
    if page.is_csv() {
        let file = FileName::new("statement").month(period);
        let file = file.with(Some(tenant.as_str()));
        return csv::whole(reader, file, list.data);
    }
    let coverage = Coverage::for_tenant(&state.store, period, period).await?;
    Ok(json_of(list.with_notes(coverage.notes)))
}
