//! The listing of container registries.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::REGISTRY,
    included: &[],
    paths: &["/v2/registries"],
    envelope: "registries",
    scope: "registry:read",
    paging: Paging::Whole,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let name = body.id("name")?;
    let body = body
        // Changes with every pushed image.
        .without(&["storage_usage_bytes", "storage_usage_bytes_updated_at"])
        .without_in("subscription", &["updated_at"])?;
    Ok(body.resource(ResourceKind::REGISTRY, name)?.into())
}
