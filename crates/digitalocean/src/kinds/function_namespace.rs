//! The listing of namespaces of functions.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::FUNCTION_NAMESPACE,
    included: &[],
    paths: &["/v2/functions/namespaces"],
    envelope: "namespaces",
    scope: "function:read",
    paging: Paging::Whole,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits its key, with which anyone can call and change its functions (spec).
const PARTS: [&str; 3] = ["api_host", "created_at", "uuid"];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("namespace")?;
    let body = body.renamed("label", "name").only(&PARTS)?;
    Ok(body.resource(ResourceKind::FUNCTION_NAMESPACE, id)?.into())
}
