//! Projects, their changes by operators, and their members.

mod members;
mod reads;
mod unmatched;

use chrono::{DateTime, Utc};
use domain::projects::ObservedProject;
use domain::{Completeness, TenantId};
use sqlx::PgConnection;
use uuid::Uuid;

pub use members::{MembershipOutcome, MembershipPass, PassFacts, ProjectMembers};
pub use reads::{Project, ProjectUse};
pub use unmatched::UnmatchedMembers;

use crate::costs::effect::{Effect, Measured};
use crate::inventory::attribution::{self, Scope};
use crate::inventory::{Commit, intervals};
use crate::invoices::line_attribution::{self, Affected};
use crate::invoices::matching;
use crate::listings::{ListingFacts, STRIKES, now, record};
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
}

/// An operator's change of a project. An outer `None` leaves the field unchanged.
///
/// The tenant applies from `tenant_since` on, or from now on, and replaces later assignments. An
/// inner `None` ends the assignment at `tenant_since`; without `tenant_since` it deletes all
/// assignments of the project.
#[derive(Debug, Clone, Default)]
pub struct ProjectChange {
    pub tenant_id: Option<Option<TenantId>>,
    /// Must not be in the future.
    pub tenant_since: Option<DateTime<Utc>>,
    pub purpose: Option<Option<String>>,
}

impl Store {
    /// Locks the creation of projects until the guard is dropped.
    ///
    /// DigitalOcean rejects a second project of the same name, but its listing may lag. This lock
    /// prevents a race with another sync between listing and creation.
    pub async fn lock_project_creation(&self) -> Result<ProjectCreationGuard, StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::ProjectCreation).await?;
        Ok(ProjectCreationGuard { _tx: tx })
    }

    /// Stores the result of a listing of the projects. A complete listing adds a strike to each
    /// project that it lacks.
    pub async fn sweep_projects(
        &self,
        sweep: ProjectSweep<'_>,
    ) -> Result<ProjectSweepOutcome, StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Listing("project")).await?;
        let recorded = record(&mut tx, "project", sweep.facts, sweep.projects.len()).await?;
        let discovered = upsert(&mut tx, &sweep).await?;
        let mut outcome = ProjectSweepOutcome {
            seen: sweep.projects.len(),
            discovered,
            ..ProjectSweepOutcome::default()
        };
        if recorded.may_strike {
            strike(&mut tx, sweep.facts, &mut outcome).await?;
        }
        let at = now(&mut tx).await?;
        let renamed = intervals::follow_names(&mut tx, at).await?;
        matching::rematch_named_projects(&mut tx, &renamed).await?;
        line_attribution::reallocate(&mut tx, Affected::OfProjects(&renamed)).await?;
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
            "select provider_id, name from cloud_projects
             where provider = 'digitalocean' and deleted_at is null and ($1::timestamptz is null or last_seen_at >= $1)
             order by provider_id",
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

    /// Changes the tenant or the purpose of a project. Returns the project and the costs that the
    /// change moves between tenants. Resources and cost lines follow in the same transaction. A dry
    /// run changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is no such project.
    pub async fn change_project(
        &self,
        id: Uuid,
        change: &ProjectChange,
        changed_by: &str,
        commit: Commit,
    ) -> Result<(Project, Measured), StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::Inventory).await?;
        let at = now(&mut tx).await?;
        let mut measured = Measured::default();
        if let Some(tenant) = &change.tenant_id {
            locks::acquire(&mut tx, Lock::CostLines).await?;
            let before = Effect::start(&mut tx).await?;
            let assign = Assignment {
                project: id,
                tenant: tenant.as_ref(),
                since: change.tenant_since,
                at,
                assigned_by: changed_by,
            };
            apply(&mut tx, assign).await?;
            measured = Measured::of(before.until_now(&mut tx).await?);
            if commit == Commit::DryRun && tenant.is_some() && change.tenant_since.is_none() {
                let first = line_attribution::first_charge_of_project(&mut tx, id).await?;
                if let Some(since) = first.filter(|first| *first < at) {
                    let assign = Assignment {
                        since: Some(since),
                        ..assign
                    };
                    apply(&mut tx, assign).await?;
                    measured.with_since = Some((since, before.until_now(&mut tx).await?));
                }
            }
        }
        if let Some(purpose) = &change.purpose {
            sqlx::query!(
                "update cloud_projects set purpose = $2 where id = $1",
                id,
                purpose.as_deref()
            )
            .execute(&mut *tx)
            .await?;
        }
        match commit {
            Commit::Keep => tx.commit().await?,
            Commit::DryRun => tx.rollback().await?,
        }
        Ok((self.project(id, None).await?, measured))
    }
}

/// An operator's assignment of a project to a tenant, or the end or deletion of assignments. See
/// [`intervals::assign_tenant`].
#[derive(Debug, Clone, Copy)]
struct Assignment<'a> {
    project: Uuid,
    tenant: Option<&'a TenantId>,
    since: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
    assigned_by: &'a str,
}

async fn apply(tx: &mut PgConnection, assign: Assignment<'_>) -> Result<(), StoreError> {
    let updated = sqlx::query!(
        "update cloud_projects set tenant_id = $2 where id = $1",
        assign.project,
        assign.tenant.map(TenantId::as_str),
    )
    .execute(&mut *tx)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(StoreError::NotFound {
            entity: "project",
            id: assign.project,
        });
    }
    intervals::assign_tenant(
        tx,
        assign.project,
        assign.tenant,
        assign.since,
        assign.at,
        assign.assigned_by,
    )
    .await?;
    matching::set_cause(tx, "operator", Some(assign.assigned_by), None).await?;
    attribution::attribute(tx, Scope::All, None, assign.at).await?;
    line_attribution::reallocate(tx, Affected::OfProjects(&[assign.project])).await
}

/// See [`Store::lock_project_creation`].
pub struct ProjectCreationGuard {
    _tx: sqlx::Transaction<'static, sqlx::Postgres>,
}

async fn upsert(tx: &mut PgConnection, sweep: &ProjectSweep<'_>) -> Result<usize, StoreError> {
    let provider_ids: Vec<String> = sweep
        .projects
        .iter()
        .map(|project| project.provider_id.to_string())
        .collect();
    let names: Vec<&str> = sweep
        .projects
        .iter()
        .map(|project| project.name.as_str())
        .collect();
    let descriptions: Vec<&str> = sweep
        .projects
        .iter()
        .map(|project| project.description.as_str())
        .collect();
    let environments: Vec<Option<&str>> = sweep
        .projects
        .iter()
        .map(|project| project.environment.as_deref())
        .collect();
    let defaults: Vec<bool> = sweep
        .projects
        .iter()
        .map(|project| project.is_default)
        .collect();
    let attrs: Vec<String> = sweep
        .projects
        .iter()
        .map(|project| project.attrs.to_string())
        .collect();
    // `attrs` is only replaced if it differs, so that unchanged values are not rewritten to TOAST
    // storage.
    let discovered = sqlx::query_scalar!(
        r#"
        with observed as (
            select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::text[])
                as observed (provider_id, name, description, environment, is_default, attrs)
        ), seen_again as (
            update cloud_projects p set
                name = observed.name,
                description = observed.description,
                environment = observed.environment,
                is_default = observed.is_default,
                is_internal = observed.name = $7,
                attrs = case when p.attrs = observed.attrs::jsonb then p.attrs else observed.attrs::jsonb end,
                last_seen_at = now(),
                stale_strike_count = 0,
                last_struck_at = null,
                deleted_at = null
            from observed
            where p.provider = 'digitalocean' and p.provider_id = observed.provider_id
        ), discovered as (
            insert into cloud_projects
                (provider_id, name, description, environment, is_default, is_internal, purpose, attrs,
                 first_seen_at, last_seen_at)
            select provider_id, name, description, environment, is_default, name = $7,
                case when name = $7 then 'internal' end, attrs::jsonb, now(), now()
            from observed
            on conflict (provider, provider_id) do nothing
            returning 1
        )
        select count(*) as "discovered!" from discovered
        "#,
        &provider_ids,
        &names as &[&str],
        &descriptions as &[&str],
        &environments as &[Option<&str>],
        &defaults,
        &attrs,
        sweep.internal_name,
    )
    .fetch_one(tx)
    .await?;
    Ok(usize::try_from(discovered).unwrap_or_default())
}

async fn strike(
    tx: &mut PgConnection,
    facts: &ListingFacts,
    outcome: &mut ProjectSweepOutcome,
) -> Result<(), StoreError> {
    let struck = sqlx::query_scalar!(
        r#"
        update cloud_projects set
            stale_strike_count = stale_strike_count + 1,
            last_struck_at = now(),
            deleted_at = case when stale_strike_count + 1 >= $3 then now() end
        where provider = 'digitalocean' and deleted_at is null and last_seen_at < $1
          and (last_struck_at is null or last_struck_at <= now() - make_interval(secs => $2))
        returning deleted_at is not null as "is_deleted!"
        "#,
        facts.started_at,
        facts.strike_seconds(),
        STRIKES,
    )
    .fetch_all(tx)
    .await?;
    outcome.deleted = struck.iter().filter(|is_deleted| **is_deleted).count();
    outcome.struck = struck.len() - outcome.deleted;
    Ok(())
}
