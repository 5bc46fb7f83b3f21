//! DNS zones, which DigitalOcean calls domains.

use domain::ResourceKind;
use domain::inventory::ObservedResource;

use super::{Body, ResourceListing};
use crate::decode::Unreadable;
use crate::pages::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::DNS_ZONE,
    paths: &["/v2/domains"],
    envelope: "domains",
    paging: Paging::Pages,
    read,
};

fn read(body: Body<'_>) -> Result<ObservedResource, Unreadable> {
    let name = body.id("name")?;
    Ok(ObservedResource {
        provider_id: name.clone(),
        name,
        region: None,
        status: None,
        tags: Vec::new(),
        project_id: None,
        // All records again, as one text of any length.
        attrs: body.without(&["zone_file"]).into_attrs()?,
    })
}
