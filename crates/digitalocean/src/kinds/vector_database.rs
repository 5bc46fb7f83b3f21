//! The listing of vector databases.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::VECTOR_DATABASE,
    included: &[],
    paths: &["/v2/vector-databases"],
    envelope: "vector_dbs",
    scope: "database:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits the last restored backup, which is an event. An allow-list, because a
/// connection could contain a password in addition to its address.
const PARTS: [&str; 9] = [
    "config.default_quantization",
    "config.enable_auto_schema",
    "config.weaviate_version",
    "created_at",
    "endpoints.grpc",
    "endpoints.http",
    "forked_from_id",
    "owner_uuid",
    "size",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let body = body.only(&PARTS)?;
    Ok(body.resource(ResourceKind::VECTOR_DATABASE, id)?.into())
}
