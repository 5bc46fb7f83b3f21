//! Lists the resources of one kind, with the kinds that are read from the same bodies or per
//! parent.

use std::collections::HashSet;
use std::sync::Arc;

use domain::inventory::ObservedResource;
use domain::{Completeness, RecordedPage, ResourceKind};

use crate::Error;
use crate::client::Client;
use crate::kinds::{Body, Children, Item, ResourceListing};
use crate::pages::{PageRecord, PageSink, Read, Source};

/// The result of listing one kind, without its resources.
#[derive(Debug)]
pub struct ListedKind {
    pub kind: ResourceKind,
    /// `DigitalOcean`'s count, if it returns one.
    pub total: Option<u64>,
    /// Requests sent for this kind only, including failed ones.
    pub requests: u32,
    /// Whether all resources were read, with the reason if not.
    pub completeness: Completeness,
    /// The error of a page that could not be read. None for a complete list, and for a list that is
    /// incomplete because its pages contradict each other or an item could not be parsed.
    pub failure: Option<Error>,
}

impl Client {
    /// Lists every resource of a kind, and of the kinds that are read from the same bodies or
    /// listed for each of its resources. The kind itself is first in the result. A kind with
    /// several lists (droplets with and without GPUs) is complete only if all of them are; the
    /// first list that fails ends the listing, because the next one would most likely fail too.
    ///
    /// Resources are passed to `sink` a page at a time. A resource may be passed more than once;
    /// the last version counts. Of lists with pages that `sink` has already, only the remaining
    /// pages are requested.
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
        let (read, ordered) = (listing.read, listing.ordered);
        for path in listing.paths {
            let mut resources = Resources {
                ids: HashSet::new(),
                sink: &mut *sink,
            };
            let source = Source {
                path,
                envelope: listing.envelope,
                paging: listing.paging,
                read: Arc::new(move |json| read(Body::parse(json, ordered)?)),
                id: Some(|item: &Item| item.id.clone()),
                extra: None,
            };
            let part = self.list_into(&source, &mut resources).await?;
            // An item in both lists counts once.
            let repeated = resources.ids.intersection(&seen).count();
            own.add(part, repeated);
            seen.extend(resources.ids);
            if own.failure.is_some() {
                break;
            }
        }
        let mut kinds: Vec<_> = listing
            .included
            .iter()
            .map(|kind| own.included(kind))
            .collect();
        if let Some(children) = &listing.children {
            kinds.push(self.list_children(&own, children, &seen, sink).await?);
        }
        kinds.insert(0, own);
        Ok(kinds)
    }

    /// Lists a kind that can be listed only for one parent at a time. It is complete if the list of
    /// parents and the list of each parent are. A list that fails does not end the others.
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
            ..parents.included(&children.kind)
        };
        if parents.failure.is_some() {
            return Ok(all);
        }
        let mut ids: Vec<&String> = ids.iter().collect();
        ids.sort_unstable();
        let (read, ordered) = (children.read, children.ordered);
        for id in ids {
            let parent = id.clone();
            let path = (children.path)(id);
            let mut resources = Resources {
                ids: HashSet::new(),
                sink: &mut *sink,
            };
            let source = Source {
                path: &path,
                envelope: children.envelope,
                paging: children.paging,
                read: Arc::new(move |json| {
                    read(&parent, Body::parse(json, ordered)?).map(Item::from)
                }),
                id: Some(|item: &Item| item.id.clone()),
                extra: None,
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

    /// The result of a kind that is read from the bodies of this one.
    fn included(&self, kind: &ResourceKind) -> Self {
        Self {
            kind: kind.clone(),
            total: None,
            requests: 0,
            completeness: self.completeness.clone(),
            failure: None,
        }
    }
}

/// Passes the resources of a list's items to a sink.
struct Resources<'a, S> {
    /// The ids of the items.
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

    async fn record_page(&mut self, page: PageRecord<'_>) -> Result<(), S::Error> {
        self.sink.record_page(page).await
    }

    fn resumable_pages(&mut self, path: &str) -> Vec<RecordedPage> {
        let pages = self.sink.resumable_pages(path);
        let ids = pages.iter().flat_map(|page| &page.ids);
        self.ids.extend(ids.cloned());
        pages
    }

    async fn restart_list(&mut self, path: &str) -> Result<(), S::Error> {
        self.ids.clear();
        self.sink.restart_list(path).await
    }
}
