//! Closed months: the closes in force, their frozen statements, and the adjustments since.

mod adjustments;
mod decisions;
mod files;
mod frozen;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) use crate::costs::rules::rule_columns;
pub use adjustments::{Adjustment, AdjustmentCause, Correction};
pub(crate) use adjustments::{causes_of, pending};
pub use files::CloseFile;
pub use frozen::{Audience, ProvenStatement, StatementState};
pub(crate) use frozen::{encoding, frozen_document, frozen_statements};

use super::Statement;
use crate::{Run, Store, StoreError, usd};

/// A close of a month; amounts in USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MonthClose {
    #[serde(skip)]
    pub id: Uuid,
    /// The first of the month.
    pub period: NaiveDate,
    /// The number of the close of the month: 1, then 2 after the month was reopened.
    pub number: i32,
    /// The statements are of the state at this time.
    pub frozen_at: DateTime<Utc>,
    pub closed_at: DateTime<Utc>,
    /// The administrator who approved the close.
    pub closed_by: String,
    pub close_reason: Option<String>,
    /// The Temporal run that closed the month.
    pub workflow_id: String,
    pub run_id: String,
    /// The total of the lines of the month.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub line_total: Decimal,
    /// The total of its invoices. It equals `line_total`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub invoice_total: Decimal,
    /// The root of the tree over the statements, in hexadecimal digits.
    pub root: String,
    /// The Ed25519 key and signature of the root; null without a signing key.
    pub public_key: Option<String>,
    pub signature: Option<String>,
    /// Who accepted the latest correction of an invoice as an adjustment, and when.
    pub accepted_by: Option<String>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub accept_reason: Option<String>,
    /// Set if an administrator reopened the month: then the statements of this close do not apply.
    pub reopened_at: Option<DateTime<Utc>>,
    pub reopened_by: Option<String>,
    pub reopen_reason: Option<String>,
}

impl Store {
    /// Returns the close of a month that is in force; `None` if the month is open.
    pub async fn close_in_force(
        &self,
        period: NaiveDate,
    ) -> Result<Option<MonthClose>, StoreError> {
        Ok(self
            .closes(period)
            .await?
            .into_iter()
            .find(MonthClose::is_in_force))
    }

    /// Lists the closes of a month, the latest first.
    pub async fn closes(&self, period: NaiveDate) -> Result<Vec<MonthClose>, StoreError> {
        let closes = sqlx::query_as!(
            MonthClose,
            r#"select id, period, number, frozen_at, closed_at as "closed_at!", closed_by, close_reason, workflow_id, run_id,
                   line_total, invoice_total, encode(root, 'hex') as "root!", encode(public_key, 'hex') as public_key,
                   encode(signature, 'hex') as signature, accepted_by, accepted_at, accept_reason, reopened_at, reopened_by,
                   reopen_reason
               from cloud_month_closes where period = $1 and closed_at is not null order by number desc"#,
            period,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(closes)
    }
}

impl Store {
    /// Lists the closed months from `from` to `to`, inclusive.
    pub async fn closed_months(
        &self,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Vec<NaiveDate>, StoreError> {
        let months = sqlx::query_scalar!(
            "select period from cloud_month_closes
             where closed_at is not null and reopened_at is null and period between $1 and $2 order by period",
            from,
            to,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(months)
    }
}

impl MonthClose {
    pub fn is_in_force(&self) -> bool {
        self.reopened_at.is_none()
    }

    /// Returns true if this run closed the month.
    pub(crate) fn is_by(&self, run: &Run) -> bool {
        self.workflow_id == run.workflow_id && self.run_id == run.run_id
    }
}

/// The close of the month of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CloseOfStatement {
    /// 1 for the first close of the month, 2 after it was reopened.
    pub number: u32,
    /// The statement is of the state at this time.
    pub frozen_at: DateTime<Utc>,
}

/// A close in force, with the facts that figures depend on.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) id: Uuid,
    pub(crate) period: NaiveDate,
    pub(crate) number: i32,
    pub(crate) frozen_at: DateTime<Utc>,
    line_total: Decimal,
    invoice_total: Decimal,
    verified_at: Option<DateTime<Utc>>,
    rule: String,
    weights: Option<Value>,
    /// The number of the invoices of the month at the close.
    invoices: i64,
    accepted_invoices: Value,
    /// `{"invoice_uuid": version}` of today.
    invoices_now: Value,
    may_differ: bool,
}

impl InForce {
    /// Returns true if no correction of the month's invoices waits for a decision.
    fn is_accepted(&self) -> bool {
        !self.may_differ || self.accepted_invoices == self.invoices_now
    }
}

/// Reads the closes in force of some months: of one, or of those that may differ from the figures
/// of today.
pub(crate) async fn in_force(
    connection: &mut PgConnection,
    period: Option<NaiveDate>,
) -> Result<Vec<InForce>, StoreError> {
    let closes = sqlx::query_as!(
        InForce,
        r#"select id, period, number, frozen_at, line_total, invoice_total, verified_at, rule, weights,
               (select count(*) from jsonb_object_keys(invoices)) as "invoices!", accepted_invoices, may_differ,
               (select coalesce(jsonb_object_agg(invoice_uuid, version), '{}') from cloud_invoices invoice
                where invoice.period = close.period) as "invoices_now!"
           from cloud_month_closes close
           where closed_at is not null and reopened_at is null and case when $1::date is null then may_differ else period = $1 end
           order by period"#,
        period,
    )
    .fetch_all(connection)
    .await?;
    Ok(closes)
}

/// Returns the frozen amounts of the tenants, unallocated costs first.
async fn rows_of(connection: &mut PgConnection, close: Uuid) -> Result<Vec<Statement>, StoreError> {
    let rows = sqlx::query_as!(
        Statement,
        "select tenant_id, direct, shared, adjusted from cloud_closed_statements
         where close_id = $1 and audience = 'account' order by tenant_id nulls first",
        close,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
