//! `SyncProjects`: mirrors the projects, then which resources live in each.

use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::rate_limit::wait_for_requests;
use crate::{NoInput, options};

/// What this workflow asks of the outside; `activities::projects` answers.
pub struct ProjectActivities;

#[activity_definitions]
impl ProjectActivities {
    /// Mirrors the projects, and creates the internal one where it is missing.
    #[activity(name = "projects.sync")]
    pub fn sync() -> Result<ProjectsSynced, ActivityError> {
        unimplemented!()
    }

    /// Walks the membership of every project and sets project and tenant of all resources.
    #[activity(name = "projects.walk_memberships")]
    pub fn walk_memberships() -> Result<MembershipsWalked, ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::project_activities::{Sync, WalkMemberships};
}

/// What the first pass did.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProjectsSynced {
    pub projects: usize,
    pub discovered: usize,
    pub deleted: usize,
    /// Whether this run created the internal project.
    pub created_internal: bool,
    /// Requests made to DigitalOcean.
    pub requests: u32,
    /// Why the listing is no evidence of absence; none if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
}

/// What the second pass did.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct MembershipsWalked {
    pub projects: usize,
    pub members: usize,
    /// Resources that changed project.
    pub moved: usize,
    /// Requests made to DigitalOcean.
    pub requests: u32,
    /// Why the pass is no evidence of absence; none if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
    /// Why no membership was taken away, where too many would have been.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<String>,
    /// Kinds of which there are some, and no project listed any, as for a token that may not see them: they stay where they were.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unseen_kinds: Vec<String>,
}

/// What a sync of the projects did.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProjectsReport {
    pub projects: ProjectsSynced,
    pub memberships: MembershipsWalked,
}

/// Which of the two passes a sync of the projects is in.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    #[default]
    Projects,
    Memberships,
    Done,
}

/// How far a sync of the projects is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ProjectsProgress {
    pub pass: Pass,
    /// What the first pass did; none where it has not ended, or has failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub projects: Option<ProjectsSynced>,
    /// Why the first pass failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failed: Option<String>,
    /// What the second pass did; none where it has not ended, or has failed.
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
    /// The second pass goes on where the first one failed: it walks the projects that are known.
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
        let second_pass = || {
            let options = options::walk("GET /v2/projects/{id}/resources of every project");
            ctx.execute_activity(ProjectActivities::walk_memberships, (), options)
        };
        let memberships = wait_for_requests(ctx, second_pass).await?;
        ctx.state_mut(|state| {
            state.progress.pass = Pass::Done;
            state.progress.memberships = Some(memberships.clone());
        });
        Ok(ProjectsReport {
            projects: projects?,
            memberships,
        })
    }

    /// Which pass it is in, and what came of those before.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> ProjectsProgress {
        self.progress.clone()
    }
}
