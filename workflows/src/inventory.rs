//! `SyncInventory`: mirrors the account's resources, each kind independently.

use std::fmt;
use std::time::{Duration, SystemTime};

use domain::ResourceKind;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ContinueAsNewOptions, WorkflowContext, WorkflowContextView,
    WorkflowResult, WorkflowTermination, join_all,
};

use crate::held_deletions::{Held, wait_for_operator};
use crate::rate_limit::wait_for_requests;
use crate::{Input, options, reallocations};

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

    /// Lists and sweeps every kind that has its own list, each independently and once.
    #[activity(name = "inventory.sync_all")]
    pub fn sync_all() -> Result<AllSynced, ActivityError> {
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
    pub use super::inventory_activities::{Attribute, Kinds, SyncAll, SyncKind};
}

/// The kinds to sync; all of them if the list is empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct InventoryScope {
    #[serde(default)]
    pub kinds: Vec<ResourceKind>,
    /// The number of further runs, one at the start of each minute, as which this one continues if
    /// it began with a minute itself.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeats: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The result of listing all kinds in one activity.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct AllSynced {
    pub synced: Vec<KindSynced>,
    /// Kinds with a failure that may pass, or that wait for the rate limit. Each gets a separate
    /// activity, with retries.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub retry: Vec<ResourceKind>,
    /// Kinds with a failure that needs a person.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failed: Vec<KindFailed>,
}

/// A kind that was not synced.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct KindFailed {
    pub kind: ResourceKind,
    pub reason: String,
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

/// The result of setting projects and tenants after all sweeps.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Attributed {
    /// Resources that changed project.
    pub moved: usize,
    /// Whether cost lines wait for a reallocation: the run starts the workflow `Reallocate`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_reallocating: bool,
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
    /// The number of kinds to sync: 0 in a full sync until its first activity has ended. The
    /// heartbeats of that activity name the latest page.
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
        let scope = scope.or_default(EXPECTED)?;
        let began_at = ctx.workflow_time();
        let is_full = scope.kinds.is_empty();
        let (mut synced, mut failures) = (Vec::new(), Vec::new());
        let mut kinds = scope.kinds.clone();
        if is_full {
            let all = sync_all(ctx).await?;
            kinds = all.retry;
            failures = all.failed;
            synced = all.synced;
        }
        ctx.state_mut(|state| {
            let progress = &mut state.progress;
            progress.kinds = synced.len() + failures.len() + kinds.len();
            progress.synced = synced.len();
            progress.failed = failures.iter().map(|failed| failed.kind.clone()).collect();
            progress.in_progress.clone_from(&kinds);
        });
        let syncs: Vec<_> = kinds
            .into_iter()
            .map(|kind| sync_kind(ctx.clone(), kind))
            .collect();

        for outcome in join_all(syncs).await {
            match outcome {
                (_, Ok(kind)) => synced.push(kind),
                (_, Err(error @ ActivityExecutionError::Cancelled(_))) => return Err(error.into()),
                (kind, Err(error)) => failures.push(KindFailed {
                    kind,
                    reason: options::reason(&error),
                }),
            }
        }
        let synced = flatten(synced);
        for kind in &synced {
            if let Some(held) = &kind.held {
                wait_for_operator(ctx, kind.kind.as_str(), held).await?;
            }
        }
        // A snapshot may have been synced before its droplet, a node before its cluster.
        if is_full {
            let attributed = ctx
                .execute_activity(
                    InventoryActivities::attribute,
                    (),
                    options::database("project and tenant of every resource"),
                )
                .await?;
            if attributed.is_reallocating {
                reallocations::start(ctx).await?;
            }
        }
        if !failures.is_empty() {
            return Err(kinds_failed(&failures, &synced));
        }
        repeat(ctx, scope, began_at)?;
        let requests = synced.iter().map(|kind| kind.requests).sum();
        Ok(InventoryReport {
            kinds: synced,
            requests,
        })
    }

    /// Returns the number of synced kinds, and the kinds in progress.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> InventoryProgress {
        self.progress.clone()
    }
}

/// Syncs every kind in one activity, so that an unchanged account costs one of Temporal's actions
/// and not one for each kind. If the activity itself fails, for instance because its worker died,
/// every kind has to be synced by a separate activity.
async fn sync_all(ctx: &WorkflowContext<SyncInventory>) -> Result<AllSynced, WorkflowTermination> {
    let options = options::all_lists("all resources of all kinds");
    let outcome = ctx.execute_activity(InventoryActivities::sync_all, (), options);
    match outcome.await {
        Ok(all) => Ok(all),
        Err(error @ ActivityExecutionError::Cancelled(_)) => Err(error.into()),
        Err(_) => {
            let options = options::local("kinds with a list");
            let kinds = ctx.execute_local_activity(InventoryActivities::kinds, (), options);
            Ok(AllSynced {
                retry: kinds.await?,
                ..AllSynced::default()
            })
        }
    }
}

/// Places the kinds that were read together with another one after it.
fn flatten(synced: Vec<KindSynced>) -> Vec<KindSynced> {
    let mut all = Vec::with_capacity(synced.len());
    for mut kind in synced {
        let also = std::mem::take(&mut kind.also);
        all.push(kind);
        all.extend(also);
    }
    all
}

fn kinds_failed(failures: &[KindFailed], synced: &[KindSynced]) -> WorkflowTermination {
    let failures: Vec<_> = failures
        .iter()
        .map(|failed| format!("{}: {}", failed.kind, failed.reason))
        .collect();
    let names: Vec<&str> = synced.iter().map(|kind| kind.kind.as_str()).collect();
    let message = format!(
        "not synced: {}; synced: {}",
        failures.join("; "),
        names.join(", ")
    );
    ApplicationFailure::builder(std::io::Error::other(message))
        .type_name("KindsFailed".to_owned())
        .non_retryable(true)
        .build()
        .into()
}

const MINUTE: Duration = Duration::from_mins(1);

/// A scheduled run begins within this time after the start of a minute. A later one is late, or a
/// person triggered it and waits for its end.
const SCHEDULED_WITHIN: Duration = Duration::from_secs(5);

/// Continues as the next run, which starts with the next minute, if the scope has further runs.
///
/// A start by a schedule is three of Temporal's actions, and a continuation is one. A run that
/// fails does not get here: the schedule starts the next one.
fn repeat(
    ctx: &WorkflowContext<SyncInventory>,
    mut scope: InventoryScope,
    began_at: Option<SystemTime>,
) -> Result<(), WorkflowTermination> {
    let is_scheduled = began_at.is_some_and(|at| since_minute(at) < SCHEDULED_WITHIN);
    let (Some(repeats), true, Some(now)) = (
        scope.repeats.checked_sub(1),
        is_scheduled,
        ctx.workflow_time(),
    ) else {
        return Ok(());
    };
    scope.repeats = repeats;
    let options = ContinueAsNewOptions::builder()
        .backoff_start_interval(MINUTE.saturating_sub(since_minute(now)))
        .build();
    ctx.continue_as_new(Input::Valid(scope), options)?;
    Ok(())
}

/// Returns the time since the start of the minute, in whole milliseconds.
fn since_minute(time: SystemTime) -> Duration {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since_epoch.unwrap_or_default().as_millis() % MINUTE.as_millis();
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_since_the_start_of_the_minute_is_below_a_minute() {
        for (millis, since) in [(0, 0), (59_999, 59_999), (60_000, 0), (3_600_250, 250)] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(since_minute(time), Duration::from_millis(since));
        }
    }
}
