//! The balance of an account.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::Account;

/// The amounts owed, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The amount owed for past months; negative for credit.
    pub account_balance: Decimal,
    /// The cost of the current month so far.
    pub month_to_date_usage: Decimal,
    /// The time when the balance was computed, which may be hours ago.
    pub generated_at: DateTime<Utc>,
}

impl Balance {
    pub(crate) fn zero(generated_at: DateTime<Utc>) -> Self {
        Self {
            account_balance: Decimal::ZERO,
            month_to_date_usage: Decimal::ZERO,
            generated_at,
        }
    }

    /// The sum of the two, as DigitalOcean reports it.
    pub fn month_to_date_balance(&self) -> Decimal {
        self.account_balance + self.month_to_date_usage
    }
}

impl Account {
    /// The current balance.
    pub fn balance(&self) -> Balance {
        self.balance
    }

    /// Sets the balance.
    pub fn set_balance(&mut self, balance: Balance) {
        self.balance = balance;
    }
}
