//! The listing of reserved IPv4 addresses (formerly floating IPs).

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::relation_to;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::RESERVED_IP,
    included: &[],
    paths: &["/v2/reserved_ips"],
    envelope: "reserved_ips",
    scope: "reserved_ip:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let address = body.id("ip")?;
    let droplet = body.text_in("droplet", "id");
    let mut reserved = body
        // The body repeats the whole droplet, and its changes would appear as changes of the
        // address.
        .only_in("droplet", &["id", "name"])?
        .resource(ResourceKind::RESERVED_IP, address)?;
    reserved
        .relations
        .extend(droplet.map(|id| relation_to(RelationKind::AttachedTo, ResourceKind::DROPLET, id)));
    Ok(reserved.into())
}
