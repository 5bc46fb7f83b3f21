//! Queries of projects.

use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::inventory::counts::live_resources_by_project;
use crate::{Store, StoreError};

/// Queries [`Project`]. The only list of its columns.
macro_rules! query_projects {
    ($rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            Project,
            r#"select id as "id!", provider as "provider!", provider_id as "provider_id!",
                 name as "name!", description as "description!", environment,
                 is_default as "is_default!", is_internal as "is_internal!", tenant_id, purpose,
                 attrs as "attrs!", first_seen_at as "first_seen_at!",
                 last_seen_at as "last_seen_at!", stale_strike_count as "stale_strike_count!",
                 deleted_at
             from cloud_projects "#
                + $rest
            $($arguments)*
        )
    };
}

/// A project of the account.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Project {
    pub id: Uuid,
    pub provider: String,
    /// The project's id at DigitalOcean.
    pub provider_id: String,
    pub name: String,
    pub description: String,
    pub environment: Option<String>,
    pub is_default: bool,
    /// True for the internal project, which receives resources without a project.
    pub is_internal: bool,
    /// The tenant of the project and of its resources; set by an operator.
    pub tenant_id: Option<String>,
    /// The purpose of the project; set by an operator. DigitalOcean's purpose is in `attrs`.
    pub purpose: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub attrs: Value,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    /// The number of consecutive complete listings without this project. The third marks it as
    /// deleted.
    pub stale_strike_count: i32,
    /// When the project was marked as deleted; null while it is live.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// The resources of a project, and the start of its assignment to the current tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectUse {
    pub cloud_project_id: Uuid,
    /// The number of its resources that are not deleted.
    pub live_resources: i64,
    /// `None` without a tenant.
    pub tenant_since: Option<DateTime<Utc>>,
}

impl Store {
    /// Counts the resources of these projects, and returns the start of their current assignments.
    pub async fn project_uses(&self, projects: &[Uuid]) -> Result<Vec<ProjectUse>, StoreError> {
        let mut tx = self.snapshot().await?;
        let live = live_resources_by_project(&mut tx, &self.kept_counts).await?;
        let uses = sqlx::query!(
            r#"select project.id as "id!", tenancy.valid_from as "tenant_since?"
               from cloud_project_rows project
               left join cloud_project_tenants tenancy on tenancy.cloud_project_id = project.id and tenancy.valid_to is null
               where project.id = any($1)"#,
            projects,
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let uses = uses.into_iter().map(|row| ProjectUse {
            cloud_project_id: row.id,
            live_resources: live.get(&row.id).copied().unwrap_or_default(),
            tenant_since: row.tenant_since,
        });
        Ok(uses.collect())
    }

    /// Lists live projects by name; with `tenant`, only those of that tenant.
    pub async fn projects(
        &self,
        tenant: Option<&TenantId>,
        after: Option<(&str, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Project>, StoreError> {
        let projects = query_projects!(
            "where deleted_at is null
               and ($1::text is null or tenant_id = $1)
               and ($2::text is null or (name, id) > ($2, $3))
             order by name, id limit $4",
            tenant.map(TenantId::as_str),
            after.map(|(name, _)| name),
            after.map(|(_, id)| id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(projects)
    }

    /// Returns a project, live or deleted; with `tenant`, only if it is assigned to that tenant.
    pub async fn project(
        &self,
        id: Uuid,
        tenant: Option<&TenantId>,
    ) -> Result<Project, StoreError> {
        query_projects!(
            "where id = $1 and ($2::text is null or tenant_id = $2)",
            id,
            tenant.map(TenantId::as_str),
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::NotFound {
            entity: "project",
            id,
        })
    }
}
