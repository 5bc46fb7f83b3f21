//! The kinds of resources that have their own list in the API.
//!
//! A new kind is one small file here, one line in [`LISTINGS`] and one example response under
//! `fixtures/`. If a body may contain a secret, the file of the kind names the parts to keep;
//! otherwise it names the parts to omit. It also names the lists in which the order matters.

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
pub use body::restore_tags;

use crate::decode::Unreadable;
use crate::paging::Paging;

/// How the resources of a kind are listed and read.
#[derive(Debug)]
pub struct ResourceListing {
    pub kind: ResourceKind,
    /// Kinds that are read from the same bodies: the node pools of a cluster are in the cluster.
    pub included: &'static [ResourceKind],
    /// The paths of its lists; together they contain every resource of the kind.
    pub paths: &'static [&'static str],
    /// The key of the resources in the response.
    pub envelope: &'static str,
    /// The scope that a token with custom scopes needs (spec).
    pub scope: &'static str,
    pub(crate) paging: Paging,
    /// Paths, such as `rules.ports`, of the lists in a body that are ordered, by DigitalOcean's
    /// names. All other lists are sets: a different order of their elements is not a change.
    pub ordered: &'static [&'static str],
    /// The kind that is listed for each resource of this kind, if the account has no list of it.
    pub children: Option<Children>,
    /// Reads one item of the list, without its secrets.
    pub(crate) read: fn(Body<'_>) -> Result<Item, Unreadable>,
}

/// A kind that can be listed only for one parent at a time.
#[derive(Debug)]
pub struct Children {
    pub kind: ResourceKind,
    /// The path of the list, by the parent's id.
    pub(crate) path: fn(&str) -> String,
    /// The key of the resources in the response.
    pub envelope: &'static str,
    pub(crate) paging: Paging,
    /// The ordered lists of a body, like those of [`ResourceListing`].
    pub ordered: &'static [&'static str],
    /// Reads one resource, with its parent's id and without its secrets.
    pub(crate) read: fn(&str, Body<'_>) -> Result<ObservedResource, Unreadable>,
}

/// An item of a list, decoded.
#[derive(Debug)]
pub(crate) struct Item {
    /// Identifies the item in its list.
    pub(crate) id: String,
    /// The resource, and others that are part of its body. Empty if another list has the resource.
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
    /// Returns all kinds of this listing, its own first.
    pub fn kinds(&self) -> impl Iterator<Item = &ResourceKind> {
        let children = self.children.as_ref().map(|children| &children.kind);
        std::iter::once(&self.kind)
            .chain(self.included)
            .chain(children)
    }
}

/// Every kind, one per line.
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

/// Returns the listing of every kind.
pub fn listings() -> &'static [ResourceListing] {
    LISTINGS
}

/// Returns the listing that contains a kind, or none if the API has no list of it.
pub fn listing(kind: &ResourceKind) -> Option<&'static ResourceListing> {
    LISTINGS
        .iter()
        .find(|listing| listing.kinds().any(|listed| listed == kind))
}

/// Returns the listing of DNS zones with their records, which is optional: it takes one request per
/// zone.
pub fn zones_with_records() -> &'static ResourceListing {
    &dns_zone::LISTING_WITH_RECORDS
}
