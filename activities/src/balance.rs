//! The activity that reads the account's balance and stores it.

use std::sync::Arc;

use digitalocean::Client;
use store::Store;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::balance::{BalancePolled, definitions};

use crate::failure::Failure;
use crate::heartbeat::heartbeating;

pub struct BalanceActivities {
    pub digitalocean: Client,
    pub store: Store,
}

#[activities]
impl BalanceActivities {
    #[activity(definition = definitions::Poll)]
    pub async fn poll(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<BalancePolled, ActivityError> {
        let store = self.store.clone();
        heartbeating(&context, &store, async move { self.poll_balance().await }).await
    }
}

impl BalanceActivities {
    async fn poll_balance(&self) -> Result<BalancePolled, Failure> {
        let evidence = self.store.begin_fetch().await?;
        let reading = self.digitalocean.get_balance().await?;
        let is_new = self.store.store_balance(&reading, evidence).await?;
        Ok(BalancePolled {
            month_to_date_balance: reading.month_to_date_balance.to_string(),
            generated_at: reading.generated_at.to_rfc3339(),
            is_new,
        })
    }
}
