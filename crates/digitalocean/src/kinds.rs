//! The kinds of resources that have a list of their own.
//!
//! A new kind is one small file here, one line in [`LISTINGS`] and one example of its answer under `fixtures/`. Where a body may
//! hold a secret, its file names the parts that are kept; otherwise it names what is left out. It also names the lists whose order
//! means something.

mod alert_policy;
mod allowed;
mod app;
mod autoscale_pool;
mod body;
mod byoip_prefix;
mod canonical;
mod cdn_endpoint;
mod certificate;
mod database_cluster;
mod dedicated_inference;
mod dns_zone;
mod droplet;
mod firewall;
mod function_namespace;
mod genai_agent;
mod genai_knowledge_base;
mod image;
mod kubernetes_cluster;
mod load_balancer;
mod nat_gateway;
mod nfs_share;
mod nfs_snapshot;
mod partner_attachment;
mod registry;
mod reserved_ip;
mod reserved_ipv6;
mod saas_addon;
mod snapshot;
mod spaces_key;
mod uptime_check;
mod vector_database;
mod volume;
mod vpc;
mod vpc_peering;

use domain::ResourceKind;
use domain::inventory::ObservedResource;

pub(crate) use body::Body;

use crate::decode::Unreadable;
use crate::paging::Paging;

/// How the resources of a kind are listed and read.
#[derive(Debug)]
pub struct ResourceListing {
    pub kind: ResourceKind,
    /// Kinds whose resources are read from the same bodies: a cluster's node pools stand in the cluster.
    pub also: &'static [ResourceKind],
    /// What to ask for; together they make the whole kind.
    pub paths: &'static [&'static str],
    /// The key of the resources in the answer.
    pub envelope: &'static str,
    /// What a token with custom scopes must be granted for it (spec).
    pub scope: &'static str,
    pub(crate) paging: Paging,
    /// Lists of a body whose order means something, as in `rules.ports`, in DigitalOcean's words. All others are sets: a
    /// different order of their elements is no change.
    pub ordered: &'static [&'static str],
    /// What is listed for each resource of this kind, where the account has no list of it.
    pub children: Option<Children>,
    /// Reads one item of the list, without what is secret.
    pub(crate) read: fn(Body<'_>) -> Result<Item, Unreadable>,
}

/// A kind that can be listed only for one parent at a time.
#[derive(Debug)]
pub struct Children {
    pub kind: ResourceKind,
    /// What to ask for, by the parent's id.
    pub(crate) path: fn(&str) -> String,
    /// The key of the resources in the answer.
    pub envelope: &'static str,
    pub(crate) paging: Paging,
    /// Lists of a body whose order means something, as those of [`ResourceListing`].
    pub ordered: &'static [&'static str],
    /// Reads one resource, given its parent's id, without what is secret.
    pub(crate) read: fn(&str, Body<'_>) -> Result<ObservedResource, Unreadable>,
}

/// What an item of a list holds.
#[derive(Debug)]
pub(crate) struct Item {
    /// What tells it from the other items of its list.
    pub(crate) id: String,
    /// The resource, and others that are part of its body; none for what another list has.
    pub(crate) resources: Vec<ObservedResource>,
}

impl From<ObservedResource> for Item {
    fn from(resource: ObservedResource) -> Self {
        Self {
            id: resource.provider_id.clone(),
            resources: vec![resource],
        }
    }
}

impl ResourceListing {
    /// All kinds that this listing tells of, its own first.
    pub fn kinds(&self) -> impl Iterator<Item = &ResourceKind> {
        let children = self.children.as_ref().map(|children| &children.kind);
        std::iter::once(&self.kind).chain(self.also).chain(children)
    }
}

/// Every kind, one line each.
static LISTINGS: &[ResourceListing] = &[
    droplet::LISTING,
    volume::LISTING,
    snapshot::LISTING,
    image::LISTING,
    autoscale_pool::LISTING,
    reserved_ip::LISTING,
    reserved_ipv6::LISTING,
    byoip_prefix::LISTING,
    load_balancer::LISTING,
    database_cluster::LISTING,
    vector_database::LISTING,
    kubernetes_cluster::LISTING,
    app::LISTING,
    function_namespace::LISTING,
    registry::LISTING,
    spaces_key::LISTING,
    cdn_endpoint::LISTING,
    nfs_share::LISTING,
    nfs_snapshot::LISTING,
    vpc::LISTING,
    vpc_peering::LISTING,
    nat_gateway::LISTING,
    partner_attachment::LISTING,
    firewall::LISTING,
    certificate::LISTING,
    dns_zone::LISTING,
    genai_agent::LISTING,
    genai_knowledge_base::LISTING,
    dedicated_inference::LISTING,
    uptime_check::LISTING,
    alert_policy::LISTING,
    saas_addon::LISTING,
];

/// How each kind is listed.
pub fn listings() -> &'static [ResourceListing] {
    LISTINGS
}

/// The listing that tells of a kind; none for one that has no list.
pub fn listing(kind: &ResourceKind) -> Option<&'static ResourceListing> {
    LISTINGS
        .iter()
        .find(|listing| listing.kinds().any(|listed| listed == kind))
}

/// DNS zones with their records, for those who want them: a request for each zone.
pub fn zones_with_records() -> &'static ResourceListing {
    &dns_zone::LISTING_WITH_RECORDS
}
