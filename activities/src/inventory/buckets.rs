//! Spaces buckets. The API has no list of them: they are known from three sides, none of which knows all of them for sure.
//!
//! Projects list their members, keys name the buckets that they were granted access to, and S3's `ListBuckets` (where Spaces keys
//! are configured) lists what those keys may see. A bucket that any of them tells of is there; it is gone only if all of them were
//! read to their end and none did.
//!
//! Without Spaces keys the kind is known to be partial. Then a bucket that a bill of the latest months names, and that none of these
//! sides has told of, is stored too: with its region, in the project that the bill names, and with `"source": "invoice"` among its
//! attributes until another side tells of it. Such a listing does not strike it.

use std::collections::HashMap;

use digitalocean::SpacesError;
use domain::inventory::{Attrs, ObservedResource};
use domain::{Completeness, ResourceKind};
use store::inventory::{
    AfterResource, ListingFacts, Observations, ResourceFilter, Shortfall, State,
};
use store::{KindFreshness, Store, StoreError};

use super::InventoryActivities;
use crate::failure::Failure;

const KIND: ResourceKind = ResourceKind::SPACES_BUCKET;
/// Stored buckets read at a time.
const PAGE: i64 = 1000;

/// What the mirror knows of buckets beside their names: what `ListBuckets` said.
///
/// Projects and grants tell that a bucket is there and nothing else, so a sighting of theirs leaves the rest as it is stored. Without
/// that a bucket would lose its region each time S3 cannot be read, and get it back the next time.
#[derive(Default)]
pub(super) struct KnownBuckets(HashMap<String, (Option<String>, Attrs)>);

impl KnownBuckets {
    pub(super) async fn read(store: &Store) -> Result<Self, StoreError> {
        let filter = ResourceFilter {
            kind: Some(KIND.as_str().to_owned()),
            state: State::All,
            ..ResourceFilter::default()
        };
        let mut known = HashMap::new();
        let mut after = None;
        loop {
            let page = store.resources(&filter, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(Self(known));
            };
            after = Some(AfterResource {
                kind: last.kind.clone(),
                name: last.name.clone(),
                id: last.id,
            });
            for bucket in page {
                let facts = (bucket.region, Attrs::from(bucket.attrs));
                known.insert(bucket.provider_id, facts);
            }
        }
    }

    /// A sighting of which nothing but the name is known.
    pub(super) fn complete(&self, mut sighting: ObservedResource) -> ObservedResource {
        if sighting.kind == KIND
            && let Some((region, attrs)) = self.0.get(&sighting.provider_id)
        {
            sighting.region.clone_from(region);
            // What a bill told of is told of by another side now.
            if *attrs != of_invoice() {
                sighting.attrs.clone_from(attrs);
            }
        }
        sighting
    }
}

impl InventoryActivities {
    /// Whether the first pass over the projects is still to come, as in an account whose schedules have just been started all at once.
    /// Most buckets are known from that pass alone, so a listing before it would be an incomplete one that nothing is wrong with. A
    /// pass that cannot come, since the projects cannot be listed, is not waited for.
    pub(super) async fn awaits_first_pass(&self) -> Result<bool, Failure> {
        let (_, pass) = self.store.members_of(&KIND).await?;
        let projects = self.store.freshness(Some(&["project".to_owned()])).await?;
        Ok(pass.is_none() && !projects.iter().any(KindFreshness::last_attempt_failed))
    }

    /// Adds the buckets of projects and of S3 to those of the keys' grants, and returns why S3 could not be read, if so.
    pub(super) async fn add_buckets(
        &self,
        known: &KnownBuckets,
        seen: &mut Observations,
        facts: &mut ListingFacts,
    ) -> Result<Option<SpacesError>, Failure> {
        self.add_members(known, seen, facts).await?;
        let Some(spaces) = &self.spaces else {
            seen.note_partial(KIND, WITHOUT_SPACES_KEYS);
            let billed = self.billed(seen).await?;
            seen.add(billed).await?;
            return Ok(None);
        };
        match spaces.list_buckets().await {
            Ok(buckets) => {
                // The last sighting counts, and this one knows most.
                seen.add(buckets.into_iter().map(ObservedResource::from).collect())
                    .await?;
                if !self.billed(seen).await?.is_empty() {
                    seen.note_contradicted(KIND, BILLED_BUT_NOT_LISTED);
                }
                Ok(None)
            }
            Err(error) => {
                if facts.completeness.is_complete() {
                    facts.shortfall = shortfall(&error);
                }
                let reason = Completeness::Incomplete(error.to_string());
                facts.completeness = facts.completeness.clone().and(reason);
                Ok(Some(error))
            }
        }
    }

    /// Buckets that the latest bills name and no other source does.
    async fn billed(&self, seen: &Observations) -> Result<Vec<ObservedResource>, Failure> {
        let billed = self.store.billed_resources(&KIND).await?;
        Ok(billed
            .into_iter()
            .filter(|bucket| is_bucket_name(&bucket.name) && !seen.has_seen(&KIND, &bucket.name))
            .map(|bucket| ObservedResource {
                region: bucket.region,
                project_id: bucket.project_id,
                attrs: of_invoice(),
                ..named(bucket.name)
            })
            .collect())
    }

    /// The projects' members as of the latest pass over them: the evidence is as old as the older of the two.
    async fn add_members(
        &self,
        known: &KnownBuckets,
        seen: &mut Observations,
        facts: &mut ListingFacts,
    ) -> Result<(), Failure> {
        let (buckets, pass) = self.store.members_of(&KIND).await?;
        let buckets = buckets.into_iter().map(|name| known.complete(named(name)));
        seen.add(buckets.collect()).await?;
        let of_pass = match pass {
            Some(pass) => {
                facts.started_at = facts.started_at.min(pass.started_at);
                if pass.complete {
                    Completeness::Complete
                } else {
                    Completeness::Incomplete(format!(
                        "the latest pass over the projects: {}",
                        pass.reason.unwrap_or_default()
                    ))
                }
            }
            None => Completeness::Incomplete("the projects were not walked yet".to_owned()),
        };
        facts.completeness = facts.completeness.clone().and(of_pass);
        Ok(())
    }
}

/// Why the listing is partial, and what to configure.
const WITHOUT_SPACES_KEYS: &str = "without Spaces keys, buckets are known only from projects, access keys and recent invoices: set \
    SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY for the worker, so that all of them are listed";

/// Why a listing with Spaces keys is partial, and what to configure. The buckets are not stored: a full listing would delete them.
const BILLED_BUT_NOT_LISTED: &str = "the Spaces keys do not list all buckets that recent invoices name: if these buckets still exist, set \
    SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY for the worker to a key with access to all buckets of the team";

/// The attributes of a bucket that only a bill names.
fn of_invoice() -> Attrs {
    // Texts have a form in JSON.
    Attrs::of(&HashMap::from([("source", "invoice")])).unwrap_or_else(|_| Attrs::empty())
}

/// Returns true for a name that Spaces accepts (docs: 3 to 63 lowercase letters, digits and hyphens; S3 allows dots too). Other words
/// in a line, such as a subscription's, are no bucket.
fn is_bucket_name(name: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| is_alphanumeric(byte) || matches!(byte, b'-' | b'.'))
        && [bytes.first(), bytes.last()]
            .into_iter()
            .flatten()
            .all(is_alphanumeric)
}

fn named(name: String) -> ObservedResource {
    ObservedResource {
        kind: KIND,
        provider_id: name.clone(),
        name,
        region: None,
        status: None,
        tags: Vec::new(),
        project_id: None,
        relations: Vec::new(),
        attrs: Attrs::empty(),
    }
}

/// A key that may not list, and an endpoint that is not S3's, are what the account's operator has to change.
fn shortfall(error: &SpacesError) -> Shortfall {
    match error {
        SpacesError::Forbidden { .. } | SpacesError::UnexpectedBody { .. } => {
            Shortfall::NotReadable
        }
        SpacesError::WrongKeys { .. } => Shortfall::Unauthorized,
        _ => Shortfall::Failed,
    }
}

/// A key that may not list is the account's own limit: the run does not fail by it.
pub(super) fn is_account_limit(error: &SpacesError) -> bool {
    matches!(error, SpacesError::Forbidden { .. })
}
