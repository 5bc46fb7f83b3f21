//! Collects all resources of a listing.

use std::collections::HashMap;
use std::convert::Infallible;

use digitalocean::{Client, Error, ListedKind, PageSink, ResourceListing};
use domain::inventory::ObservedResource;
use domain::{Completeness, ResourceKind};

/// The result of listing a kind with its resources: in the order of their first appearance, each
/// once in its last version.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) kind: ResourceKind,
    pub(crate) items: Vec<ObservedResource>,
    pub(crate) total: Option<u64>,
    pub(crate) requests: u32,
    pub(crate) completeness: Completeness,
    pub(crate) failure: Option<Error>,
    /// The kinds in the same listing.
    pub(crate) included: Vec<Self>,
}

impl Listed {
    /// Returns the kind itself and the included kinds.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.included)
    }
}

#[derive(Default)]
struct Collected {
    resources_in_order: Vec<ObservedResource>,
    positions: HashMap<(ResourceKind, String), usize>,
}

impl PageSink<ObservedResource> for Collected {
    type Error = Infallible;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), Infallible> {
        for resource in resources {
            let key = (resource.kind.clone(), resource.provider_id.clone());
            if let Some(position) = self.positions.get(&key) {
                self.resources_in_order[*position] = resource;
            } else {
                self.positions.insert(key, self.resources_in_order.len());
                self.resources_in_order.push(resource);
            }
        }
        Ok(())
    }
}

/// Lists a kind completely.
pub(crate) async fn list(client: &Client, listing: &ResourceListing) -> Listed {
    let mut collected = Collected::default();
    let Ok(kinds) = client.list_resources(listing, &mut collected).await;
    let kinds_listed: Vec<_> = kinds.iter().map(|listed| listed.kind.clone()).collect();
    assert!(kinds_listed.iter().eq(listing.kinds()), "{kinds_listed:?}");
    let mut all = kinds.into_iter().map(|listed| {
        let of_kind = |resource: &&ObservedResource| resource.kind == listed.kind;
        let items = collected.resources_in_order.iter().filter(of_kind).cloned();
        with_items(items.collect(), listed)
    });
    let mut first = all.next().unwrap();
    first.included = all.collect();
    let seen: usize = first.all().map(|listed| listed.items.len()).sum();
    assert_eq!(
        seen,
        collected.resources_in_order.len(),
        "resources of kinds that were not listed"
    );
    first
}

fn with_items(items: Vec<ObservedResource>, listed: ListedKind) -> Listed {
    Listed {
        kind: listed.kind,
        items,
        total: listed.total,
        requests: listed.requests,
        completeness: listed.completeness,
        failure: listed.failure,
        included: Vec::new(),
    }
}
