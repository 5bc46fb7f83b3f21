//! Block storage volumes.

use domain::ResourceKind;
use domain::inventory::ObservedResource;

use super::{Body, ResourceListing};
use crate::decode::Unreadable;
use crate::pages::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::VOLUME,
    paths: &["/v2/volumes"],
    envelope: "volumes",
    paging: Paging::Pages,
    read,
};

fn read(body: Body<'_>) -> Result<ObservedResource, Unreadable> {
    let provider_id = body.id("id")?;
    Ok(ObservedResource {
        name: body.text("name").unwrap_or_else(|| provider_id.clone()),
        provider_id,
        region: body.region(),
        status: None,
        tags: body.tags(),
        project_id: None,
        attrs: body.into_attrs()?,
    })
}
