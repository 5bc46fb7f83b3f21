//! The listing of autoscale pools of droplets.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::AUTOSCALE_POOL,
    included: &[],
    paths: &["/v2/droplets/autoscale"],
    envelope: "autoscale_pools",
    scope: "droplet:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits the load and the current number of droplets, which change without an
/// action of a user. Omits the user data of the droplets, which may contain any secret.
const PARTS: [&str; 18] = [
    "config.target_number_instances",
    "config.min_instances",
    "config.max_instances",
    "config.target_cpu_utilization",
    "config.target_memory_utilization",
    "config.cooldown_minutes",
    "created_at",
    "droplet_template.name",
    "droplet_template.region",
    "droplet_template.size",
    "droplet_template.image",
    "droplet_template.ssh_keys",
    "droplet_template.tags",
    "droplet_template.vpc_uuid",
    "droplet_template.with_droplet_agent",
    "droplet_template.project_id",
    "droplet_template.ipv6",
    "droplet_template.public_networking",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let region = body.text_in("droplet_template", "region");
    let body = body.only(&PARTS)?.with("region", region)?;
    Ok(body.resource(ResourceKind::AUTOSCALE_POOL, id)?.into())
}
