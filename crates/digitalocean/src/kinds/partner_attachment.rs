//! The listing of connections to networks of partners (Partner Network Connect).

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::PARTNER_ATTACHMENT,
    included: &[],
    paths: &["/v2/partner_network_connect/attachments"],
    envelope: "partner_attachments",
    scope: "partner_network_connect:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits `bgp.auth_key`, with which the routers authenticate each other (Go
/// client).
const PARTS: [&str; 11] = [
    "bgp.local_asn",
    "bgp.local_router_ip",
    "bgp.peer_asn",
    "bgp.peer_router_ip",
    "children",
    "connection_bandwidth_in_mbps",
    "created_at",
    "naas_provider",
    "parent_uuid",
    "redundancy_zone",
    "vpc_ids",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let vpcs = body.in_vpcs("vpc_ids");
    let mut attachment = body
        .only(&PARTS)?
        .resource(ResourceKind::PARTNER_ATTACHMENT, id)?;
    attachment.relations = vpcs;
    Ok(attachment.into())
}
