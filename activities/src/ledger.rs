//! The activity that reads the billing history and stores its entries.

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
        let evidence = self.store.begin_fetch().await?;
        let listed = list(&self.digitalocean).await?;
        let incomplete = listed.completeness.reason().map(str::to_owned);
        // Entries are stored even if the listing is incomplete: they are only ever added.
        let stored = self
            .store
            .store_ledger(&listed.items, evidence, incomplete.is_none())
            .await?;
        match listed.failure {
            // An API without a billing history (yet) has none to read.
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

/// The number of reads of a changing history before the attempt fails.
const READS: u32 = 4;

/// Reads the billing history.
///
/// Entries have no ids and can move between pages while they are read: an entry that moves looks
/// like two equal entries, and another one is skipped, while the total is correct. So a history
/// with equal entries is read until two reads in a row are equal.
async fn list(client: &Client) -> Result<Listing<BillingEntry>, Failure> {
    let mut listed = client.list_billing_history().await;
    if listed.requests <= 1 || !has_equal(&listed.items) {
        return Ok(listed);
    }
    for _ in 1..READS {
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
        "the billing history differed in each of {READS} reads"
    )))
}

fn has_equal(entries: &[BillingEntry]) -> bool {
    let mut seen = HashSet::with_capacity(entries.len());
    !entries.iter().all(|entry| seen.insert(entry))
}

#[cfg(test)]
mod tests {
    use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Simulator};

    use super::*;

    /// A history of two pages without equal entries. In this many reads, the last entry of the
    /// first page moves to the next page.
    async fn while_an_entry_moves(times: u32) -> (Client, Simulator) {
        let simulator = Simulator::start(Account::with_invoices(150)).await.unwrap();
        let fault = Fault::new(FaultKind::ItemMovesBetweenPages, "*").times(times);
        simulator.fail(fault);
        let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
        (client, simulator)
    }

    #[tokio::test]
    async fn an_entry_that_moves_between_pages_is_read_once_and_hides_none() {
        let (client, _simulator) = while_an_entry_moves(1).await;
        let listed = list(&client).await.ok().unwrap();
        assert!(listed.completeness.is_complete() && listed.items.len() > 200);
        assert!(!has_equal(&listed.items));
        // Read once, since no entries are equal.
        let once = list(&client).await.ok().unwrap();
        assert_eq!((once.items, once.requests), (listed.items, 2));
    }

    #[tokio::test]
    async fn entries_that_are_equal_in_two_reads_are_two() {
        let (client, _simulator) = while_an_entry_moves(2).await;
        let listed = list(&client).await.ok().unwrap();
        assert!(has_equal(&listed.items));
    }
}
