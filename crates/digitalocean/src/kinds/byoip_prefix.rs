//! Ranges of addresses that are brought to `DigitalOcean` (bring your own IP).

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::BYOIP_PREFIX,
    also: &[],
    paths: &["/v2/byoip_prefixes"],
    envelope: "byoip_prefixes",
    scope: "byoip_prefix:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// How its checks are getting on is progress. A request to create one carries a signature (spec), which must not come back this way.
const PARTS: [&str; 3] = ["advertised", "failure_reason", "prefix"];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("uuid")?;
    // One without a name, as in the spec's example, goes by its range.
    let name = body.text("name").or_else(|| body.text("prefix"));
    let body = body.only(&PARTS)?.with("name", name)?;
    Ok(body.resource(ResourceKind::BYOIP_PREFIX, id)?.into())
}
