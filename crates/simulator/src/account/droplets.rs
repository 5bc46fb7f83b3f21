//! Droplets. GPU droplets have a separate list.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Account, MemberStatus};

/// A droplet. Other fields of its body follow from the id, the size and the region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Droplet {
    /// DigitalOcean's integer id.
    pub id: u64,
    /// The host name; not unique.
    pub name: String,
    /// The size's slug, `s-1vcpu-1gb`.
    pub size: String,
    /// The region's slug, `syd1`.
    pub region: String,
    /// `new`, `active`, `off` or `archive`.
    pub status: String,
    /// In the order in which they were added.
    pub tags: Vec<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The volumes attached to it.
    pub volume_ids: Vec<Uuid>,
    /// The snapshots made of it.
    pub snapshot_ids: Vec<u64>,
    /// The backups made of it.
    pub backup_ids: Vec<u64>,
    /// The VPC; `None` for the region's default VPC, which is not listed.
    pub vpc_id: Option<Uuid>,
    /// Whether it is listed under `?type=gpus` only.
    pub gpu: bool,
}

impl Droplet {
    /// `do:droplet:ID`.
    pub fn urn(&self) -> String {
        format!("do:droplet:{}", self.id)
    }
}

impl Account {
    /// The droplets of the default listing, in its order.
    pub fn droplets(&self) -> &[Droplet] {
        &self.droplets
    }

    /// The droplets of the listing for `?type=gpus`.
    pub fn gpu_droplets(&self) -> &[Droplet] {
        &self.gpu_droplets
    }

    /// One droplet of either listing.
    pub fn droplet(&self, id: u64) -> Option<&Droplet> {
        let mut all = self.droplets.iter().chain(&self.gpu_droplets);
        all.find(|droplet| droplet.id == id)
    }

    /// Creates an active droplet in the default project and returns its id. The size and the region
    /// may be unknown to DigitalOcean.
    pub fn add_droplet(&mut self, name: &str, size: &str, region: &str) -> u64 {
        let droplet = self.new_droplet(name, size, region);
        self.insert_droplet(droplet)
    }

    /// Creates a droplet that only the listing for `?type=gpus` shows, and returns its id.
    pub fn add_gpu_droplet(&mut self, name: &str, size: &str, region: &str) -> u64 {
        let droplet = Droplet {
            gpu: true,
            ..self.new_droplet(name, size, region)
        };
        self.insert_droplet(droplet)
    }

    pub(crate) fn new_droplet(&mut self, name: &str, size: &str, region: &str) -> Droplet {
        Droplet {
            id: 570_000_000 + self.next_number(),
            name: name.to_owned(),
            size: size.to_owned(),
            region: region.to_owned(),
            status: "active".to_owned(),
            tags: Vec::new(),
            created_at: self.next_moment(),
            volume_ids: Vec::new(),
            snapshot_ids: Vec::new(),
            backup_ids: Vec::new(),
            vpc_id: None,
            gpu: false,
        }
    }

    /// Adds a droplet as described, in the default project, and returns its id.
    pub fn insert_droplet(&mut self, droplet: Droplet) -> u64 {
        self.insert_droplet_into(self.project_of_new(), droplet)
    }

    pub(crate) fn insert_droplet_into(&mut self, project: Uuid, droplet: Droplet) -> u64 {
        let id = droplet.id;
        self.add_member(project, &droplet.urn(), MemberStatus::Ok);
        if droplet.gpu {
            self.gpu_droplets.push(droplet);
        } else {
            self.droplets.push(droplet);
        }
        id
    }

    /// Deletes a droplet with its project membership and its backups. Snapshots stay; volumes and
    /// reserved IPs are detached.
    pub fn remove_droplet(&mut self, id: u64) {
        self.droplets.retain(|droplet| droplet.id != id);
        self.gpu_droplets.retain(|droplet| droplet.id != id);
        self.remove_member(&format!("do:droplet:{id}"));
        for ip in &mut self.reserved_ips {
            ip.droplet_id = ip.droplet_id.filter(|&attached| attached != id);
        }
        for volume in &mut self.volumes {
            volume.droplet_ids.retain(|&attached| attached != id);
        }
        self.remove_children("droplet_backup", "droplet", &id.to_string());
    }

    /// Changes a droplet in place. Does nothing if the id is unknown.
    pub fn change_droplet(&mut self, id: u64, change: impl FnOnce(&mut Droplet)) {
        let mut all = self.droplets.iter_mut().chain(&mut self.gpu_droplets);
        if let Some(droplet) = all.find(|droplet| droplet.id == id) {
            change(droplet);
        }
    }

    /// Renames a droplet.
    pub fn rename_droplet(&mut self, id: u64, name: &str) {
        self.change_droplet(id, |droplet| name.clone_into(&mut droplet.name));
    }

    /// Adds a tag to a droplet, unless it is present.
    pub fn tag_droplet(&mut self, id: u64, tag: &str) {
        self.change_droplet(id, |droplet| {
            if !droplet.tags.iter().any(|known| known == tag) {
                droplet.tags.push(tag.to_owned());
            }
        });
    }

    /// Sets a droplet's status: `new`, `active`, `off` or `archive`.
    pub fn set_droplet_status(&mut self, id: u64, status: &str) {
        self.change_droplet(id, |droplet| status.clone_into(&mut droplet.status));
    }

    /// Resizes a droplet.
    pub fn resize_droplet(&mut self, id: u64, size: &str) {
        self.change_droplet(id, |droplet| size.clone_into(&mut droplet.size));
    }
}
