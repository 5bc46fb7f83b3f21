//! Agents of the gen-ai platform.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::GENAI_AGENT,
    also: &[],
    paths: &["/v2/gen-ai/agents"],
    envelope: "agents",
    scope: "genai:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// Its MCP servers have headers with tokens, and what it is told to do is whatever people write there (spec). What its model can do
/// is the model's matter.
const PARTS: [&str; 22] = [
    "created_at",
    "deployment.name",
    "deployment.url",
    "deployment.uuid",
    "deployment.visibility",
    "k",
    "max_tokens",
    "model.inference_name",
    "model.name",
    "model.provider",
    "model.uuid",
    "model_router.name",
    "model_router.uuid",
    "provide_citations",
    "reasoning_effort",
    "retrieval_method",
    "temperature",
    "thinking_token_budget",
    "top_p",
    "version_hash",
    "web_fetch_enabled",
    "web_search_enabled",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("uuid")?;
    let status = body.text_in("deployment", "status");
    let body = body.only(&PARTS)?.with("status", status)?;
    Ok(body.resource(ResourceKind::GENAI_AGENT, id)?.into())
}
