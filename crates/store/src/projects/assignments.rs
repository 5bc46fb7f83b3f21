//! Assignments of projects to tenants by operators.

use chrono::{DateTime, Utc};
use domain::TenantId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::costs::effect::{Effect, Measured};
use crate::inventory::attribution::{self, Lines, Scope};
use crate::inventory::intervals;
use crate::invoices::{line_attribution, matching};
use crate::listings::now;
use crate::locks::{self, Lock};
use crate::reallocations::{self, AT_ONCE, Affected, Resources, resources_of_projects};

/// An operator's assignment of a project to a tenant, or the end or deletion of assignments. See
/// [`intervals::assign_tenant`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Assignment<'a> {
    pub(super) project: Uuid,
    pub(super) tenant: Option<&'a TenantId>,
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) assigned_by: &'a str,
}

impl Assignment<'_> {
    /// Stores the assignment. Resources and lines follow if they are few, and are left to the
    /// workflow `Reallocate` otherwise: then no advisory lock is acquired. The caller holds the row
    /// of the project.
    pub(super) async fn make(&self, tx: &mut PgConnection) -> Result<Measured, StoreError> {
        let at = now(tx).await?;
        let projects = &[self.project];
        let affected = Affected::of_projects(projects).since(self.affects_from(at));
        matching::set_cause(tx, "operator", Some(self.assigned_by), None).await?;
        let resources = resources_of_projects(tx, projects, None, AT_ONCE + 1).await?;
        let are_many = i64::try_from(resources.len()).unwrap_or(i64::MAX) > AT_ONCE
            || line_attribution::are_many(tx, affected).await?;
        if are_many {
            self.store(tx, at).await?;
            let left = reallocations::leave(tx, affected, Resources::Left).await?;
            return Ok(Measured::left(left));
        }
        locks::acquire(tx, Lock::Inventory).await?;
        locks::acquire(tx, Lock::CostLines).await?;
        let at = now(tx).await?;
        let before = Effect::start(tx).await?;
        self.store(tx, at).await?;
        let resources = resources_of_projects(tx, projects, None, i64::MAX).await?;
        let scope = Scope::Of(&resources);
        attribution::attribute(tx, scope, Lines::OfTheCaller, None, at).await?;
        let affected = affected.since(self.affects_from(at));
        if let Some(left) = line_attribution::reallocate(tx, affected).await? {
            return Ok(Measured::left(left));
        }
        Ok(Measured::of(before.until_now(tx).await?))
    }

    /// Returns the costs that the assignment would move. Stores the assignment, which the caller
    /// rolls back, and writes no resource and no line.
    pub(super) async fn measure(&self, tx: &mut PgConnection) -> Result<Measured, StoreError> {
        let at = now(tx).await?;
        let before = Effect::start(tx).await?;
        let projects = &[self.project];
        let affected = Affected::of_projects(projects);
        self.store(tx, at).await?;
        let since = self.affects_from(at);
        let moves = line_attribution::measure(tx, affected.since(since)).await?;
        let mut measured = Measured::of(before.with(tx, &moves).await?);
        if self.tenant.is_some() && self.since.is_none() {
            let first = line_attribution::first_charge_of_project(tx, self.project).await?;
            if let Some(since) = first.filter(|first| *first < at) {
                let earlier = Self {
                    since: Some(since),
                    ..*self
                };
                earlier.store(tx, at).await?;
                let moves = line_attribution::measure(tx, affected.since(Some(since))).await?;
                measured.with_since = Some((since, before.with(tx, &moves).await?));
            }
        }
        Ok(measured)
    }

    /// Returns the time from which the tenants of the project change; `None` for all time.
    fn affects_from(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.start(at).or(self.tenant.map(|_| at))
    }

    /// Returns the stated start. The clocks of API and database differ, so a later one is now.
    fn start(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.since.map(|since| since.min(at))
    }

    async fn store(&self, tx: &mut PgConnection, at: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!(
            "update cloud_project_rows set tenant_id = $2 where id = $1",
            self.project,
            self.tenant.map(TenantId::as_str),
        )
        .execute(&mut *tx)
        .await?;
        intervals::assign_tenant(
            tx,
            self.project,
            self.tenant,
            self.start(at),
            at,
            self.assigned_by,
        )
        .await
    }
}
