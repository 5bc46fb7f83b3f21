//! Intervals of validity: projects of resources, tenants of projects, names of projects.

use chrono::{DateTime, Utc};
use domain::TenantId;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::{Store, StoreError};

/// The interval in which a resource was in a project, according to DigitalOcean or to an override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub cloud_project_id: Uuid,
    /// True if an operator moved the resource to the project.
    pub is_override: bool,
    /// The current name and tenant of the project.
    pub project_name: String,
    pub project_tenant_id: Option<String>,
    pub valid_from: DateTime<Utc>,
    /// `None` if the interval is current.
    pub valid_to: Option<DateTime<Utc>>,
}

/// The interval in which a project was assigned to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tenancy {
    pub tenant_id: String,
    pub valid_from: DateTime<Utc>,
    /// Null while the assignment is current.
    pub valid_to: Option<DateTime<Utc>>,
    /// The name of the access token that assigned the tenant; null in a tenant's view.
    pub assigned_by: Option<String>,
}

impl Store {
    /// Lists the projects of a resource, latest first. An override of the resource itself replaces
    /// DigitalOcean's project for its interval.
    pub async fn memberships(&self, resource: Uuid) -> Result<Vec<Membership>, StoreError> {
        let memberships = sqlx::query_as!(
            Membership,
            r#"
            with override as (
                select cloud_project_id, tstzrange(valid_from, valid_to) as during from cloud_resource_overrides
                where resource_id = $1 and cloud_project_id is not null
            ), stay as (
                select cloud_project_id, true as is_override, during from override
                union all
                select m.cloud_project_id, false, rest.during
                from cloud_project_memberships m
                cross join lateral unnest(
                    tstzmultirange(tstzrange(m.valid_from, m.valid_to))
                        - coalesce((select range_agg(during) from override), '{}')) as rest (during)
                where m.resource_id = $1
            )
            select stay.cloud_project_id as "cloud_project_id!", stay.is_override as "is_override!", p.name as project_name,
                p.tenant_id as project_tenant_id, lower(stay.during) as "valid_from!", upper(stay.during) as valid_to
            from stay join cloud_project_rows p on p.id = stay.cloud_project_id
            order by lower(stay.during) desc
            "#,
            resource,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(memberships)
    }

    /// Lists the tenants of a project, latest first.
    pub async fn tenancies(&self, project: Uuid) -> Result<Vec<Tenancy>, StoreError> {
        tenancies(&self.pool, project).await
    }

    /// Lists the projects that are or were assigned to a tenant.
    pub async fn projects_ever_assigned_to(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<Uuid>, StoreError> {
        let projects = sqlx::query_scalar!(
            r#"select id as "id!" from cloud_project_rows where tenant_id = $1
             union select cloud_project_id from cloud_project_tenants where tenant_id = $1"#,
            tenant.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(projects)
    }
}

/// Lists the tenants of a project, latest first.
pub(crate) async fn tenancies(
    executor: impl PgExecutor<'_>,
    project: Uuid,
) -> Result<Vec<Tenancy>, StoreError> {
    let tenancies = sqlx::query_as!(
        Tenancy,
        "select tenant_id, valid_from, valid_to, assigned_by from cloud_project_tenants
         where cloud_project_id = $1 order by valid_from desc",
        project,
    )
    .fetch_all(executor)
    .await?;
    Ok(tenancies)
}

/// Ends the memberships of these resources that no longer hold, and begins the current ones.
///
/// If the clock of the database went back, so that an interval began after `at`, the interval ends
/// a microsecond after its beginning.
pub(crate) async fn follow_projects(
    tx: &mut PgConnection,
    resources: &[Uuid],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if resources.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update cloud_project_memberships m set valid_to = greatest($2, m.valid_from + interval '1 microsecond')
         from cloud_resources r
         where r.id = any($1) and m.resource_id = r.id and m.valid_to is null
           and (r.deleted_at is not null or r.provider_project_id is distinct from m.cloud_project_id)",
        resources,
        at,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_project_memberships (resource_id, cloud_project_id, valid_from)
         select r.id, r.provider_project_id, greatest($2, (
             select max(before.valid_to) from cloud_project_memberships before where before.resource_id = r.id))
         from cloud_resources r
         left join cloud_project_memberships m on m.resource_id = r.id and m.valid_to is null
         where r.id = any($1) and r.deleted_at is null and r.provider_project_id is not null and m.resource_id is null",
        resources,
        at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Changes the tenant of a project, also for the past.
///
/// A tenant is assigned from `since` on, or from now on, and replaces later assignments. Without a
/// tenant, `since` ends the assignment at that time. Without both, all assignments of the project
/// are deleted, and its costs are recomputed as if there had been none.
pub(crate) async fn assign_tenant(
    tx: &mut PgConnection,
    project: Uuid,
    tenant: Option<&TenantId>,
    since: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
    assigned_by: &str,
) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!(
        "select tenant_id from cloud_project_tenants where cloud_project_id = $1 and valid_to is null",
        project
    )
    .fetch_optional(&mut *tx)
    .await?;
    if tenant.is_some() && since.is_none() && current.as_deref() == tenant.map(TenantId::as_str) {
        return Ok(());
    }
    let from = match (tenant, since) {
        (_, Some(since)) => Some(since),
        (Some(_), None) => Some(at),
        (None, None) => None,
    };
    sqlx::query!(
        "delete from cloud_project_tenants where cloud_project_id = $1 and ($2::timestamptz is null or valid_from >= $2)",
        project,
        from,
    )
    .execute(&mut *tx)
    .await?;
    let Some(from) = from else {
        return Ok(());
    };
    sqlx::query!(
        "update cloud_project_tenants set valid_to = $2
         where cloud_project_id = $1 and coalesce(valid_to > $2, true)",
        project,
        from,
    )
    .execute(&mut *tx)
    .await?;
    if let Some(tenant) = tenant {
        sqlx::query!(
            "insert into cloud_project_tenants (cloud_project_id, tenant_id, valid_from, assigned_by) values ($1, $2, $3, $4)",
            project,
            tenant.as_str(),
            from,
            assigned_by,
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Ends the intervals of names that projects no longer have, begins the current ones, and returns
/// the affected projects. For a clock that went back, see [`follow_projects`].
pub(crate) async fn follow_names(
    tx: &mut PgConnection,
    at: DateTime<Utc>,
) -> Result<Vec<Uuid>, StoreError> {
    let mut affected = sqlx::query_scalar!(
        "update cloud_project_names n set valid_to = greatest($1, n.valid_from + interval '1 microsecond')
         from cloud_project_rows p
         where n.cloud_project_id = p.id and n.valid_to is null and (p.deleted_at is not null or p.name <> n.name)
         returning p.id",
        at,
    )
    .fetch_all(&mut *tx)
    .await?;
    let started = sqlx::query_scalar!(
        "insert into cloud_project_names (cloud_project_id, name, valid_from)
         select p.id, p.name, greatest($1, (
             select max(before.valid_to) from cloud_project_names before where before.cloud_project_id = p.id))
         from cloud_project_rows p
         left join cloud_project_names n on n.cloud_project_id = p.id and n.valid_to is null
         where p.deleted_at is null and n.cloud_project_id is null
         returning cloud_project_id",
        at,
    )
    .fetch_all(tx)
    .await?;
    affected.extend(started);
    affected.sort_unstable();
    affected.dedup();
    Ok(affected)
}
