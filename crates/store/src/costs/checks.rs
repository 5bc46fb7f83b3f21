//! The reconciliation of the books: totals that should be equal.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use crate::{Store, StoreError, usd};

/// Two totals that do not reconcile.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Discrepancy {
    /// The first of the month.
    pub period: NaiveDate,
    /// `invoice_uuid` of the invoice, or the id of the estimate or of the line.
    #[serde(rename = "bill")]
    pub subject: Uuid,
    /// The two totals that should be equal: amounts in USD, or numbers of lines if the text begins
    /// with `number`.
    pub what: String,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub expected: Decimal,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub found: Decimal,
    /// `expected` minus `found`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub off_by: Decimal,
}

impl Store {
    /// Checks all sums and stores the result for [`Store::status_facts`], unless a check that began
    /// later has stored one. Returns the totals that do not reconcile, at most 100.
    pub async fn check_costs(&self) -> Result<Vec<Discrepancy>, StoreError> {
        let began_at = self.now().await?;
        let found = self.cost_discrepancies().await?;
        sqlx::query!(
            "insert into cloud_cost_checks as last (checked_at, discrepancies) values ($1, $2)
             on conflict (only_row) do update set checked_at = excluded.checked_at, discrepancies = excluded.discrepancies
             where last.checked_at <= excluded.checked_at",
            began_at,
            i64::try_from(found.len()).unwrap_or(i64::MAX),
        )
        .execute(&self.pool)
        .await?;
        Ok(found)
    }

    /// Lists the totals that do not reconcile, at most 100. Sums all lines, which takes about a
    /// second for 200,000.
    pub async fn cost_discrepancies(&self) -> Result<Vec<Discrepancy>, StoreError> {
        let discrepancies = sqlx::query_as!(
            Discrepancy,
            r#"select period as "period!", subject as "subject!", what as "what!", expected as "expected!", found as "found!",
                   expected - found as "off_by!"
               from cloud_cost_discrepancies order by 1 desc, 2, 3 limit 100"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(discrepancies)
    }
}
