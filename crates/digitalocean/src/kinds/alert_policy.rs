//! The listing of alert policies of monitoring.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::ALERT_POLICY,
    included: &[],
    paths: &["/v2/monitoring/alerts"],
    envelope: "policies",
    scope: "monitoring:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits the receivers: the address of a Slack webhook is sufficient to write to
/// the channel (Slack), and e-mail addresses are personal data.
const PARTS: [&str; 6] = ["type", "compare", "value", "window", "enabled", "entities"];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("uuid")?;
    // A policy has a description instead of a name (spec).
    let body = body.renamed("description", "name").only(&PARTS)?;
    Ok(body.resource(ResourceKind::ALERT_POLICY, id)?.into())
}
