//! The listing of address ranges that are brought to `DigitalOcean` (bring your own IP).

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::BYOIP_PREFIX,
    included: &[],
    paths: &["/v2/byoip_prefixes"],
    envelope: "byoip_prefixes",
    scope: "byoip_prefix:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits the progress of its validation. A request to create a prefix has a
/// signature (spec), which must not be stored if a response repeats it.
const PARTS: [&str; 3] = ["advertised", "failure_reason", "prefix"];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("uuid")?;
    // Named by its range if it has no name, as in the spec's example.
    let name = body.text("name").or_else(|| body.text("prefix"));
    let body = body.only(&PARTS)?.with("name", name)?;
    Ok(body.resource(ResourceKind::BYOIP_PREFIX, id)?.into())
}
