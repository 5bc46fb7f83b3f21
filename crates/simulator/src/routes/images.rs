//! Snapshots and images. A droplet's snapshot is in both lists with the same number; a backup is an
//! image.

use axum::{
    Router,
    extract::{Path, State},
    http::request::Parts,
    response::Response,
    routing::get,
};
use serde_json::Value;

use super::listings::answer;
use crate::{
    Account,
    answers::one,
    bodies::compute::public_images,
    caller::Caller,
    errors::ApiError,
    kinds::{self, SNAPSHOT_IMAGE},
    paging::{PageRequest, parameter},
    state::Shared,
    stock::{Parent, Resource},
};

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2/snapshots", get(list_snapshots))
        .route("/v2/snapshots/{id}", get(get_snapshot))
        .route("/v2/images", get(list_images))
        .route("/v2/images/{id}", get(get_image))
        .route("/v2/droplets/{id}/snapshots", get(list_droplet_snapshots))
        .route("/v2/volumes/{id}/snapshots", get(list_volume_snapshots))
}

async fn list_snapshots(
    State(shared): State<Shared>,
    caller: Caller,
    parts: Parts,
) -> Result<Response, ApiError> {
    caller.needs("snapshot:read")?;
    let kind = kinds::named("snapshot").ok_or_else(ApiError::not_found)?;
    let account = shared.account();
    let all = account.stock.of(kind.slug);
    let Some(resource_type) = parameter(parts.uri.query().unwrap_or_default(), "resource_type")
    else {
        return answer(kind, all, &caller, &parts);
    };
    if !["droplet", "volume"].contains(&resource_type) {
        return Err(ApiError::unprocessable(
            "resource_type must be droplet or volume",
        ));
    }
    // A snapshot without a parent is of a deleted volume.
    let source = |resource: &Resource| {
        resource
            .parent
            .as_ref()
            .map_or("volume", |made_of| made_of.kind)
    };
    let matching = all.iter().filter(|one| source(one) == resource_type);
    answer(kind, matching, &caller, &parts)
}

async fn get_snapshot(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("snapshot:read")?;
    let account = shared.account();
    let found = account.stock.find("snapshot", &id);
    Ok(one(
        "snapshot",
        &found.ok_or_else(ApiError::not_found)?.body(),
    ))
}

async fn list_droplet_snapshots(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
    Path(id): Path<u64>,
) -> Result<Response, ApiError> {
    caller.needs("droplet:read")?;
    let account = shared.account();
    let droplet = account.droplet(id).ok_or_else(ApiError::not_found)?;
    let find = |id: &u64| account.stock.find(SNAPSHOT_IMAGE, &id.to_string());
    let images: Vec<&Resource> = droplet.snapshot_ids.iter().filter_map(find).collect();
    Ok(page.answer("snapshots", &images, |image| image.text()))
}

async fn list_volume_snapshots(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("block_storage_snapshot:read")?;
    let account = shared.account();
    let mut volumes = account.volumes().iter();
    if !volumes.any(|volume| volume.id.to_string() == id) {
        return Err(ApiError::not_found());
    }
    let parent = Parent::new("volume", &id);
    let all = account.stock.of("snapshot").iter();
    let its: Vec<&Resource> = all.filter(|snapshot| snapshot.is_of(&parent)).collect();
    Ok(page.answer("snapshots", &its, |snapshot| snapshot.text()))
}

/// The account's private images: uploads, backups and droplet snapshots.
fn private_images(account: &Account) -> impl Iterator<Item = &Resource> {
    ["image", "droplet_backup", SNAPSHOT_IMAGE]
        .into_iter()
        .flat_map(|kind| account.stock.of(kind))
}

async fn list_images(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
    parts: Parts,
) -> Result<Response, ApiError> {
    caller.needs("image:read")?;
    let account = shared.account();
    let query = parts.uri.query().unwrap_or_default();
    if parameter(query, "private") == Some("true") {
        let own: Vec<&Resource> = private_images(&account).collect();
        return Ok(page.answer("images", &own, |image| image.text()));
    }
    let own = private_images(&account).map(Resource::body);
    let mut images: Vec<Value> = public_images().into_iter().chain(own).collect();
    match parameter(query, "type") {
        Some("distribution") => images.retain(|image| image["type"] == "base"),
        Some("application") => images.clear(),
        _ => {}
    }
    if let Some(tag) = parameter(query, "tag_name") {
        let tagged = |image: &Value| {
            image["tags"]
                .as_array()
                .is_some_and(|tags| tags.contains(&tag.into()))
        };
        images.retain(tagged);
    }
    Ok(page.answer("images", &images, |image| image))
}

async fn get_image(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("image:read")?;
    let account = shared.account();
    let own = private_images(&account).find(|image| image.id == id);
    let number: Option<u64> = id.parse().ok();
    let public = public_images().into_iter();
    let mut public = public
        .filter(|image| image["slug"] == id || number.is_some() && image["id"].as_u64() == number);
    let image = own.map(Resource::body).or_else(|| public.next());
    Ok(one("image", &image.ok_or_else(ApiError::not_found)?))
}
