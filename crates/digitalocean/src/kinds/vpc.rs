//! The listing of VPCs.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::VPC,
    included: &[],
    paths: &["/v2/vpcs"],
    envelope: "vpcs",
    scope: "vpc:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    Ok(body.resource(ResourceKind::VPC, id)?.into())
}
