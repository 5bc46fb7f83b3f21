//! The listing of peerings of two VPCs.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::VPC_PEERING,
    included: &[],
    paths: &["/v2/vpc_peerings"],
    envelope: "vpc_peerings",
    scope: "vpc_peering:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let vpcs = body.in_vpcs("vpc_ids");
    let mut peering = body.resource(ResourceKind::VPC_PEERING, id)?;
    peering.relations = vpcs;
    Ok(peering.into())
}
