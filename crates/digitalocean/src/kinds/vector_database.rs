//! Vector databases.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::VECTOR_DATABASE,
    also: &[],
    paths: &["/v2/vector-databases"],
    envelope: "vector_dbs",
    scope: "database:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// Which backup was restored last is an event. A connection's password would stand beside its address.
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
