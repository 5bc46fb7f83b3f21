//! Resources as a listing saw them.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// One resource of a listing, without what is secret.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedResource {
    /// DigitalOcean's own id: a number, a uuid, a name or an address, by kind.
    pub provider_id: String,
    pub name: String,
    pub region: Option<String>,
    pub status: Option<String>,
    pub tags: Vec<String>,
    /// DigitalOcean's id of the project, for the few kinds whose body names it.
    pub project_id: Option<Uuid>,
    /// The body as given, less secrets and less what repeats other resources.
    pub attrs: Attrs,
}

/// A resource's body: a JSON object, kept as text, which takes a fraction of the memory that a tree of values does. Two that are
/// written differently are not equal, even where they say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attrs(Box<str>);

impl Attrs {
    /// Writes a body as JSON. Fails for what has no form in JSON, like a map whose keys are no texts.
    pub fn of(body: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_string(body)?.into()))
    }

    pub fn as_json(&self) -> &str {
        &self.0
    }

    pub fn to_value(&self) -> Value {
        // What serde_json wrote, it can read.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<Value> for Attrs {
    fn from(body: Value) -> Self {
        Self(body.to_string().into())
    }
}
