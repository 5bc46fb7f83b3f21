//! The listing of load balancers.

use domain::ResourceKind;

use super::body::made_by_kubernetes;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::LOAD_BALANCER,
    included: &[],
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
    // The documented field is `tag`, the tag of its target droplets. Its own tags exist only in the
    // model of the Go client. Both may name the cluster.
    let tags: Vec<_> = body.tags().into_iter().chain(tag.clone()).collect();
    let cluster = made_by_kubernetes(&tags);
    // Droplets selected by a tag or a cluster change without an action of a user; droplets selected
    // by id are configuration.
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
