//! Droplets, with and without GPUs.

use domain::ResourceKind;
use domain::inventory::ObservedResource;

use super::{Body, ResourceListing};
use crate::decode::Unreadable;
use crate::pages::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::DROPLET,
    // The plain list leaves GPU droplets out (spec).
    paths: &["/v2/droplets", "/v2/droplets?type=gpus"],
    envelope: "droplets",
    paging: Paging::Pages,
    read,
};

fn read(body: Body<'_>) -> Result<ObservedResource, Unreadable> {
    let provider_id = body.id("id")?;
    Ok(ObservedResource {
        name: body.text("name").unwrap_or_else(|| provider_id.clone()),
        provider_id,
        region: body.region(),
        status: body.text("status"),
        tags: body.tags(),
        project_id: None,
        // The window moves by itself; where the size and the image are on offer says nothing about the droplet.
        attrs: body
            .without(&["next_backup_window"])
            .without_in("size", &["available", "regions"])?
            .only_in("image", &["distribution", "id", "name", "slug", "type"])?
            .into_attrs()?,
    })
}
