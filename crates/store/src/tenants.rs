//! The tenants: every name that a token, a project, a resource, a cost or an allocation rule refers
//! to. Tenants have no table.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{Store, StoreError};

/// A tenant that a token, a project, a resource, a cost or an allocation rule refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tenant {
    #[cfg_attr(feature = "openapi", schema(example = "acme"))]
    pub tenant_id: String,
    /// The earliest time at which a token, a project or a resource was assigned to the tenant; null
    /// if only costs or an allocation rule refer to it.
    pub known_since: Option<DateTime<Utc>>,
    /// The number of live projects that are assigned to the tenant.
    pub projects: i64,
    /// The number of its resources that are not deleted.
    pub live_resources: i64,
    /// True if any line of an invoice or of an open estimate is attributed to the tenant, at least
    /// in part. Allocated shared costs do not count.
    pub has_costs: bool,
}

impl Store {
    /// Lists the tenants by name. A name that only a revoked token refers to is not a tenant.
    pub async fn tenants(
        &self,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Tenant>, StoreError> {
        let tenants = sqlx::query_as!(
            Tenant,
            r#"
            select tenant.tenant_id as "tenant_id!", tenant.known_since,
                (select count(*) from cloud_project_rows project
                 where project.tenant_id = tenant.tenant_id and project.deleted_at is null) as "projects!",
                (select count(*) from cloud_resources resource
                 where resource.tenant_id = tenant.tenant_id and resource.deleted_at is null) as "live_resources!",
                exists (select 1 from cloud_cost_totals total where total.tenant_id = tenant.tenant_id) as "has_costs!"
            from (
                select tenant_id, known_since from cloud_tenants
                where $1::text is null or tenant_id > $1 order by tenant_id limit $2
            ) tenant
            order by tenant.tenant_id
            "#,
            after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(tenants)
    }

    /// Lists the names of all tenants.
    pub async fn tenant_ids(&self) -> Result<Vec<String>, StoreError> {
        let ids = sqlx::query_scalar!(
            r#"select tenant_id as "tenant_id!" from cloud_tenants order by tenant_id"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ids)
    }
}
