//! Resources as read from DigitalOcean's lists, and the relations between them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::kind::{ResourceKind, Urn};

/// One resource of a listing, without its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedResource {
    pub kind: ResourceKind,
    /// DigitalOcean's id: a number, a uuid, a name or an address, depending on the kind.
    pub provider_id: String,
    pub name: String,
    pub region: Option<String>,
    pub status: Option<String>,
    pub tags: Vec<String>,
    /// DigitalOcean's id of the project, for the few kinds that have it in their body.
    pub project_id: Option<Uuid>,
    /// The relations to other resources that the body states.
    pub relations: Vec<Relation>,
    /// The body without secrets and without copies of other resources.
    pub attrs: Attrs,
}

/// A relation between two resources, stated in the body of one of them. The other resource can be
/// missing from the mirror.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Relation {
    pub relation: RelationKind,
    /// The resource that the body names.
    pub other: Urn,
    /// The subject of the relation.
    pub direction: Direction,
}

/// The subject A in "A is `relation` B".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// A is the resource that states the relation: a snapshot names its droplet.
    ToOther,
    /// A is the other resource: a cluster names the droplets that are its nodes.
    FromOther,
}

/// The kind of a relation (rule of ours). The names are values of a database column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// A volume or an address to a droplet.
    AttachedTo,
    BackupOf,
    InVpc,
    /// A droplet, a load balancer or a volume that a cluster created for itself.
    MadeByKubernetes,
    /// A droplet to its cluster.
    NodeOf,
    /// A node pool to its cluster.
    PartOf,
    /// A DNS record to its zone.
    RecordOf,
    ReplicaOf,
    /// A CDN endpoint to its bucket.
    Serves,
    SnapshotOf,
}

impl RelationKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AttachedTo => "attached_to",
            Self::BackupOf => "backup_of",
            Self::InVpc => "in_vpc",
            Self::MadeByKubernetes => "made_by_kubernetes",
            Self::NodeOf => "node_of",
            Self::PartOf => "part_of",
            Self::RecordOf => "record_of",
            Self::ReplicaOf => "replica_of",
            Self::Serves => "serves",
            Self::SnapshotOf => "snapshot_of",
        }
    }

    /// Returns true if A is a part of B, so that A's project and tenant follow those of B.
    pub fn makes_a_part(self) -> bool {
        !matches!(self, Self::InVpc)
    }
}

/// The body of a resource: a JSON object, stored as text, which takes a fraction of the memory of a
/// tree of values. Equality compares the text, not the JSON values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attrs(Box<str>);

impl Attrs {
    /// Serialises a body. Fails for values without a JSON form, e.g. a map with keys that are not
    /// strings.
    pub fn of(body: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_string(body)?.into()))
    }

    /// The attributes of a resource of which only the name is known.
    pub fn empty() -> Self {
        Self("{}".into())
    }

    pub fn as_json(&self) -> &str {
        &self.0
    }

    pub fn to_value(&self) -> Value {
        // Serialised by serde_json, so it parses.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl From<Value> for Attrs {
    fn from(body: Value) -> Self {
        Self(body.to_string().into())
    }
}
