//! Readings of the account's balance.

use chrono::{DateTime, Utc};
use domain::balance::BalanceReading;
use rust_decimal::Decimal;
use sqlx::PgExecutor;

use crate::{Evidence, Store, StoreError};

/// A stored reading; amounts in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct BalanceSnapshot {
    pub month_to_date_balance: Decimal,
    pub account_balance: Decimal,
    pub month_to_date_usage: Decimal,
    /// The time of the figures, as reported by DigitalOcean.
    pub generated_at: DateTime<Utc>,
    /// When the first poll with these figures began.
    pub captured_at: DateTime<Utc>,
    /// When the last one began.
    pub last_polled_at: DateTime<Utc>,
}

impl Store {
    /// Stores a reading and returns true if it is new. DigitalOcean reports the same figures for
    /// hours. An older reading does not become the latest.
    pub async fn store_balance(
        &self,
        reading: &BalanceReading,
        evidence: Evidence,
    ) -> Result<bool, StoreError> {
        let is_new = sqlx::query_scalar!(
            r#"
            insert into cloud_balance_snapshots as known
                (month_to_date_balance, account_balance, month_to_date_usage, generated_at, captured_at, last_polled_at)
            values ($1, $2, $3, $4, $5, $5)
            on conflict (provider, generated_at, month_to_date_balance, account_balance, month_to_date_usage) do update set
                captured_at = least(known.captured_at, excluded.captured_at),
                last_polled_at = greatest(known.last_polled_at, excluded.last_polled_at)
            returning (xmax = 0) as "is_new!"
            "#,
            reading.month_to_date_balance,
            reading.account_balance,
            reading.month_to_date_usage,
            reading.generated_at,
            evidence.began_at,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(is_new)
    }

    /// Returns the latest balance; `None` before the first poll.
    pub async fn latest_balance(&self) -> Result<Option<BalanceSnapshot>, StoreError> {
        latest_balance(&self.pool).await
    }
}

/// Reads the result of [`Store::latest_balance`].
pub(crate) async fn latest_balance(
    executor: impl PgExecutor<'_>,
) -> Result<Option<BalanceSnapshot>, StoreError> {
    let snapshot = sqlx::query_as!(
        BalanceSnapshot,
        r#"select month_to_date_balance as "month_to_date_balance!", account_balance as "account_balance!",
               month_to_date_usage as "month_to_date_usage!", generated_at as "generated_at!", captured_at as "captured_at!",
               last_polled_at as "last_polled_at!"
           from cloud_latest_balance"#
    )
    .fetch_optional(executor)
    .await?;
    Ok(snapshot)
}

/// Returns when the last successful poll began; `None` before the first one.
pub(crate) async fn balance_polled_at(
    executor: impl PgExecutor<'_>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let polled_at = sqlx::query_scalar!(
        "select max(last_polled_at) from cloud_balance_snapshots where provider = 'digitalocean'"
    )
    .fetch_one(executor)
    .await?;
    Ok(polled_at)
}
