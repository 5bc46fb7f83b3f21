//! A resource's JSON body, and what kinds have in common in reading it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::inventory::Attrs;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::decode::{Unreadable, text_of};

/// An object whose values are left as they are written: an account has many bodies, and most of each is only passed on.
type Object<'a> = BTreeMap<String, Cow<'a, RawValue>>;

/// The JSON object of one resource.
#[derive(Debug)]
pub(crate) struct Body<'a>(Object<'a>);

impl<'a> Body<'a> {
    pub(crate) fn parse(json: &'a str) -> Result<Self, Unreadable> {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
        let borrowed = object
            .into_iter()
            .map(|(key, value)| (key, Cow::Borrowed(value)));
        Ok(Self(borrowed.collect()))
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.0.get(key)?.get()).ok()
    }

    /// An id, which is a string for some kinds and a number for others.
    pub(super) fn id(&self, key: &str) -> Result<String, Unreadable> {
        self.text(key)
            .ok_or_else(|| Unreadable::new(format!("it has no {key}")))
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

    /// The tags; none where they are absent or null, as they are without the scope `tag:read` (spec).
    pub(super) fn tags(&self) -> Vec<String> {
        let tags: Vec<Value> = self.read("tags").unwrap_or_default();
        tags.iter().filter_map(text_of).collect()
    }

    /// The project, for kinds whose body names it and tokens with the scope `project:read` (spec).
    pub(super) fn project_id(&self) -> Option<Uuid> {
        self.text("project_id")?.parse().ok()
    }

    /// Leaves keys out.
    pub(super) fn without(mut self, keys: &[&str]) -> Self {
        self.0.retain(|key, _| !keys.contains(&key.as_str()));
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
        if let Some(value) = self.0.get_mut(key)
            && value.get().starts_with('{')
        {
            let mut object: BTreeMap<String, &RawValue> = serde_json::from_str(value.get())?;
            object.retain(|key, _| keep(key));
            *value = Cow::Owned(to_raw_value(&object)?);
        }
        Ok(self)
    }

    /// What is left, keys in alphabetical order, without what the mirror keeps beside it. A region says only its slug there: what
    /// it offers today would show as a change of every resource in it.
    pub(super) fn into_attrs(self) -> Result<Attrs, Unreadable> {
        Ok(Attrs::of(&self.without(&KEPT_BESIDE).0)?)
    }
}

#[derive(Deserialize)]
struct Region {
    slug: Option<Value>,
}

/// Fields of every resource that are no attributes.
const KEPT_BESIDE: [&str; 5] = ["name", "project_id", "region", "status", "tags"];
