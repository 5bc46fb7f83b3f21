//! The costs of a statement in detail: by product and by line.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{Store, StoreError};

/// The costs of a product in a month; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductCost {
    pub product: String,
    /// True for the shared costs of the month, false for the direct costs of the tenant.
    pub is_shared: bool,
    pub amount: Decimal,
    /// The number of lines; a split line counts once.
    pub lines: i64,
}

/// A line of a statement. Amounts in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLine {
    pub id: Uuid,
    pub product: String,
    pub description: String,
    pub resource_id: Option<Uuid>,
    pub resource_name: Option<String>,
    pub project_name: String,
    pub start_at: Option<DateTime<Utc>>,
    pub end_at: Option<DateTime<Utc>>,
    /// The part of the tenant: the whole line unless it is split.
    pub amount: Decimal,
    /// The whole line.
    pub line_amount: Decimal,
    /// True if the line is split between tenants by time.
    pub is_split: bool,
}

impl Store {
    /// Lists the direct costs of a tenant (`None` for the unallocated costs) in a month by product,
    /// and the shared costs of the month by product, which the allocation rule allocates to all
    /// tenants. Largest first; direct costs first.
    pub async fn statement_products(
        &self,
        period: NaiveDate,
        tenant: Option<&str>,
    ) -> Result<Vec<ProductCost>, StoreError> {
        let products = sqlx::query_as!(
            ProductCost,
            r#"select product, is_shared, sum(amount) as "amount!", sum(parts)::bigint as "lines!"
               from cloud_cost_totals
               where period = $1 and (is_shared or tenant_id is not distinct from $2)
               group by is_shared, product
               order by is_shared, sum(amount) desc, product"#,
            period,
            tenant,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(products)
    }

    /// Lists the lines of the direct costs of a tenant (`None` for the unallocated costs) in a
    /// month, by product, largest first.
    pub async fn statement_lines(
        &self,
        period: NaiveDate,
        tenant: Option<&str>,
        limit: i64,
    ) -> Result<Vec<StatementLine>, StoreError> {
        let lines = sqlx::query_as!(
            StatementLine,
            r#"select line.id, line.product, line.description, line.resource_id, line.resource_name, line.project_name,
                   line.start_at, line.end_at, coalesce(share.amount, line.amount) as "amount!",
                   line.amount as line_amount, line.is_split
               from cloud_cost_lines line left join cloud_cost_line_shares share on share.line_id = line.id
               where line.bill_period = $1 and not line.is_shared
                 and case when line.is_split then share.tenant_id else line.tenant_id end is not distinct from $2
               order by line.product, coalesce(share.amount, line.amount) desc, line.line_no, line.id limit $3"#,
            period,
            tenant,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(lines)
    }
}
