//! The listing of reserved IPv6 addresses.

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::relation_to;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::RESERVED_IPV6,
    included: &[],
    paths: &["/v2/reserved_ipv6"],
    envelope: "reserved_ipv6s",
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
        .renamed("region_slug", "region")
        .resource(ResourceKind::RESERVED_IPV6, address)?;
    reserved
        .relations
        .extend(droplet.map(|id| relation_to(RelationKind::AttachedTo, ResourceKind::DROPLET, id)));
    Ok(reserved.into())
}
