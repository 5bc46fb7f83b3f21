//! The listing of block storage volumes.

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::{made_by_kubernetes, relation_to};
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::VOLUME,
    included: &[],
    paths: &["/v2/volumes"],
    envelope: "volumes",
    scope: "block_storage:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let droplets = body.ids("droplet_ids");
    let mut volume = body.resource(ResourceKind::VOLUME, id)?;
    volume.relations = droplets
        .into_iter()
        .map(|id| relation_to(RelationKind::AttachedTo, ResourceKind::DROPLET, id))
        .chain(made_by_kubernetes(&volume.tags))
        .collect();
    Ok(volume.into())
}
