//! Resources of one kind.

use domain::Completeness;
use domain::inventory::ObservedResource;
use std::collections::HashSet;

use crate::client::Client;
use crate::kinds::{Body, ResourceListing};
use crate::listing::Listing;
use crate::pages::Source;

impl Client {
    /// Every resource of a kind. A kind that takes several lists (droplets with and without GPUs) is complete only if all of them
    /// are; a list that cannot be read ends it, since the next one would most likely fail as well.
    pub async fn list_resources(&self, listing: &ResourceListing) -> Listing<ObservedResource> {
        let mut all = Listing {
            items: Vec::new(),
            total: Some(0),
            requests: 0,
            completeness: Completeness::Complete,
            failure: None,
        };
        let mut seen = HashSet::new();
        for path in listing.paths {
            let part = self
                .list(&Source {
                    path,
                    envelope: listing.envelope,
                    paging: listing.paging,
                    read: &|json| (listing.read)(Body::parse(json)?),
                    id: Some(|resource: &ObservedResource| resource.provider_id.clone()),
                })
                .await;
            let listed = part.items.len();
            let before = all.items.len();
            all.items.extend(
                part.items
                    .into_iter()
                    .filter(|resource| seen.insert(resource.provider_id.clone())),
            );
            let repeated = u64::try_from(listed - (all.items.len() - before)).unwrap_or_default();
            // What two lists both hold counts once.
            all.total = all
                .total
                .zip(part.total)
                .map(|(before, more)| (before + more).saturating_sub(repeated));
            all.requests += part.requests;
            all.completeness = all.completeness.and(part.completeness);
            all.failure = part.failure;
            if all.failure.is_some() {
                break;
            }
        }
        all
    }
}
