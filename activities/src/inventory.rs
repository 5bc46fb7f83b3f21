//! The activities that list resources, sweep them, and set their projects and tenants.

mod buckets;

use std::sync::Arc;

use digitalocean::kinds::restore_tags;
use digitalocean::rate_limit::as_one_unit_of_work;
use digitalocean::{Client, PageRecord, PageSink, ResourceListing, SpacesClient};
use domain::inventory::ObservedResource;
use domain::{RecordedPage, ResourceKind};
use futures::StreamExt as _;
use store::inventory::{Fingerprinted, ListingFacts, Observations, Rules, Shortfall, SweepOutcome};
use store::{Run, Store, StoreError};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::inventory::{AllSynced, Attributed, KindFailed, KindSynced, definitions};

use self::buckets::KnownBuckets;
use crate::failure::{Failure, is_pause};
use crate::heartbeat::{Progress, heartbeating, heartbeating_with};
use crate::held_deletions::reported;
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

    #[activity(definition = definitions::SyncAll)]
    pub async fn sync_all(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<AllSynced, ActivityError> {
        let run = run_of(&context);
        let progress = Progress::default();
        let reported = progress.clone();
        let store = self.store.clone();
        heartbeating_with(&context, &store, &reported, async move {
            Ok(self.sync_each(&run, &progress).await)
        })
        .await
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
            Ok(Attributed {
                moved,
                is_reallocating: self.store.open_reallocations().await?.count > 0,
            })
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

    /// Lists and sweeps every kind that has its own list. A failure concerns its kind only.
    async fn sync_each(&self, run: &Run, progress: &Progress) -> AllSynced {
        let mut syncs = Vec::new();
        for (place, listing) in digitalocean::kinds::listings().iter().enumerate() {
            let (kind, run, progress) = (listing.kind.clone(), run.clone(), progress.clone());
            syncs.push(async move {
                // Each kind is a unit of work, so that it is begun in time or left for later.
                let sync = as_one_unit_of_work(self.sync_with(kind.clone(), run, progress));
                (place, kind, sync.await)
            });
        }
        let syncs = futures::stream::iter(syncs).buffer_unordered(CONCURRENT_KINDS);
        let mut outcomes: Vec<_> = syncs.collect().await;
        outcomes.sort_unstable_by_key(|(place, _, _)| *place);
        let mut all = AllSynced::default();
        for (_, kind, outcome) in outcomes {
            match outcome {
                Ok(synced) => all.synced.push(synced),
                Err(failure) if failure.may_pass() => {
                    failure.log();
                    all.retry.push(kind);
                }
                Err(failure) => {
                    failure.log();
                    let reason = failure.message();
                    all.failed.push(KindFailed { kind, reason });
                }
            }
        }
        all
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
            digitalocean: &self.digitalocean,
            may_read_tags: None,
        };
        let mut listed = self.digitalocean.list_resources(listing, &mut sink).await?;
        let tag_requests = u32::from(sink.may_read_tags.is_some());
        // The listing never started, so no attempt is recorded.
        let not_started = listed.first_mut().filter(|kind| kind.requests <= 1);
        if let Some(kind) = not_started
            && let Some(pause) = kind.failure.take_if(|failure| is_pause(failure))
        {
            return Err(pause.into());
        }

        if let Some(kind) = listed.first_mut() {
            kind.requests += tag_requests;
        }

        let finished_at = self.store.now().await?;
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
                evidence: seen.evidence(),
                finished_at,
                shortfall: own.map_or(main_shortfall, |failure| shortfall(Some(failure))),
                completeness: kind.completeness,
                total: kind.total,
                requests: kind.requests,
                rules: self.rules,
                run: run.clone(),
            };
            if kind.kind == ResourceKind::SPACES_BUCKET {
                let refused = self.add_buckets(&buckets, &mut seen, &mut facts).await?;
                facts.finished_at = self.store.now().await?;
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

/// As many lists as a worker reads in separate activities, so that the activity needs no more
/// connections than those.
const CONCURRENT_KINDS: usize = 10;

/// Writes pages to the database, and reports the number of pages.
struct Pages<'a> {
    observations: &'a mut Observations,
    buckets: &'a KnownBuckets,
    progress: Progress,
    digitalocean: &'a Client,
    /// Whether the token may read tags; `None` if no resource requires the answer.
    may_read_tags: Option<bool>,
}

const NO_TAGS: &str = "the token lacks the scope tag:read, so that the tags are those of an earlier \
                       listing: grant the scope";
const NO_PROJECT: &str = "the list lacks the projects of resources, as without the scope \
                          project:read, so that they are those of an earlier listing: grant the \
                          scope";

impl Pages<'_> {
    /// Restores the fields that the listing lacks because the token may not read them, so that
    /// tokens with different scopes do not change a resource in turn
    /// ([reasons](../../docs/decisions/2026-11-25-missing-scopes.md#tags)).
    async fn restore(&mut self, observed: &mut Fingerprinted) -> Result<(), StoreError> {
        for fields in self.observations.withheld(observed).await? {
            if !fields.tags.is_empty() && !self.may_read_tags().await {
                self.observations
                    .note_withheld(fields.kind.clone(), NO_TAGS);
                observed.change(fields.place, |resource| {
                    restore_tags(resource, fields.tags);
                });
            }
            // DigitalOcean has no way to remove a resource from all projects.
            if fields.project_id.is_some() {
                self.observations.note_withheld(fields.kind, NO_PROJECT);
                observed.change(fields.place, |resource| {
                    resource.project_id = fields.project_id;
                });
            }
        }
        Ok(())
    }

    /// Returns true if the token may read tags, so that resources without tags have none. Without
    /// an answer, tags stay as they are.
    async fn may_read_tags(&mut self) -> bool {
        if let Some(known) = self.may_read_tags {
            return known;
        }
        let may_read = match self.digitalocean.may_read_tags().await {
            Ok(may_read) => may_read,
            Err(error) => {
                tracing::warn!("could not check the scope tag:read, so that tags stay: {error}");
                false
            }
        };
        self.may_read_tags = Some(may_read);
        may_read
    }
}

impl PageSink<ObservedResource> for Pages<'_> {
    type Error = StoreError;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), StoreError> {
        let resources = resources.into_iter();
        let completed = resources.map(|resource| self.buckets.complete(resource));
        let mut observed = Fingerprinted::new(completed.collect());
        self.restore(&mut observed).await?;
        self.observations.add_fingerprinted(observed).await
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

fn report(kind: ResourceKind, swept: SweepOutcome, facts: &ListingFacts) -> KindSynced {
    let (held, still_held) = reported(swept.held, facts.evidence.began_at());
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
