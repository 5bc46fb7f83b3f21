//! Projects, their changes by operators, and their members.

mod assignments;
mod events;
pub(crate) mod held;
mod member_rows;
mod members;
mod names;
mod reads;
mod rows;
mod sweep;
mod unmatched;

use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Serialize;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Executor as _, PgConnection};
use uuid::Uuid;

use assignments::Assignment;
pub use events::ProjectEvent;
pub use members::{MembersOfKind, MembershipOutcome, MembershipPass, PassFacts, ProjectMembers};
pub use reads::{Project, ProjectUse};
pub use sweep::{ProjectSweep, ProjectSweepOutcome};
pub use unmatched::UnmatchedMembers;
pub(crate) use unmatched::unmatched_members;

use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::costs::effect::Measured;
use crate::inventory::{Commit, Tenancy, intervals};
use crate::locks::{self, Lock};
use crate::{Actor, Store, StoreError};

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
    ///
    /// The lock has its own connection: the requests under it lease from the request budget, which
    /// needs a connection of the pool.
    pub async fn lock_project_creation(&self) -> Result<ProjectCreationGuard, StoreError> {
        let mut connection = self.pool.connect_options().connect().await?;
        connection.execute("begin").await?;
        locks::acquire(&mut connection, Lock::ProjectCreation).await?;
        Ok(ProjectCreationGuard {
            _connection: connection,
        })
    }

    /// Changes the tenant or the purpose of a project. Returns the project and the costs that the
    /// change moves between tenants. Resources and cost lines follow in the same transaction if
    /// they are few; otherwise the workflow `Reallocate` updates them ([`Measured::reallocation`]).
    /// A dry run writes no resource and no line, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if there is no such project.
    pub async fn change_project(
        &self,
        id: Uuid,
        change: &ProjectChange,
        actor: &Actor,
        commit: Commit,
    ) -> Result<(Project, Measured), StoreError> {
        let mut tx = match commit {
            Commit::Keep => self.pool.begin().await?,
            // The amounts before and after are of one state of the lines.
            Commit::DryRun => {
                let begin = "begin isolation level repeatable read";
                self.pool.begin_with(begin).await?
            }
        };
        let (name, state_before) = audited(&mut tx, id).await?;
        let mut measured = Measured::default();
        if let Some(tenant) = &change.tenant_id {
            let assignment = Assignment {
                project: id,
                tenant: tenant.as_ref(),
                since: change.tenant_since,
                assigned_by: actor.name(),
            };
            measured = match commit {
                Commit::Keep => assignment.make(&mut tx).await?,
                Commit::DryRun => assignment.measure(&mut tx).await?,
            };
        }
        if let Some(purpose) = &change.purpose {
            sqlx::query!(
                "update cloud_project_rows set purpose = $2 where id = $1",
                id,
                purpose.as_deref()
            )
            .execute(&mut *tx)
            .await?;
        }
        match commit {
            Commit::Keep => {
                let (_, state_after) = audited(&mut tx, id).await?;
                let object = Object::new(ObjectType::Project, &id).named(name);
                let act = Act::new(Action::ProjectChanged, object).leaving(measured.reallocation);
                audit::commit(tx, actor, act.before(state_before).after(state_after)).await?;
            }
            Commit::DryRun => tx.rollback().await?,
        }
        Ok((self.project(id, None).await?, measured))
    }
}

/// Returns the name of a project, and the settings that operators can change, for the audit. Locks
/// the row of the project, before all advisory locks: concurrent changes of a project wait here.
async fn audited(tx: &mut PgConnection, id: Uuid) -> Result<(String, Value), StoreError> {
    #[derive(Serialize)]
    struct Settings {
        purpose: Option<String>,
        tenants: Vec<Tenancy>,
    }
    let project = sqlx::query!(
        "select name, purpose from cloud_project_rows where id = $1 for no key update",
        id
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(StoreError::NotFound {
        entity: "project",
        id,
    })?;
    let settings = Settings {
        purpose: project.purpose,
        tenants: intervals::tenancies(tx, id).await?,
    };
    Ok((project.name, audit::state(&settings)?))
}

/// See [`Store::lock_project_creation`]. Dropping it closes the connection, which ends the
/// transaction and its lock.
pub struct ProjectCreationGuard {
    _connection: PgConnection,
}
