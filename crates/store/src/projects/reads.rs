//! Projects as they are read.

use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{Store, StoreError};

/// Queries projects: the one list of the columns of [`Project`].
macro_rules! query_projects {
    ($rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            Project,
            "select id, provider, provider_id, name, description, environment, is_default,
                 is_internal, tenant_id, purpose, attrs, first_seen_at, last_seen_at,
                 stale_strike_count, deleted_at
             from cloud_projects "
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
    /// DigitalOcean's id of it.
    pub provider_id: String,
    pub name: String,
    pub description: String,
    pub environment: Option<String>,
    pub is_default: bool,
    /// Whether it is the project where resources of no project fall.
    pub is_internal: bool,
    /// Whose it is, and so whose its resources are: an operator's word.
    pub tenant_id: Option<String>,
    /// What it is for: an operator's word. DigitalOcean's own is in `attrs`.
    pub purpose: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub attrs: Value,
    pub first_seen_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    /// How many complete listings in a row have missed it; three make a tombstone.
    pub stale_strike_count: i32,
    /// When it was found to be gone; null while it is live.
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Projects by name, those of one tenant only where one is given; tombstoned ones are left out.
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

    /// One project, of the given tenant only where one is given; a tombstoned one too.
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
            what: "project",
            id,
        })
    }
}
