//! `SyncInventory`: mirrors the account's resources, each kind independently.

use std::fmt;

use domain::ResourceKind;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ChildWorkflowOptions, ChildWorkflowStartError, ParentClosePolicy,
    StartChildWorkflowExecutionFailedCause, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination, join_all,
};

use crate::held_deletions::{self, HeldDeletion};
use crate::rate_limit::wait_for_requests;
use crate::{Input, options, search_attributes, task_queue};

/// The activities of this workflow; `activities::inventory` implements them.
pub struct InventoryActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "declarations only: this code never runs"
)]
#[activity_definitions]
impl InventoryActivities {
    /// Returns the kinds that have their own list.
    #[activity(name = "inventory.kinds")]
    pub fn kinds() -> Result<Vec<ResourceKind>, ActivityError> {
        unimplemented!()
    }

    /// Lists one kind and sweeps it.
    #[activity(name = "inventory.sync_kind")]
    pub fn sync_kind(kind: ResourceKind) -> Result<KindSynced, ActivityError> {
        unimplemented!()
    }

    /// Sets project and tenant of every resource from the results of all sweeps.
    #[activity(name = "inventory.attribute")]
    pub fn attribute() -> Result<Attributed, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::inventory_activities::{Attribute, Kinds, SyncKind};
}

/// The kinds to sync; all of them if the list is empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct InventoryScope {
    #[serde(default)]
    pub kinds: Vec<ResourceKind>,
}

/// The result of a sweep over one kind.
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
    /// The reason if the listing does not prove absence; none if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
    /// Whether the token may not read this kind, or the API does not know it. The rest of the
    /// account is mirrored nevertheless.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub not_readable: bool,
    /// Deletions that this listing held: the run starts the workflow `HeldDeletion` for them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<Held>,
    /// Deletions that an earlier listing held: their workflow is already running.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub still_held: Option<Held>,
    /// Kinds that were read together with this one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub also: Vec<KindSynced>,
}

/// Deletions that wait for an operator's decision, with the workflow `held-deletion-HOLD`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Held {
    pub hold: String,
    pub would_delete: i32,
    pub live: i32,
}

/// The result of setting projects and tenants after all sweeps.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Attributed {
    /// Resources that changed project.
    pub moved: usize,
}

/// The result of a sync of the inventory.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InventoryReport {
    pub kinds: Vec<KindSynced>,
    /// Requests made to DigitalOcean, over all kinds.
    pub requests: u32,
}

const EXPECTED: &str = r#"no input, for all kinds, or a scope, e.g. {"kinds": ["droplet"]}"#;

/// The progress of a run, also shown as text in its details in the Temporal UI.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct InventoryProgress {
    /// The number of kinds to sync.
    pub kinds: usize,
    pub synced: usize,
    /// The kinds that failed, in the order of their failures.
    pub failed: Vec<ResourceKind>,
    /// The kinds that are being listed, or wait for requests.
    pub in_progress: Vec<ResourceKind>,
}

impl fmt::Display for InventoryProgress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} kinds synced", self.synced, self.kinds)?;
        if self.failed.is_empty() {
            return Ok(());
        }
        let failed: Vec<_> = self.failed.iter().map(ResourceKind::as_str).collect();
        write!(formatter, "; failed: {}", failed.join(", "))
    }
}

#[workflow]
#[derive(Default)]
pub struct SyncInventory {
    progress: InventoryProgress,
}

#[workflow_methods]
impl SyncInventory {
    /// A failed kind does not affect the others: the run completes them, and then fails with the
    /// names of the failed kinds.
    #[run(name = "SyncInventory")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        scope: Input<InventoryScope>,
    ) -> WorkflowResult<InventoryReport> {
        let mut kinds = scope.or_default(EXPECTED)?.kinds;
        let is_full = kinds.is_empty();
        if is_full {
            // A local activity is one action of Temporal's; an activity would be two.
            let options = options::local("kinds with a list");
            kinds = ctx
                .execute_local_activity(InventoryActivities::kinds, (), options)
                .await?;
        }
        ctx.state_mut(|state| {
            state.progress.kinds = kinds.len();
            state.progress.in_progress.clone_from(&kinds);
        });
        let syncs: Vec<_> = kinds
            .into_iter()
            .map(|kind| sync_kind(ctx.clone(), kind))
            .collect();

        let mut synced = Vec::new();
        let mut failures = Vec::new();
        for outcome in join_all(syncs).await {
            match outcome {
                (_, Ok(mut kind)) => {
                    let also = std::mem::take(&mut kind.also);
                    synced.push(kind);
                    synced.extend(also);
                }
                (_, Err(error @ ActivityExecutionError::Cancelled(_))) => return Err(error.into()),
                (kind, Err(error)) => failures.push(format!("{kind}: {}", options::reason(&error))),
            }
        }
        for kind in &synced {
            if let Some(held) = &kind.held {
                wait_for_operator(ctx, &kind.kind, held).await?;
            }
        }
        // A snapshot may have been synced before its droplet, a node before its cluster.
        if is_full {
            ctx.execute_activity(
                InventoryActivities::attribute,
                (),
                options::database("project and tenant of every resource"),
            )
            .await?;
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

    /// Returns the number of synced kinds, and the kinds in progress.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> InventoryProgress {
        self.progress.clone()
    }
}

/// Starts the workflow that waits for an operator's decision, unless it is already running.
async fn wait_for_operator(
    ctx: &WorkflowContext<SyncInventory>,
    kind: &ResourceKind,
    held: &Held,
) -> Result<(), WorkflowTermination> {
    let options = ChildWorkflowOptions::builder()
        .workflow_id(held_deletions::workflow_id(&held.hold))
        .task_queue(task_queue::CLOUD_SYNC_FULL.to_owned())
        // It runs for days, while the sync takes seconds.
        .parent_close_policy(ParentClosePolicy::Abandon)
        .static_summary(format!(
            "{} of {} of kind {kind} would be deleted",
            held.would_delete, held.live
        ))
        .static_details(held_deletions::DETAILS.to_owned())
        .maybe_search_attributes(search_attributes::of_hold(
            ctx,
            task_queue::CLOUD_SYNC_FULL,
            kind,
        ))
        .build();
    let input = Input::Valid(held.hold.clone());
    match ctx
        .start_child_workflow(HeldDeletion::run, input, options)
        .await
    {
        Ok(_)
        | Err(ChildWorkflowStartError::StartFailed {
            cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
            ..
        }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn sync_kind(
    ctx: WorkflowContext<SyncInventory>,
    kind: ResourceKind,
) -> (ResourceKind, Result<KindSynced, ActivityExecutionError>) {
    let sync = || {
        let options = options::listing(format!("all resources of kind {kind}"));
        ctx.execute_activity(InventoryActivities::sync_kind, kind.clone(), options)
    };
    let outcome = wait_for_requests(&ctx, sync).await;
    ctx.state_mut(|state| {
        let progress = &mut state.progress;
        progress.in_progress.retain(|other| *other != kind);
        match outcome {
            Ok(_) => progress.synced += 1,
            Err(_) => progress.failed.push(kind.clone()),
        }
    });
    ctx.set_current_details(ctx.state(|state| state.progress.to_string()));
    (kind, outcome)
}
