//! A resource's JSON body, and what kinds have in common in reading it.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::decode::{Unreadable, text_of};

/// The JSON object of one resource.
#[derive(Debug)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    pub(crate) fn parse(json: &str) -> Result<Self, Unreadable> {
        Ok(Self(serde_json::from_str(json)?))
    }

    /// An id, which is a string for some kinds and a number for others.
    pub(super) fn id(&self, key: &str) -> Result<String, Unreadable> {
        self.text(key)
            .ok_or_else(|| Unreadable::new(format!("it has no {key}")))
    }

    /// A text, or none where it is absent, null or empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(text_of)
    }

    /// The region's slug: of the object that some kinds give, or as it is.
    pub(super) fn region(&self) -> Option<String> {
        let region = self.0.get("region")?;
        text_of(region.get("slug").unwrap_or(region))
    }

    /// The tags; none where they are absent or null, as they are without the scope `tag:read` (spec).
    pub(super) fn tags(&self) -> Vec<String> {
        let tags = self.0.get("tags").and_then(Value::as_array);
        tags.into_iter().flatten().filter_map(text_of).collect()
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
    pub(super) fn without_in(mut self, object: &str, keys: &[&str]) -> Self {
        if let Some(Value::Object(object)) = self.0.get_mut(object) {
            object.retain(|key, _| !keys.contains(&key.as_str()));
        }
        self
    }

    /// Leaves all other keys of an object in the body out.
    pub(super) fn only_in(mut self, object: &str, keys: &[&str]) -> Self {
        if let Some(Value::Object(object)) = self.0.get_mut(object) {
            object.retain(|key, _| keys.contains(&key.as_str()));
        }
        self
    }

    /// What is left, keys in alphabetical order, without what the mirror keeps beside it. A region says only its slug there: what
    /// it offers today would show as a change of every resource in it.
    pub(super) fn into_attrs(self) -> Value {
        Value::Object(self.without(&KEPT_BESIDE).0)
    }
}

/// Fields of every resource that are no attributes.
const KEPT_BESIDE: [&str; 5] = ["name", "project_id", "region", "status", "tags"];
