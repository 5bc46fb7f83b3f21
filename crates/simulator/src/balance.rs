//! The account's balance, and what the account says about itself.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::json;

use crate::{
    Account,
    answers::{amount, ok},
    caller::Caller,
    errors::ApiError,
    state::Shared,
};

/// The user to whom the tokens belong: not the team.
const USER_UUID: &str = "b6fc48dbf6d9906cace5f3c78dc9851e757381ef";

/// What is owed, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What is owed for past months; negative for credit.
    pub account_balance: Decimal,
    /// What the current month has cost so far.
    pub month_to_date_usage: Decimal,
    /// DigitalOcean computes balances now and then: may be hours before the request.
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

pub(crate) async fn get(
    State(shared): State<Shared>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("billing:read")?;
    let balance = shared.account().balance;
    let body = json!({
        "month_to_date_balance": amount(balance.month_to_date_balance()),
        "account_balance": amount(balance.account_balance),
        "month_to_date_usage": amount(balance.month_to_date_usage),
        "generated_at": balance.generated_at,
    });
    Ok(ok(&body))
}

pub(crate) async fn account(
    State(shared): State<Shared>,
    caller: Caller,
) -> Result<Response, ApiError> {
    caller.needs("account:read")?;
    let account = shared.account();
    let team = &account.team;
    let body = json!({ "account": {
        "droplet_limit": 25,
        "floating_ip_limit": 5,
        "volume_limit": 100,
        "email": "ops@kestrel.example",
        "name": "Kestrel Operations",
        "uuid": USER_UUID,
        "email_verified": true,
        "status": "active",
        "status_message": "",
        "team": { "uuid": team.uuid, "name": team.name },
    }});
    Ok(ok(&body))
}
