//! Reading the billing history.

use std::sync::Arc;

use digitalocean::Client;
use store::Store;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::ledger::{LedgerSynced, definitions};

use crate::failure::Failure;
use crate::heartbeat::beating;

pub struct LedgerActivities {
    pub digitalocean: Client,
    pub store: Store,
}

#[activities]
impl LedgerActivities {
    #[activity(definition = definitions::Sync)]
    pub async fn sync(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<LedgerSynced, ActivityError> {
        let store = self.store.clone();
        beating(&context, &store, async move { self.sync_ledger().await }).await
    }
}

impl LedgerActivities {
    async fn sync_ledger(&self) -> Result<LedgerSynced, Failure> {
        let listed = self.digitalocean.list_billing_history().await;
        let incomplete = listed.completeness.reason().map(str::to_owned);
        // What was seen is kept even if the listing broke off: entries are only ever added.
        let stored = self
            .store
            .store_ledger(&listed.items, incomplete.is_none())
            .await?;
        match listed.failure {
            // An API that does not know billing histories (yet) has none to be read.
            None | Some(digitalocean::Error::NotFound { .. }) => {}
            Some(error) => return Err(error.into()),
        }
        let balance = self.store.ledger_balance().await?;
        Ok(LedgerSynced {
            listed: stored.listed,
            new: stored.new,
            missing: stored.missing,
            incomplete,
            off_balance_by: balance.difference.map(|difference| difference.to_string()),
        })
    }
}
