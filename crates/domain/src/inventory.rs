//! Resources as a listing saw them.

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
    pub attrs: Value,
}
