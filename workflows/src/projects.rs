//! `SyncProjects`: mirrors the projects, then the members of each.

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::held_deletions::{Held, wait_for_operator};
use crate::rate_limit::wait_for_requests;
use crate::{NoInput, options, reallocations};

/// The activities of this workflow; `activities::projects` implements them.
pub struct ProjectActivities;

#[activity_definitions]
impl ProjectActivities {
    /// Mirrors the projects, and creates the internal one if it is missing.
    #[activity(name = "projects.sync")]
    pub fn sync() -> Result<ProjectsSynced, ActivityError> {
        unimplemented!()
    }

    /// Lists the members of every project, and sets project and tenant of all resources.
    #[activity(name = "projects.walk_memberships")]
    pub fn walk_memberships() -> Result<MembershipsWalked, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::project_activities::{Sync, WalkMemberships};
}

/// The result of the first pass.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProjectsSynced {
    pub projects: usize,
    pub discovered: usize,
    pub deleted: usize,
    /// Whether this run created the internal project.
    pub created_internal: bool,
    /// Requests made to DigitalOcean.
    pub requests: u32,
    /// The reason if the listing does not prove absence; none if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
    /// Deletions of projects that this listing held: the run starts the workflow `HeldDeletion` for
    /// them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<Held>,
    /// Deletions that an earlier listing held: their workflow is already running.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub still_held: Option<Held>,
}

/// The result of the second pass.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct MembershipsWalked {
    pub projects: usize,
    pub members: usize,
    /// Resources that changed project.
    pub moved: usize,
    /// Requests made to DigitalOcean.
    pub requests: u32,
    /// The reason if the pass does not prove absence; none if it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
    /// The reason if no membership was removed, because too many would have been.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<String>,
    /// Kinds with resources that no project listed, as with a token without their scope. Their
    /// resources keep their projects.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unseen_kinds: Vec<String>,
    /// Whether cost lines wait for a reallocation: the run starts the workflow `Reallocate`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_reallocating: bool,
}

/// The result of a sync of the projects.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProjectsReport {
    pub projects: ProjectsSynced,
    pub memberships: MembershipsWalked,
}

/// The current pass of a sync of the projects.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    #[default]
    Projects,
    Memberships,
    Done,
}

/// The progress of a sync of the projects.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProjectsProgress {
    pub pass: Pass,
    /// The result of the first pass; none if it has not ended, or has failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub projects: Option<ProjectsSynced>,
    /// The failure of the first pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
    /// The result of the second pass; none if it has not ended, or has failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memberships: Option<MembershipsWalked>,
}

#[workflow]
#[derive(Default)]
pub struct SyncProjects {
    progress: ProjectsProgress,
}

#[workflow_methods]
impl SyncProjects {
    /// The second pass runs even if the first one failed: it walks the known projects.
    #[run(name = "SyncProjects")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        _: NoInput,
    ) -> WorkflowResult<ProjectsReport> {
        let first_pass = || {
            let options = options::listing("GET /v2/projects");
            ctx.execute_activity(ProjectActivities::sync, (), options)
        };
        let projects = wait_for_requests(ctx, first_pass).await;
        if let Err(error @ ActivityExecutionError::Cancelled(_)) = projects {
            return Err(error.into());
        }
        ctx.state_mut(|state| {
            state.progress.pass = Pass::Memberships;
            match &projects {
                Ok(synced) => state.progress.projects = Some(synced.clone()),
                Err(error) => state.progress.failed = Some(options::reason(error)),
            }
        });
        if let Ok(ProjectsSynced {
            held: Some(held), ..
        }) = &projects
        {
            wait_for_operator(ctx, "project", held).await?;
        }
        let second_pass = || {
            let options = options::walk("GET /v2/projects/{id}/resources of every project");
            ctx.execute_activity(ProjectActivities::walk_memberships, (), options)
        };
        let memberships = wait_for_requests(ctx, second_pass).await?;
        ctx.state_mut(|state| {
            state.progress.pass = Pass::Done;
            state.progress.memberships = Some(memberships.clone());
        });
        if memberships.is_reallocating {
            reallocations::start(ctx).await?;
        }
        Ok(ProjectsReport {
            projects: projects?,
            memberships,
        })
    }

    /// Returns the current pass, and the results of those before.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> ProjectsProgress {
        self.progress.clone()
    }
}
