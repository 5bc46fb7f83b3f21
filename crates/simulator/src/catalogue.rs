//! The sizes and regions that droplets and volumes refer to, with DigitalOcean's public figures.

use serde::Serialize;
use uuid::Uuid;

use crate::identifiers::identifier;

/// A droplet size as the API writes it. Prices are floats there, as DigitalOcean sends them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Size<'a> {
    slug: &'a str,
    /// MiB.
    pub(crate) memory: u32,
    pub(crate) vcpus: u32,
    /// GiB.
    pub(crate) disk: u32,
    /// TiB of outbound transfer a month.
    transfer: f64,
    price_monthly: f64,
    price_hourly: f64,
    regions: &'static [&'static str],
    available: bool,
    description: &'static str,
    disk_info: [DiskInfo; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gpu_info: Option<GpuInfo>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct DiskInfo {
    #[serde(rename = "type")]
    kind: &'static str,
    size: Amount,
}

impl DiskInfo {
    /// Returns a local disk of this size in GiB.
    pub(crate) fn local(gigabytes: u32) -> Self {
        Self {
            kind: "local",
            size: Amount {
                amount: gigabytes,
                unit: "gib",
            },
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct GpuInfo {
    count: u32,
    vram: Amount,
    model: &'static str,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Amount {
    amount: u32,
    unit: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Region<'a> {
    name: &'a str,
    slug: &'a str,
    features: &'static [&'static str],
    available: bool,
    sizes: &'static [&'static str],
}

/// memory, vCPUs, disk, transfer, monthly and hourly price, class.
type Figures = (u32, u32, u32, f64, f64, f64, &'static str);

const SIZES: &[(&str, Figures)] = &[
    (
        "s-1vcpu-512mb-10gb",
        (512, 1, 10, 0.5, 4.0, 0.00595, "Basic"),
    ),
    ("s-1vcpu-1gb", (1024, 1, 25, 1.0, 6.0, 0.00893, "Basic")),
    ("s-1vcpu-2gb", (2048, 1, 50, 2.0, 12.0, 0.01786, "Basic")),
    ("s-2vcpu-2gb", (2048, 2, 60, 3.0, 18.0, 0.02679, "Basic")),
    ("s-2vcpu-4gb", (4096, 2, 80, 4.0, 24.0, 0.03571, "Basic")),
    ("s-4vcpu-8gb", (8192, 4, 160, 5.0, 48.0, 0.07143, "Basic")),
    ("s-8vcpu-16gb", (16384, 8, 320, 6.0, 96.0, 0.14286, "Basic")),
    ("c-2", (4096, 2, 25, 4.0, 42.0, 0.0625, "CPU-Optimized")),
    (
        "g-2vcpu-8gb",
        (8192, 2, 25, 4.0, 63.0, 0.09375, "General Purpose"),
    ),
    (
        "gpu-h100x1-80gb",
        (245_760, 20, 720, 15.0, 4529.3, 6.74, "H100 GPU - 1X"),
    ),
];

/// The sizes that regions list; the catalogue has figures only for some of them.
#[rustfmt::skip]
const SIZE_SLUGS: &[&str] = &[
    "s-1vcpu-512mb-10gb", "s-1vcpu-1gb", "s-1vcpu-1gb-amd", "s-1vcpu-1gb-intel", "s-1vcpu-2gb", "s-1vcpu-2gb-amd",
    "s-1vcpu-2gb-intel", "s-2vcpu-2gb", "s-2vcpu-2gb-amd", "s-2vcpu-2gb-intel", "s-2vcpu-4gb", "s-2vcpu-4gb-amd",
    "s-2vcpu-4gb-intel", "s-4vcpu-8gb", "s-4vcpu-8gb-amd", "s-4vcpu-8gb-intel", "s-8vcpu-16gb", "s-8vcpu-16gb-amd",
    "s-8vcpu-16gb-intel", "c-2", "c2-2vcpu-4gb", "c-4", "c2-4vcpu-8gb", "c-8", "c2-8vcpu-16gb", "c-16", "c-32",
    "g-2vcpu-8gb", "gd-2vcpu-8gb", "g-4vcpu-16gb", "gd-4vcpu-16gb", "g-8vcpu-32gb", "gd-8vcpu-32gb",
    "m-2vcpu-16gb", "m3-2vcpu-16gb", "m-4vcpu-32gb", "m3-4vcpu-32gb", "so-2vcpu-16gb", "so1_5-2vcpu-16gb",
];

const REGION_NAMES: &[(&str, &str)] = &[
    ("ams3", "Amsterdam 3"),
    ("blr1", "Bangalore 1"),
    ("fra1", "Frankfurt 1"),
    ("lon1", "London 1"),
    ("nyc1", "New York 1"),
    ("nyc3", "New York 3"),
    ("sfo3", "San Francisco 3"),
    ("sgp1", "Singapore 1"),
    ("syd1", "Sydney 1"),
    ("tor1", "Toronto 1"),
    ("atl1", "Atlanta 1"),
];

/// The regions of sizes and images.
pub(crate) const REGION_SLUGS: &[&str] = &[
    "ams2", "ams3", "blr1", "fra1", "lon1", "nyc1", "nyc2", "nyc3", "sfo1", "sfo2", "sfo3", "sgp1",
    "syd1", "tor1",
];

const REGION_FEATURES: &[&str] = &[
    "backups",
    "ipv6",
    "metadata",
    "install_agent",
    "storage",
    "image_transfer",
];

/// Returns the size with a slug. An unknown slug gets the figures of the smallest size.
pub(crate) fn size(slug: &str) -> Size<'_> {
    let known = SIZES.iter().find(|(known, _)| *known == slug);
    let (_, (memory, vcpus, disk, transfer, price_monthly, price_hourly, description)) =
        known.unwrap_or(&SIZES[0]);
    Size {
        slug,
        memory: *memory,
        vcpus: *vcpus,
        disk: *disk,
        transfer: *transfer,
        price_monthly: *price_monthly,
        price_hourly: *price_hourly,
        regions: REGION_SLUGS,
        available: true,
        description,
        disk_info: [DiskInfo::local(*disk)],
        gpu_info: slug.starts_with("gpu-").then_some(GpuInfo {
            count: 1,
            vram: Amount {
                amount: 80,
                unit: "gib",
            },
            model: "nvidia_h100",
        }),
    }
}

/// Returns the region with a slug. An unknown region's name is its slug.
pub(crate) fn region(slug: &str) -> Region<'_> {
    let known = REGION_NAMES.iter().find(|(known, _)| *known == slug);
    Region {
        name: known.map_or(slug, |(_, name)| name),
        slug,
        features: REGION_FEATURES,
        available: true,
        sizes: SIZE_SLUGS,
    }
}

/// Every region of the catalogue.
pub(crate) fn regions() -> Vec<Region<'static>> {
    REGION_NAMES.iter().map(|(slug, _)| region(slug)).collect()
}

/// Returns a region's default VPC.
pub(crate) fn default_vpc(region: &str) -> Uuid {
    identifier("vpc", region.bytes().map(u64::from).sum())
}
