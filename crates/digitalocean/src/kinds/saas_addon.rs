//! The listing of `SaaS` add-ons of other vendors.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::SAAS_ADDON,
    included: &[],
    paths: &["/v2/add-ons/saas"],
    envelope: "resources",
    scope: "addon:read",
    paging: Paging::Whole,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits the link that logs in without a password, and the metadata that users
/// set, which may contain secrets (spec).
const PARTS: [&str; 6] = [
    "app_name",
    "app_slug",
    "has_config",
    "plan_name",
    "plan_price_per_month",
    "plan_slug",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("uuid")?;
    let body = body.only(&PARTS)?;
    Ok(body.resource(ResourceKind::SAAS_ADDON, id)?.into())
}
