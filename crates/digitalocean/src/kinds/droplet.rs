//! Droplets, with and without GPUs.

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::{from, made_by_kubernetes};
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::DROPLET,
    also: &[],
    // The plain list leaves GPU droplets out (spec).
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
    // A backup's own body does not say of which droplet it is (spec).
    let backups = body.ids("backup_ids").into_iter().map(|backup| {
        let kind = ResourceKind::DROPLET_BACKUP;
        from(RelationKind::BackupOf, kind, backup)
    });
    let mut droplet = body
        // The window moves by itself; snapshots and backups have lists of their own.
        .without(&["next_backup_window", "backup_ids", "snapshot_ids"])
        // Where the size and the image are on offer says nothing about the droplet.
        .without_in("size", &["available", "regions"])?
        .only_in("image", &["distribution", "id", "name", "slug", "type"])?
        .resource(ResourceKind::DROPLET, id)?;
    // A node says so before its cluster's pool does.
    let cluster = made_by_kubernetes(&droplet.tags);
    droplet.relations = vpcs.into_iter().chain(backups).chain(cluster).collect();
    Ok(droplet.into())
}
