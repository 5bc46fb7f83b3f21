//! The listing of droplets, with and without GPUs.

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::{made_by_kubernetes, relation_from};
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::DROPLET,
    included: &[],
    // The default list omits GPU droplets (spec).
    paths: &["/v2/droplets", "/v2/droplets?type=gpus"],
    envelope: "droplets",
    scope: "droplet:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let vpcs = body.in_vpcs("vpc_uuid");
    // The body of a backup does not contain its droplet (spec).
    let backups = body.ids("backup_ids").into_iter().map(|backup| {
        let kind = ResourceKind::DROPLET_BACKUP;
        relation_from(RelationKind::BackupOf, kind, backup)
    });
    let mut droplet = body
        // The backup window changes without an action of a user; snapshots and backups have their
        // own lists.
        .without(&["next_backup_window", "backup_ids", "snapshot_ids"])
        // The availability of the size and the image is not a property of the droplet.
        .without_in("size", &["available", "regions"])?
        .only_in("image", &["distribution", "id", "name", "slug", "type"])?
        .resource(ResourceKind::DROPLET, id)?;
    // A node has the tag before the node pool of its cluster lists it.
    let cluster = made_by_kubernetes(&droplet.tags);
    droplet.relations = vpcs.into_iter().chain(backups).chain(cluster).collect();
    Ok(droplet.into())
}
