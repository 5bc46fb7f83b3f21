//! Resources of one kind.

use std::collections::HashSet;

use domain::inventory::ObservedResource;
use domain::{Completeness, ResourceKind, TakenPage};

use crate::Error;
use crate::client::Client;
use crate::kinds::{Body, Children, Item, ResourceListing};
use crate::pages::{PageNote, PageSink, Read, Source};

/// How the listing of one kind went, apart from what it saw.
#[derive(Debug)]
pub struct ListedKind {
    pub kind: ResourceKind,
    /// `DigitalOcean`'s own count, where it gives one.
    pub total: Option<u64>,
    /// Requests made for this kind alone, those that failed included.
    pub requests: u32,
    /// Whether this is everything, and if not, why.
    pub completeness: Completeness,
    /// Why a page could not be read. None for a complete list, and for one that is incomplete because its pages contradict each
    /// other or an item could not be read.
    pub failure: Option<Error>,
}

impl Client {
    /// Every resource of a kind, and of the kinds that are read from the same bodies or listed for each of its resources; the kind
    /// itself comes first in the answer. A kind that takes several lists (droplets with and without GPUs) is complete only if all
    /// of them are; a list that cannot be read ends it, since the next one would most likely fail as well.
    ///
    /// What was seen is handed to `sink` a page at a time. A resource may come more than once; the last time counts. Of lists that
    /// `sink` has pages of already, only the others are asked for.
    pub async fn list_resources<S: PageSink<ObservedResource>>(
        &self,
        listing: &ResourceListing,
        sink: &mut S,
    ) -> Result<Vec<ListedKind>, S::Error> {
        let mut own = ListedKind {
            kind: listing.kind.clone(),
            total: Some(0),
            requests: 0,
            completeness: Completeness::Complete,
            failure: None,
        };
        let mut seen = HashSet::new();
        for path in listing.paths {
            let mut resources = Resources {
                ids: HashSet::new(),
                sink: &mut *sink,
            };
            let source = Source {
                path,
                envelope: listing.envelope,
                paging: listing.paging,
                read: &|json| (listing.read)(Body::parse(json, listing.ordered)?),
                id: Some(|item: &Item| item.id.clone()),
                beside: None,
            };
            let part = self.list_into(&source, &mut resources).await?;
            // What two lists both hold counts once.
            let repeated = resources.ids.intersection(&seen).count();
            own.add(part, repeated);
            seen.extend(resources.ids);
            if own.failure.is_some() {
                break;
            }
        }
        let mut kinds: Vec<_> = listing.also.iter().map(|kind| own.beside(kind)).collect();
        if let Some(children) = &listing.children {
            kinds.push(self.list_children(&own, children, &seen, sink).await?);
        }
        kinds.insert(0, own);
        Ok(kinds)
    }

    /// What can be listed only for one parent at a time. It is complete if the parents' list is and each of its own: one that
    /// fails harms no other.
    async fn list_children<S: PageSink<ObservedResource>>(
        &self,
        parents: &ListedKind,
        children: &Children,
        ids: &HashSet<String>,
        sink: &mut S,
    ) -> Result<ListedKind, S::Error> {
        let mut all = ListedKind {
            requests: 0,
            failure: None,
            total: Some(0),
            ..parents.beside(&children.kind)
        };
        if parents.failure.is_some() {
            return Ok(all);
        }
        let mut ids: Vec<&String> = ids.iter().collect();
        ids.sort_unstable();
        for id in ids {
            let path = (children.path)(id);
            let mut resources = Resources {
                ids: HashSet::new(),
                sink: &mut *sink,
            };
            let source = Source {
                path: &path,
                envelope: children.envelope,
                paging: children.paging,
                read: &|json| {
                    (children.read)(id, Body::parse(json, children.ordered)?).map(Item::from)
                },
                id: Some(|item: &Item| item.id.clone()),
                beside: None,
            };
            let part = self.list_into(&source, &mut resources).await?;
            all.add(part, 0);
        }
        Ok(all)
    }
}

impl ListedKind {
    fn add(&mut self, part: Read, repeated: usize) {
        let repeated = u64::try_from(repeated).unwrap_or_default();
        self.total = self
            .total
            .zip(part.total)
            .map(|(before, more)| (before + more).saturating_sub(repeated));
        self.requests += part.requests;
        self.completeness = self.completeness.clone().and(part.completeness);
        self.failure = self.failure.take().or(part.failure);
    }

    /// A kind that is read along with this one.
    fn beside(&self, kind: &ResourceKind) -> Self {
        Self {
            kind: kind.clone(),
            total: None,
            requests: 0,
            completeness: self.completeness.clone(),
            failure: None,
        }
    }
}

/// Hands on the resources that are in the items of a list.
struct Resources<'a, S> {
    /// Ids of the items.
    ids: HashSet<String>,
    sink: &'a mut S,
}

impl<S: PageSink<ObservedResource>> PageSink<Item> for Resources<'_, S> {
    type Error = S::Error;

    async fn take(&mut self, items: Vec<Item>) -> Result<(), S::Error> {
        let mut resources = Vec::with_capacity(items.len());
        for item in items {
            self.ids.insert(item.id);
            resources.extend(item.resources);
        }
        self.sink.take(resources).await
    }

    async fn note(&mut self, page: PageNote<'_>) -> Result<(), S::Error> {
        self.sink.note(page).await
    }

    fn taken_before(&mut self, path: &str) -> Vec<TakenPage> {
        let taken = self.sink.taken_before(path);
        let ids = taken.iter().flat_map(|page| &page.ids);
        self.ids.extend(ids.cloned());
        taken
    }

    async fn begin_again(&mut self, path: &str) -> Result<(), S::Error> {
        self.ids.clear();
        self.sink.begin_again(path).await
    }
}
