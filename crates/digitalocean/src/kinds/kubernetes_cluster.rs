//! The listing of Kubernetes clusters and their node pools.

use domain::ResourceKind;
use domain::inventory::{ObservedResource, RelationKind};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::{relation_from, relation_to};
use super::{Body, Item, ResourceListing};
use crate::decode::{Unreadable, text_of};
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::KUBERNETES_CLUSTER,
    included: &[ResourceKind::KUBERNETES_NODE_POOL],
    paths: &["/v2/kubernetes/clusters"],
    envelope: "kubernetes_clusters",
    scope: "kubernetes:read",
    paging: Paging::Pages,
    // The autoscaler applies them in order until one pool is left (spec).
    ordered: &["cluster_autoscaler_configuration.expanders"],
    children: None,
    read,
};

#[derive(Deserialize)]
struct Pool {
    #[serde(default)]
    nodes: Option<Vec<Node>>,
}

#[derive(Deserialize)]
struct Node {
    /// Empty while the node is being created.
    #[serde(default)]
    droplet_id: Value,
}

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let mut relations = body.in_vpcs("vpc_uuid");
    let pools: Vec<Box<RawValue>> = body.list("node_pools")?;
    let ordered = body.ordered_below("node_pools");
    let mut cluster = body
        .without(&["node_pools"])
        .resource(ResourceKind::KUBERNETES_CLUSTER, id)?;

    let mut resources = Vec::with_capacity(pools.len() + 1);
    for pool in pools {
        let nodes = serde_json::from_str::<Pool>(pool.get())?.nodes;
        let droplets = nodes.into_iter().flatten();
        relations.extend(
            droplets
                .filter_map(|node| text_of(&node.droplet_id))
                .map(|droplet| relation_from(RelationKind::NodeOf, ResourceKind::DROPLET, droplet)),
        );
        resources.push(read_pool(&cluster, Body::parse(pool.get(), &ordered)?)?);
    }
    cluster.relations = relations;
    resources.insert(0, cluster);
    Ok(Item {
        id: resources[0].provider_id.clone(),
        resources,
    })
}

fn read_pool(cluster: &ObservedResource, pool: Body<'_>) -> Result<ObservedResource, Unreadable> {
    let id = pool.id("id")?;
    let mut pool = pool
        // Nodes are droplets, and their states change without an action of a user.
        .without(&["nodes"])
        .with("region", cluster.region.clone())?
        .resource(ResourceKind::KUBERNETES_NODE_POOL, id)?;
    pool.relations.push(relation_to(
        RelationKind::PartOf,
        ResourceKind::KUBERNETES_CLUSTER,
        &*cluster.provider_id,
    ));
    Ok(pool)
}
