//! The names of resources and projects, by which costs are grouped and filtered.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Store, StoreError};

/// A resource, live or deleted, with its last known name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceName {
    pub id: Uuid,
    pub kind: String,
    pub name: String,
}

/// A project, live or deleted, that has or had a queried name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectName {
    pub id: Uuid,
    /// The queried name, in lower case.
    pub queried: String,
    /// The last known name.
    pub name: String,
    /// When the project received the queried name.
    pub valid_from: DateTime<Utc>,
    /// When the project lost the queried name; `None` if it still has it.
    pub valid_to: Option<DateTime<Utc>>,
}

impl Store {
    /// Returns the names of these resources.
    pub async fn resource_names(&self, ids: &[Uuid]) -> Result<Vec<ResourceName>, StoreError> {
        let names = sqlx::query_as!(
            ResourceName,
            "select id, kind, name from cloud_resources where id = any($1)",
            ids,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(names)
    }

    /// Lists the projects that have or had one of these names; case-insensitive.
    pub async fn projects_named(&self, names: &[String]) -> Result<Vec<ProjectName>, StoreError> {
        let projects = sqlx::query_as!(
            ProjectName,
            r#"select project.id, lower(had.name) as "queried!", project.name, had.valid_from, had.valid_to
               from cloud_project_names had join cloud_projects project on project.id = had.cloud_project_id
               where lower(had.name) in (select lower(queried) from unnest($1::text[]) queried)
               order by had.valid_from, project.id"#,
            names,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(projects)
    }
}
