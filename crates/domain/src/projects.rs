//! Projects and their members as DigitalOcean reports them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::kind::Urn;

/// A project as `GET /v2/projects` lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedProject {
    /// DigitalOcean's id of the project.
    pub provider_id: Uuid,
    pub name: String,
    pub description: String,
    /// `Development`, `Staging` or `Production` (spec); kept open.
    pub environment: Option<String>,
    pub is_default: bool,
    /// The rest of the body, including DigitalOcean's `purpose` text.
    pub attrs: Value,
}

/// The fields of a project to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// At most 175 characters, unique in the account (spec).
    pub name: String,
    pub description: String,
    /// At most 255 characters; DigitalOcean stores an unknown purpose as `Other: ...` (spec).
    pub purpose: String,
}

/// One entry of `GET /v2/projects/{id}/resources`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectMember {
    pub urn: Urn,
    pub status: MemberStatus,
    /// The time of the assignment. If two projects list a resource that is being moved, the later
    /// assignment counts.
    pub assigned_at: Option<DateTime<Utc>>,
}

/// The status of a member in the Projects API (spec).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberStatus {
    /// The resource exists.
    Ok,
    /// A dangling entry: the resource is deleted.
    NotFound,
    /// `service_down` or an unknown status: it proves neither existence nor absence.
    Unknown(String),
}

impl MemberStatus {
    pub fn from_status(status: &str) -> Self {
        match status {
            // The last two are returned by an assignment.
            "ok" | "assigned" | "already_assigned" => Self::Ok,
            "not_found" => Self::NotFound,
            other => Self::Unknown(other.to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::NotFound => "not_found",
            Self::Unknown(status) => status,
        }
    }
}
