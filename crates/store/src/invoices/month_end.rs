//! The end of the bill of a month: its estimate is closed, and its verified invoices become final.
//!
//! DigitalOcean can charge at a threshold during the month. The bill of a month therefore ends with
//! the first invoice that is listed after the end of the month, or a week later if there is none.
//! The rule is the SQL function `month_has_ended` (`migrations/0005_bills.sql`).

use chrono::NaiveDate;
use sqlx::PgConnection;

use super::{estimates, rest};
use crate::locks::{self, Lock};
use crate::{Store, StoreError};

impl Store {
    /// Settles every month with an invoice of which the bill may have ended since the last change:
    /// see [`settle`].
    pub async fn settle_months(&self) -> Result<(), StoreError> {
        let months = sqlx::query_scalar!(
            "select distinct invoice.period from cloud_invoices invoice
             where invoice.version > 0 and (
                 (invoice.verification = 'verified' and not invoice.is_final)
                 or exists (select from cloud_estimates estimate where estimate.period = invoice.period and estimate.state = 'open'))
             order by 1"
        )
        .fetch_all(&self.pool)
        .await?;
        for month in months {
            let mut tx = self.pool.begin().await?;
            locks::share(&mut tx, Lock::CostLines).await?;
            settle(&mut tx, month).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Adapts a month to its invoices. If its bill has ended, closes its estimate and marks its
/// verified invoices as final; otherwise reduces the estimate to the rest. The caller holds the
/// lock [`Lock::CostLines`], at least in shared mode.
pub(super) async fn settle(tx: &mut PgConnection, period: NaiveDate) -> Result<(), StoreError> {
    locks::acquire(tx, Lock::Estimate(period)).await?;
    if !rest::has_ended(tx, period).await? {
        return rest::reduce_estimate(tx, period).await.map(|_| ());
    }
    estimates::close_estimate(tx, period).await?;
    // The transaction that locks another invoice settles the month too.
    sqlx::query!(
        "update cloud_invoices set is_final = true, updated_at = now() where id in (
             select id from cloud_invoices where period = $1 and verification = 'verified' and not is_final
             for update skip locked)",
        period
    )
    .execute(tx)
    .await?;
    Ok(())
}
