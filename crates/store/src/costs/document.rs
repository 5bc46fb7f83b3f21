//! The statement of a tenant in a month with its lines and its part of each shared line, as
//! exports and a closed month have it.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use domain::costs::{LineAllocation, weights};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::closes::{
    Adjustment, AdjustmentCause, Audience, CloseOfStatement, StatementState, causes_of,
    frozen_document,
};
use super::shared::SharedCosts;
use super::{Statements, read_statements};
use crate::{Store, StoreError, usd};

/// The statement of a tenant in a month, of one state of the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementDocument {
    /// The first of the month.
    pub period: NaiveDate,
    /// The tenant; null for the unallocated costs.
    pub tenant_id: Option<String>,
    /// The close of the month; null if it is open.
    pub close: Option<CloseOfStatement>,
    /// `USD`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub currency: Cow<'static, str>,
    /// True if the month can be closed; see `list_statements`.
    pub is_final: bool,
    /// True if some lines of the month are an estimate.
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
    pub allocation: Weight,
    /// The invoices of the month. An estimate is none of them.
    pub invoices: Vec<StatementInvoice>,
    /// Ordered by invoice and line number.
    pub lines: Vec<DirectLine>,
    /// Ordered by invoice and line number. Lines of which the tenant has no part are omitted.
    pub shared_lines: Vec<SharedLine>,
    /// The tenant's differences in closed months, which this month settles.
    pub adjustments: Vec<Adjustment>,
    /// Why these months differ, for all tenants.
    pub adjustment_causes: Vec<AdjustmentCause>,
    pub checks: Vec<StatementCheck>,
}

/// The tenant's weight in the allocation of the shared costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Weight {
    /// `proportional`, `even` or `fixed`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub rule: Cow<'static, str>,
    /// The weight of the tenant: its direct costs (USD), 1, or the weight that an operator set.
    /// Zero if it has no part.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub weight: Decimal,
    /// The sum of the weights of all tenants; zero if no tenant has one.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub of: Decimal,
}

/// An invoice that lines of a statement come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementInvoice {
    pub invoice_uuid: Uuid,
    /// `DigitalOcean`'s number of the invoice; null if it is unknown.
    pub invoice_id: Option<String>,
    /// Increases with each correction by `DigitalOcean`; 0 before the first ingest.
    pub version: i32,
    /// The amount that the invoice states, in USD.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
    pub is_final: bool,
    /// SHA-256 of the contents of all lines of the version, in hexadecimal digits; null before the
    /// first ingest.
    pub content_hash: Option<String>,
}

/// A line of the direct costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DirectLine {
    pub id: Uuid,
    /// Null for a line of the estimate.
    pub invoice_uuid: Option<Uuid>,
    pub line_no: i32,
    pub product: String,
    pub description: String,
    pub resource_id: Option<Uuid>,
    /// The name on the invoice.
    pub resource_name: Option<String>,
    /// The name of the project on the invoice.
    pub project_name: String,
    pub start_at: Option<DateTime<Utc>>,
    pub end_at: Option<DateTime<Utc>>,
    /// How the line was matched to a resource.
    pub match_rule: String,
    /// The amount of the whole line, in USD.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub line_amount: Decimal,
    /// The part of the tenant, in USD: the whole line unless it is split by time.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
}

/// The tenant's part of a shared line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SharedLine {
    pub id: Uuid,
    /// Null for a line of the estimate.
    pub invoice_uuid: Option<Uuid>,
    pub line_no: i32,
    pub product: String,
    pub description: String,
    /// The amount of the whole line, in USD.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub line_amount: Decimal,
    /// The part of the tenant, in USD.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
}

/// Two totals that have to be equal; USD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementCheck {
    /// The two totals.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub check: Cow<'static, str>,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub expected: Decimal,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub found: Decimal,
    /// `expected` minus `found`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub difference: Decimal,
}

impl Store {
    /// Returns the statement of a tenant (`None` for the unallocated costs) in a month. A tenant
    /// without costs has a statement of zero.
    pub async fn statement_document(
        &self,
        period: NaiveDate,
        tenant: Option<&str>,
    ) -> Result<StatementState<StatementDocument>, StoreError> {
        let mut tx = self.snapshot().await?;
        let frozen = frozen_document(&mut tx, period, tenant, Audience::Account).await?;
        if let Some(frozen) = frozen {
            return Ok(StatementState::Closed(frozen));
        }
        let statements = read_statements(&mut tx, period).await?;
        let document = read_document(&mut tx, &statements, tenant, statements.close).await?;
        Ok(StatementState::Open(Box::new(document)))
    }
}

/// Reads the statement of a tenant with its lines, of the close that is passed. The lines are those
/// of the state of the connection, of which `statements` must be too.
pub(crate) async fn read_document(
    connection: &mut PgConnection,
    statements: &Statements,
    tenant: Option<&str>,
    close: Option<CloseOfStatement>,
) -> Result<StatementDocument, StoreError> {
    let period = statements.period;
    let invoices = invoices(&mut *connection, period).await?;
    let own = statements
        .rows
        .iter()
        .find(|row| row.tenant_id.as_deref() == tenant);
    // Not the rows of the statements: a tenant with only an adjustment has no weight.
    let costs = SharedCosts::read(&mut *connection, period).await?;
    let mut allocation = Weight::of(&costs, tenant);
    let (mut lines, mut shared_lines) = (Vec::new(), Vec::new());
    let mut adjustments = Vec::new();
    // A tenant without a statement in a closed month has no lines in it.
    if own.is_some() {
        lines = direct_lines(&mut *connection, period, tenant, Order::Invoices, None).await?;
        shared_lines = self::shared_lines(&mut *connection, period, &costs, tenant).await?;
        adjustments.clone_from(&statements.adjustments);
        adjustments.retain(|adjustment| adjustment.tenant_id.as_deref() == tenant);
    } else {
        allocation.weight = Decimal::ZERO;
    }
    let adjustment_causes = causes_of(connection, &adjustments, None).await?;
    let (direct, shared) = own.map_or_else(Default::default, |own| (own.direct, own.shared));
    let adjusted = adjustments.iter().map(|adjustment| adjustment.amount).sum();
    let checks = checks(statements, (direct, shared), &lines, &shared_lines);
    Ok(StatementDocument {
        period,
        tenant_id: tenant.map(str::to_owned),
        close,
        currency: "USD".into(),
        is_final: statements.is_final(),
        is_estimate: statements.is_estimate,
        direct,
        shared,
        adjusted,
        total: direct + shared + adjusted,
        allocation,
        invoices,
        lines,
        shared_lines,
        adjustments,
        adjustment_causes,
        checks,
    })
}

impl Weight {
    /// Returns the weight of a tenant in the allocation of the shared costs of a month.
    pub(super) fn of(costs: &SharedCosts, tenant: Option<&str>) -> Self {
        let weights = weights(&costs.direct, &costs.rule);
        let own = weights.get(&tenant.map(str::to_owned));
        Self {
            rule: costs.rule.name().into(),
            weight: own.copied().unwrap_or_default(),
            of: weights.values().sum(),
        }
    }
}

fn checks(
    statements: &Statements,
    (direct, shared): (Decimal, Decimal),
    lines: &[DirectLine],
    shared_lines: &[SharedLine],
) -> Vec<StatementCheck> {
    let check = |check: &'static str, expected, found| StatementCheck {
        check: check.into(),
        expected,
        found,
        difference: expected - found,
    };
    let mut checks = vec![
        check(
            "direct costs, and their lines",
            direct,
            lines.iter().map(|line| line.amount).sum(),
        ),
        check(
            "part of the shared costs, and its lines",
            shared,
            shared_lines.iter().map(|line| line.amount).sum(),
        ),
        check(
            "lines of the month, and the statements of all tenants",
            statements.line_total,
            statements.costs(),
        ),
    ];
    if let Some(difference) = statements.difference() {
        checks.push(check(
            "invoices of the month, and the statements of all tenants",
            statements.costs() + difference,
            statements.costs(),
        ));
    }
    checks
}

pub(super) async fn invoices(
    connection: &mut PgConnection,
    period: NaiveDate,
) -> Result<Vec<StatementInvoice>, StoreError> {
    let invoices = sqlx::query_as!(
        StatementInvoice,
        "select invoice_uuid, invoice_id, version, amount, is_final, encode(lines_sha256, 'hex') as content_hash
         from cloud_invoices where period = $1 order by invoice_uuid",
        period,
    )
    .fetch_all(connection)
    .await?;
    Ok(invoices)
}

/// The order of the lines of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By invoice and line number.
    Invoices,
    /// By product, the largest amount first.
    Products,
}

/// Reads the lines of the direct costs of a tenant, at most `limit`.
pub(super) async fn direct_lines(
    connection: &mut PgConnection,
    period: NaiveDate,
    tenant: Option<&str>,
    order: Order,
    limit: Option<i64>,
) -> Result<Vec<DirectLine>, StoreError> {
    let lines = sqlx::query_as!(
        DirectLine,
        r#"select line.id, invoice.invoice_uuid as "invoice_uuid?", line.line_no, line.product, line.description,
               line.resource_id, line.resource_name, line.project_name, line.start_at, line.end_at, line.match_rule,
               line.amount as line_amount, coalesce(share.amount, line.amount) as "amount!"
           from cloud_cost_lines line
           left join cloud_cost_line_shares share on share.line_id = line.id
           left join cloud_invoices invoice on invoice.id = line.invoice_id
           where line.bill_period = $1 and not line.is_shared
             and case when line.is_split then share.tenant_id else line.tenant_id end is not distinct from $2
           order by case when $3 then line.product end, case when $3 then coalesce(share.amount, line.amount) end desc,
               invoice.invoice_uuid nulls last, line.line_no
           limit $4"#,
        period,
        tenant,
        order == Order::Products,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(lines)
}

/// Returns the tenant's part of each shared line, by the same allocation as
/// [`Store::own_shared_parts`].
pub(super) async fn shared_lines(
    connection: &mut PgConnection,
    period: NaiveDate,
    costs: &SharedCosts,
    tenant: Option<&str>,
) -> Result<Vec<SharedLine>, StoreError> {
    let mut lines = sqlx::query_as!(
        SharedLine,
        r#"select line.id, invoice.invoice_uuid as "invoice_uuid?", line.line_no, line.product, line.description,
               line.amount as line_amount, line.amount
           from cloud_cost_lines line
           left join cloud_invoices invoice on invoice.id = line.invoice_id
           where line.bill_period = $1 and line.is_shared
           order by coalesce(invoice.invoice_uuid, line.estimate_id), line.line_no"#,
        period,
    )
    .fetch_all(connection)
    .await?;
    let mut allocation = LineAllocation::new(&costs.direct, &costs.rule, costs.total, lines.len());
    let tenant = tenant.map(str::to_owned);
    for line in &mut lines {
        let part = allocation.next(line.line_amount).remove(&tenant);
        line.amount = part.unwrap_or_default();
    }
    lines.retain(|line| !line.amount.is_zero());
    Ok(lines)
}
