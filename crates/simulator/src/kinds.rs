//! The kinds of resources that need no type of their own: where each is listed, in which style, under which scope,
//! and how its body is written. The paths, keys and scopes are those of DigitalOcean's specification.

use serde_json::Value;

use crate::{
    bodies::{New, compute, data, genai, network, platform, storage},
    identifiers::{identifier, spread},
    stock::Parent,
};

/// A kind of resource.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// Our word for it, as in [`crate::Account::add_resource`].
    pub(crate) word: &'static str,
    /// Where it is listed. `{id}` stands for the parent's id. Empty when only [`crate::images`] lists it.
    pub(crate) path: &'static str,
    /// The list's key in the answer.
    pub(crate) key: &'static str,
    /// The scope that reading it needs.
    pub(crate) scope: &'static str,
    pub(crate) style: Style,
    /// The key of the answer about a single one at `path/{id}`, where there is one.
    pub(crate) single: Option<&'static str>,
    /// What the id looks like.
    pub(crate) identity: Identity,
    /// Where in the body a person's name for it is; empty when it has none that could change.
    pub(crate) name: &'static str,
    pub(crate) home: Home,
    /// Where in the body its VPC is.
    pub(crate) vpc: Option<&'static str>,
    /// The kind of the parent that `{id}` in the path stands for.
    pub(crate) parent: Option<&'static str>,
    /// Query parameters that narrow the list, and where in the body the value they are compared with is.
    pub(crate) filters: &'static [(&'static str, &'static str)],
    body: fn(&New<'_>) -> Value,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `links.pages` with `first`, `prev`, `next` and `last`, and `meta.total`.
    Pages,
    /// `links.pages` with `previous` in place of `prev`, and `meta` with `page`, `pages` and `total`.
    GenAi,
    /// Pages without links, and `total` beside the list.
    Total,
    /// Everything at once: no pages, no links, no total.
    Whole,
}

/// What an id looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Uuid,
    /// Whole numbers from here.
    Number(u64),
    /// A number for what was made of a droplet, and a UUID otherwise.
    Snapshot,
    /// The name itself.
    Name,
    /// `fn-` and a UUID.
    Namespace,
    /// `DO00` and 16 letters and digits.
    AccessKey,
}

/// How a kind has to do with projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Not at all.
    Nowhere,
    /// It is a project's member under a URN with this word; its body does not tell.
    Member(&'static str),
    /// It is a member, and its `project_id` tells of which project.
    MemberThatTells(&'static str),
    /// No project lists it; only its `project_id` tells.
    Tells,
}

impl Kind {
    const fn new(
        word: &'static str,
        path: &'static str,
        key: &'static str,
        scope: &'static str,
        body: fn(&New<'_>) -> Value,
    ) -> Self {
        Self {
            word,
            path,
            key,
            scope,
            style: Style::Pages,
            single: None,
            identity: Identity::Uuid,
            name: "/name",
            home: Home::Nowhere,
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

    const fn home(self, home: Home) -> Self {
        Self { home, ..self }
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

    /// The id of the `number`th resource.
    pub(crate) fn id(&self, number: u64, name: &str, parent: Option<&Parent>) -> String {
        let uuid = || identifier(self.word, number).to_string();
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

    /// `do:WORD:ID`, when projects list this kind.
    pub(crate) fn urn(&self, id: &str) -> Option<String> {
        match self.home {
            Home::Member(word) | Home::MemberThatTells(word) => Some(format!("do:{word}:{id}")),
            Home::Nowhere | Home::Tells => None,
        }
    }

    /// Whether the body has a `project_id`.
    pub(crate) fn tells_its_project(&self) -> bool {
        matches!(self.home, Home::MemberThatTells(_) | Home::Tells)
    }
}

/// The kind that our word stands for.
pub(crate) fn named(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

/// The kind that the second part of a URN stands for.
pub(crate) fn of_urn_word(word: &str) -> Option<&'static Kind> {
    let is = |home: Home| matches!(home, Home::Member(known) | Home::MemberThatTells(known) if known == word);
    KINDS.iter().find(|kind| is(kind.home))
}

/// The images that droplet snapshots also are. Not a word of [`crate::Account::add_resource`].
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
        .single("load_balancer").home(Home::MemberThatTells("loadbalancer")).vpc("/vpc_uuid"),
    Kind::new("database_cluster", "/v2/databases", "databases", "database:read", data::cluster)
        .style(Style::Whole).single("database").home(Home::MemberThatTells("dbaas")).vpc("/private_network_uuid"),
    Kind::new("database_replica", "/v2/databases/{id}/replicas", "replicas", "database:read", data::replica)
        .style(Style::Whole).below("database_cluster").vpc("/private_network_uuid"),
    Kind::new("kubernetes_cluster", "/v2/kubernetes/clusters", "kubernetes_clusters", "kubernetes:read",
              compute::kubernetes_cluster)
        .single("kubernetes_cluster").home(Home::Member("kubernetes")).vpc("/vpc_uuid"),
    Kind::new("app", "/v2/apps", "apps", "app:read", platform::app)
        .single("app").home(Home::MemberThatTells("app")).named_at("/spec/name").vpc("/vpc/id"),
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
        .single("vpc_nat_gateway").home(Home::Tells).vpc("/vpcs/0/vpc_uuid")
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
        .style(Style::GenAi).single("agent").home(Home::Tells),
    Kind::new("genai_knowledge_base", "/v2/gen-ai/knowledge_bases", "knowledge_bases", "genai:read",
              genai::knowledge_base)
        .style(Style::GenAi).single("knowledge_base").home(Home::Tells),
    Kind::new("saas_addon", "/v2/add-ons/saas", "resources", "addon:read", platform::saas_addon)
        .style(Style::Whole).single("resource"),
    Kind::new("dedicated_inference", "/v2/dedicated-inferences", "dedicated_inferences", "dedicated_inference:read",
              genai::dedicated_inference)
        .single("dedicated_inference").named_at("/spec/name").vpc("/vpc_uuid").filters(&[("region", "/region")]),
    Kind::new("vector_database", "/v2/vector-databases", "vector_dbs", "database:read", data::vector_database)
        .style(Style::Total).single("vector_db").home(Home::Tells),
    Kind::new("partner_attachment", "/v2/partner_network_connect/attachments", "partner_attachments",
              "partner_network_connect:read", network::partner_attachment)
        .single("partner_attachment").vpc("/vpc_ids/0"),
    Kind::new("byoip_prefix", "/v2/byoip_prefixes", "byoip_prefixes", "byoip_prefix:read", network::byoip_prefix)
        .single("byoip_prefix").home(Home::Tells),
    Kind::new("alert_policy", "/v2/monitoring/alerts", "policies", "monitoring:read", platform::alert_policy)
        .single("policy").named_at("/description"),
    Kind::new("dns_record", "/v2/domains/{id}/records", "domain_records", "domain:read", network::dns_record)
        .identity(Identity::Number(28_000_000)).below("dns_zone").filters(&[("name", "/name"), ("type", "/type")]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_path_is_used_once() {
        for (position, kind) in KINDS.iter().enumerate() {
            for other in &KINDS[position + 1..] {
                assert_ne!(kind.word, other.word);
                assert!(kind.path.is_empty() || kind.path != other.path);
            }
        }
    }

    #[test]
    fn a_snapshot_of_a_droplet_has_a_number_and_any_other_a_uuid() {
        let kind = named("snapshot").unwrap();
        let droplet = Parent::new("droplet", "5");
        assert_eq!(kind.id(7, "", Some(&droplet)), "190000007");
        assert_eq!(kind.id(7, "", None).len(), 36);
    }
}
