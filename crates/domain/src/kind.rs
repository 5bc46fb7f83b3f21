//! What a resource is, and DigitalOcean's URNs.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::provider_id::Spelling;

/// What a resource is, in this system's words (`droplet`, `dns_zone`, ...). An open set: DigitalOcean adds products, and a word
/// that is not known here is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceKind(Cow<'static, str>);

/// DigitalOcean's URN words that differ from this system's (rule of ours; the words are the spec's).
const URN_WORDS: &[(&str, ResourceKind)] = &[
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
    pub const ALERT_POLICY: Self = Self::word("alert_policy");
    pub const APP: Self = Self::word("app");
    pub const AUTOSCALE_POOL: Self = Self::word("autoscale_pool");
    pub const BYOIP_PREFIX: Self = Self::word("byoip_prefix");
    pub const CDN_ENDPOINT: Self = Self::word("cdn_endpoint");
    pub const CERTIFICATE: Self = Self::word("certificate");
    pub const DATABASE_CLUSTER: Self = Self::word("database_cluster");
    pub const DATABASE_REPLICA: Self = Self::word("database_replica");
    pub const DEDICATED_INFERENCE: Self = Self::word("dedicated_inference");
    pub const DNS_RECORD: Self = Self::word("dns_record");
    pub const DNS_ZONE: Self = Self::word("dns_zone");
    pub const DROPLET: Self = Self::word("droplet");
    pub const DROPLET_BACKUP: Self = Self::word("droplet_backup");
    pub const FIREWALL: Self = Self::word("firewall");
    pub const FUNCTION_NAMESPACE: Self = Self::word("function_namespace");
    pub const GENAI_AGENT: Self = Self::word("genai_agent");
    pub const GENAI_KNOWLEDGE_BASE: Self = Self::word("genai_knowledge_base");
    pub const IMAGE: Self = Self::word("image");
    pub const KUBERNETES_CLUSTER: Self = Self::word("kubernetes_cluster");
    pub const KUBERNETES_NODE_POOL: Self = Self::word("kubernetes_node_pool");
    pub const LOAD_BALANCER: Self = Self::word("load_balancer");
    pub const NAT_GATEWAY: Self = Self::word("nat_gateway");
    pub const NFS_SHARE: Self = Self::word("nfs_share");
    pub const NFS_SNAPSHOT: Self = Self::word("nfs_snapshot");
    pub const PARTNER_ATTACHMENT: Self = Self::word("partner_attachment");
    pub const REGISTRY: Self = Self::word("registry");
    pub const RESERVED_IP: Self = Self::word("reserved_ip");
    pub const RESERVED_IPV6: Self = Self::word("reserved_ipv6");
    pub const SAAS_ADDON: Self = Self::word("saas_addon");
    pub const SNAPSHOT: Self = Self::word("snapshot");
    pub const SPACES_BUCKET: Self = Self::word("spaces_bucket");
    pub const SPACES_KEY: Self = Self::word("spaces_key");
    pub const UPTIME_CHECK: Self = Self::word("uptime_check");
    pub const VECTOR_DATABASE: Self = Self::word("vector_database");
    pub const VOLUME: Self = Self::word("volume");
    pub const VPC: Self = Self::word("vpc");
    pub const VPC_PEERING: Self = Self::word("vpc_peering");

    /// Every kind that this version knows, by name. DigitalOcean adds others, which a URN may name before this list does.
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

    const fn word(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }

    /// The kind that a URN's middle word stands for; an unknown word is its own kind.
    pub fn from_urn_word(word: &str) -> Self {
        URN_WORDS
            .iter()
            .find(|(urn_word, _)| *urn_word == word)
            .map_or_else(
                || Self(Cow::Owned(word.to_owned())),
                |(_, kind)| kind.clone(),
            )
    }

    /// A kind by this system's own word for it.
    pub fn named(word: impl Into<String>) -> Self {
        Self(Cow::Owned(word.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource of this kind with this id, in whatever spelling the id comes.
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
#[error("{0:?} is no DigitalOcean URN: expected do:KIND:ID")]
pub struct InvalidUrn(String);

/// A resource as the Projects API names it: `do:KIND:ID` (spec). The id may hold colons itself (IPv6). Made by parsing or by
/// [`ResourceKind::with_id`], so that two spellings of one id are one URN.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Urn {
    pub kind: ResourceKind,
    /// DigitalOcean's own id, in the one spelling that the mirror uses: a number, a uuid, a name or an address, by kind.
    pub provider_id: String,
}

impl FromStr for Urn {
    type Err = InvalidUrn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("do"), Some(word), Some(id)) if !word.is_empty() && !id.is_empty() => {
                Ok(ResourceKind::from_urn_word(word).with_id(id))
            }
            _ => Err(InvalidUrn(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_apis_words_become_ours() {
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
        }
    }

    #[test]
    fn all_kinds_are_listed_once_and_in_order() {
        let all = ResourceKind::ALL;
        let words: Vec<_> = all.iter().map(ResourceKind::as_str).collect();
        assert!(words.is_sorted_by(|one, next| one < next), "{words:?}");
        for (_, kind) in URN_WORDS {
            assert!(ResourceKind::ALL.contains(kind), "{kind}");
        }
    }

    #[test]
    fn an_unknown_word_is_kept_as_it_is() {
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
    fn what_is_no_urn_is_refused() {
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
