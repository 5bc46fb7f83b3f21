//! The listing of snapshots of droplets and of volumes.

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::relation_to;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::SNAPSHOT,
    included: &[],
    paths: &["/v2/snapshots"],
    envelope: "snapshots",
    scope: "snapshot:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let source = match body.text("resource_type").as_deref() {
        Some("droplet") => Some(ResourceKind::DROPLET),
        Some("volume") => Some(ResourceKind::VOLUME),
        _ => None,
    };
    let source = source.zip(body.text("resource_id"));
    let mut snapshot = body
        .with_single_region()?
        .resource(ResourceKind::SNAPSHOT, id)?;
    snapshot
        .relations
        .extend(source.map(|(kind, id)| relation_to(RelationKind::SnapshotOf, kind, id)));
    Ok(snapshot.into())
}
