//! The body of a droplet.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Droplet;
use crate::{
    catalogue::{self, DiskInfo, GpuInfo, REGION_SLUGS, Region, Size, default_vpc},
    identifiers::spread,
};

impl Droplet {
    /// The body, with the tags if the caller's token has the scope for them.
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

/// A droplet in the API's format, with all fields of the specification.
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

/// Addresses of reserved ranges: private use, benchmarks (RFC 2544), documentation (RFC 3849).
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
