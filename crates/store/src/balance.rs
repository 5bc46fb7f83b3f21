//! Readings of the account's balance.

use chrono::{DateTime, Utc};
use domain::balance::BalanceReading;
use rust_decimal::Decimal;

use crate::{Store, StoreError};

/// A stored reading; amounts in USD.
#[derive(Debug, Clone, PartialEq)]
pub struct BalanceSnapshot {
    pub month_to_date_balance: Decimal,
    pub account_balance: Decimal,
    pub month_to_date_usage: Decimal,
    /// The time of the figures, as reported by DigitalOcean.
    pub generated_at: DateTime<Utc>,
    /// When these figures were first seen.
    pub captured_at: DateTime<Utc>,
    /// When they were last seen.
    pub last_polled_at: DateTime<Utc>,
}

impl Store {
    /// Stores a reading and returns true if it is new. DigitalOcean reports the same figures for
    /// hours.
    pub async fn store_balance(&self, reading: &BalanceReading) -> Result<bool, StoreError> {
        let is_new = sqlx::query_scalar!(
            r#"
            insert into cloud_balance_snapshots (month_to_date_balance, account_balance, month_to_date_usage, generated_at)
            values ($1, $2, $3, $4)
            on conflict (provider, generated_at, month_to_date_balance, account_balance, month_to_date_usage)
                do update set last_polled_at = now()
            returning (xmax = 0) as "is_new!"
            "#,
            reading.month_to_date_balance,
            reading.account_balance,
            reading.month_to_date_usage,
            reading.generated_at,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(is_new)
    }

    /// Returns the last reading; `None` before the first poll.
    pub async fn latest_balance(&self) -> Result<Option<BalanceSnapshot>, StoreError> {
        let snapshot = sqlx::query_as!(
            BalanceSnapshot,
            "select month_to_date_balance, account_balance, month_to_date_usage, generated_at, captured_at, last_polled_at
             from cloud_balance_snapshots order by last_polled_at desc, id desc limit 1"
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(snapshot)
    }
}
