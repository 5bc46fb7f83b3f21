//! The kinds of resources that have a list of their own.
//!
//! A new kind is one small file here, one line in [`listings`] and one example of its answer under `fixtures/`.

mod body;
mod dns_zone;
mod droplet;
mod reserved_ip;
mod volume;

use domain::ResourceKind;
use domain::inventory::ObservedResource;

pub(crate) use body::Body;

use crate::decode::Unreadable;
use crate::pages::Paging;

/// How the resources of a kind are listed and read.
#[derive(Debug)]
pub struct ResourceListing {
    pub kind: ResourceKind,
    /// What to ask for; together they make the whole kind.
    pub paths: &'static [&'static str],
    /// The key of the resources in the answer.
    pub envelope: &'static str,
    pub(crate) paging: Paging,
    /// Reads one resource, without what is secret.
    pub(crate) read: fn(Body<'_>) -> Result<ObservedResource, Unreadable>,
}

/// Every kind, one line each.
static LISTINGS: &[ResourceListing] = &[
    droplet::LISTING,
    dns_zone::LISTING,
    volume::LISTING,
    reserved_ip::LISTING,
];

/// How each kind is listed.
pub fn listings() -> &'static [ResourceListing] {
    LISTINGS
}

/// How a kind is listed; none for one that has no list.
pub fn listing(kind: &ResourceKind) -> Option<&'static ResourceListing> {
    LISTINGS.iter().find(|listing| listing.kind == *kind)
}
