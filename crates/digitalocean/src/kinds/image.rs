//! The listing of custom images and the backups of droplets.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::IMAGE,
    included: &[ResourceKind::DROPLET_BACKUP],
    paths: &["/v2/images?private=true"],
    envelope: "images",
    scope: "image:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let kind = match body.text("type").as_deref() {
        // The list of snapshots has them too, with the resource of each.
        Some("snapshot") => {
            return Ok(Item {
                id,
                resources: Vec::new(),
            });
        }
        // Only the body of the droplet contains the relation to its backup (spec).
        Some("backup") => ResourceKind::DROPLET_BACKUP,
        _ => ResourceKind::IMAGE,
    };
    Ok(body.with_single_region()?.resource(kind, id)?.into())
}
