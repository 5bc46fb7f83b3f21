//! Kinds of resources, and DigitalOcean's URNs.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::provider_id::Spelling;

/// The kind of a resource by this system's name (`droplet`, `dns_zone`, ...). An open set:
/// DigitalOcean adds products, and an unknown name is kept unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceKind(Cow<'static, str>);

/// Kinds in DigitalOcean's URNs that differ from this system's names (rule of ours; the URN kinds
/// are the spec's).
const URN_KINDS: &[(&str, ResourceKind)] = &[
    ("domain", ResourceKind::DNS_ZONE),
    ("space", ResourceKind::SPACES_BUCKET),
    ("floatingip", ResourceKind::RESERVED_IP),
    ("dbaas", ResourceKind::DATABASE_CLUSTER),
    ("kubernetes", ResourceKind::KUBERNETES_CLUSTER),
    ("loadbalancer", ResourceKind::LOAD_BALANCER),
    ("database", ResourceKind::DATABASE_CLUSTER),
    ("reservedip", ResourceKind::RESERVED_IP),
    ("reservedipv6", ResourceKind::RESERVED_IPV6),
];

impl ResourceKind {
    pub const ALERT_POLICY: Self = Self::known("alert_policy");
    pub const APP: Self = Self::known("app");
    pub const AUTOSCALE_POOL: Self = Self::known("autoscale_pool");
    pub const BYOIP_PREFIX: Self = Self::known("byoip_prefix");
    pub const CDN_ENDPOINT: Self = Self::known("cdn_endpoint");
    pub const CERTIFICATE: Self = Self::known("certificate");
    pub const DATABASE_CLUSTER: Self = Self::known("database_cluster");
    pub const DATABASE_REPLICA: Self = Self::known("database_replica");
    pub const DEDICATED_INFERENCE: Self = Self::known("dedicated_inference");
    pub const DNS_RECORD: Self = Self::known("dns_record");
    pub const DNS_ZONE: Self = Self::known("dns_zone");
    pub const DROPLET: Self = Self::known("droplet");
    pub const DROPLET_BACKUP: Self = Self::known("droplet_backup");
    pub const FIREWALL: Self = Self::known("firewall");
    pub const FUNCTION_NAMESPACE: Self = Self::known("function_namespace");
    pub const GENAI_AGENT: Self = Self::known("genai_agent");
    pub const GENAI_KNOWLEDGE_BASE: Self = Self::known("genai_knowledge_base");
    pub const IMAGE: Self = Self::known("image");
    pub const KUBERNETES_CLUSTER: Self = Self::known("kubernetes_cluster");
    pub const KUBERNETES_NODE_POOL: Self = Self::known("kubernetes_node_pool");
    pub const LOAD_BALANCER: Self = Self::known("load_balancer");
    pub const NAT_GATEWAY: Self = Self::known("nat_gateway");
    pub const NFS_SHARE: Self = Self::known("nfs_share");
    pub const NFS_SNAPSHOT: Self = Self::known("nfs_snapshot");
    pub const PARTNER_ATTACHMENT: Self = Self::known("partner_attachment");
    pub const REGISTRY: Self = Self::known("registry");
    pub const RESERVED_IP: Self = Self::known("reserved_ip");
    pub const RESERVED_IPV6: Self = Self::known("reserved_ipv6");
    pub const SAAS_ADDON: Self = Self::known("saas_addon");
    pub const SNAPSHOT: Self = Self::known("snapshot");
    pub const SPACES_BUCKET: Self = Self::known("spaces_bucket");
    pub const SPACES_KEY: Self = Self::known("spaces_key");
    pub const UPTIME_CHECK: Self = Self::known("uptime_check");
    pub const VECTOR_DATABASE: Self = Self::known("vector_database");
    pub const VOLUME: Self = Self::known("volume");
    pub const VPC: Self = Self::known("vpc");
    pub const VPC_PEERING: Self = Self::known("vpc_peering");

    /// Every kind that this version knows, by name. URNs can have kinds that are not in this list
    /// yet.
    pub const ALL: [Self; 37] = [
        Self::ALERT_POLICY,
        Self::APP,
        Self::AUTOSCALE_POOL,
        Self::BYOIP_PREFIX,
        Self::CDN_ENDPOINT,
        Self::CERTIFICATE,
        Self::DATABASE_CLUSTER,
        Self::DATABASE_REPLICA,
        Self::DEDICATED_INFERENCE,
        Self::DNS_RECORD,
        Self::DNS_ZONE,
        Self::DROPLET,
        Self::DROPLET_BACKUP,
        Self::FIREWALL,
        Self::FUNCTION_NAMESPACE,
        Self::GENAI_AGENT,
        Self::GENAI_KNOWLEDGE_BASE,
        Self::IMAGE,
        Self::KUBERNETES_CLUSTER,
        Self::KUBERNETES_NODE_POOL,
        Self::LOAD_BALANCER,
        Self::NAT_GATEWAY,
        Self::NFS_SHARE,
        Self::NFS_SNAPSHOT,
        Self::PARTNER_ATTACHMENT,
        Self::REGISTRY,
        Self::RESERVED_IP,
        Self::RESERVED_IPV6,
        Self::SAAS_ADDON,
        Self::SNAPSHOT,
        Self::SPACES_BUCKET,
        Self::SPACES_KEY,
        Self::UPTIME_CHECK,
        Self::VECTOR_DATABASE,
        Self::VOLUME,
        Self::VPC,
        Self::VPC_PEERING,
    ];

    const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Returns the kind for the middle part of a URN; an unknown part becomes its own kind.
    pub fn from_urn_kind(urn_kind: &str) -> Self {
        URN_KINDS
            .iter()
            .find(|(known, _)| *known == urn_kind)
            .map_or_else(
                || Self(Cow::Owned(urn_kind.to_owned())),
                |(_, kind)| kind.clone(),
            )
    }

    /// Returns the middle part of URNs of this kind.
    fn urn_kind(&self) -> &str {
        let known = URN_KINDS.iter().find(|(_, kind)| kind == self);
        known.map_or(self.as_str(), |(urn_kind, _)| urn_kind)
    }

    /// Returns the kind with this system's name.
    pub fn named(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the resource of this kind with this id, in any spelling of the id.
    pub fn with_id(self, provider_id: impl Into<String>) -> Urn {
        Urn {
            provider_id: self.spelling().normalise(provider_id.into()),
            kind: self,
        }
    }

    fn spelling(&self) -> Spelling {
        if *self == Self::DNS_ZONE {
            Spelling::DomainName
        } else if [Self::REGISTRY, Self::SPACES_BUCKET, Self::SPACES_KEY].contains(self) {
            Spelling::Exact
        } else {
            Spelling::Usual
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A text that is not of the form `do:KIND:ID`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid DigitalOcean URN {0:?}: expected do:KIND:ID")]
pub struct InvalidUrn(String);

/// A resource as the Projects API names it: `do:KIND:ID` (spec). The id can have colons itself
/// (IPv6). Built by parsing or by [`ResourceKind::with_id`], so that two spellings of one id give
/// equal URNs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Urn {
    pub kind: ResourceKind,
    /// DigitalOcean's id in the mirror's spelling: a number, a uuid, a name or an address,
    /// depending on the kind.
    pub provider_id: String,
}

impl fmt::Display for Urn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "do:{}:{}",
            self.kind.urn_kind(),
            self.provider_id
        )
    }
}

impl FromStr for Urn {
    type Err = InvalidUrn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("do"), Some(kind), Some(id)) if !kind.is_empty() && !id.is_empty() => {
                Ok(ResourceKind::from_urn_kind(kind).with_id(id))
            }
            _ => Err(InvalidUrn(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urn_kinds_map_to_the_kinds_of_this_system() {
        for (urn, kind, id) in [
            ("do:droplet:42", "droplet", "42"),
            ("do:domain:example.com", "dns_zone", "example.com"),
            ("do:space:backups", "spaces_bucket", "backups"),
            ("do:floatingip:192.0.2.7", "reserved_ip", "192.0.2.7"),
            ("do:dbaas:9cc10173", "database_cluster", "9cc10173"),
            ("do:kubernetes:bd5f5959", "kubernetes_cluster", "bd5f5959"),
            ("do:loadbalancer:4de7ac8b", "load_balancer", "4de7ac8b"),
        ] {
            let parsed: Urn = urn.parse().unwrap();
            assert_eq!(
                (parsed.kind.as_str(), parsed.provider_id.as_str()),
                (kind, id)
            );
            assert_eq!(parsed.to_string(), urn);
        }
    }

    #[test]
    fn all_kinds_are_listed_once_and_in_order() {
        let all = ResourceKind::ALL;
        let names: Vec<_> = all.iter().map(ResourceKind::as_str).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        for (_, kind) in URN_KINDS {
            assert!(ResourceKind::ALL.contains(kind), "{kind}");
        }
    }

    #[test]
    fn an_unknown_urn_kind_is_kept() {
        let urn: Urn = "do:quantumcomputer:7".parse().unwrap();
        assert_eq!(urn.kind, ResourceKind::named("quantumcomputer"));
    }

    #[test]
    fn an_ipv6_address_keeps_its_colons() {
        let urn: Urn = "do:reservedipv6:2001:db8::1".parse().unwrap();
        assert_eq!(urn.provider_id, "2001:db8::1");
    }

    #[test]
    fn urns_that_differ_only_in_spelling_are_equal() {
        for (one, other) in [
            (
                "do:volume:5F1B0C3E-0A4D-4B7C-9D5E-2A1F3C4B5D6E",
                "do:volume:5f1b0c3e-0a4d-4b7c-9d5e-2a1f3c4b5d6e",
            ),
            ("do:domain:Example.COM", "do:domain:example.com"),
            (
                "do:reservedipv6:2604:A880:800:14::DC9:C001",
                "do:reservedipv6:2604:a880:0800:0014:0000:0000:0dc9:c001",
            ),
            (
                "do:unheardof:5F1B0C3E-0A4D-4B7C-9D5E-2A1F3C4B5D6E",
                "do:unheardof:5f1b0c3e-0a4d-4b7c-9d5e-2a1f3c4b5d6e",
            ),
        ] {
            assert_eq!(one.parse::<Urn>(), other.parse::<Urn>(), "{one}");
        }
    }

    #[test]
    fn names_of_buckets_and_registries_are_compared_exactly() {
        for kind in [ResourceKind::SPACES_BUCKET, ResourceKind::REGISTRY] {
            for id in ["Backups", "5F1B0C3E-0A4D-4B7C-9D5E-2A1F3C4B5D6E"] {
                assert_eq!(kind.clone().with_id(id).provider_id, id);
            }
        }
    }

    #[test]
    fn invalid_urns_are_rejected() {
        for text in [
            "",
            "droplet:1",
            "do:droplet",
            "do:droplet:",
            "do::1",
            "aws:droplet:1",
        ] {
            assert!(text.parse::<Urn>().is_err(), "{text}");
        }
    }
}
