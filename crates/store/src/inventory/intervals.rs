//! Since when, and until when, which resource was in which project.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Ends the intervals of these resources that hold no longer, and begins those that hold now.
pub(crate) async fn follow_projects(
    tx: &mut PgConnection,
    resources: &[Uuid],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if resources.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update cloud_project_memberships m set valid_to = $2
         from cloud_resources r
         where r.id = any($1) and m.resource_id = r.id and m.valid_to is null
           and (r.deleted_at is not null or r.cloud_project_id is distinct from m.cloud_project_id)",
        resources,
        at,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_project_memberships (resource_id, cloud_project_id, valid_from)
         select r.id, r.cloud_project_id, $2
         from cloud_resources r
         left join cloud_project_memberships m on m.resource_id = r.id and m.valid_to is null
         where r.id = any($1) and r.deleted_at is null and r.cloud_project_id is not null and m.resource_id is null",
        resources,
        at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a project's interval with one tenant and begins that with another.
pub(crate) async fn follow_tenant(
    tx: &mut PgConnection,
    project: Uuid,
    at: DateTime<Utc>,
    assigned_by: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update cloud_project_tenants t set valid_to = $2
         from cloud_projects p
         where p.id = $1 and t.cloud_project_id = p.id and t.valid_to is null and p.tenant_id is distinct from t.tenant_id",
        project,
        at,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_project_tenants (cloud_project_id, tenant_id, valid_from, assigned_by)
         select p.id, p.tenant_id, $2, $3
         from cloud_projects p
         left join cloud_project_tenants t on t.cloud_project_id = p.id and t.valid_to is null
         where p.id = $1 and p.tenant_id is not null and t.cloud_project_id is null",
        project,
        at,
        assigned_by,
    )
    .execute(tx)
    .await?;
    Ok(())
}
