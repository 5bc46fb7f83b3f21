//! The listing of network file shares.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::NFS_SHARE,
    included: &[],
    paths: &["/v2/nfs"],
    envelope: "shares",
    scope: "nfs:list",
    paging: Paging::Whole,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits the states of its access points and the times of their changes, which
/// are progress.
const PARTS: [&str; 17] = [
    "access_points.access_policy.anongid",
    "access_points.access_policy.anonuid",
    "access_points.access_policy.identity_enforcement_enabled",
    "access_points.access_policy.protocols",
    "access_points.access_policy.squash_config",
    "access_points.created_at",
    "access_points.id",
    "access_points.is_default",
    "access_points.name",
    "access_points.path",
    "access_points.vpc_id",
    "created_at",
    "host",
    "mount_path",
    "performance_tier",
    "size_gib",
    "vpc_ids",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let vpcs = body.in_vpcs("vpc_ids");
    let mut share = body.only(&PARTS)?.resource(ResourceKind::NFS_SHARE, id)?;
    share.relations = vpcs;
    Ok(share.into())
}
