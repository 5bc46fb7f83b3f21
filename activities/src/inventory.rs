//! Listing resources and sweeping them.

mod buckets;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use digitalocean::{Client, PageNote, PageSink, ResourceListing, SpacesClient};
use domain::inventory::ObservedResource;
use domain::{ResourceKind, TakenPage};
use store::inventory::{ListingFacts, Observations, Rules, Shortfall, SweepOutcome};
use store::{Run, Store, StoreError};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::inventory::{Attributed, Held, KindSynced, definitions};

use self::buckets::KnownBuckets;
use crate::failure::{Failure, is_pause};
use crate::heartbeat::{Progress, beating_with, heartbeating};
use crate::run_of;

pub struct InventoryActivities {
    pub digitalocean: Client,
    pub store: Store,
    pub rules: Rules,
    /// Whether DNS records are mirrored too: a request for each zone.
    pub dns_records: bool,
    /// Lists Spaces buckets, where keys for that are configured.
    pub spaces: Option<SpacesClient>,
}

#[activities]
impl InventoryActivities {
    #[activity(definition = definitions::Kinds)]
    pub fn kinds(_context: ActivityContext) -> Result<Vec<ResourceKind>, ActivityError> {
        let listings = digitalocean::kinds::listings().iter();
        Ok(listings.map(|listing| listing.kind.clone()).collect())
    }

    #[activity(definition = definitions::SyncKind)]
    pub async fn sync_kind(
        self: Arc<Self>,
        context: ActivityContext,
        kind: ResourceKind,
    ) -> Result<KindSynced, ActivityError> {
        let run = run_of(&context);
        let progress = Progress::default();
        let told = progress.clone();
        let store = self.store.clone();
        beating_with(&context, &store, &told, async move {
            self.sync_telling(kind, run, progress).await
        })
        .await
    }

    #[activity(definition = definitions::Attribute)]
    pub async fn attribute(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<Attributed, ActivityError> {
        let run = run_of(&context);
        let store = self.store.clone();
        heartbeating(&context, &store, async move {
            let moved = self.store.attribute(&run).await?;
            Ok(Attributed { moved })
        })
        .await
    }
}

/// The kinds that have a listing of their own, or are read along with another.
pub(crate) fn listed_kinds() -> Vec<ResourceKind> {
    let zones = digitalocean::kinds::zones_with_records();
    let listings = digitalocean::kinds::listings().iter().chain([zones]);
    let mut kinds: Vec<_> = listings.flat_map(ResourceListing::kinds).cloned().collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

impl InventoryActivities {
    /// Lists a kind, with those that are read along with it, and sweeps each. A long listing goes on where an attempt before, or
    /// the activity that ran out of requests, broke it off.
    pub async fn sync(&self, kind: ResourceKind, run: Run) -> Result<KindSynced, Failure> {
        self.sync_telling(kind, run, Progress::default()).await
    }

    async fn sync_telling(
        &self,
        kind: ResourceKind,
        run: Run,
        progress: Progress,
    ) -> Result<KindSynced, Failure> {
        let listing = self
            .listing(&kind)
            .ok_or_else(|| Failure::UnknownKind(kind.as_str().to_owned()))?;
        let kinds: Vec<ResourceKind> = listing.kinds().cloned().collect();
        let mut seen = self.store.observe_again(&run, &kinds).await?;
        let mut buckets = KnownBuckets::default();
        if kinds.contains(&ResourceKind::SPACES_BUCKET) {
            buckets = KnownBuckets::read(&self.store).await?;
        }
        let mut sink = Seen {
            observations: &mut seen,
            buckets: &buckets,
            progress,
        };
        let mut listed = self.digitalocean.list_resources(listing, &mut sink).await?;
        // Not even begun: the mirror's freshness has nothing to tell of it.
        let not_begun = listed.first_mut().filter(|kind| kind.requests <= 1);
        if let Some(kind) = not_begun
            && let Some(pause) = kind.failure.take_if(|failure| is_pause(failure))
        {
            return Err(pause.into());
        }

        let mut failure: Option<Failure> = None;
        let mut synced = Vec::with_capacity(listed.len());
        // What is read along with a kind falls short as the kind itself does, unless it has a reason of its own.
        let of_the_kind = shortfall(listed.first().and_then(|kind| kind.failure.as_ref()));
        for kind in listed {
            if kind.kind == ResourceKind::SPACES_BUCKET && self.awaits_first_pass().await? {
                continue;
            }
            let own = kind.failure.as_ref();
            let mut facts = ListingFacts {
                started_at: seen.started_at(),
                shortfall: own.map_or(of_the_kind, |failure| shortfall(Some(failure))),
                completeness: kind.completeness,
                total: kind.total,
                requests: kind.requests,
                rules: self.rules,
                run: run.clone(),
            };
            if kind.kind == ResourceKind::SPACES_BUCKET {
                let refused = self.add_buckets(&buckets, &mut seen, &mut facts).await?;
                let refused = refused.filter(|error| !buckets::is_account_limit(error));
                failure = failure.or(refused.map(Failure::from));
            }
            // What was seen is kept even if the listing broke off: it strikes nobody.
            let swept = self.store.sweep(&seen, &kind.kind, &facts).await?;
            let own = kind.failure.filter(|failure| !is_account_limit(failure));
            failure = failure.or(own.map(Failure::from));
            synced.push(report(kind.kind, swept, &facts));
        }
        if let Some(error) = failure {
            return Err(error);
        }
        seen.finish().await?;
        let mut synced = synced.into_iter();
        let mut first = synced
            .next()
            .ok_or_else(|| Failure::UnknownKind(listing.kind.as_str().to_owned()))?;
        first.also = synced.collect();
        Ok(first)
    }

    fn listing(&self, kind: &ResourceKind) -> Option<&'static ResourceListing> {
        let zones = digitalocean::kinds::zones_with_records();
        if self.dns_records && zones.kinds().any(|listed| listed == kind) {
            return Some(zones);
        }
        digitalocean::kinds::listing(kind)
    }
}

/// Hands pages on to the database, and tells how many there were.
struct Seen<'a> {
    observations: &'a mut Observations,
    buckets: &'a KnownBuckets,
    progress: Progress,
}

impl PageSink<ObservedResource> for Seen<'_> {
    type Error = StoreError;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), StoreError> {
        let resources = resources.into_iter();
        let completed = resources.map(|resource| self.buckets.complete(resource));
        self.observations.add(completed.collect()).await
    }

    async fn note(&mut self, page: PageNote<'_>) -> Result<(), StoreError> {
        self.progress.at_page(page.path, page.number, page.of);
        match page.taken {
            Some(taken) => self.observations.note(page.path, page.number, taken).await,
            None => Ok(()),
        }
    }

    fn taken_before(&mut self, path: &str) -> Vec<TakenPage> {
        self.observations.taken_before(path)
    }

    async fn begin_again(&mut self, path: &str) -> Result<(), StoreError> {
        self.observations.begin_again(path).await
    }
}

/// What kept a listing from being complete, by how it failed.
pub(crate) fn shortfall(failure: Option<&digitalocean::Error>) -> Shortfall {
    match failure {
        None => Shortfall::Incomplete,
        Some(
            digitalocean::Error::Forbidden { .. }
            | digitalocean::Error::NotFound { .. }
            | digitalocean::Error::UnexpectedBody { .. },
        ) => Shortfall::NotReadable,
        Some(digitalocean::Error::Unauthorized { .. } | digitalocean::Error::OtherTeam { .. }) => {
            Shortfall::Unauthorized
        }
        Some(digitalocean::Error::Token(error)) if !error.may_be_an_outage() => {
            Shortfall::Unauthorized
        }
        Some(_) => Shortfall::Failed,
    }
}

/// A token without the scope, and an API that does not know the kind, are the account's own limits: the run does not fail by them.
fn is_account_limit(failure: &digitalocean::Error) -> bool {
    matches!(
        failure,
        digitalocean::Error::Forbidden { .. } | digitalocean::Error::NotFound { .. }
    )
}

/// How long the run that waits with a held deletion is asked for by every sync, and once a day anew: two of the syncs that are furthest
/// apart. An ask is an action of Temporal's, and that run waits for weeks.
const ASKED_FOR: TimeDelta = TimeDelta::minutes(16);

/// Whether a sync asks for the run that waits with a deletion which is held since then.
fn asks_for_a_run(held_at: DateTime<Utc>, listed_at: DateTime<Utc>) -> bool {
    let age = listed_at - held_at;
    age - TimeDelta::days(age.num_days()) < ASKED_FOR
}

fn report(kind: ResourceKind, swept: SweepOutcome, facts: &ListingFacts) -> KindSynced {
    let (mut held, mut still_held) = (None, None);
    if let Some(hold) = swept.held {
        let place = if asks_for_a_run(hold.held_at, facts.started_at) {
            &mut held
        } else {
            &mut still_held
        };
        *place = Some(Held {
            hold: hold.id.to_string(),
            would_delete: hold.would_delete,
            live: hold.live,
        });
    }
    let incomplete = facts.completeness.reason().map(str::to_owned);
    KindSynced {
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
        not_readable: incomplete.is_some() && facts.shortfall == Shortfall::NotReadable,
        incomplete,
        held,
        still_held,
        also: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_of_a_hold_is_asked_for_at_first_and_once_a_day_by_two_syncs_that_are_far_apart() {
        let held_at = DateTime::UNIX_EPOCH;
        let asks = |minutes| asks_for_a_run(held_at, held_at + TimeDelta::minutes(minutes));
        // The listing that holds begins before it does.
        for minutes in [-5, 0, 1, 15, 24 * 60, 24 * 60 + 15, 30 * 24 * 60] {
            assert!(asks(minutes), "{minutes}");
        }
        for minutes in [16, 30, 120, 24 * 60 - 1, 24 * 60 + 16] {
            assert!(!asks(minutes), "{minutes}");
        }
        let asked = (0..24 * 60).filter(|minute| asks(*minute)).count();
        assert_eq!(asked, 16, "by the fast lane, in a day");
    }
}
