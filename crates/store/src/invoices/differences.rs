//! Differences between the lines of two versions of an invoice.

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{Store, StoreError};

/// A line that differs between two versions of an invoice; amounts in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineDifference {
    pub id: Uuid,
    pub product: String,
    pub description: String,
    pub project_name: String,
    /// The amount in the first version; `None` for a line that only the second version has.
    pub before: Option<Decimal>,
    /// The amount in the second version; `None` for a line that only the first version has.
    pub after: Option<Decimal>,
    /// The number of lines that differ, including those beyond the limit.
    pub differences: i64,
}

impl Store {
    /// Lists the lines with a different amount in two versions of an invoice, and those that only
    /// one of them has. Largest difference first.
    pub async fn version_differences(
        &self,
        invoice: Uuid,
        before: i32,
        after: i32,
        limit: i64,
    ) -> Result<Vec<LineDifference>, StoreError> {
        let differences = sqlx::query_as!(
            LineDifference,
            r#"
            with line as (
                select version, id, product, description, project_name, amount
                from cloud_superseded_cost_lines where invoice_id = $1 and version in ($2, $3)
                union all
                select invoice.version, line.id, line.product, line.description, line.project_name, line.amount
                from cloud_cost_lines line join cloud_invoices invoice on invoice.id = line.invoice_id
                where line.invoice_id = $1 and invoice.version in ($2, $3)
            ), was as (select * from line where version = $2), now as (select * from line where version = $3)
            select coalesce(now.id, was.id) as "id!", coalesce(now.product, was.product) as "product!",
                coalesce(now.description, was.description) as "description!",
                coalesce(now.project_name, was.project_name) as "project_name!",
                was.amount as "before?", now.amount as "after?", count(*) over () as "differences!"
            from was full join now on now.id = was.id
            where was.amount is distinct from now.amount
            order by abs(coalesce(now.amount, 0) - coalesce(was.amount, 0)) desc, 3, 1 limit $4
            "#,
            invoice,
            before,
            after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(differences)
    }
}
