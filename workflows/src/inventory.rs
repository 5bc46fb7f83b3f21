//! `SyncInventory`: mirrors the account's resources, each kind on its own.

use domain::ResourceKind;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{ActivityExecutionError, WorkflowContext, WorkflowResult, join_all};

use crate::{Input, options};

/// What this workflow asks of the outside; `activities::inventory` answers.
pub struct InventoryActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "a contract: nothing runs here"
)]
#[activity_definitions]
impl InventoryActivities {
    /// The kinds that have a listing of their own.
    #[activity(name = "inventory.kinds")]
    pub fn kinds() -> Result<Vec<ResourceKind>, ActivityError> {
        unimplemented!()
    }

    /// Lists one kind and sweeps it.
    #[activity(name = "inventory.sync_kind")]
    pub fn sync_kind(kind: ResourceKind) -> Result<KindSynced, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::inventory_activities::{Kinds, SyncKind};
}

/// Which kinds to sync: all of them unless some are named.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct InventoryScope {
    #[serde(default)]
    pub kinds: Vec<ResourceKind>,
}

/// What a sweep over one kind did.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct KindSynced {
    pub kind: ResourceKind,
    pub seen: usize,
    pub discovered: usize,
    pub updated: usize,
    pub tagged: usize,
    pub restored: usize,
    pub struck: usize,
    pub deleted: usize,
    pub moved: usize,
    /// Requests made to DigitalOcean.
    pub requests: u32,
    /// Why the listing is no evidence of absence; none if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
}

/// What a sync of the inventory did.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InventoryReport {
    pub kinds: Vec<KindSynced>,
    /// Requests made to DigitalOcean, over all kinds.
    pub requests: u32,
}

const EXPECTED: &str = r#"nothing, for all kinds, or a scope like {"kinds": ["droplet"]}"#;

#[workflow]
#[derive(Default)]
pub struct SyncInventory;

#[workflow_methods]
impl SyncInventory {
    /// A kind that fails harms no other: the run goes on to the end, and fails there with the names of those that did.
    #[run(name = "SyncInventory")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        scope: Input<InventoryScope>,
    ) -> WorkflowResult<InventoryReport> {
        let mut kinds = scope.or_default(EXPECTED)?.kinds;
        if kinds.is_empty() {
            kinds = ctx
                .execute_activity(InventoryActivities::kinds, (), options::database())
                .await?;
        }
        let syncs: Vec<_> = kinds
            .into_iter()
            .map(|kind| sync_kind(ctx.clone(), kind))
            .collect();

        let mut synced = Vec::new();
        let mut failures = Vec::new();
        for outcome in join_all(syncs).await {
            match outcome {
                (_, Ok(kind)) => synced.push(kind),
                (_, Err(error @ ActivityExecutionError::Cancelled(_))) => return Err(error.into()),
                (kind, Err(error)) => failures.push(format!("{kind}: {}", options::reason(&error))),
            }
        }
        if failures.is_empty() {
            let requests = synced.iter().map(|kind| kind.requests).sum();
            return Ok(InventoryReport {
                kinds: synced,
                requests,
            });
        }
        let names: Vec<&str> = synced.iter().map(|kind| kind.kind.as_str()).collect();
        let message = format!(
            "not synced: {}; synced: {}",
            failures.join("; "),
            names.join(", ")
        );
        Err(ApplicationFailure::builder(std::io::Error::other(message))
            .type_name("KindsFailed".to_owned())
            .non_retryable(true)
            .build()
            .into())
    }
}

async fn sync_kind(
    ctx: WorkflowContext<SyncInventory>,
    kind: ResourceKind,
) -> (ResourceKind, Result<KindSynced, ActivityExecutionError>) {
    let options = options::listing(format!("all of kind {kind}"));
    let outcome = ctx
        .execute_activity(InventoryActivities::sync_kind, kind.clone(), options)
        .await;
    (kind, outcome)
}
