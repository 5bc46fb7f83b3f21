//! The resources of kinds without a separate type, each stored as the JSON to send.

use std::collections::HashMap;

use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

/// A resource of a kind in [`crate::kinds`].
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// DigitalOcean's id as text.
    pub(crate) id: String,
    /// The resource that it was made of or belongs to.
    pub(crate) parent: Option<Parent>,
    /// The body as JSON.
    text: Box<RawValue>,
}

/// The resource that a snapshot, a backup, a replica or a record belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// `droplet`, `volume`, `database_cluster`, `dns_zone` or `nfs_share`.
    pub(crate) kind: &'static str,
    pub(crate) id: String,
}

impl Parent {
    pub(crate) fn new(kind: &'static str, id: &str) -> Self {
        Self {
            kind,
            id: id.to_owned(),
        }
    }
}

impl Resource {
    pub(crate) fn new(id: String, parent: Option<Parent>, body: &Value) -> Self {
        Self {
            id,
            parent,
            text: text_of(body).unwrap_or_default(),
        }
    }

    pub(crate) fn text(&self) -> &RawValue {
        &self.text
    }

    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(self.text.get()).unwrap_or_default()
    }

    fn change(&mut self, change: impl FnOnce(&mut Value)) {
        let mut body = self.body();
        change(&mut body);
        if let Some(text) = text_of(&body) {
            self.text = text;
        }
    }

    pub(crate) fn is_of(&self, parent: &Parent) -> bool {
        self.parent.as_ref() == Some(parent)
    }
}

/// Serializes a [`Value`], which does not fail.
fn text_of(body: &Value) -> Option<Box<RawValue>> {
    to_raw_value(body).ok()
}

/// The resources of all kinds, by the kind's slug.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stock(HashMap<&'static str, Listing>);

/// The resources of one kind in the order of their list, and the position of each by id.
#[derive(Clone, Debug, Default)]
struct Listing {
    items: Vec<Resource>,
    positions: HashMap<String, usize>,
}

impl Stock {
    pub(crate) fn of(&self, kind: &str) -> &[Resource] {
        self.0.get(kind).map_or(&[], |listing| &listing.items)
    }

    pub(crate) fn find(&self, kind: &str, id: &str) -> Option<&Resource> {
        let listing = self.0.get(kind)?;
        listing.items.get(*listing.positions.get(id)?)
    }

    pub(crate) fn insert(&mut self, kind: &'static str, resource: Resource) {
        let listing = self.0.entry(kind).or_default();
        let position = listing.items.len();
        listing.positions.insert(resource.id.clone(), position);
        listing.items.push(resource);
    }

    /// Changes a body in place and returns whether the id is known.
    pub(crate) fn change(&mut self, kind: &str, id: &str, change: impl FnOnce(&mut Value)) -> bool {
        let found = self.0.get_mut(kind).and_then(|listing| {
            let position = *listing.positions.get(id)?;
            listing.items.get_mut(position)
        });
        found.map(|resource| resource.change(change)).is_some()
    }

    /// Changes all bodies of a kind in place.
    pub(crate) fn change_all(&mut self, kind: &str, mut change: impl FnMut(&mut Value)) {
        let listing = self.0.get_mut(kind);
        for resource in listing.into_iter().flat_map(|listing| &mut listing.items) {
            resource.change(&mut change);
        }
    }

    pub(crate) fn remove(&mut self, kind: &str, id: &str) -> Option<Resource> {
        let listing = self.0.get_mut(kind)?;
        let position = listing.positions.remove(id)?;
        let removed = listing.items.remove(position);
        for (offset, moved) in listing.items[position..].iter().enumerate() {
            listing
                .positions
                .insert(moved.id.clone(), position + offset);
        }
        Some(removed)
    }

    /// The ids of a parent's children of a kind.
    pub(crate) fn children(&self, kind: &str, parent: &Parent) -> Vec<String> {
        let children = self.of(kind).iter().filter(|child| child.is_of(parent));
        children.map(|child| child.id.clone()).collect()
    }
}
