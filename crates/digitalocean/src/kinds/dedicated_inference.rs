//! The listing of models that run on dedicated GPUs.

use domain::ResourceKind;

use super::{Body, Item, ResourceListing};
use crate::decode::Unreadable;
use crate::paging::Paging;

pub(super) const LISTING: ResourceListing = ResourceListing {
    kind: ResourceKind::DEDICATED_INFERENCE,
    included: &[],
    paths: &["/v2/dedicated-inferences"],
    envelope: "dedicated_inferences",
    scope: "dedicated_inference:read",
    paging: Paging::Pages,
    ordered: &[],
    children: None,
    read,
};

/// The parts to keep. Omits a pending deployment and the states of its accelerators, which are
/// progress. A request to create one has a token of Hugging Face (documentation), which must not be
/// stored if a response repeats it.
const PARTS: [&str; 13] = [
    "created_at",
    "endpoints.private_endpoint_fqdn",
    "endpoints.public_endpoint_fqdn",
    "spec.enable_public_endpoint",
    "spec.model_deployments.accelerators.accelerator_slug",
    "spec.model_deployments.accelerators.scale",
    "spec.model_deployments.accelerators.type",
    "spec.model_deployments.model_id",
    "spec.model_deployments.model_provider",
    "spec.model_deployments.model_slug",
    "spec.version",
    "spec.vpc.uuid",
    "vpc_uuid",
];

fn read(body: Body<'_>) -> Result<Item, Unreadable> {
    let id = body.id("id")?;
    let name = body.text_in("spec", "name");
    let vpcs = body.in_vpcs("vpc_uuid");
    let mut inference = body
        .only(&PARTS)?
        .with("name", name)?
        .resource(ResourceKind::DEDICATED_INFERENCE, id)?;
    inference.relations = vpcs;
    Ok(inference.into())
}
