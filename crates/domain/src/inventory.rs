//! Resources as a listing saw them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::kind::{ResourceKind, Urn};

/// One resource of a listing, without what is secret.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedResource {
    pub kind: ResourceKind,
    /// DigitalOcean's own id: a number, a uuid, a name or an address, by kind.
    pub provider_id: String,
    pub name: String,
    pub region: Option<String>,
    pub status: Option<String>,
    pub tags: Vec<String>,
    /// DigitalOcean's id of the project, for the few kinds whose body names it.
    pub project_id: Option<Uuid>,
    /// What its body says of how it and others belong together.
    pub relations: Vec<Relation>,
    /// The body as given, less secrets and less what repeats other resources.
    pub attrs: Attrs,
}

/// That two resources belong together, as the body of one of them says. The other may be one that the mirror does not have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Relation {
    pub relation: RelationKind,
    /// The resource that the body names.
    pub other: Urn,
    /// Which of the two the sentence begins with.
    pub direction: Direction,
}

/// Who is meant by "A is `relation` B".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The resource that says so is A: a snapshot names its droplet.
    ToOther,
    /// The other one is A: a cluster names the droplets that are its nodes.
    FromOther,
}

/// How one resource belongs to another (rule of ours; the words are columns' values).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// A volume or an address to a droplet.
    AttachedTo,
    BackupOf,
    InVpc,
    /// A droplet, a load balancer or a volume that a cluster made for itself.
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

    /// Whether A is B's, so that A's project and tenant follow B's.
    pub fn makes_a_part(self) -> bool {
        !matches!(self, Self::InVpc)
    }
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

    /// Of a resource of which nothing but its name is known.
    pub fn empty() -> Self {
        Self("{}".into())
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
