//! The numbers of resources, for pages. They read each resource that matches, so the results are
//! kept as long as no resource changes.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{KindCount, ResourceFilter, query_counts, with_listed};
use crate::kept::Kept;
use crate::{Store, StoreError};

/// The kept results of a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptCounts(Arc<KeptResults>);

#[derive(Debug, Default)]
struct KeptResults {
    by_kind: Kept<ResourceFilter, Vec<KindCount>>,
    by_project: Kept<(), Arc<HashMap<Uuid, i64>>>,
}

impl Store {
    /// Counts the resources of each kind, ordered by kind. Kinds without resources are omitted.
    pub async fn resource_counts(
        &self,
        filter: &ResourceFilter,
    ) -> Result<Vec<KindCount>, StoreError> {
        let kept = &self.kept_counts.0.by_kind;
        let mut tx = self.snapshot().await?;
        let version = version_of_resources(&mut tx).await?;
        if let Some(counts) = kept.get(filter, &version) {
            return Ok(counts);
        }
        let counts = with_listed!(query_counts of filter,
            from "listed group by kind order by kind",
        )
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        kept.put(filter.clone(), version, counts.clone());
        Ok(counts)
    }
}

/// Counts the live resources of each project.
pub(crate) async fn live_resources_by_project(
    snapshot: &mut PgConnection,
    kept: &KeptCounts,
) -> Result<Arc<HashMap<Uuid, i64>>, StoreError> {
    let kept = &kept.0.by_project;
    let version = version_of_resources(&mut *snapshot).await?;
    if let Some(counts) = kept.get(&(), &version) {
        return Ok(counts);
    }
    let counts = sqlx::query!(
        r#"select cloud_project_id as "project!", count(*) as "resources!" from cloud_resource_rows
           where deleted_at is null and cloud_project_id is not null group by cloud_project_id"#,
    )
    .fetch_all(snapshot)
    .await?;
    let counts = counts.into_iter().map(|row| (row.project, row.resources));
    let counts = Arc::new(counts.collect());
    kept.put((), version, Arc::clone(&counts));
    Ok(counts)
}

/// Returns a text that changes with every change of a resource.
async fn version_of_resources(connection: &mut PgConnection) -> Result<String, StoreError> {
    let version = sqlx::query_scalar!(
        r#"select coalesce(string_agg(version::text, ' ' order by kind), '') as "version!"
           from cloud_resource_versions"#
    )
    .fetch_one(connection)
    .await?;
    Ok(version)
}
