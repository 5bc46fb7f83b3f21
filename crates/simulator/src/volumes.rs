//! Block storage volumes.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Account,
    answers::one,
    caller::Caller,
    catalogue::{self, Region},
    errors::ApiError,
    identifiers::identifier,
    paging::PageRequest,
    state::Shared,
    tags,
};

/// A block storage volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// DigitalOcean's UUID.
    pub id: Uuid,
    /// Unique within its region.
    pub name: String,
    /// The region's slug.
    pub region: String,
    /// GiB.
    pub size_gigabytes: u32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// In the order in which they were given.
    pub tags: Vec<String>,
    /// The droplet it is attached to; DigitalOcean allows one.
    pub droplet_ids: Vec<u64>,
}

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
    /// `do:volume:UUID`.
    pub fn urn(&self) -> String {
        format!("do:volume:{}", self.id)
    }
}

impl Volume {
    /// As a caller sees it who may read tags, or may not.
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

impl Account {
    /// The volumes, in the order of their listing.
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// Creates an unattached volume in the default project and returns its id.
    pub fn add_volume(&mut self, name: &str, region: &str, size_gigabytes: u32) -> Uuid {
        let volume = Volume {
            id: identifier("volume", self.next_number()),
            name: name.to_owned(),
            region: region.to_owned(),
            size_gigabytes,
            created_at: self.next_moment(),
            tags: Vec::new(),
            droplet_ids: Vec::new(),
        };
        let id = volume.id;
        self.assign_new(&volume.urn());
        self.volumes.push(volume);
        id
    }

    /// Attaches a volume to a droplet; both bodies tell.
    pub fn attach_volume(&mut self, id: Uuid, droplet_id: u64) {
        for volume in self.volumes.iter_mut().filter(|volume| volume.id == id) {
            volume.droplet_ids = vec![droplet_id];
        }
        self.change_droplet(droplet_id, |droplet| droplet.volume_ids.push(id));
    }

    /// Changes a volume in place. Does nothing when there is none with this id.
    pub fn change_volume(&mut self, id: Uuid, change: impl FnOnce(&mut Volume)) {
        if let Some(volume) = self.volumes.iter_mut().find(|volume| volume.id == id) {
            change(volume);
        }
    }

    /// Deletes a volume; it leaves its project and its droplet too.
    pub fn remove_volume(&mut self, id: Uuid) {
        self.volumes.retain(|volume| volume.id != id);
        for droplet in self.droplets.iter_mut().chain(&mut self.gpu_droplets) {
            droplet.volume_ids.retain(|&attached| attached != id);
        }
        self.remove_member(&format!("do:volume:{id}"));
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
    if filter.name.is_none() && filter.region.is_none() {
        return Ok(page.answer("volumes", &account.volumes, |volume| volume.body(with_tags)));
    }
    let wanted = |volume: &&Volume| {
        let name = filter.name.as_ref();
        let region = filter.region.as_ref();
        name.is_none_or(|name| *name == volume.name)
            && region.is_none_or(|region| *region == volume.region)
    };
    let matching: Vec<&Volume> = account.volumes.iter().filter(wanted).collect();
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
