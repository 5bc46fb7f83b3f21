//! Firewalls in front of droplets.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::FIREWALL,
    also: &[],
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
    // Which droplets it is in front of just now, and whether all of them know it yet, moves with the droplets.
    let body = body.without(&["droplet_ids", "pending_changes", "status"]);
    Ok(body.resource(ResourceKind::FIREWALL, id)?.into())
}
