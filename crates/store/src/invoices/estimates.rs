//! Estimates: the open month, read from the preview of its invoice.

use chrono::{DateTime, NaiveDate, Utc};
use domain::invoices::InvoicePeriod;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bill::{Bill, BillId, fingerprint};
use super::content::InvoiceContent;
use super::lines::{check_total, delete_lines, exact_total, insert_lines, match_bill};
use super::rest;
use crate::locks::{self, Lock};
use crate::{Evidence, Store, StoreError, usd};

/// The result of storing a preview; amounts in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EstimateOutcome {
    Estimated {
        lines: usize,
        line_total: Decimal,
        /// The total that the preview states minus the total of its lines.
        off_by: Decimal,
        /// The part of `line_total` that invoices of the running month charge already.
        invoiced: Decimal,
        replaced: bool,
    },
    /// The bill of the month has ended, so its preview is outdated and not stored.
    AlreadyInvoiced,
}

/// The estimate of a month; amounts in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// The first of the month.
    pub period: NaiveDate,
    /// `open`, or `final` after the bill of the month has ended and its invoice was ingested.
    pub state: String,
    pub amount: Decimal,
    pub line_count: i32,
    pub line_total: Decimal,
    pub off_by: Decimal,
    /// The part of `line_total` that invoices of the running month charge already. Only the rest
    /// counts.
    pub invoiced: Decimal,
    pub sources: String,
    pub source_note: Option<String>,
    pub first_estimated_at: DateTime<Utc>,
    pub estimated_at: DateTime<Utc>,
    pub finalised_at: Option<DateTime<Utc>>,
}

/// The estimated and the invoiced cost of a product in a month; USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Variance {
    pub product: String,
    /// The last estimate of the whole month, with the invoices that were listed during the month.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub estimated: Decimal,
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub invoiced: Decimal,
    /// `invoiced` minus `estimated`.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub variance: Decimal,
}

impl Store {
    /// Stores the preview of the open month's invoice in one transaction. Replaces the lines of the
    /// previous estimate. Of a preview that repeats charges of the month's invoices, only the rest
    /// counts. A preview that was fetched before the stored one changes nothing; the outcome is
    /// that of the stored one.
    pub async fn store_estimate(
        &self,
        period: InvoicePeriod,
        amount: Decimal,
        evidence: Evidence,
        content: InvoiceContent<'_>,
    ) -> Result<EstimateOutcome, StoreError> {
        let period = period.first_day();
        let total = exact_total(content.lines)?;
        let lines_sha256 = fingerprint(content.lines).await;
        let off_by = amount - total;

        let mut tx = self.pool.begin().await?;
        locks::share(&mut tx, Lock::CostLines).await?;
        locks::acquire(&mut tx, Lock::Estimate(period)).await?;
        if rest::has_ended(&mut tx, period).await? {
            return Ok(EstimateOutcome::AlreadyInvoiced);
        }
        let before = sqlx::query!(
            "select state, lines_sha256, estimated_at, line_count, line_total, off_by, invoiced from cloud_estimates
             where provider = 'digitalocean' and period = $1 for update",
            period
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(stored) = &before
            && evidence.is_superseded_by(Some(stored.estimated_at))
        {
            return Ok(EstimateOutcome::Estimated {
                lines: usize::try_from(stored.line_count).unwrap_or_default(),
                line_total: stored.line_total,
                off_by: stored.off_by,
                invoiced: stored.invoiced,
                replaced: false,
            });
        }
        let id: Uuid = sqlx::query_scalar!(
            "insert into cloud_estimates (period, amount, line_count, line_total, off_by, sources, source_note, lines_sha256,
                 first_estimated_at, estimated_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
             on conflict (provider, period) do update set
                 -- A month is open again if its invoice moved to another month.
                 state = excluded.state, finalised_at = excluded.finalised_at,
                 amount = excluded.amount, line_count = excluded.line_count, line_total = excluded.line_total,
                 off_by = excluded.off_by, sources = excluded.sources, source_note = excluded.source_note,
                 lines_sha256 = excluded.lines_sha256, estimated_at = excluded.estimated_at
             returning id",
            period,
            amount,
            i32::try_from(content.lines.len()).unwrap_or(i32::MAX),
            total,
            off_by,
            content.sources.as_str(),
            content.source_note,
            lines_sha256,
            evidence.began_at,
        )
        .fetch_one(&mut *tx)
        .await?;
        let is_same = before
            .as_ref()
            .is_some_and(|before| before.state == "open" && before.lines_sha256 == lines_sha256);
        let bill = Bill {
            id: BillId::Estimate(id),
            period,
            invoice_uuid: None,
        };
        if is_same {
            match_bill(&mut tx, &bill).await?;
        } else {
            delete_lines(&mut tx, &bill).await?;
            insert_lines(&mut tx, &bill, content.lines).await?;
            sqlx::query!(
                "delete from cloud_estimated_products where estimate_id = $1",
                id
            )
            .execute(&mut *tx)
            .await?;
        }
        let invoiced = rest::reduce_estimate(&mut tx, period).await?;
        check_total(&mut tx, &bill, total - invoiced).await?;
        tx.commit().await?;
        Ok(EstimateOutcome::Estimated {
            lines: content.lines.len(),
            line_total: total,
            off_by,
            invoiced,
            replaced: !is_same,
        })
    }

    /// Lists the estimates, latest month first.
    pub async fn estimates(
        &self,
        before: Option<NaiveDate>,
        limit: i64,
    ) -> Result<Vec<Estimate>, StoreError> {
        let estimates = sqlx::query_as!(
            Estimate,
            "select period, state, amount, line_count, line_total, off_by, invoiced, sources, source_note, first_estimated_at,
                 estimated_at, finalised_at
             from cloud_estimates where $1::date is null or period < $1 order by period desc limit $2",
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(estimates)
    }

    /// Returns the open estimate of a month. Its lines count until the bill of the month has ended.
    pub async fn open_estimate(&self, period: NaiveDate) -> Result<Option<Uuid>, StoreError> {
        let id = sqlx::query_scalar!(
            "select id from cloud_estimates where provider = 'digitalocean' and period = $1 and state = 'open'",
            period
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(id)
    }

    /// Lists the differences between the last estimate of a month and its invoices, by product;
    /// empty until the bill of the month has ended.
    pub async fn variances(&self, period: NaiveDate) -> Result<Vec<Variance>, StoreError> {
        let variances = sqlx::query_as!(
            Variance,
            r#"
            with estimated as (
                select estimated.product, estimated.amount from cloud_estimated_products estimated
                join cloud_estimates estimate on estimate.id = estimated.estimate_id
                where estimate.period = $1 and estimate.state = 'final'
            ), invoiced as (
                select product, sum(amount) as amount from cloud_cost_totals where period = $1 and not is_estimate group by product
            )
            select product as "product!", coalesce(estimated.amount, 0) as "estimated!", coalesce(invoiced.amount, 0) as "invoiced!",
                coalesce(invoiced.amount, 0) - coalesce(estimated.amount, 0) as "variance!"
            from estimated full join invoiced using (product)
            where exists (select 1 from estimated)
            order by product
            "#,
            period,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(variances)
    }
}

/// Closes the estimate of a month of which the bill has ended: deletes its lines and keeps the
/// estimated totals of the whole month by product. The caller holds [`Lock::Estimate`].
pub(super) async fn close_estimate(
    tx: &mut PgConnection,
    period: NaiveDate,
) -> Result<(), StoreError> {
    let open = sqlx::query_scalar!(
        "select id from cloud_estimates where provider = 'digitalocean' and period = $1 and state = 'open' for update",
        period
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(id) = open else {
        return Ok(());
    };
    sqlx::query!(
        "insert into cloud_estimated_products (estimate_id, product, amount)
         select $1, product, sum(amount) from (
             select product, amount from cloud_cost_lines where estimate_id = $1
             union all
             select line.product, line.amount from cloud_invoices invoice join cloud_cost_lines line on line.invoice_id = invoice.id
             where invoice.period = $2 and invoice.first_seen_at < month_end($2)
         ) estimated group by product",
        id,
        period,
    )
    .execute(&mut *tx)
    .await?;
    let bill = Bill {
        id: BillId::Estimate(id),
        period,
        invoice_uuid: None,
    };
    delete_lines(tx, &bill).await?;
    sqlx::query!(
        "update cloud_estimates set state = 'final', finalised_at = now() where id = $1",
        id
    )
    .execute(tx)
    .await?;
    Ok(())
}
