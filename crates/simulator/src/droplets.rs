//! Droplets, and GPU droplets, which DigitalOcean lists apart from the others.

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Account, MemberStatus,
    answers::one,
    caller::Caller,
    catalogue::{self, DiskInfo, GpuInfo, REGION_SLUGS, Region, Size, default_vpc},
    errors::ApiError,
    identifiers::spread,
    paging::PageRequest,
    state::Shared,
    tags,
};

/// A droplet. What is not here follows from the id, the size and the region.
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
    /// In the order in which they were given.
    pub tags: Vec<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The volumes attached to it.
    pub volume_ids: Vec<Uuid>,
    /// The snapshots made of it.
    pub snapshot_ids: Vec<u64>,
    /// The backups made of it.
    pub backup_ids: Vec<u64>,
    /// The VPC it is in; `None` stands for its region's default one, which is not listed.
    pub vpc_id: Option<Uuid>,
    /// Whether it is listed under `?type=gpus` only.
    pub gpu: bool,
}

impl Droplet {
    /// `do:droplet:ID`.
    pub fn urn(&self) -> String {
        format!("do:droplet:{}", self.id)
    }

    /// As a caller sees it who may read tags, or may not.
    pub(crate) fn body(&self, with_tags: bool) -> DropletBody<'_> {
        let size = catalogue::size(&self.size);
        DropletBody {
            id: self.id,
            name: &self.name,
            memory: size.memory,
            vcpus: size.vcpus,
            disk: size.disk,
            disk_info: [DiskInfo::local(size.disk)],
            locked: false,
            status: &self.status,
            kernel: None,
            created_at: self.created_at,
            features: &["droplet_agent", "ipv6", "private_networking"],
            backup_ids: &self.backup_ids,
            next_backup_window: None,
            snapshot_ids: &self.snapshot_ids,
            image: &IMAGE,
            volume_ids: &self.volume_ids,
            gpu_info: size.gpu_info,
            size,
            size_slug: &self.size,
            networks: networks(self.id),
            region: catalogue::region(&self.region),
            tags: with_tags.then_some(&self.tags),
            vpc_uuid: self.vpc_id.unwrap_or_else(|| default_vpc(&self.region)),
        }
    }
}

/// A droplet as the API writes it: every field of the specification.
#[derive(Serialize)]
pub(crate) struct DropletBody<'a> {
    id: u64,
    name: &'a str,
    memory: u32,
    vcpus: u32,
    disk: u32,
    disk_info: [DiskInfo; 1],
    locked: bool,
    status: &'a str,
    kernel: Option<()>,
    created_at: DateTime<Utc>,
    features: &'static [&'static str],
    backup_ids: &'a [u64],
    next_backup_window: Option<()>,
    snapshot_ids: &'a [u64],
    image: &'static Image,
    volume_ids: &'a [Uuid],
    size: Size<'a>,
    size_slug: &'a str,
    networks: Networks,
    region: Region<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a [String]>,
    vpc_uuid: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu_info: Option<GpuInfo>,
}

#[derive(Serialize)]
struct Image {
    id: u64,
    name: &'static str,
    distribution: &'static str,
    slug: &'static str,
    public: bool,
    regions: &'static [&'static str],
    created_at: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    min_disk_size: u32,
    size_gigabytes: f64,
    description: &'static str,
    tags: &'static [&'static str],
    status: &'static str,
    error_message: &'static str,
}

static IMAGE: Image = Image {
    id: 155_133_621,
    name: "24.04 (LTS) x64",
    distribution: "Ubuntu",
    slug: "ubuntu-24-04-x64",
    public: true,
    regions: REGION_SLUGS,
    created_at: "2024-04-25T16:41:16Z",
    kind: "base",
    min_disk_size: 7,
    size_gigabytes: 0.64,
    description: "Ubuntu 24.04 (LTS) x64",
    tags: &[],
    status: "available",
    error_message: "",
};

#[derive(Serialize)]
struct Networks {
    v4: [Interface<&'static str>; 2],
    v6: [Interface<u8>; 1],
}

/// The netmask is dotted for IPv4 and a number of bits for IPv6.
#[derive(Serialize)]
struct Interface<Netmask> {
    ip_address: String,
    netmask: Netmask,
    gateway: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Addresses that belong to nobody: for private use, for benchmarks (RFC 2544) and for documentation (RFC 3849).
fn networks(id: u64) -> Networks {
    let [a, b, c, d, ..] = spread(id).to_be_bytes();
    Networks {
        v4: [
            Interface {
                ip_address: format!("10.126.{a}.{b}"),
                netmask: "255.255.0.0",
                gateway: "nil".to_owned(),
                kind: "private",
            },
            Interface {
                ip_address: format!("198.18.{c}.{d}"),
                netmask: "255.255.255.0",
                gateway: format!("198.18.{c}.1"),
                kind: "public",
            },
        ],
        v6: [Interface {
            ip_address: format!("2001:db8:{a:x}::{c:x}{d:02x}:1001"),
            netmask: 64,
            gateway: format!("2001:db8:{a:x}::1"),
            kind: "public",
        }],
    }
}

impl Account {
    /// The droplets of the plain listing, in its order.
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

    /// Creates an active droplet in the default project and returns its id. A size or region that DigitalOcean does
    /// not have is kept as given.
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
        self.insert_droplet_into(self.home_of_new(), droplet)
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

    /// Destroys a droplet: it leaves the listings and its project, and its backups go with it; snapshots stay, and
    /// so do volumes and reserved IPs, detached.
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

    /// Changes a droplet in place. Does nothing when there is none with this id.
    pub fn change_droplet(&mut self, id: u64, change: impl FnOnce(&mut Droplet)) {
        let mut all = self.droplets.iter_mut().chain(&mut self.gpu_droplets);
        if let Some(droplet) = all.find(|droplet| droplet.id == id) {
            change(droplet);
        }
    }

    /// Gives a droplet another name.
    pub fn rename_droplet(&mut self, id: u64, name: &str) {
        self.change_droplet(id, |droplet| name.clone_into(&mut droplet.name));
    }

    /// Adds a tag to a droplet, unless it has it.
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

#[derive(Deserialize)]
pub(crate) struct Filter {
    #[serde(rename = "type")]
    kind: Option<String>,
    tag_name: Option<String>,
    name: Option<String>,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    caller.needs("droplet:read")?;
    if filter.kind.is_some() && filter.tag_name.is_some() {
        return Err(ApiError::unprocessable(
            "type and tag_name cannot be combined",
        ));
    }
    let account = shared.account();
    let with_tags = caller.may(tags::SCOPE);
    let all = match filter.kind.as_deref() {
        None | Some("droplets") => &account.droplets,
        Some("gpus") => &account.gpu_droplets,
        Some(_) => return Err(ApiError::unprocessable("type must be droplets or gpus")),
    };
    if filter.tag_name.is_none() && filter.name.is_none() {
        return Ok(page.answer("droplets", all, |droplet| droplet.body(with_tags)));
    }
    let wanted = |droplet: &&Droplet| {
        let tag = filter.tag_name.as_ref();
        let name = filter.name.as_ref();
        tag.is_none_or(|tag| droplet.tags.contains(tag))
            && name.is_none_or(|name| droplet.name.eq_ignore_ascii_case(name))
    };
    let matching: Vec<&Droplet> = all.iter().filter(wanted).collect();
    Ok(page.answer("droplets", &matching, |droplet| droplet.body(with_tags)))
}

pub(crate) async fn get(
    State(shared): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.needs("droplet:read")?;
    let account = shared.account();
    let id = id.parse().map_err(|_| ApiError::not_found())?;
    let droplet = account.droplet(id).ok_or_else(ApiError::not_found)?;
    Ok(one("droplet", &droplet.body(caller.may(tags::SCOPE))))
}
