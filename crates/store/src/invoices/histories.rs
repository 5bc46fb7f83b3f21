//! The histories of resources and projects that determine the tenants of cost lines.

use std::collections::HashMap;

use domain::costs::{Interval, Overrides, Projects, ResourceHistory};
use domain::fold_case;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// The longest chain of parents that is followed. A snapshot of a volume of a cluster has a chain
/// of two.
const MAX_DEPTH: i32 = 4;

/// The intervals of projects and overrides of resources, and of names and tenants of projects.
pub(crate) struct Histories {
    pub(super) resources: HashMap<Uuid, ResourceHistory>,
    pub(crate) projects: Projects,
}

impl Histories {
    /// Reads the histories of all projects, and of no resource.
    pub(crate) async fn of_projects(tx: &mut PgConnection) -> Result<Self, StoreError> {
        Ok(Self {
            resources: HashMap::new(),
            projects: projects(tx).await?,
        })
    }

    /// Replaces the loaded resources by these. Only a chunk is loaded at a time, to bound memory.
    pub(super) async fn load_resources(
        &mut self,
        tx: &mut PgConnection,
        resources: impl Iterator<Item = Uuid>,
    ) -> Result<(), StoreError> {
        let mut resources: Vec<Uuid> = resources.collect();
        resources.sort_unstable();
        resources.dedup();
        self.resources = HashMap::new();
        self.resources = resource_histories(tx, &resources).await?;
        Ok(())
    }
}

async fn resource_histories(
    tx: &mut PgConnection,
    resources: &[Uuid],
) -> Result<HashMap<Uuid, ResourceHistory>, StoreError> {
    let mut histories: HashMap<Uuid, ResourceHistory> = HashMap::new();
    if resources.is_empty() {
        return Ok(histories);
    }
    let memberships = sqlx::query!(
        "select resource_id, cloud_project_id, valid_from, valid_to from cloud_project_memberships
         where resource_id = any($1) order by resource_id, valid_from",
        resources,
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in memberships {
        let history = histories.entry(row.resource_id).or_default();
        history.projects.push(Interval {
            value: row.cloud_project_id,
            from: row.valid_from,
            to: row.valid_to,
        });
    }
    // Parents are read only if there is any override.
    let overrides = sqlx::query!(
        r#"with recursive chain as (
               select id as resource_id, id as source, parent_id, 0 as depth from cloud_resources
               where id = any($1) and exists (select from cloud_resource_overrides)
               union all
               select chain.resource_id, parent.id, parent.parent_id, chain.depth + 1
               from chain join cloud_resources parent on parent.id = chain.parent_id
               where chain.depth < $2
           )
           select chain.resource_id as "resource_id!", chain.depth as "depth!", override.tenant_id, override.cloud_project_id,
               override.valid_from, override.valid_to
           from chain join cloud_resource_overrides override on override.resource_id = chain.source
           order by chain.resource_id, chain.depth, override.valid_from"#,
        resources,
        MAX_DEPTH,
    )
    .fetch_all(tx)
    .await?;
    let mut last = None;
    for row in overrides {
        let levels = &mut histories.entry(row.resource_id).or_default().overrides;
        // One level per resource of the chain that has overrides, nearest first.
        if last.replace((row.resource_id, row.depth)) != Some((row.resource_id, row.depth)) {
            levels.push(Overrides::default());
        }
        let Some(level) = levels.last_mut() else {
            continue;
        };
        let (from, to) = (row.valid_from, row.valid_to);
        if let Some(value) = row.tenant_id {
            level.tenants.push(Interval { value, from, to });
        } else if let Some(value) = row.cloud_project_id {
            level.projects.push(Interval { value, from, to });
        }
    }
    Ok(histories)
}

async fn projects(tx: &mut PgConnection) -> Result<Projects, StoreError> {
    let mut projects = Projects::default();
    let tenants = sqlx::query!(
        "select cloud_project_id, tenant_id, valid_from, valid_to from cloud_project_tenants
         order by cloud_project_id, valid_from"
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in tenants {
        let intervals = projects.tenants.entry(row.cloud_project_id).or_default();
        intervals.push(Interval {
            value: row.tenant_id,
            from: row.valid_from,
            to: row.valid_to,
        });
    }
    let names = sqlx::query!(
        "select cloud_project_id, name, valid_from, valid_to from cloud_project_names order by valid_from, cloud_project_id"
    )
    .fetch_all(tx)
    .await?;
    for row in names {
        projects
            .known_since
            .entry(row.cloud_project_id)
            .or_insert(row.valid_from);
        let intervals = projects.names.entry(fold_case(&row.name)).or_default();
        intervals.push(Interval {
            value: row.cloud_project_id,
            from: row.valid_from,
            to: row.valid_to,
        });
    }
    Ok(projects)
}
