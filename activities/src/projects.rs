//! The activities that mirror projects and their members.

use std::sync::Arc;

use digitalocean::{Client, Listing};
use domain::Completeness;
use domain::projects::{NewProject, ObservedProject};
use futures::StreamExt as _;
use store::inventory::{ListingFacts, Rules};
use store::projects::{MembershipPass, ProjectMembers, ProjectSweep};
use store::{Run, Store};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::projects::{MembershipsWalked, ProjectsSynced, definitions};

use crate::failure::{Failure, is_pause};
use crate::heartbeat::heartbeating;
use crate::held_deletions::reported;
use crate::inventory::{listed_kinds, shortfall};
use crate::run_of;

pub struct ProjectActivities {
    pub digitalocean: Client,
    pub store: Store,
    /// The name of the project that must exist.
    pub internal_project: String,
    pub rules: Rules,
}

/// Projects with members that are listed concurrently.
const CONCURRENCY: usize = 4;

#[activities]
impl ProjectActivities {
    #[activity(definition = definitions::Sync)]
    pub async fn sync(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<ProjectsSynced, ActivityError> {
        let run = run_of(&context);
        let store = self.store.clone();
        heartbeating(
            &context,
            &store,
            async move { self.sync_projects(run).await },
        )
        .await
    }

    #[activity(definition = definitions::WalkMemberships)]
    pub async fn walk_memberships(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<MembershipsWalked, ActivityError> {
        let run = run_of(&context);
        let store = self.store.clone();
        heartbeating(&context, &store, async move { self.walk(run).await }).await
    }
}

impl ProjectActivities {
    /// Mirrors the projects, and creates the internal one if it is missing.
    pub async fn sync_projects(&self, run: Run) -> Result<ProjectsSynced, Failure> {
        let mut evidence = self.store.begin_fetch().await?;
        let mut listed = self.digitalocean.list_projects().await;
        // The listing never started, so no attempt is recorded.
        if listed.requests <= 1
            && let Some(pause) = listed.failure.take_if(|failure| is_pause(failure))
        {
            return Err(pause.into());
        }
        let mut requests = listed.requests;
        let mut created_internal = false;
        let mut failure = None;
        if listed.completeness.is_complete() && !self.has_internal(&listed) {
            match self.create_internal().await {
                Ok((created, made)) => {
                    created_internal = created;
                    evidence = self.store.begin_fetch().await?;
                    listed = self.digitalocean.list_projects().await;
                    requests += made + listed.requests;
                }
                // With a read-only token, all other projects are still mirrored.
                Err(error) => failure = Some(error),
            }
        }
        let facts = ListingFacts {
            evidence,
            finished_at: self.store.now().await?,
            completeness: listed.completeness,
            shortfall: shortfall(listed.failure.as_ref()),
            total: listed.total,
            requests,
            rules: self.rules,
            run,
        };
        let sweep = ProjectSweep {
            projects: &listed.items,
            internal_name: &self.internal_project,
            facts: &facts,
        };
        let swept = self.store.sweep_projects(sweep).await?;
        if let Some(failure) = listed.failure.map(Failure::from).or(failure) {
            return Err(failure);
        }
        let (held, still_held) = reported(swept.held, facts.evidence.began_at());
        Ok(ProjectsSynced {
            projects: swept.seen,
            discovered: swept.discovered,
            deleted: swept.deleted,
            created_internal,
            requests,
            incomplete: facts.completeness.reason().map(str::to_owned),
            held,
            still_held,
        })
    }

    fn has_internal(&self, listed: &Listing<ObservedProject>) -> bool {
        listed
            .items
            .iter()
            .any(|project| project.name == self.internal_project)
    }

    /// Creates the internal project if it is missing. Returns whether it did, and the number of
    /// requests. Checks and creates under a lock: two concurrent syncs would create two projects.
    async fn create_internal(&self) -> Result<(bool, u32), Failure> {
        let _guard = self.store.lock_project_creation().await?;
        let listed = self.digitalocean.list_projects().await;
        if self.has_internal(&listed) {
            return Ok((false, listed.requests));
        }
        if let Completeness::Incomplete(reason) = listed.completeness {
            let name = self.internal_project.clone();
            let contradicted = Failure::InternalProject { name, reason };
            return Err(listed.failure.map_or(contradicted, Failure::from));
        }
        let new = NewProject {
            name: self.internal_project.clone(),
            description: "Resources that belong to no other project; kept by Arcadia Cloud."
                .to_owned(),
            purpose: "Operational / Developer tooling".to_owned(),
        };
        let created = match self.digitalocean.create_project(&new).await {
            Ok(project) => {
                let (id, name) = (project.provider_id, project.name);
                tracing::info!(project = %id, name, "created the internal project");
                true
            }
            // Another client created it, and the listing does not have it yet.
            Err(digitalocean::Error::Conflict { .. }) => false,
            Err(error @ digitalocean::Error::Forbidden { .. }) => {
                let name = self.internal_project.clone();
                return Err(Failure::MayNotCreateProject { name, error });
            }
            Err(error) => return Err(error.into()),
        };
        Ok((created, listed.requests + 1))
    }

    /// Lists the members of every project, and sets project and tenant of all resources.
    pub async fn walk(&self, run: Run) -> Result<MembershipsWalked, Failure> {
        let evidence = self.store.begin_fetch().await?;
        let (projects, mut completeness) = self.store.projects_seen_by(&run).await?;
        let mut requests = 0;
        let mut failure = None;
        let mut has_started = false;
        let mut walked = Vec::with_capacity(projects.len());
        let mut walks = futures::stream::iter(projects)
            .map(|(project, name)| async move {
                (
                    project,
                    name,
                    self.digitalocean.list_project_resources(project).await,
                )
            })
            .buffered(CONCURRENCY);
        while let Some((project, name, members)) = walks.next().await {
            requests += members.requests;
            if let Completeness::Incomplete(reason) = &members.completeness {
                completeness = completeness.and(Completeness::Incomplete(format!(
                    "project {name:?}: {reason}"
                )));
            }
            failure = failure.or(members.failure);
            has_started |= !members.items.is_empty();
            walked.push(ProjectMembers {
                project,
                members: members.items,
            });
        }
        if !has_started && let Some(pause) = failure.take_if(|failure| is_pause(failure)) {
            return Err(pause.into());
        }

        let facts = ListingFacts {
            evidence,
            finished_at: self.store.now().await?,
            completeness,
            shortfall: shortfall(failure.as_ref()),
            total: None,
            requests,
            rules: self.rules,
            run,
        };
        let pass = MembershipPass {
            projects: &walked,
            listed_kinds: &listed_kinds(),
            facts: &facts,
        };
        let stored = self.store.store_memberships(pass).await?;
        if let Some(reason) = &stored.held {
            tracing::warn!(
                "{reason}; check that the token of cloud-sync-full belongs to this team"
            );
        }
        let unseen = stored.unseen_kinds.iter();
        let unseen_kinds: Vec<String> = unseen.map(ToString::to_string).collect();
        if !unseen_kinds.is_empty() {
            let kinds = unseen_kinds.join(", ");
            tracing::warn!(
                kinds,
                "no project lists these kinds, although they have resources: the resources keep \
                 their projects; check with `arcadia doctor` that the token of cloud-sync-full has \
                 their read scopes"
            );
        }
        // A project that cannot be read does not block the others, but it fails the run.
        if let Some(error) = failure {
            return Err(error.into());
        }
        Ok(MembershipsWalked {
            projects: walked.len(),
            members: stored.members,
            moved: stored.moved,
            requests,
            incomplete: facts.completeness.reason().map(str::to_owned),
            held: stored.held,
            unseen_kinds,
            is_reallocating: self.store.open_reallocations().await?.count > 0,
        })
    }
}
