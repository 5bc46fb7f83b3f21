//! The listing of apps of App Platform.

use domain::ResourceKind;
use domain::inventory::RelationKind;

use super::body::relation_to;
use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::APP,
    included: &[],
    // The project is included only on request (spec).
    paths: &["/v2/apps?with_projects=true"],
    envelope: "apps",
    scope: "app:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// An app has secrets in the values of its variables, in commands, in the URLs of repositories, and
/// in the settings of registries and log destinations. Its deployments repeat all of them (spec).
const PARTS: [&str; 29] = [
    "created_at",
    "dedicated_ips.id",
    "dedicated_ips.ip",
    "default_ingress",
    "live_domain",
    "live_url",
    "owner_uuid",
    "spec.databases.cluster_name",
    "spec.databases.db_name",
    "spec.databases.db_user",
    "spec.databases.engine",
    "spec.databases.name",
    "spec.databases.num_nodes",
    "spec.databases.production",
    "spec.databases.size",
    "spec.databases.version",
    "spec.domains.domain",
    "spec.domains.minimum_tls_version",
    "spec.domains.type",
    "spec.domains.wildcard",
    "spec.domains.zone",
    "spec.egress.type",
    "spec.envs.key",
    "spec.envs.scope",
    "spec.envs.type",
    "spec.maintenance.archive",
    "spec.maintenance.enabled",
    "spec.vpc.id",
    "tier_slug",
];

const COMPONENTS: [&str; 5] = ["functions", "jobs", "services", "static_sites", "workers"];

const COMPONENT_PARTS: [&str; 32] = [
    "autoscaling.max_instance_count",
    "autoscaling.metrics.cpu.percent",
    "autoscaling.metrics.request_duration.p95_milliseconds",
    "autoscaling.metrics.requests_per_second.per_instance",
    "autoscaling.min_instance_count",
    "bitbucket.branch",
    "bitbucket.deploy_on_push",
    "bitbucket.repo",
    "environment_slug",
    "envs.key",
    "envs.scope",
    "envs.type",
    "git.branch",
    "github.branch",
    "github.deploy_on_push",
    "github.repo",
    "gitlab.branch",
    "gitlab.deploy_on_push",
    "gitlab.repo",
    "http_port",
    "image.deploy_on_push.enabled",
    "image.digest",
    "image.registry",
    "image.registry_type",
    "image.repository",
    "image.tag",
    "instance_count",
    "instance_size_slug",
    "internal_ports",
    "kind",
    "name",
    "protocol",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let name = body.text_in("spec", "name");
    let region = body.region().or_else(|| body.text_in("spec", "region"));
    let vpc = body.text_in("vpc", "id");
    let component_parts = COMPONENTS.iter().flat_map(|component| {
        let parts = COMPONENT_PARTS.iter();
        parts.map(move |part| format!("spec.{component}.{part}"))
    });
    let parts: Vec<String> = PARTS
        .iter()
        .map(|part| (*part).to_owned())
        .chain(component_parts)
        .collect();
    let mut app = body
        .only(&parts)?
        .with("name", name)?
        .with("region", region)?
        .resource(ResourceKind::APP, id)?;
    app.relations
        .extend(vpc.map(|vpc| relation_to(RelationKind::InVpc, ResourceKind::VPC, vpc)));
    Ok(app.into())
}
