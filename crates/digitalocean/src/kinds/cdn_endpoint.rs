//! The listing of CDN endpoints, each in front of a Spaces bucket.

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::relation_to;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::CDN_ENDPOINT,
    included: &[],
    paths: &["/v2/cdn/endpoints"],
    envelope: "endpoints",
    scope: "cdn:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let origin = body.text("origin");
    let bucket = origin.as_deref().and_then(bucket_and_region);
    let region = bucket.map(|(_, region)| region.to_owned());
    let serves = bucket.map(|(name, _)| {
        let kind = ResourceKind::SPACES_BUCKET;
        relation_to(RelationKind::Serves, kind, name)
    });
    let mut endpoint = body
        .renamed("origin", "name")
        .with("region", region)?
        .resource(ResourceKind::CDN_ENDPOINT, id)?;
    endpoint.relations.extend(serves);
    Ok(endpoint.into())
}

/// Returns the bucket and its region from an origin `BUCKET.REGION.digitaloceanspaces.com` (spec).
fn bucket_and_region(origin: &str) -> Option<(&str, &str)> {
    origin
        .strip_suffix(".digitaloceanspaces.com")?
        .rsplit_once('.')
}
