//! Stores the observed projects of a listing.

use chrono::{DateTime, Utc};
use domain::Completeness;
use domain::projects::ObservedProject;
use sqlx::PgConnection;
use uuid::Uuid;

use super::names;
use super::rows::{self, Observed};
use crate::inventory::HeldDeletion;
use crate::inventory::held_deletions::{self, Loss};
use crate::listings::{ListingFacts, PROJECT, Recorded, leaves_none, now, record};
use crate::locks::{self, Lock};
use crate::{Run, Store, StoreError};

/// The result of one listing of all projects.
pub struct ProjectSweep<'a> {
    pub projects: &'a [ObservedProject],
    /// The name of the internal project.
    pub internal_name: &'a str,
    pub facts: &'a ListingFacts,
}

/// The changes that a sweep of the projects stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectSweepOutcome {
    pub seen: usize,
    pub discovered: usize,
    pub struck: usize,
    pub deleted: usize,
    /// Deletions of projects that await an operator's decision.
    pub held: Option<HeldDeletion>,
}

impl Store {
    /// Stores the result of a listing of the projects. A complete listing adds a strike to each
    /// project that it lacks. A superseded one changes nothing.
    pub async fn sweep_projects(
        &self,
        sweep: ProjectSweep<'_>,
    ) -> Result<ProjectSweepOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Listing(PROJECT)).await?;
        let mut outcome = ProjectSweepOutcome {
            seen: sweep.projects.len(),
            ..ProjectSweepOutcome::default()
        };
        let facts = sweep.facts;
        if let Some(recorded) = record(&mut tx, PROJECT, facts, outcome.seen).await? {
            let at = now(&mut tx).await?;
            let observed = Observed::new(sweep.projects, sweep.internal_name);
            let mut differences = observed.compare(&mut tx, facts).await?;
            let adds_rows = !(differences.new.is_empty() && differences.changed.is_empty());
            let (sighting, lacks_any) = observed.see(&mut tx, facts, adds_rows).await?;
            let discovered = observed
                .insert(&mut tx, &differences.new, sighting, at)
                .await?;
            outcome.discovered = discovered.len();
            observed
                .update(&mut tx, &differences.changed, sighting)
                .await?;
            differences.events.extend(discovered);
            super::events::write(&mut tx, differences.events, at, &facts.run).await?;
            if recorded.may_strike && lacks_any {
                strike(&mut tx, facts, &recorded, at, &mut outcome).await?;
            } else if recorded.may_strike {
                held_deletions::supersede(&mut tx, PROJECT, at).await?;
            }
            names::follow(&mut tx, Some(&facts.run), at).await?;
        }
        outcome.held = held_deletions::pending(&mut tx, PROJECT).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// Returns DigitalOcean's ids and the names of the projects that this run's listing observed,
    /// and the completeness of that listing. If the run has no listing, e.g. after a workflow
    /// reset, returns the live projects.
    pub async fn projects_seen_by(
        &self,
        run: &Run,
    ) -> Result<(Vec<(Uuid, String)>, Completeness), StoreError> {
        let listing = sqlx::query!(
            "select started_at, complete, reason from cloud_listings where run_id = $1 and kind = 'project'",
            run.run_id
        )
        .fetch_optional(&self.pool)
        .await?;
        let seen_since = listing.as_ref().map(|listing| listing.started_at);
        let rows = sqlx::query!(
            r#"select provider_id as "provider_id!", name as "name!" from cloud_projects
             where provider = 'digitalocean' and deleted_at is null and ($1::timestamptz is null or last_seen_at >= $1)
             order by provider_id"#,
            seen_since,
        )
        .fetch_all(&self.pool)
        .await?;
        let projects = rows
            .into_iter()
            .map(|row| match row.provider_id.parse() {
                Ok(id) => Ok((id, row.name)),
                Err(error) => Err(StoreError::Database(sqlx::Error::Decode(Box::new(error)))),
            })
            .collect::<Result<_, _>>()?;
        let completeness = match listing {
            Some(listing) if listing.complete => Completeness::Complete,
            Some(listing) => Completeness::Incomplete(listing.reason.unwrap_or_default()),
            None => Completeness::Incomplete("this run has not listed the projects".to_owned()),
        };
        Ok((projects, completeness))
    }
}

/// Adds strikes, and deletes the projects with three unless there are too many.
async fn strike(
    tx: &mut PgConnection,
    facts: &ListingFacts,
    recorded: &Recorded,
    at: DateTime<Utc>,
    outcome: &mut ProjectSweepOutcome,
) -> Result<(), StoreError> {
    let counts = rows::count(tx, facts).await?;
    let is_held = facts.rules.guard.is_exceeded(counts.doomed, counts.live)
        || leaves_none(counts.doomed, counts.deletable);
    if is_held {
        let doomed = Loss {
            kind: PROJECT,
            listing: recorded.id,
            doomed: counts.doomed,
            live: counts.live,
        };
        rows::hold(tx, doomed, facts, at).await?;
    } else {
        held_deletions::supersede(tx, PROJECT, at).await?;
    }
    (outcome.struck, outcome.deleted) = rows::strike(tx, facts, is_held, at).await?;
    Ok(())
}
