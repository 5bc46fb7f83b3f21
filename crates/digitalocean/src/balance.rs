//! Reads the balance of the account.

use chrono::{DateTime, Utc};
use domain::balance::BalanceReading;
use serde::Deserialize;

use crate::client::Client;
use crate::decode::Amount;
use crate::error::{Call, Error};

#[derive(Deserialize)]
struct BalanceBody {
    month_to_date_balance: Amount,
    account_balance: Amount,
    month_to_date_usage: Amount,
    generated_at: DateTime<Utc>,
}

impl Client {
    /// Returns the balance as DigitalOcean last computed it (`GET /v2/customers/my/balance`). It
    /// may be hours old.
    pub async fn get_balance(&self) -> Result<BalanceReading, Error> {
        let call = Call::get("/v2/customers/my/balance");
        let body = self.get(&call).await?;
        let balance: BalanceBody = Self::decode(&call, &body)?;
        Ok(BalanceReading {
            month_to_date_balance: balance.month_to_date_balance.0,
            account_balance: balance.account_balance.0,
            month_to_date_usage: balance.month_to_date_usage.0,
            generated_at: balance.generated_at,
        })
    }
}
