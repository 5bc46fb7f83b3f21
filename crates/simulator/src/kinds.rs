//! The kinds of resources without a separate type: path, style and scope of the list, and format of
//! the body. The paths, keys and scopes are those of DigitalOcean's specification.

use serde_json::Value;

use crate::{
    bodies::{New, compute, data, genai, network, platform, storage},
    identifiers::{identifier, spread},
    stock::Parent,
};

/// A kind of resource.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The name in [`crate::Account::add_resource`].
    pub(crate) slug: &'static str,
    /// The path of the list. `{id}` is the parent's id. Empty for images and snapshots.
    pub(crate) path: &'static str,
    /// The list's key in the response.
    pub(crate) key: &'static str,
    /// The scope for reading it.
    pub(crate) scope: &'static str,
    pub(crate) style: Style,
    /// The key of a single resource at `path/{id}`, if that path exists.
    pub(crate) single: Option<&'static str>,
    /// The format of the id.
    pub(crate) identity: Identity,
    /// The JSON pointer to the name; empty if the kind has no name that can change.
    pub(crate) name: &'static str,
    pub(crate) membership: Membership,
    /// The JSON pointer to the VPC.
    pub(crate) vpc: Option<&'static str>,
    /// The kind of the parent that `{id}` in the path identifies.
    pub(crate) parent: Option<&'static str>,
    /// Query parameters that filter the list, each with the JSON pointer to the compared value.
    pub(crate) filters: &'static [(&'static str, &'static str)],
    body: fn(&New<'_>) -> Value,
}

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `links.pages` with `first`, `prev`, `next` and `last`, and `meta.total`.
    Pages,
    /// `links.pages` with `previous` in place of `prev`, and `meta` with `page`, `pages` and
    /// `total`.
    GenAi,
    /// Pages without links; the only other field is `total`.
    Total,
    /// The whole list: no pages, no links, no total.
    Whole,
}

/// The format of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Uuid,
    /// Integers from this one.
    Number(u64),
    /// A number for droplets' snapshots, and a UUID otherwise.
    Snapshot,
    /// The name.
    Name,
    /// `fn-` and a UUID.
    Namespace,
    /// `DO00` and 16 letters and digits.
    AccessKey,
}

/// The relation of a kind to projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Membership {
    /// None.
    NoProject,
    /// A project member with this kind in its URN; the body has no `project_id`.
    Member(&'static str),
    /// A project member with a `project_id` in its body.
    MemberWithProjectId(&'static str),
    /// Not a project member; the body has a `project_id`.
    ProjectIdOnly,
}

impl Kind {
    const fn new(
        slug: &'static str,
        path: &'static str,
        key: &'static str,
        scope: &'static str,
        body: fn(&New<'_>) -> Value,
    ) -> Self {
        Self {
            slug,
            path,
            key,
            scope,
            style: Style::Pages,
            single: None,
            identity: Identity::Uuid,
            name: "/name",
            membership: Membership::NoProject,
            vpc: None,
            parent: None,
            filters: &[],
            body,
        }
    }

    const fn style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    const fn single(self, key: &'static str) -> Self {
        Self {
            single: Some(key),
            ..self
        }
    }

    const fn identity(self, identity: Identity) -> Self {
        Self { identity, ..self }
    }

    const fn named_at(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    const fn membership(self, membership: Membership) -> Self {
        Self { membership, ..self }
    }

    const fn vpc(self, pointer: &'static str) -> Self {
        Self {
            vpc: Some(pointer),
            ..self
        }
    }

    const fn below(self, parent: &'static str) -> Self {
        Self {
            parent: Some(parent),
            ..self
        }
    }

    const fn filters(self, filters: &'static [(&'static str, &'static str)]) -> Self {
        Self { filters, ..self }
    }

    /// The id of the resource with a number.
    pub(crate) fn id(&self, number: u64, name: &str, parent: Option<&Parent>) -> String {
        let uuid = || identifier(self.slug, number).to_string();
        match self.identity {
            Identity::Number(first) => (first + number).to_string(),
            Identity::Snapshot if parent.is_some_and(|parent| parent.kind == "droplet") => {
                (190_000_000 + number).to_string()
            }
            Identity::Uuid | Identity::Snapshot => uuid(),
            Identity::Name => name.to_owned(),
            Identity::Namespace => format!("fn-{}", uuid()),
            Identity::AccessKey => format!("DO00{:016X}", spread(number)),
        }
    }

    pub(crate) fn body(&self, new: &New<'_>) -> Value {
        (self.body)(new)
    }

    /// `do:KIND:ID`, if projects list this kind.
    pub(crate) fn urn(&self, id: &str) -> Option<String> {
        match self.membership {
            Membership::Member(kind) | Membership::MemberWithProjectId(kind) => {
                Some(format!("do:{kind}:{id}"))
            }
            Membership::NoProject | Membership::ProjectIdOnly => None,
        }
    }

    /// Returns whether the body has a `project_id`.
    pub(crate) fn has_project_id(&self) -> bool {
        matches!(
            self.membership,
            Membership::MemberWithProjectId(_) | Membership::ProjectIdOnly
        )
    }
}

/// The kind with a slug.
pub(crate) fn named(slug: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.slug == slug)
}

/// The kind with a name in URNs.
pub(crate) fn of_urn_kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| match kind.membership {
        Membership::Member(known) | Membership::MemberWithProjectId(known) => known == name,
        Membership::NoProject | Membership::ProjectIdOnly => false,
    })
}

/// The images of droplet snapshots. Not accepted by [`crate::Account::add_resource`].
pub(crate) const SNAPSHOT_IMAGE: &str = "snapshot_image";

/// Every kind.
#[rustfmt::skip]
pub(crate) const KINDS: &[Kind] = &[
    Kind::new("autoscale_pool", "/v2/droplets/autoscale", "autoscale_pools", "droplet:read", compute::autoscale_pool)
        .single("autoscale_pool").vpc("/droplet_template/vpc_uuid").filters(&[("name", "/name")]),
    Kind::new("snapshot", "", "snapshots", "snapshot:read", compute::snapshot).identity(Identity::Snapshot),
    Kind::new("image", "", "images", "image:read", compute::custom_image).identity(Identity::Number(170_000_000)),
    Kind::new(SNAPSHOT_IMAGE, "", "images", "image:read", compute::snapshot_image)
        .identity(Identity::Number(190_000_000)),
    Kind::new("droplet_backup", "/v2/droplets/{id}/backups", "backups", "droplet:read", compute::backup)
        .identity(Identity::Number(180_000_000)).below("droplet"),
    Kind::new("reserved_ipv6", "/v2/reserved_ipv6", "reserved_ipv6s", "reserved_ip:read", network::reserved_ipv6)
        .single("reserved_ipv6").identity(Identity::Name).named_at(""),
    Kind::new("load_balancer", "/v2/load_balancers", "load_balancers", "load_balancer:read", network::load_balancer)
        .single("load_balancer").membership(Membership::MemberWithProjectId("loadbalancer")).vpc("/vpc_uuid"),
    Kind::new("database_cluster", "/v2/databases", "databases", "database:read", data::cluster)
        .style(Style::Whole).single("database").membership(Membership::MemberWithProjectId("dbaas")).vpc("/private_network_uuid"),
    Kind::new("database_replica", "/v2/databases/{id}/replicas", "replicas", "database:read", data::replica)
        .style(Style::Whole).below("database_cluster").vpc("/private_network_uuid"),
    Kind::new("kubernetes_cluster", "/v2/kubernetes/clusters", "kubernetes_clusters", "kubernetes:read",
              compute::kubernetes_cluster)
        .single("kubernetes_cluster").membership(Membership::Member("kubernetes")).vpc("/vpc_uuid"),
    Kind::new("app", "/v2/apps", "apps", "app:read", platform::app)
        .single("app").membership(Membership::MemberWithProjectId("app")).named_at("/spec/name").vpc("/vpc/id"),
    Kind::new("registry", "/v2/registries", "registries", "registry:read", platform::registry)
        .style(Style::Whole).identity(Identity::Name).named_at(""),
    Kind::new("cdn_endpoint", "/v2/cdn/endpoints", "endpoints", "cdn:read", storage::cdn_endpoint)
        .single("endpoint").named_at("/origin"),
    Kind::new("spaces_key", "/v2/spaces/keys", "keys", "spaces_key:read", storage::spaces_key)
        .single("key").identity(Identity::AccessKey).filters(&[("name", "/name")]),
    Kind::new("function_namespace", "/v2/functions/namespaces", "namespaces", "function:read",
              platform::function_namespace)
        .style(Style::Whole).single("namespace").identity(Identity::Namespace).named_at("/label"),
    Kind::new("vpc", "/v2/vpcs", "vpcs", "vpc:read", network::vpc).single("vpc"),
    Kind::new("nat_gateway", "/v2/vpc_nat_gateways", "vpc_nat_gateways", "nat_gateway:read", network::nat_gateway)
        .single("vpc_nat_gateway").membership(Membership::ProjectIdOnly).vpc("/vpcs/0/vpc_uuid")
        .filters(&[("name", "/name"), ("region", "/region"), ("state", "/state"), ("type", "/type")]),
    Kind::new("vpc_peering", "/v2/vpc_peerings", "vpc_peerings", "vpc_peering:read", network::vpc_peering)
        .single("vpc_peering"),
    Kind::new("firewall", "/v2/firewalls", "firewalls", "firewall:read", network::firewall).single("firewall"),
    Kind::new("certificate", "/v2/certificates", "certificates", "certificate:read", network::certificate)
        .single("certificate").filters(&[("name", "/name")]),
    Kind::new("nfs_share", "/v2/nfs", "shares", "nfs:list", storage::nfs_share)
        .style(Style::Whole).vpc("/vpc_ids/0").filters(&[("region", "/region")]),
    Kind::new("nfs_snapshot", "/v2/nfs/snapshots", "snapshots", "nfs:list", storage::nfs_snapshot)
        .style(Style::Whole).filters(&[("region", "/region"), ("share_id", "/share_id")]),
    Kind::new("uptime_check", "/v2/uptime/checks", "checks", "uptime:read", platform::uptime_check).single("check"),
    Kind::new("genai_agent", "/v2/gen-ai/agents", "agents", "genai:read", genai::agent)
        .style(Style::GenAi).single("agent").membership(Membership::ProjectIdOnly),
    Kind::new("genai_knowledge_base", "/v2/gen-ai/knowledge_bases", "knowledge_bases", "genai:read",
              genai::knowledge_base)
        .style(Style::GenAi).single("knowledge_base").membership(Membership::ProjectIdOnly),
    Kind::new("saas_addon", "/v2/add-ons/saas", "resources", "addon:read", platform::saas_addon)
        .style(Style::Whole).single("resource"),
    Kind::new("dedicated_inference", "/v2/dedicated-inferences", "dedicated_inferences", "dedicated_inference:read",
              genai::dedicated_inference)
        .single("dedicated_inference").named_at("/spec/name").vpc("/vpc_uuid").filters(&[("region", "/region")]),
    Kind::new("vector_database", "/v2/vector-databases", "vector_dbs", "database:read", data::vector_database)
        .style(Style::Total).single("vector_db").membership(Membership::ProjectIdOnly),
    Kind::new("partner_attachment", "/v2/partner_network_connect/attachments", "partner_attachments",
              "partner_network_connect:read", network::partner_attachment)
        .single("partner_attachment").vpc("/vpc_ids/0"),
    Kind::new("byoip_prefix", "/v2/byoip_prefixes", "byoip_prefixes", "byoip_prefix:read", network::byoip_prefix)
        .single("byoip_prefix").membership(Membership::ProjectIdOnly),
    Kind::new("alert_policy", "/v2/monitoring/alerts", "policies", "monitoring:read", platform::alert_policy)
        .single("policy").named_at("/description"),
    Kind::new("dns_record", "/v2/domains/{id}/records", "domain_records", "domain:read", network::dns_record)
        .identity(Identity::Number(28_000_000)).below("dns_zone").filters(&[("name", "/name"), ("type", "/type")]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_paths_are_unique() {
        for (position, kind) in KINDS.iter().enumerate() {
            for other in &KINDS[position + 1..] {
                assert_ne!(kind.slug, other.slug);
                assert!(kind.path.is_empty() || kind.path != other.path);
            }
        }
    }

    #[test]
    fn snapshots_of_droplets_have_numbers_and_others_uuids() {
        let kind = named("snapshot").unwrap();
        let droplet = Parent::new("droplet", "5");
        assert_eq!(kind.id(7, "", Some(&droplet)), "190000007");
        assert_eq!(kind.id(7, "", None).len(), 36);
    }
}
