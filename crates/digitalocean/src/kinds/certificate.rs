//! The listing of TLS certificates.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::CERTIFICATE,
    included: &[],
    paths: &["/v2/certificates"],
    envelope: "certificates",
    scope: "certificate:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    Ok(body.resource(ResourceKind::CERTIFICATE, id)?.into())
}
