//! The JSON body of a resource, and the readers that several kinds share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::inventory::{Attrs, Direction, ObservedResource, Relation, RelationKind};
use domain::{ResourceKind, Urn};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::allowed::{allowed, paths_below};
use super::canonical::canonical;
use crate::decode::{Unreadable, text_of};

/// An object with unparsed values: an account has many bodies, and most of each is only stored.
type Object<'a> = BTreeMap<String, Cow<'a, RawValue>>;

/// The JSON object of one resource.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    parts: Object<'a>,
    /// The paths of its ordered lists, such as `rules.ports`.
    ordered: Vec<&'static str>,
}

impl<'a> Body<'a> {
    pub(crate) fn parse(json: &'a str, ordered: &[&'static str]) -> Result<Self, Unreadable> {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
        let borrowed = object
            .into_iter()
            .map(|(key, value)| (key, Cow::Borrowed(value)));
        Ok(Self {
            parts: borrowed.collect(),
            ordered: ordered.to_vec(),
        })
    }

    /// Returns the ordered lists below a key, for a part that is a body itself.
    pub(super) fn ordered_below(&self, key: &str) -> Vec<&'static str> {
        paths_below(key, self.ordered.iter().copied())
    }

    /// Returns a part of the body. None if it is absent or of another type.
    pub(super) fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.parts.get(key)?.get()).ok()
    }

    /// Returns an id, which is a string for some kinds and a number for others.
    pub(super) fn id(&self, key: &str) -> Result<String, Unreadable> {
        self.text(key)
            .ok_or_else(|| Unreadable::new(format!("missing field `{key}`")))
    }

    /// Creates the resource of the body, with its name, region, status, tags and project if the
    /// body has them under these names. The rest of the body becomes its attributes.
    pub(super) fn resource(
        self,
        kind: ResourceKind,
        provider_id: String,
    ) -> Result<ObservedResource, Unreadable> {
        let Urn { kind, provider_id } = kind.with_id(provider_id);
        Ok(ObservedResource {
            kind,
            name: self.text("name").unwrap_or_else(|| provider_id.clone()),
            provider_id,
            region: self.region(),
            status: self.status(),
            tags: self.tags(),
            project_id: self.project_id(),
            relations: Vec::new(),
            attrs: self.into_attrs()?,
        })
    }

    /// Returns a text. None if it is absent, null or empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.read::<Value>(key).as_ref().and_then(text_of)
    }

    /// Returns the region's slug: from an object, which some kinds have, or the plain text.
    pub(super) fn region(&self) -> Option<String> {
        let slug = self.read("region").and_then(|region: Region| region.slug);
        slug.as_ref()
            .and_then(text_of)
            .or_else(|| self.text("region"))
    }

    /// Returns the state: a text, the text in an object (`{"state": "running"}`), or the key
    /// `state`.
    fn status(&self) -> Option<String> {
        let state = self.read("status").and_then(|status: Status| status.state);
        let state = state.as_ref().and_then(text_of);
        self.text("status").or(state).or_else(|| self.text("state"))
    }

    /// Returns the tags. Empty if they are absent or null, as without the scope `tag:read` (spec).
    pub(super) fn tags(&self) -> Vec<String> {
        let tags: Vec<Value> = self.read("tags").unwrap_or_default();
        tags.iter().filter_map(text_of).collect()
    }

    /// Returns the project, if the body of the kind has it and the token has the scope
    /// `project:read` (spec).
    pub(super) fn project_id(&self) -> Option<Uuid> {
        self.text("project_id")?.parse().ok()
    }

    /// Returns a list that defines other resources, so an invalid one is an error. Empty if it is
    /// absent or null.
    pub(super) fn list<T: DeserializeOwned>(&self, key: &str) -> Result<Vec<T>, Unreadable> {
        let list: Option<Vec<T>> = match self.parts.get(key) {
            None => None,
            Some(json) => serde_json::from_str(json.get())?,
        };
        Ok(list.unwrap_or_default())
    }

    /// Returns a text from an object of the body.
    pub(super) fn text_in(&self, object: &str, key: &str) -> Option<String> {
        let object: BTreeMap<String, Value> = self.read(object)?;
        object.get(key).and_then(text_of)
    }

    /// Returns the ids under a key. Empty if they are absent or null.
    pub(super) fn ids(&self, key: &str) -> Vec<String> {
        let ids: Vec<Value> = self.read(key).unwrap_or_default();
        ids.iter().filter_map(text_of).collect()
    }

    /// Returns the relation to the VPC, or to each of the VPCs, under a key.
    pub(super) fn in_vpcs(&self, key: &str) -> Vec<Relation> {
        let in_vpc = |id| relation_to(RelationKind::InVpc, ResourceKind::VPC, id);
        let several = self.ids(key).into_iter();
        several.chain(self.text(key)).map(in_vpc).collect()
    }

    /// Renames a key: the label of some kinds is the name of others.
    pub(super) fn renamed(mut self, from: &str, to: &str) -> Self {
        if let Some(value) = self.parts.remove(from) {
            self.parts.insert(to.to_owned(), value);
        }
        self
    }

    /// Sets a key to a text. Leaves the key unchanged if there is no text.
    pub(super) fn with(mut self, key: &str, text: Option<String>) -> Result<Self, Unreadable> {
        if let Some(text) = text {
            let text = Cow::Owned(to_raw_value(&text)?);
            self.parts.insert(key.to_owned(), text);
        }
        Ok(self)
    }

    /// Moves the only element of `regions` to `region`. Does nothing if there are several.
    pub(super) fn with_single_region(self) -> Result<Self, Unreadable> {
        match <[String; 1]>::try_from(self.ids("regions")) {
            Ok([region]) => self.without(&["regions"]).with("region", Some(region)),
            Err(_) => Ok(self),
        }
    }

    /// Keeps only these parts, written like `users.name`, and the fields that are stored in
    /// separate columns. For kinds with secrets in their bodies: a secret that `DigitalOcean` adds
    /// later is omitted as well.
    pub(super) fn only<P: AsRef<str>>(self, parts: &[P]) -> Result<Self, Unreadable> {
        let mut kept = Object::new();
        for (key, value) in self.parts {
            if COLUMN_FIELDS.contains(&key.as_str()) {
                kept.insert(key, value);
                continue;
            }
            let paths = paths_below(&key, parts.iter().map(AsRef::as_ref));
            if let Some(value) = allowed(&value, &paths)? {
                kept.insert(key, Cow::Owned(value));
            }
        }
        Ok(Self {
            parts: kept,
            ordered: self.ordered,
        })
    }

    /// Removes keys.
    pub(super) fn without(mut self, keys: &[&str]) -> Self {
        self.parts.retain(|key, _| !keys.contains(&key.as_str()));
        self
    }

    /// Removes keys from an object of the body.
    pub(super) fn without_in(self, object: &str, keys: &[&str]) -> Result<Self, Unreadable> {
        self.retain_in(object, |key| !keys.contains(&key))
    }

    /// Removes all other keys from an object of the body.
    pub(super) fn only_in(self, object: &str, keys: &[&str]) -> Result<Self, Unreadable> {
        self.retain_in(object, |key| keys.contains(&key))
    }

    fn retain_in(mut self, key: &str, keep: impl Fn(&str) -> bool) -> Result<Self, Unreadable> {
        if let Some(value) = self.parts.get_mut(key)
            && value.get().starts_with('{')
        {
            let mut object: BTreeMap<String, &RawValue> = serde_json::from_str(value.get())?;
            object.retain(|key, _| keep(key));
            *value = Cow::Owned(to_raw_value(&object)?);
        }
        Ok(self)
    }

    /// Returns the rest of the body as attributes, with keys and lists in canonical order. Omits
    /// the fields that are stored in separate columns, and nulls and empty lists, which mean the
    /// same as an absent key. Of a region only its slug is stored, in its column: the sizes and
    /// features that a region offers would appear as a change of every resource in it.
    pub(super) fn into_attrs(self) -> Result<Attrs, Unreadable> {
        let Self { parts, ordered } = self.without(&COLUMN_FIELDS);
        let mut kept = BTreeMap::new();
        for (key, value) in parts {
            let ordered = paths_below(&key, ordered.iter().copied());
            if let Some(value) = canonical(&value, &ordered)? {
                kept.insert(key, value);
            }
        }
        Ok(Attrs::of(&kept)?)
    }
}

/// Creates the relation "this resource is `relation` that one".
pub(super) fn relation_to(
    relation: RelationKind,
    kind: ResourceKind,
    provider_id: impl Into<String>,
) -> Relation {
    Relation {
        relation,
        other: kind.with_id(provider_id),
        direction: Direction::ToOther,
    }
}

/// Returns the cluster that created a resource, from its tag `k8s:` with the UUID of the cluster
/// (spec).
pub(super) fn made_by_kubernetes(tags: &[String]) -> Option<Relation> {
    // The smallest of several, so that their order does not matter.
    let cluster = tags
        .iter()
        .filter_map(|tag| tag.strip_prefix("k8s:")?.parse::<Uuid>().ok())
        .min()?;
    Some(relation_to(
        RelationKind::MadeByKubernetes,
        ResourceKind::KUBERNETES_CLUSTER,
        cluster.to_string(),
    ))
}

/// Gives a resource the tags of an earlier listing, with the relation that they state. For a
/// listing with a token that may not read tags.
pub fn restore_tags(resource: &mut ObservedResource, tags: Vec<String>) {
    let is_of_a_cluster = [
        ResourceKind::DROPLET,
        ResourceKind::LOAD_BALANCER,
        ResourceKind::VOLUME,
    ]
    .contains(&resource.kind);
    let mut relations = resource.relations.iter();
    if is_of_a_cluster && !relations.any(|known| known.relation == RelationKind::MadeByKubernetes) {
        resource.relations.extend(made_by_kubernetes(&tags));
    }
    resource.tags = tags;
}

/// Creates the relation "that resource is `relation` this one".
pub(super) fn relation_from(
    relation: RelationKind,
    kind: ResourceKind,
    provider_id: impl Into<String>,
) -> Relation {
    Relation {
        direction: Direction::FromOther,
        ..relation_to(relation, kind, provider_id)
    }
}

#[derive(Deserialize)]
struct Region {
    slug: Option<Value>,
}

#[derive(Deserialize)]
struct Status {
    state: Option<Value>,
}

/// Fields that are stored in separate columns and so are not attributes. The mirror records the
/// time of a change itself: some kinds set `updated_at` for changes that are not visible.
const COLUMN_FIELDS: [&str; 7] = [
    "name",
    "project_id",
    "region",
    "state",
    "status",
    "tags",
    "updated_at",
];
