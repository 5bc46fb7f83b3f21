//! Reserved IPv4 addresses, which were called floating IPs.

use domain::ResourceKind;
use domain::inventory::ObservedResource;

use super::{Body, ResourceListing};
use crate::decode::Unreadable;
use crate::pages::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::RESERVED_IP,
    paths: &["/v2/reserved_ips"],
    envelope: "reserved_ips",
    paging: Paging::Pages,
    read,
};

fn read(body: Body<'_>) -> Result<ObservedResource, Unreadable> {
    let address = body.id("ip")?;
    Ok(ObservedResource {
        provider_id: address.clone(),
        name: address,
        region: body.region(),
        status: None,
        tags: Vec::new(),
        project_id: body.project_id(),
        // The whole droplet is repeated here, and would show its changes as the address's.
        attrs: body.only_in("droplet", &["id", "name"])?.into_attrs()?,
    })
}
