//! The account's balance.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

/// One reading of `GET /v2/customers/my/balance`; amounts in USD (spec).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceReading {
    /// `account_balance` plus `month_to_date_usage`.
    pub month_to_date_balance: Decimal,
    /// The amount owed before this month's usage; negative for a credit.
    pub account_balance: Decimal,
    pub month_to_date_usage: Decimal,
    /// When DigitalOcean calculated the figures. Hours can pass between two calculations.
    pub generated_at: DateTime<Utc>,
}
