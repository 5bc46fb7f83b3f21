//! Listing resources and sweeping them.

use std::sync::Arc;
use std::time::Duration;

use digitalocean::Client;
use domain::ResourceKind;
use store::inventory::{ListingFacts, Sweep};
use store::{Run, Store};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::inventory::{KindSynced, definitions};

use crate::failure::Failure;
use crate::heartbeat::beating;
use crate::run_of;

pub struct InventoryActivities {
    pub digitalocean: Client,
    pub store: Store,
    /// The least time between two strikes of one resource.
    pub strike_interval: Duration,
}

#[activities]
impl InventoryActivities {
    #[activity(definition = definitions::Kinds)]
    pub fn kinds(_context: ActivityContext) -> Result<Vec<ResourceKind>, ActivityError> {
        Ok(listed_kinds())
    }

    #[activity(definition = definitions::SyncKind)]
    pub async fn sync_kind(
        self: Arc<Self>,
        context: ActivityContext,
        kind: ResourceKind,
    ) -> Result<KindSynced, ActivityError> {
        beating(&context, self.sync(kind, run_of(&context))).await
    }
}

/// The kinds that have a listing of their own.
pub(crate) fn listed_kinds() -> Vec<ResourceKind> {
    digitalocean::kinds::listings()
        .iter()
        .map(|listing| listing.kind.clone())
        .collect()
}

impl InventoryActivities {
    async fn sync(&self, kind: ResourceKind, run: Run) -> Result<KindSynced, Failure> {
        let listing = digitalocean::kinds::listing(&kind)
            .ok_or_else(|| Failure::UnknownKind(kind.as_str().to_owned()))?;
        let started_at = self.store.now().await?;
        let listed = self.digitalocean.list_resources(listing).await;
        let facts = ListingFacts {
            started_at,
            completeness: listed.completeness,
            total: listed.total,
            requests: listed.requests,
            strike_interval: self.strike_interval,
            run,
        };
        // What was seen is kept even if the listing broke off: it strikes nobody.
        let swept = self
            .store
            .sweep(Sweep {
                kind: &kind,
                resources: &listed.items,
                facts: &facts,
            })
            .await?;
        if let Some(error) = listed.failure {
            return Err(error.into());
        }
        Ok(KindSynced {
            kind,
            seen: swept.seen,
            discovered: swept.discovered,
            updated: swept.updated,
            tagged: swept.tagged,
            restored: swept.restored,
            struck: swept.struck,
            deleted: swept.deleted,
            moved: swept.moved,
            requests: facts.requests,
            incomplete: facts.completeness.reason().map(str::to_owned),
        })
    }
}
