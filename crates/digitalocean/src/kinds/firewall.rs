//! The listing of firewalls in front of droplets.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::FIREWALL,
    included: &[],
    paths: &["/v2/firewalls"],
    envelope: "firewalls",
    scope: "firewall:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    // The protected droplets, and whether the rules have reached them, change with the droplets.
    let body = body.without(&["droplet_ids", "pending_changes", "status"]);
    Ok(body.resource(ResourceKind::FIREWALL, id)?.into())
}
