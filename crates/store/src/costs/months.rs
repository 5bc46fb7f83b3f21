//! The state of the months: totals, invoices, and open items.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::{Store, StoreError};

/// The state of a month; amounts in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthSummary {
    /// The first of the month.
    pub period: NaiveDate,
    /// The total of the month's lines.
    pub line_total: Decimal,
    /// The direct costs without a tenant.
    pub unallocated: Decimal,
    /// True if the month's lines are an estimate.
    pub is_estimate: bool,
    /// The total of the month's invoices, as their headers state it.
    pub invoice_total: Decimal,
    pub invoices: i64,
    /// The number of invoices of which all totals reconcile.
    pub final_invoices: i64,
    /// The number of invoices that DigitalOcean no longer lists.
    pub withdrawn_invoices: i64,
}

impl MonthSummary {
    /// Returns the total of the invoices minus the total of the lines (USD); `None` if the lines
    /// are an estimate or the month has no invoices.
    pub fn difference(&self) -> Option<Decimal> {
        let is_invoiced = self.invoices > 0 && !self.is_estimate;
        is_invoiced.then(|| self.invoice_total - self.line_total)
    }

    /// Returns true if the month can be closed, as [`super::Statements::is_final`].
    pub fn is_final(&self) -> bool {
        self.difference()
            .is_some_and(|difference| difference.is_zero())
            && self.final_invoices == self.invoices
            && self.withdrawn_invoices == 0
    }
}

impl Store {
    /// Lists the months with an invoice or an estimate, latest first.
    pub async fn month_summaries(
        &self,
        before: Option<NaiveDate>,
        limit: i64,
    ) -> Result<Vec<MonthSummary>, StoreError> {
        let months = sqlx::query_as!(
            MonthSummary,
            r#"
            with month as (
                select period from cloud_invoices where $1::date is null or period < $1
                union
                select period from cloud_estimates where state = 'open' and ($1::date is null or period < $1)
                order by period desc limit $2
            ), line as (
                select period, sum(amount) as total, bool_or(is_estimate) as is_estimate,
                    sum(amount) filter (where tenant_id is null and not is_shared) as unallocated
                from cloud_cost_totals
                where period between (select min(period) from month) and (select max(period) from month)
                group by period
            ), invoice as (
                select period, sum(amount) as total, count(*) as invoices, count(*) filter (where is_final) as final_invoices,
                    count(missing_since) as withdrawn
                from cloud_invoices where period in (select period from month) group by period
            )
            select month.period as "period!", coalesce(line.total, 0) as "line_total!",
                coalesce(line.unallocated, 0) as "unallocated!", coalesce(line.is_estimate, false) as "is_estimate!",
                coalesce(invoice.total, 0) as "invoice_total!", coalesce(invoice.invoices, 0) as "invoices!",
                coalesce(invoice.final_invoices, 0) as "final_invoices!", coalesce(invoice.withdrawn, 0) as "withdrawn_invoices!"
            from month left join line using (period) left join invoice using (period)
            order by month.period desc
            "#,
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(months)
    }
}
