//! Load balancers.

use domain::ResourceKind;

use super::body::made_by_kubernetes;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::LOAD_BALANCER,
    also: &[],
    paths: &["/v2/load_balancers"],
    envelope: "load_balancers",
    scope: "load_balancer:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let tag = body.text("tag");
    let vpcs = body.in_vpcs("vpc_uuid");
    // The tags of its own are only in the Go client's model. The tag of the droplets that it leads to names the cluster as well.
    let tags: Vec<_> = body.tags().into_iter().chain(tag.clone()).collect();
    let cluster = made_by_kubernetes(&tags);
    // Droplets that a tag or a cluster chooses come and go by themselves; those that were named are its configuration.
    let body = if tag.is_some() || cluster.is_some() {
        body.without(&["droplet_ids"])
    } else {
        body
    };
    let mut balancer = body.resource(ResourceKind::LOAD_BALANCER, id)?;
    balancer.relations = vpcs;
    balancer.relations.extend(cluster);
    Ok(balancer.into())
}
