//! Alert policies of monitoring.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::ALERT_POLICY,
    also: &[],
    paths: &["/v2/monitoring/alerts"],
    envelope: "policies",
    scope: "monitoring:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// Whom it tells is left out: the address of a Slack webhook is all it takes to write to the channel (Slack), and e-mail
/// addresses are people's.
const PARTS: [&str; 6] = ["type", "compare", "value", "window", "enabled", "entities"];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("uuid")?;
    // Its description is all the name it has (spec).
    let body = body.renamed("description", "name").only(&PARTS)?;
    Ok(body.resource(ResourceKind::ALERT_POLICY, id)?.into())
}
