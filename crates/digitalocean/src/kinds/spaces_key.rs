//! The listing of keys of Spaces, and the buckets named in their grants.

use domain::ResourceKind;
use domain::inventory::{Attrs, ObservedResource};
use serde::Deserialize;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::SPACES_KEY,
    included: &[ResourceKind::SPACES_BUCKET],
    paths: &["/v2/spaces/keys"],
    envelope: "keys",
    scope: "spaces_key:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits the secret key, which is shown once at creation (spec) and must not be
/// stored if a response repeats it.
const PARTS: [&str; 3] = ["created_at", "grants.bucket", "grants.permission"];

#[derive(Deserialize)]
struct Grant {
    /// Empty for all buckets (spec).
    #[serde(default)]
    bucket: Option<String>,
}

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("access_key")?;
    let grants: Vec<Grant> = body.list("grants")?;
    let key = body.only(&PARTS)?.resource(ResourceKind::SPACES_KEY, id)?;
    let buckets = grants
        .into_iter()
        .filter_map(|grant| grant.bucket.filter(|name| !name.is_empty()))
        .map(bucket);
    let mut item = Item::from(key);
    item.resources.extend(buckets);
    Ok(item)
}

/// Creates a bucket with its name as the only known property.
fn bucket(name: String) -> ObservedResource {
    ObservedResource {
        kind: ResourceKind::SPACES_BUCKET,
        provider_id: name.clone(),
        name,
        region: None,
        status: None,
        tags: Vec::new(),
        project_id: None,
        relations: Vec::new(),
        attrs: Attrs::empty(),
    }
}
