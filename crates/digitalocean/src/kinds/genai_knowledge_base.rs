//! The listing of knowledge bases of the gen-ai platform.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::GENAI_KNOWLEDGE_BASE,
    included: &[],
    paths: &["/v2/gen-ai/knowledge_bases"],
    envelope: "knowledge_bases",
    scope: "genai:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits the last indexing job, which is progress, and the time it was added to
/// an agent, because the agent is not named here. Omits its sources, which may be buckets of others
/// with their keys.
const PARTS: [&str; 7] = [
    "created_at",
    "database_id",
    "embedding_model_uuid",
    "is_public",
    "reranking_config.enabled",
    "reranking_config.model",
    "user_id",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("uuid")?;
    let body = body.only(&PARTS)?;
    Ok(body
        .resource(ResourceKind::GENAI_KNOWLEDGE_BASE, id)?
        .into())
}
