//! What a listing saw, all of it at once.

use std::collections::HashMap;
use std::convert::Infallible;

use digitalocean::{Client, Error, ListedKind, PageSink, ResourceListing};
use domain::inventory::ObservedResource;
use domain::{Completeness, ResourceKind};

/// How the listing of a kind went, and what it saw: in order of first sight, each resource once and as it was last seen.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) kind: ResourceKind,
    pub(crate) items: Vec<ObservedResource>,
    pub(crate) total: Option<u64>,
    pub(crate) requests: u32,
    pub(crate) completeness: Completeness,
    pub(crate) failure: Option<Error>,
    /// The kinds that came with it.
    pub(crate) beside: Vec<Self>,
}

impl Listed {
    /// The kinds that came with it and itself.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.beside)
    }
}

#[derive(Default)]
struct Collected {
    in_order: Vec<ObservedResource>,
    places: HashMap<(ResourceKind, String), usize>,
}

impl PageSink<ObservedResource> for Collected {
    type Error = Infallible;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), Infallible> {
        for resource in resources {
            let key = (resource.kind.clone(), resource.provider_id.clone());
            if let Some(place) = self.places.get(&key) {
                self.in_order[*place] = resource;
            } else {
                self.places.insert(key, self.in_order.len());
                self.in_order.push(resource);
            }
        }
        Ok(())
    }
}

/// Lists a kind to its end.
pub(crate) async fn list(client: &Client, listing: &ResourceListing) -> Listed {
    let mut collected = Collected::default();
    let Ok(kinds) = client.list_resources(listing, &mut collected).await;
    let given: Vec<_> = kinds.iter().map(|listed| listed.kind.clone()).collect();
    assert!(given.iter().eq(listing.kinds()), "{given:?}");
    let mut all = kinds.into_iter().map(|listed| {
        let of_kind = |resource: &&ObservedResource| resource.kind == listed.kind;
        let items = collected.in_order.iter().filter(of_kind).cloned();
        with_items(items.collect(), listed)
    });
    let mut first = all.next().unwrap();
    first.beside = all.collect();
    let seen: usize = first.all().map(|listed| listed.items.len()).sum();
    assert_eq!(seen, collected.in_order.len(), "of kinds never announced");
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
        beside: Vec::new(),
    }
}
