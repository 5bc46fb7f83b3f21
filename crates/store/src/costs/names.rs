//! The names of resources and projects, by which costs are grouped and filtered.

use chrono::{DateTime, NaiveDate, Utc};
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

/// The names on bills by which cost lines are filtered; each list is ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BilledNames {
    pub products: Vec<String>,
    pub projects: Vec<String>,
    pub kinds: Vec<String>,
}

impl Store {
    /// Returns the names on the bills of a month, or of all months.
    pub async fn billed_names(&self, period: Option<NaiveDate>) -> Result<BilledNames, StoreError> {
        let names = sqlx::query_as!(
            BilledNames,
            r#"select coalesce(array_agg(distinct product), '{}') as "products!",
                   coalesce(array_agg(distinct project_name) filter (where project_name <> ''), '{}') as "projects!",
                   coalesce(array_agg(distinct kind) filter (where kind is not null), '{}') as "kinds!"
               from cloud_cost_totals where $1::date is null or period = $1"#,
            period,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(names)
    }

    /// Returns the names of these resources.
    pub async fn resource_names(&self, ids: &[Uuid]) -> Result<Vec<ResourceName>, StoreError> {
        let names = sqlx::query_as!(
            ResourceName,
            "select id, kind, name from cloud_resource_rows where id = any($1)",
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
            r#"select project.id, fold_case(had.name) as "queried!", project.name, had.valid_from, had.valid_to
               from cloud_project_names had join cloud_project_rows project on project.id = had.cloud_project_id
               where fold_case(had.name) in (select fold_case(queried) from unnest($1::text[]) queried)
               order by had.valid_from, project.id"#,
            names,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(projects)
    }
}
