//! Projects and what lives in them, as DigitalOcean tells it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::kind::Urn;

/// A project as `GET /v2/projects` lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedProject {
    /// DigitalOcean's id of it.
    pub provider_id: Uuid,
    pub name: String,
    pub description: String,
    /// `Development`, `Staging` or `Production` (spec); kept open.
    pub environment: Option<String>,
    pub is_default: bool,
    /// The rest of the body, DigitalOcean's own `purpose` text included.
    pub attrs: Value,
}

/// What a project must have to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// At most 175 characters, unique in the account (spec).
    pub name: String,
    pub description: String,
    /// At most 255 characters; DigitalOcean stores one it does not know as `Other: ...` (spec).
    pub purpose: String,
}

/// One entry of `GET /v2/projects/{id}/resources`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectMember {
    pub urn: Urn,
    pub status: MemberStatus,
    /// When it was put there: of two projects that both list a resource that moves, the later one holds it.
    pub assigned_at: Option<DateTime<Utc>>,
}

/// What the Projects API says of a member (spec).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberStatus {
    /// It exists.
    Ok,
    /// A dangling entry: the resource is gone.
    NotFound,
    /// `service_down` or a word this system does not know: nothing can be said.
    Unknown(String),
}

impl MemberStatus {
    pub fn from_word(word: &str) -> Self {
        match word {
            // The last two are answers to an assignment.
            "ok" | "assigned" | "already_assigned" => Self::Ok,
            "not_found" => Self::NotFound,
            other => Self::Unknown(other.to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::NotFound => "not_found",
            Self::Unknown(word) => word,
        }
    }
}
