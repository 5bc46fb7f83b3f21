//! A resource's JSON body, and what kinds have in common in reading it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::inventory::{Attrs, Direction, ObservedResource, Relation, RelationKind};
use domain::{ResourceKind, Urn};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::allowed::{allowed, below};
use super::canonical::canonical;
use crate::decode::{Unreadable, text_of};

/// An object whose values are left as they are written: an account has many bodies, and most of each is only passed on.
type Object<'a> = BTreeMap<String, Cow<'a, RawValue>>;

/// The JSON object of one resource.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    parts: Object<'a>,
    /// Its lists whose order means something, as in `rules.ports`.
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

    /// The lists below a key whose order means something: for a part of the body that is a body itself.
    pub(super) fn ordered_below(&self, key: &str) -> Vec<&'static str> {
        below(key, self.ordered.iter().copied())
    }

    /// A part of the body, or none where it is absent or of another form.
    pub(super) fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.parts.get(key)?.get()).ok()
    }

    /// An id, which is a string for some kinds and a number for others.
    pub(super) fn id(&self, key: &str) -> Result<String, Unreadable> {
        self.text(key)
            .ok_or_else(|| Unreadable::new(format!("it has no {key}")))
    }

    /// The resource that the body is about, with its name, region, status, tags and project where the body has them under these
    /// names. What is left of the body after `attrs` are its attributes.
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

    /// A text, or none where it is absent, null or empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.read::<Value>(key).as_ref().and_then(text_of)
    }

    /// The region's slug: of the object that some kinds give, or as it is.
    pub(super) fn region(&self) -> Option<String> {
        let slug = self.read("region").and_then(|region: Region| region.slug);
        slug.as_ref()
            .and_then(text_of)
            .or_else(|| self.text("region"))
    }

    /// The state: a text, the one in an object (`{"state": "running"}`), or one under another key.
    fn status(&self) -> Option<String> {
        let state = self.read("status").and_then(|status: Status| status.state);
        let state = state.as_ref().and_then(text_of);
        self.text("status").or(state).or_else(|| self.text("state"))
    }

    /// The tags; none where they are absent or null, as they are without the scope `tag:read` (spec).
    pub(super) fn tags(&self) -> Vec<String> {
        let tags: Vec<Value> = self.read("tags").unwrap_or_default();
        tags.iter().filter_map(text_of).collect()
    }

    /// The project, for kinds whose body names it and tokens with the scope `project:read` (spec).
    pub(super) fn project_id(&self) -> Option<Uuid> {
        self.text("project_id")?.parse().ok()
    }

    /// A list that tells of resources of their own, and so has to be understood; empty where it is absent or null.
    pub(super) fn list<T: DeserializeOwned>(&self, key: &str) -> Result<Vec<T>, Unreadable> {
        let list: Option<Vec<T>> = match self.parts.get(key) {
            None => None,
            Some(json) => serde_json::from_str(json.get())?,
        };
        Ok(list.unwrap_or_default())
    }

    /// A text in an object of the body.
    pub(super) fn text_in(&self, object: &str, key: &str) -> Option<String> {
        let object: BTreeMap<String, Value> = self.read(object)?;
        object.get(key).and_then(text_of)
    }

    /// Ids that the body lists under a key; none where they are absent or null.
    pub(super) fn ids(&self, key: &str) -> Vec<String> {
        let ids: Vec<Value> = self.read(key).unwrap_or_default();
        ids.iter().filter_map(text_of).collect()
    }

    /// That the resource is in the VPC, or in each of those, that stand under a key.
    pub(super) fn in_vpcs(&self, key: &str) -> Vec<Relation> {
        let in_vpc = |id| to(RelationKind::InVpc, ResourceKind::VPC, id);
        let several = self.ids(key).into_iter();
        several.chain(self.text(key)).map(in_vpc).collect()
    }

    /// Gives a value another key: what some kinds call a label is the name of others.
    pub(super) fn renamed(mut self, from: &str, to: &str) -> Self {
        if let Some(value) = self.parts.remove(from) {
            self.parts.insert(to.to_owned(), value);
        }
        self
    }

    /// Puts a text under a key in place of what is there; leaves it where there is no such text.
    pub(super) fn with(mut self, key: &str, text: Option<String>) -> Result<Self, Unreadable> {
        if let Some(text) = text {
            let text = Cow::Owned(to_raw_value(&text)?);
            self.parts.insert(key.to_owned(), text);
        }
        Ok(self)
    }

    /// Takes the only one of several regions for the region.
    pub(super) fn with_single_region(self) -> Result<Self, Unreadable> {
        match <[String; 1]>::try_from(self.ids("regions")) {
            Ok([region]) => self.without(&["regions"]).with("region", Some(region)),
            Err(_) => Ok(self),
        }
    }

    /// Leaves all out but these parts, written as in `users.name`, and what the mirror keeps beside the attributes. For kinds whose
    /// bodies hold secrets: one that `DigitalOcean` adds tomorrow is left out as well.
    pub(super) fn only<P: AsRef<str>>(self, parts: &[P]) -> Result<Self, Unreadable> {
        let mut left = Object::new();
        for (key, value) in self.parts {
            if KEPT_BESIDE.contains(&key.as_str()) {
                left.insert(key, value);
                continue;
            }
            let paths = below(&key, parts.iter().map(AsRef::as_ref));
            if let Some(value) = allowed(&value, &paths)? {
                left.insert(key, Cow::Owned(value));
            }
        }
        Ok(Self {
            parts: left,
            ordered: self.ordered,
        })
    }

    /// Leaves keys out.
    pub(super) fn without(mut self, keys: &[&str]) -> Self {
        self.parts.retain(|key, _| !keys.contains(&key.as_str()));
        self
    }

    /// Leaves keys of an object in the body out.
    pub(super) fn without_in(self, object: &str, keys: &[&str]) -> Result<Self, Unreadable> {
        self.retain_in(object, |key| !keys.contains(&key))
    }

    /// Leaves all other keys of an object in the body out.
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

    /// What is left, keys in alphabetical order and lists in theirs, without what the mirror keeps beside it, and without nulls and
    /// empty lists, which say as much as absent keys. A region says only its slug there: what it offers today would show as a change
    /// of every resource in it.
    pub(super) fn into_attrs(self) -> Result<Attrs, Unreadable> {
        let Self { parts, ordered } = self.without(&KEPT_BESIDE);
        let mut left = BTreeMap::new();
        for (key, value) in parts {
            let ordered = below(&key, ordered.iter().copied());
            if let Some(value) = canonical(&value, &ordered)? {
                left.insert(key, value);
            }
        }
        Ok(Attrs::of(&left)?)
    }
}

/// "This resource is `relation` that one."
pub(super) fn to(
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

/// The cluster that a resource's tags say it was made by: `k8s:` and the cluster's uuid (spec).
pub(super) fn made_by_kubernetes(tags: &[String]) -> Option<Relation> {
    // The first of several, whatever their order.
    let cluster = tags
        .iter()
        .filter_map(|tag| tag.strip_prefix("k8s:")?.parse::<Uuid>().ok())
        .min()?;
    Some(to(
        RelationKind::MadeByKubernetes,
        ResourceKind::KUBERNETES_CLUSTER,
        cluster.to_string(),
    ))
}

/// "That resource is `relation` this one."
pub(super) fn from(
    relation: RelationKind,
    kind: ResourceKind,
    provider_id: impl Into<String>,
) -> Relation {
    Relation {
        direction: Direction::FromOther,
        ..to(relation, kind, provider_id)
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

/// Fields of every resource that are no attributes. When a resource was changed the mirror knows itself, and some kinds say so of
/// changes that show nowhere.
const KEPT_BESIDE: [&str; 7] = [
    "name",
    "project_id",
    "region",
    "state",
    "status",
    "tags",
    "updated_at",
];
