//! Lists Spaces buckets. The API has no list of them, so they are read from three sources, none of
//! which is certain to have all of them.
//!
//! Projects list their members; access keys name the buckets that they may access; S3's
//! `ListBuckets` (if Spaces keys are configured) lists the buckets that those keys may access. A
//! bucket exists if any source has it. It is missing only if all sources were read completely and
//! none has it.
//!
//! Without Spaces keys the listing is known to be partial. Then buckets that only the invoices of
//! the latest months name are stored too: with their region, in the project that the invoice names,
//! and with `"source": "invoice"` in their attributes until another source has them. Such a listing
//! adds no strikes to them.

use std::collections::HashMap;

use digitalocean::SpacesError;
use domain::inventory::{Attrs, ObservedResource};
use domain::{Completeness, ResourceKind};
use store::inventory::{
    AfterResource, Guard, ListingFacts, Observations, ResourceFilter, Shortfall, State,
};
use store::projects::MembersOfKind;
use store::{KindFreshness, Store, StoreError};

use super::InventoryActivities;
use crate::failure::Failure;

const KIND: ResourceKind = ResourceKind::SPACES_BUCKET;
/// Stored buckets per page.
const PAGE: i64 = 1000;

/// Stored regions and attributes of buckets by name; they come from `ListBuckets`.
///
/// Projects and access keys only prove that a bucket exists, so the other fields stay as stored.
/// Otherwise a bucket would lose its region whenever S3 cannot be read, and get it back the next
/// time.
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

    /// Completes a bucket with only a name by its stored region and attributes.
    pub(super) fn complete(&self, mut bucket: ObservedResource) -> ObservedResource {
        if bucket.kind == KIND
            && let Some((region, attrs)) = self.0.get(&bucket.provider_id)
        {
            bucket.region.clone_from(region);
            // Another source has the bucket now, so it loses the mark of an invoice.
            if *attrs != of_invoice() {
                bucket.attrs.clone_from(attrs);
            }
        }
        bucket
    }
}

impl InventoryActivities {
    /// Whether the first pass over the projects is still pending, as in an account where all
    /// schedules have just been started. Most buckets are known only from that pass, so a listing
    /// before it would be incomplete without a problem. A pass is not awaited if the projects
    /// cannot be listed.
    pub(super) async fn awaits_first_pass(&self) -> Result<bool, Failure> {
        let pass = self.store.members_of(&KIND).await?.pass;
        let projects = self.store.freshness(Some(&["project".to_owned()])).await?;
        Ok(pass.is_none() && !projects.iter().any(KindFreshness::last_attempt_failed))
    }

    /// Adds the buckets of projects and of S3 to those of access keys. Returns the error if S3
    /// could not be read.
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
                // The last source counts, and this one has the most fields.
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

    /// Returns the buckets that the latest invoices name and no other source has.
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

    /// Adds the buckets among the projects' members as of the latest pass. The evidence is as old
    /// as the older of the two listings.
    async fn add_members(
        &self,
        known: &KnownBuckets,
        seen: &mut Observations,
        facts: &mut ListingFacts,
    ) -> Result<(), Failure> {
        let MembersOfKind {
            shown,
            are_unseen,
            pass,
        } = self.store.members_of(&KIND).await?;
        let buckets = shown.into_iter().map(|name| known.complete(named(name)));
        seen.add(buckets.collect()).await?;
        if are_unseen && self.spaces.is_none() {
            // Without S3, an operator decides whether the buckets are deleted or not readable.
            facts.rules.guard = Guard::NOTHING;
        }
        let of_pass = match pass {
            Some(pass) => {
                facts.evidence = facts.evidence.min(pass.evidence());
                if pass.complete {
                    Completeness::Complete
                } else {
                    Completeness::Incomplete(format!(
                        "the latest pass over the projects: {}",
                        pass.reason.unwrap_or_default()
                    ))
                }
            }
            None => Completeness::Incomplete("no pass over the projects yet".to_owned()),
        };
        facts.completeness = facts.completeness.clone().and(of_pass);
        Ok(())
    }
}

/// The reason for a partial listing without Spaces keys, and the fix.
const WITHOUT_SPACES_KEYS: &str = "without Spaces keys, buckets are known only from projects, \
    access keys and recent invoices: set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY for the \
    worker, so that all of them are listed";

/// The reason for a partial listing with Spaces keys, and the fix. The buckets are not stored: a
/// full listing would delete them.
const BILLED_BUT_NOT_LISTED: &str = "the Spaces keys do not list all buckets that recent invoices \
    name: if these buckets still exist, set SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY for \
    the worker to a key with access to all buckets of the team";

/// The attributes of a bucket that only an invoice names.
fn of_invoice() -> Attrs {
    // Strings always serialise.
    Attrs::of(&HashMap::from([("source", "invoice")])).unwrap_or_else(|_| Attrs::empty())
}

/// Returns true for a name that Spaces accepts (docs: 3 to 63 lowercase letters, digits and
/// hyphens; S3 allows dots too). Other text in a line, such as the name of a subscription, is not a
/// bucket.
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

/// The shortfall for an error of S3. The operator has to fix a key that may not list buckets, and
/// an endpoint that is not S3's.
fn shortfall(error: &SpacesError) -> Shortfall {
    match error {
        SpacesError::Forbidden { .. } | SpacesError::UnexpectedBody { .. } => {
            Shortfall::NotReadable
        }
        SpacesError::WrongKeys { .. } => Shortfall::Unauthorized,
        _ => Shortfall::Failed,
    }
}

/// Whether the error is a limit of the account: a key that may not list buckets. The run does not
/// fail because of it.
pub(super) fn is_account_limit(error: &SpacesError) -> bool {
    matches!(error, SpacesError::Forbidden { .. })
}
