//! The listing of NAT gateways of VPCs.

use domain::ResourceKind;
use domain::inventory::RelationKind;
use serde::Deserialize;

use super::body::relation_to;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::NAT_GATEWAY,
    included: &[],
    paths: &["/v2/vpc_nat_gateways"],
    envelope: "vpc_nat_gateways",
    scope: "nat_gateway:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

#[derive(Deserialize)]
struct Vpc {
    vpc_uuid: String,
}

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let vpcs: Vec<Vpc> = body.read("vpcs").unwrap_or_default();
    let mut gateway = body.resource(ResourceKind::NAT_GATEWAY, id)?;
    gateway.relations = vpcs
        .into_iter()
        .map(|vpc| relation_to(RelationKind::InVpc, ResourceKind::VPC, vpc.vpc_uuid))
        .collect();
    Ok(gateway.into())
}
