//! What belongs to a project.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{caller::Caller, identifiers::kind_and_id, paging::Origin};

/// One resource in a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `do:KIND:ID`; the kind is an open word.
    pub urn: String,
    /// When it was put into the project.
    pub assigned_at: DateTime<Utc>,
    /// What the project says about it.
    pub status: MemberStatus,
}

/// The state of a [`Member`] when a project's resources are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// It is there.
    Ok,
    /// The resource is gone and the membership dangles.
    NotFound,
    /// The service that holds it did not answer; no sign that it is gone.
    ServiceDown,
}

/// A member as the API writes it.
#[derive(Serialize)]
pub(crate) struct MemberBody<'a> {
    urn: &'a str,
    assigned_at: DateTime<Utc>,
    links: SelfLink,
    status: &'a str,
}

#[derive(Serialize)]
struct SelfLink {
    #[serde(rename = "self")]
    this: String,
}

impl Member {
    pub(crate) fn body<'a>(&'a self, origin: &Origin, status: &'a str) -> MemberBody<'a> {
        let (kind, id) = kind_and_id(&self.urn);
        MemberBody {
            urn: &self.urn,
            assigned_at: self.assigned_at,
            links: SelfLink {
                this: format!("{}/v2/{}/{id}", origin.0, collection(kind)),
            },
            status,
        }
    }

    pub(crate) fn status_word(&self) -> &'static str {
        match self.status {
            MemberStatus::Ok => "ok",
            MemberStatus::NotFound => "not_found",
            MemberStatus::ServiceDown => "service_down",
        }
    }

    /// Whether a token's scopes let it see this member. A token without them gets a shorter list and no error.
    pub(crate) fn visible_to(&self, caller: &Caller) -> bool {
        let scope = match kind_and_id(&self.urn).0 {
            "dbaas" => "database:read".to_owned(),
            "floatingip" => "reserved_ip:read".to_owned(),
            "loadbalancer" => "load_balancer:read".to_owned(),
            "space" => "spaces_key:read".to_owned(),
            "volume" => "block_storage:read".to_owned(),
            kind => format!("{kind}:read"),
        };
        caller.may(&scope)
    }
}

fn collection(kind: &str) -> &str {
    match kind {
        "app" => "apps",
        "dbaas" => "databases",
        "domain" => "domains",
        "droplet" => "droplets",
        "floatingip" => "floating_ips",
        "kubernetes" => "kubernetes/clusters",
        "loadbalancer" => "load_balancers",
        "volume" => "volumes",
        other => other,
    }
}
