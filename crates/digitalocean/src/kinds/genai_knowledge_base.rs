//! Knowledge bases of the gen-ai platform.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::pages::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::GENAI_KNOWLEDGE_BASE,
    also: &[],
    paths: &["/v2/gen-ai/knowledge_bases"],
    envelope: "knowledge_bases",
    paging: Paging::Pages,
    children: None,
    read,
};

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("uuid")?;
    // The last indexing is progress. When it was added to an agent makes sense only where the agent is named, which is not here.
    let body = body.without(&["added_to_agent_at", "last_indexing_job"]);
    Ok(body
        .resource(ResourceKind::GENAI_KNOWLEDGE_BASE, id)?
        .into())
}
