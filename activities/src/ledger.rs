//! Reading the billing history.

use std::collections::HashSet;
use std::sync::Arc;

use digitalocean::{Client, Listing};
use domain::ledger::BillingEntry;
use store::Store;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::ledger::{LedgerSynced, definitions};

use crate::failure::Failure;
use crate::heartbeat::heartbeating;

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
        heartbeating(&context, &store, async move { self.sync_ledger().await }).await
    }
}

impl LedgerActivities {
    async fn sync_ledger(&self) -> Result<LedgerSynced, Failure> {
        let listed = list(&self.digitalocean).await?;
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

/// How often a history that changes is read before the attempt is given up.
const READINGS: u32 = 4;

/// The billing history, as it is.
///
/// Entries have no ids, and nothing keeps them from moving between pages while they are read: one that does looks like two that are alike,
/// and another is missed, while the total fits. So where entries are alike, the history is read until it is the same twice in a row.
async fn list(client: &Client) -> Result<Listing<BillingEntry>, Failure> {
    let mut listed = client.list_billing_history().await;
    if listed.requests <= 1 || !has_alike(&listed.items) {
        return Ok(listed);
    }
    for _ in 1..READINGS {
        let again = client.list_billing_history().await;
        if let Some(failure) = again.failure {
            return Err(failure.into());
        }
        if again.completeness.is_complete() && again.items == listed.items {
            return Ok(again);
        }
        listed = again;
    }
    Err(Failure::InconsistentItems(format!(
        "the billing history was another at each of {READINGS} readings"
    )))
}

fn has_alike(entries: &[BillingEntry]) -> bool {
    let mut seen = HashSet::with_capacity(entries.len());
    !entries.iter().all(|entry| seen.insert(entry))
}

#[cfg(test)]
mod tests {
    use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Simulator};

    use super::*;

    /// A history of two pages in which nothing is alike, while the last entry of the first moves to the next so often.
    async fn while_an_entry_moves(times: u32) -> (Client, Simulator) {
        let simulator = Simulator::start(Account::with_invoices(150)).await.unwrap();
        let fault = Fault::new(FaultKind::ItemMovesBetweenPages, "*").times(times);
        simulator.fail(fault);
        let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
        (client, simulator)
    }

    #[tokio::test]
    async fn an_entry_that_moves_between_pages_is_no_second_one_and_hides_none() {
        let (client, _simulator) = while_an_entry_moves(1).await;
        let listed = list(&client).await.ok().unwrap();
        assert!(listed.completeness.is_complete() && listed.items.len() > 200);
        assert!(!has_alike(&listed.items));
        // Read once, as nothing is alike.
        let once = list(&client).await.ok().unwrap();
        assert_eq!((once.items, once.requests), (listed.items, 2));
    }

    #[tokio::test]
    async fn entries_that_are_alike_again_and_again_are_two() {
        let (client, _simulator) = while_an_entry_moves(2).await;
        let listed = list(&client).await.ok().unwrap();
        assert!(has_alike(&listed.items));
    }
}
