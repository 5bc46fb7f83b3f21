//! The activities that list resources, sweep them, and set their projects and tenants.

mod buckets;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use digitalocean::{Client, PageRecord, PageSink, ResourceListing, SpacesClient};
use domain::inventory::ObservedResource;
use domain::{RecordedPage, ResourceKind};
use store::inventory::{ListingFacts, Observations, Rules, Shortfall, SweepOutcome};
use store::{Run, Store, StoreError};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::inventory::{Attributed, Held, KindSynced, definitions};

use self::buckets::KnownBuckets;
use crate::failure::{Failure, is_pause};
use crate::heartbeat::{Progress, heartbeating, heartbeating_with};
use crate::run_of;

pub struct InventoryActivities {
    pub digitalocean: Client,
    pub store: Store,
    pub rules: Rules,
    /// Whether DNS records are mirrored too, which needs one request per zone.
    pub dns_records: bool,
    /// Lists Spaces buckets, if Spaces keys are configured.
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
        let reported = progress.clone();
        let store = self.store.clone();
        heartbeating_with(&context, &store, &reported, async move {
            self.sync_with(kind, run, progress).await
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

/// Returns the kinds that have their own list, or are read together with another kind.
pub(crate) fn listed_kinds() -> Vec<ResourceKind> {
    let zones = digitalocean::kinds::zones_with_records();
    let listings = digitalocean::kinds::listings().iter().chain([zones]);
    let mut kinds: Vec<_> = listings.flat_map(ResourceListing::kinds).cloned().collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

impl InventoryActivities {
    /// Lists a kind, together with the kinds that are read with it, and sweeps each. A long listing
    /// resumes where an earlier attempt stopped, or an earlier activity that ran out of requests.
    pub async fn sync(&self, kind: ResourceKind, run: Run) -> Result<KindSynced, Failure> {
        self.sync_with(kind, run, Progress::default()).await
    }

    async fn sync_with(
        &self,
        kind: ResourceKind,
        run: Run,
        progress: Progress,
    ) -> Result<KindSynced, Failure> {
        let listing = self
            .listing(&kind)
            .ok_or_else(|| Failure::UnknownKind(kind.as_str().to_owned()))?;
        let kinds: Vec<ResourceKind> = listing.kinds().cloned().collect();
        let mut seen = self.store.resume_or_observe(&run, &kinds).await?;
        let mut buckets = KnownBuckets::default();
        if kinds.contains(&ResourceKind::SPACES_BUCKET) {
            buckets = KnownBuckets::read(&self.store).await?;
        }
        let mut sink = Pages {
            observations: &mut seen,
            buckets: &buckets,
            progress,
        };
        let mut listed = self.digitalocean.list_resources(listing, &mut sink).await?;
        // The listing never started, so no attempt is recorded.
        let not_started = listed.first_mut().filter(|kind| kind.requests <= 1);
        if let Some(kind) = not_started
            && let Some(pause) = kind.failure.take_if(|failure| is_pause(failure))
        {
            return Err(pause.into());
        }

        let mut failure: Option<Failure> = None;
        let mut synced = Vec::with_capacity(listed.len());
        // A kind that is read together with another has its shortfall, unless it has its own
        // failure.
        let main_shortfall = shortfall(listed.first().and_then(|kind| kind.failure.as_ref()));
        for kind in listed {
            if kind.kind == ResourceKind::SPACES_BUCKET && self.awaits_first_pass().await? {
                continue;
            }
            let own = kind.failure.as_ref();
            let mut facts = ListingFacts {
                started_at: seen.started_at(),
                shortfall: own.map_or(main_shortfall, |failure| shortfall(Some(failure))),
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
            // Resources are stored even if the listing is incomplete: it adds no strikes.
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

/// Writes pages to the database, and reports the number of pages.
struct Pages<'a> {
    observations: &'a mut Observations,
    buckets: &'a KnownBuckets,
    progress: Progress,
}

impl PageSink<ObservedResource> for Pages<'_> {
    type Error = StoreError;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), StoreError> {
        let resources = resources.into_iter();
        let completed = resources.map(|resource| self.buckets.complete(resource));
        self.observations.add(completed.collect()).await
    }

    async fn record_page(&mut self, page: PageRecord<'_>) -> Result<(), StoreError> {
        self.progress
            .at_page(page.path, page.number, page.page_count);
        match page.record {
            Some(record) => {
                self.observations
                    .record_page(page.path, page.number, record)
                    .await
            }
            None => Ok(()),
        }
    }

    fn resumable_pages(&mut self, path: &str) -> Vec<RecordedPage> {
        self.observations.resumable_pages(path)
    }

    async fn restart_list(&mut self, path: &str) -> Result<(), StoreError> {
        self.observations.restart_list(path).await
    }
}

/// The reason for an incomplete listing, by its failure.
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

/// Whether the failure is a limit of the account: a token without the scope, or an API that does
/// not know the kind. The run does not fail because of these.
fn is_account_limit(failure: &digitalocean::Error) -> bool {
    matches!(
        failure,
        digitalocean::Error::Forbidden { .. } | digitalocean::Error::NotFound { .. }
    )
}

/// After a hold, and once a day after that, every sync within this time starts the run that waits
/// for the decision: at least two of the syncs that are furthest apart. A start is an action of
/// Temporal's, and that run waits for weeks.
const START_WINDOW: TimeDelta = TimeDelta::minutes(16);

/// Whether a sync starts the run that waits for the decision on a deletion that is held since then.
fn starts_run(held_at: DateTime<Utc>, listed_at: DateTime<Utc>) -> bool {
    let age = listed_at - held_at;
    age - TimeDelta::days(age.num_days()) < START_WINDOW
}

fn report(kind: ResourceKind, swept: SweepOutcome, facts: &ListingFacts) -> KindSynced {
    let (mut held, mut still_held) = (None, None);
    if let Some(hold) = swept.held {
        let place = if starts_run(hold.held_at, facts.started_at) {
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
    fn a_sync_starts_the_run_of_a_hold_at_first_and_once_a_day() {
        let held_at = DateTime::UNIX_EPOCH;
        let starts = |minutes| starts_run(held_at, held_at + TimeDelta::minutes(minutes));
        // The listing starts before the deletion is held.
        for minutes in [-5, 0, 1, 15, 24 * 60, 24 * 60 + 15, 30 * 24 * 60] {
            assert!(starts(minutes), "{minutes}");
        }
        for minutes in [16, 30, 120, 24 * 60 - 1, 24 * 60 + 16] {
            assert!(!starts(minutes), "{minutes}");
        }
        let started = (0..24 * 60).filter(|minute| starts(*minute)).count();
        assert_eq!(started, 16, "starts per day by a sync every minute");
    }
}
