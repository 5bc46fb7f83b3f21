//! The statement of a tenant for its own token: its parts of lines, and nothing of other tenants.

use chrono::NaiveDate;
use domain::TenantId;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::costs::closes::frozen_document;
use crate::costs::own::{read_own_products, read_own_statement, read_shared_parts};
use crate::costs::products::by_product;
use crate::costs::{
    Audience, CloseOfStatement, OwnStatement, ProductCost, StatementState, Statements,
    read_statements,
};
use crate::invoices::own_lines::read_own_lines;
use crate::invoices::{OwnCostLine, OwnLineFilter};
use crate::{Store, StoreError, usd};

/// The statement of a tenant in a month, of one state of the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnStatementDocument {
    /// The first of the month.
    pub period: NaiveDate,
    pub tenant_id: String,
    /// The close of the month; null if it is open.
    pub close: Option<CloseOfStatement>,
    /// `USD`.
    pub currency: String,
    /// True if the month can be closed.
    pub is_final: bool,
    /// True if some amounts are an estimate.
    pub is_estimate: bool,
    /// The costs of the tenant's resources: the total of `lines`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub direct: Decimal,
    /// The tenant's part of the shared costs: the total of `shared_lines`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub shared: Decimal,
    /// The total of `adjustments`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub adjusted: Decimal,
    /// `direct` plus `shared` plus `adjusted`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub total: Decimal,
    /// The rule by which shared costs are allocated: `proportional`, `even` or `fixed`.
    pub spread_rule: String,
    pub lines: Vec<OwnCostLine>,
    pub shared_lines: Vec<OwnCostLine>,
    pub adjustments: Vec<OwnAdjustment>,
}

/// The adjustment of a tenant for a closed month; USD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnAdjustment {
    /// The first of the closed month.
    pub period: NaiveDate,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
}

impl Store {
    /// Returns the statement of a tenant in a month with its lines. A tenant without costs has a
    /// statement of zero.
    pub async fn own_statement_document(
        &self,
        tenant: &TenantId,
        period: NaiveDate,
    ) -> Result<StatementState<OwnStatementDocument>, StoreError> {
        let mut tx = self.snapshot().await?;
        let name = Some(tenant.as_str());
        if let Some(frozen) = frozen_document(&mut tx, period, name, Audience::Own).await? {
            return Ok(StatementState::Closed(frozen));
        }
        let statements = read_statements(&mut tx, period).await?;
        let document = read_own_document(&mut tx, &statements, tenant, statements.close).await?;
        Ok(StatementState::Open(Box::new(document)))
    }
}

/// The statement of a tenant by product, with its largest lines, of one state of the database.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnStatementDetail {
    /// `None` if the month has no lines.
    pub statement: Option<OwnStatement>,
    /// Direct costs first, the largest amount first.
    pub products: Vec<ProductCost>,
    /// Some lines of the direct costs.
    pub lines: Vec<OwnCostLine>,
    pub adjustments: Vec<OwnAdjustment>,
}

impl Store {
    /// Returns the statement of a tenant by product, with at most `limit` lines: the frozen one of
    /// a closed month, else the one of today.
    pub async fn own_statement_detail(
        &self,
        tenant: &TenantId,
        period: NaiveDate,
        limit: usize,
    ) -> Result<OwnStatementDetail, StoreError> {
        let mut tx = self.snapshot().await?;
        let statements = read_statements(&mut tx, period).await?;
        let statement = read_own_statement(&mut tx, &statements, tenant).await?;
        if statements.close.is_some() {
            let name = Some(tenant.as_str());
            let frozen = frozen_document(&mut tx, period, name, Audience::Own).await?;
            let document: Option<OwnStatementDocument> =
                frozen.map(|frozen| frozen.decode()).transpose()?;
            let (mut lines, shared, adjustments) = document.map_or_else(Default::default, |own| {
                (own.lines, own.shared_lines, own.adjustments)
            });
            let mut products = by_product(&lines, false, |line| (&line.product, line.amount, None));
            products.extend(by_product(&shared, true, |line| {
                (&line.product, line.amount, None)
            }));
            lines.truncate(limit);
            return Ok(OwnStatementDetail {
                statement,
                products,
                lines,
                adjustments,
            });
        }
        let shared = read_shared_parts(&mut tx, tenant, period).await?;
        let products = read_own_products(&mut tx, tenant, period, &shared).await?;
        let filter = OwnLineFilter {
            period,
            ..OwnLineFilter::default()
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut lines = read_own_lines(&mut tx, tenant, &filter, &shared, None, limit).await?;
        lines.retain(|line| line.share != "shared");
        Ok(OwnStatementDetail {
            statement,
            products,
            lines,
            adjustments: own_adjustments(&statements, tenant),
        })
    }
}

/// Returns the adjustments of a tenant.
fn own_adjustments(statements: &Statements, tenant: &TenantId) -> Vec<OwnAdjustment> {
    let own = statements
        .adjustments
        .iter()
        .filter(|adjustment| adjustment.tenant_id.as_deref() == Some(tenant.as_str()));
    own.map(|adjustment| OwnAdjustment {
        period: adjustment.period,
        amount: adjustment.amount,
    })
    .collect()
}

/// Reads the statement of a tenant, as [`crate::costs::document::read_document`] does for
/// administrators.
pub(crate) async fn read_own_document(
    connection: &mut PgConnection,
    statements: &Statements,
    tenant: &TenantId,
    close: Option<CloseOfStatement>,
) -> Result<OwnStatementDocument, StoreError> {
    let period = statements.period;
    let own = statements
        .rows
        .iter()
        .find(|row| row.tenant_id.as_deref() == Some(tenant.as_str()));
    let mut parts = Vec::new();
    let mut adjustments = Vec::new();
    // A tenant without a statement in a closed month has no lines in it.
    if own.is_some() {
        let shared = read_shared_parts(&mut *connection, tenant, period).await?;
        let filter = OwnLineFilter {
            period,
            ..OwnLineFilter::default()
        };
        parts = read_own_lines(&mut *connection, tenant, &filter, &shared, None, i64::MAX).await?;
        adjustments = own_adjustments(statements, tenant);
    }
    let (shared_lines, lines) = parts.into_iter().partition(|line| line.share == "shared");
    let (direct, shared) = own.map_or_else(Default::default, |own| (own.direct, own.shared));
    let adjusted = adjustments.iter().map(|adjustment| adjustment.amount).sum();
    Ok(OwnStatementDocument {
        period,
        tenant_id: tenant.to_string(),
        close,
        currency: "USD".to_owned(),
        is_final: statements.is_final(),
        is_estimate: statements.is_estimate,
        direct,
        shared,
        adjusted,
        total: direct + shared + adjusted,
        spread_rule: statements.rule.name().to_owned(),
        lines,
        shared_lines,
        adjustments,
    })
}
