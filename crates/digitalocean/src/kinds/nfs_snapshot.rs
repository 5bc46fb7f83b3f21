//! The listing of snapshots of network file shares.

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::relation_to;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::NFS_SNAPSHOT,
    included: &[],
    paths: &["/v2/nfs/snapshots"],
    envelope: "snapshots",
    scope: "nfs:list",
    paging: Paging::Whole,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let share = body.text("share_id");
    let mut snapshot = body.resource(ResourceKind::NFS_SNAPSHOT, id)?;
    snapshot.relations.extend(share.map(|share| {
        let kind = ResourceKind::NFS_SHARE;
        relation_to(RelationKind::SnapshotOf, kind, share)
    }));
    Ok(snapshot.into())
}
