//! The listing of managed database clusters, and their read-only replicas.

use domain::ResourceKind;
use domain::inventory::{ObservedResource, RelationKind};

use super::body::relation_to;
use super::{Body, Children, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::DATABASE_CLUSTER,
    included: &[],
    paths: &["/v2/databases"],
    envelope: "databases",
    scope: "database:read",
    paging: Paging::Whole,
    ordered: &[],
    children: Some(REPLICAS),
    read,
};

const REPLICAS: Children = Children {
    kind: ResourceKind::DATABASE_REPLICA,
    path: |cluster| format!("/v2/databases/{cluster}/replicas"),
    envelope: "replicas",
    paging: Paging::Whole,
    ordered: &[],
    read: read_replica,
};

/// The parts to keep. Omits every `connection`, which contains a password twice: in a field and in
/// its URI. Omits the passwords of users, and the private keys of users of Kafka (spec). Omits
/// pending maintenance, which changes without an action of a user.
const PARTS: [&str; 18] = [
    "created_at",
    "db_names",
    "do_settings.service_cnames",
    "engine",
    "maintenance_window.day",
    "maintenance_window.hour",
    "num_nodes",
    "private_network_uuid",
    "rules.type",
    "rules.uuid",
    "rules.value",
    "semantic_version",
    "size",
    "storage_size_mib",
    "users.name",
    "users.role",
    "version",
    "version_end_of_life",
];

const REPLICA_PARTS: [&str; 5] = [
    "created_at",
    "do_settings.service_cnames",
    "private_network_uuid",
    "size",
    "storage_size_mib",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let vpcs = body.in_vpcs("private_network_uuid");
    let body = body.only(&PARTS)?;
    let mut cluster = body.resource(ResourceKind::DATABASE_CLUSTER, id.clone())?;
    cluster.relations = vpcs;
    // The path of its replicas needs the id in the spelling of DigitalOcean.
    Ok(Item {
        id,
        resources: vec![cluster],
    })
}

fn read_replica(cluster: &str, body: Body<'_>) -> Result<ObservedResource, Unreadable> {
    let id = body.id("id")?;
    let vpcs = body.in_vpcs("private_network_uuid");
    let body = body.only(&REPLICA_PARTS)?;
    let mut replica = body.resource(ResourceKind::DATABASE_REPLICA, id)?;
    replica.relations = vpcs;
    replica.relations.push(relation_to(
        RelationKind::ReplicaOf,
        ResourceKind::DATABASE_CLUSTER,
        cluster,
    ));
    Ok(replica)
}
