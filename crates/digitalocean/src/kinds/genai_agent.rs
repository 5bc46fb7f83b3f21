//! The listing of agents of the gen-ai platform.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::GENAI_AGENT,
    included: &[],
    paths: &["/v2/gen-ai/agents"],
    envelope: "agents",
    scope: "genai:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits its MCP servers, which have tokens in headers, and its instructions,
/// which may contain any text (spec). Omits the capabilities of its model, which are not properties
/// of the agent.
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
