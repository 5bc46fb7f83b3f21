//! The state of the months: totals, invoices, and open items.

use chrono::{DateTime, Months, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::{Store, StoreError};

/// The state of a month, from running to closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum MonthState {
    /// Not over, and invoiced in part.
    Running,
    /// Only the preview is stored.
    Estimate,
    /// It cannot be closed yet.
    NotFinal,
    /// It can be closed.
    Final,
    /// Its statements are frozen.
    Closed,
}

/// The close of a month that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CloseOfMonth {
    /// 1 for the first close of the month, 2 after it was reopened.
    pub number: i32,
    pub closed_at: DateTime<Utc>,
    /// The administrator who approved the close.
    pub closed_by: String,
}

/// The totals of a month: those of its close, or those of today. Amounts in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate fact of the month"
)]
pub struct MonthSummary {
    /// The first of the month.
    pub period: NaiveDate,
    /// The total of the month's lines.
    pub line_total: Decimal,
    /// The direct costs without a tenant.
    pub unallocated: Decimal,
    /// True if the month is over, by the clock of the database (UTC).
    pub is_over: bool,
    /// True if some of the month's lines are an estimate.
    pub is_estimate: bool,
    /// The estimated part of `line_total`; the rest is invoiced.
    pub estimated: Decimal,
    /// The total of the month's invoices, as their headers state it.
    pub invoice_total: Decimal,
    pub invoices: i64,
    /// The number of final invoices.
    pub final_invoices: i64,
    /// The number of ingested invoices that could not be verified.
    pub unverified_invoices: i64,
    /// The number of invoices that DigitalOcean no longer lists.
    pub withdrawn_invoices: i64,
    /// True if lines of the month wait for a reallocation.
    pub is_reallocating: bool,
    /// The close in force; `None` if the month is open.
    pub close: Option<CloseOfMonth>,
    /// True if a correction of the invoices of the closed month waits for a decision.
    pub has_correction: bool,
}

impl MonthSummary {
    pub fn state(&self) -> MonthState {
        if self.close.is_some() {
            MonthState::Closed
        } else if self.is_final() {
            MonthState::Final
        } else if self.invoices > 0 && !self.is_over {
            MonthState::Running
        } else if self.is_estimate && self.invoices == 0 {
            MonthState::Estimate
        } else {
            MonthState::NotFinal
        }
    }

    /// Returns the total of the invoices minus the total of the lines (USD); `None` if some lines
    /// are an estimate or the month has no invoices.
    pub fn difference(&self) -> Option<Decimal> {
        let is_invoiced = self.invoices > 0 && !self.is_estimate;
        is_invoiced.then(|| self.invoice_total - self.line_total)
    }

    /// Returns true if the month can be closed, as [`super::Statements::is_final`].
    pub fn is_final(&self) -> bool {
        self.is_over
            && !self.is_reallocating
            && self
                .difference()
                .is_some_and(|difference| difference.is_zero())
            && self.final_invoices == self.invoices
            && self.withdrawn_invoices == 0
    }
}

/// The nearest months that have an invoice or an estimate, or are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdjacentMonths {
    pub before: Option<NaiveDate>,
    pub after: Option<NaiveDate>,
}

impl Store {
    /// Returns the nearest months of [`Store::month_summaries`] before and after a month.
    pub async fn adjacent_months(&self, period: NaiveDate) -> Result<AdjacentMonths, StoreError> {
        let months = sqlx::query_as!(
            AdjacentMonths,
            "select max(period) filter (where period < $1) as before, min(period) filter (where period > $1) as after
             from (
                 select period from cloud_invoices
                 union all
                 select period from cloud_estimates where state = 'open'
                 union all
                 select period from cloud_month_closes where closed_at is not null and reopened_at is null
             ) month",
            period,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(months)
    }

    /// Returns a month of [`Store::month_summaries`]; `None` if it has no invoice and no estimate,
    /// and is not closed.
    pub async fn month_summary(
        &self,
        period: NaiveDate,
    ) -> Result<Option<MonthSummary>, StoreError> {
        let next = period.checked_add_months(Months::new(1));
        let latest = self.month_summaries(next, 1).await?.pop();
        Ok(latest.filter(|month| month.period == period))
    }

    /// Lists the months that have an invoice or an estimate, or are closed, latest first.
    pub async fn month_summaries(
        &self,
        before: Option<NaiveDate>,
        limit: i64,
    ) -> Result<Vec<MonthSummary>, StoreError> {
        let months = sqlx::query!(
            r#"
            with month as (
                select period from cloud_invoices where $1::date is null or period < $1
                union
                select period from cloud_estimates where state = 'open' and ($1::date is null or period < $1)
                union
                select period from cloud_month_closes
                where closed_at is not null and reopened_at is null and ($1::date is null or period < $1)
                order by period desc limit $2
            ), line as (
                select period, sum(amount) as total, bool_or(is_estimate) as is_estimate,
                    sum(amount) filter (where is_estimate) as estimated,
                    sum(amount) filter (where tenant_id is null and not is_shared) as unallocated
                from cloud_cost_totals
                where period between (select min(period) from month) and (select max(period) from month)
                group by period
            ), invoice as (
                select period, sum(amount) as total, count(*) as invoices, count(*) filter (where is_final) as final_invoices,
                    count(*) filter (where verification = 'unverified') as unverified, count(missing_since) as withdrawn
                from cloud_invoices where period in (select period from month) group by period
            ), close as (
                select period, number, closed_at, closed_by, line_total, invoice_total,
                    (select count(*) from jsonb_object_keys(close.invoices)) as invoices,
                    (select direct from cloud_closed_statements statement
                     where statement.close_id = close.id and tenant_id is null and audience = 'account') as unallocated,
                    may_differ and accepted_invoices <> (
                        select coalesce(jsonb_object_agg(invoice_uuid, version), '{}') from cloud_invoices invoice
                        where invoice.period = close.period) as has_correction
                from cloud_month_closes close
                where closed_at is not null and reopened_at is null and period in (select period from month)
            )
            select month.period as "period!", coalesce(close.line_total, line.total, 0) as "line_total!",
                coalesce(case when number is null then line.unallocated else close.unallocated end, 0) as "unallocated!",
                number is not null or now() >= month_end(month.period) as "is_over!",
                number is null and coalesce(line.is_estimate, false) as "is_estimate!",
                case when number is null then coalesce(line.estimated, 0) else 0 end as "estimated!",
                coalesce(close.invoice_total, invoice.total, 0) as "invoice_total!",
                coalesce(close.invoices, invoice.invoices, 0) as "invoices!",
                coalesce(close.invoices, invoice.final_invoices, 0) as "final_invoices!",
                case when number is null then coalesce(invoice.unverified, 0) else 0 end as "unverified_invoices!",
                case when number is null then coalesce(invoice.withdrawn, 0) else 0 end as "withdrawn_invoices!",
                number is null and is_reallocating(month.period) as "is_reallocating!",
                number as "number?", closed_at as "closed_at?", closed_by as "closed_by?",
                coalesce(close.has_correction, false) as "has_correction!"
            from month left join line using (period) left join invoice using (period) left join close using (period)
            order by month.period desc
            "#,
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let months = months.into_iter().map(|month| {
            let close = month.number.zip(month.closed_at).zip(month.closed_by);
            MonthSummary {
                period: month.period,
                line_total: month.line_total,
                unallocated: month.unallocated,
                is_over: month.is_over,
                is_estimate: month.is_estimate,
                estimated: month.estimated,
                invoice_total: month.invoice_total,
                invoices: month.invoices,
                final_invoices: month.final_invoices,
                unverified_invoices: month.unverified_invoices,
                withdrawn_invoices: month.withdrawn_invoices,
                is_reallocating: month.is_reallocating,
                close: close.map(|((number, closed_at), closed_by)| CloseOfMonth {
                    number,
                    closed_at,
                    closed_by,
                }),
                has_correction: month.has_correction,
            }
        });
        Ok(months.collect())
    }
}
