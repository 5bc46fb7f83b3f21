//! The volumes API.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tags;
use crate::{
    Volume,
    answers::one,
    caller::Caller,
    catalogue::{self, Region},
    errors::ApiError,
    paging::PageRequest,
    state::Shared,
};

#[derive(Serialize)]
struct VolumeBody<'a> {
    id: Uuid,
    region: Region<'a>,
    droplet_ids: Vec<u64>,
    name: &'a str,
    description: &'static str,
    size_gigabytes: u32,
    created_at: DateTime<Utc>,
    filesystem_type: &'static str,
    filesystem_label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a [String]>,
}

impl Volume {
    /// The body, with the tags if the caller's token has the scope for them.
    fn body(&self, with_tags: bool) -> VolumeBody<'_> {
        VolumeBody {
            id: self.id,
            region: catalogue::region(&self.region),
            droplet_ids: self.droplet_ids.clone(),
            name: &self.name,
            description: "",
            size_gigabytes: self.size_gigabytes,
            created_at: self.created_at,
            filesystem_type: "ext4",
            filesystem_label: &self.name,
            tags: with_tags.then_some(&self.tags),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Filter {
    name: Option<String>,
    region: Option<String>,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    caller.needs("block_storage:read")?;
    let account = shared.account();
    let with_tags = caller.may(tags::SCOPE);
    let matches = |volume: &&Volume| {
        let name = filter.name.as_ref();
        let region = filter.region.as_ref();
        name.is_none_or(|name| *name == volume.name)
            && region.is_none_or(|region| *region == volume.region)
    };
    let matching: Vec<&Volume> = account.volumes.iter().filter(matches).collect();
    Ok(page.answer("volumes", &matching, |volume| volume.body(with_tags)))
}

pub(crate) async fn get(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("block_storage:read")?;
    let account = shared.account();
    let mut volumes = account.volumes.iter();
    let volume = volumes.find(|volume| volume.id.to_string() == id);
    Ok(one(
        "volume",
        &volume
            .ok_or_else(ApiError::not_found)?
            .body(caller.may(tags::SCOPE)),
    ))
}
