//! Block storage volumes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Account;
use crate::identifiers::identifier;

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
    /// In the order in which they were added.
    pub tags: Vec<String>,
    /// The droplet it is attached to; DigitalOcean allows one.
    pub droplet_ids: Vec<u64>,
}

impl Volume {
    /// `do:volume:UUID`.
    pub fn urn(&self) -> String {
        format!("do:volume:{}", self.id)
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

    /// Attaches a volume to a droplet, in both bodies.
    pub fn attach_volume(&mut self, id: Uuid, droplet_id: u64) {
        for volume in self.volumes.iter_mut().filter(|volume| volume.id == id) {
            volume.droplet_ids = vec![droplet_id];
        }
        self.change_droplet(droplet_id, |droplet| droplet.volume_ids.push(id));
    }

    /// Changes a volume in place. Does nothing if the id is unknown.
    pub fn change_volume(&mut self, id: Uuid, change: impl FnOnce(&mut Volume)) {
        if let Some(volume) = self.volumes.iter_mut().find(|volume| volume.id == id) {
            change(volume);
        }
    }

    /// Deletes a volume with its project membership and its attachment.
    pub fn remove_volume(&mut self, id: Uuid) {
        self.volumes.retain(|volume| volume.id != id);
        for droplet in self.droplets.iter_mut().chain(&mut self.gpu_droplets) {
            droplet.volume_ids.retain(|&attached| attached != id);
        }
        self.remove_member(&format!("do:volume:{id}"));
    }
}
