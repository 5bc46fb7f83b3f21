//! What operators say of single resources.

use chrono::{DateTime, Utc};
use domain::TenantId;
use uuid::Uuid;

use super::Resource;
use super::attribution::{self, Scope};
use crate::invoices::matching;
use crate::invoices::owners::{self, Which};
use crate::listings::{lock_inventory, now};
use crate::{Store, StoreError};

/// An operator's word on a resource: it comes before all that `DigitalOcean` says, and survives every sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub tenant_id: Option<String>,
    pub cloud_project_id: Option<Uuid>,
    /// The project that `DigitalOcean` was last seen to contradict with.
    pub contradicted_by: Option<Uuid>,
    pub pinned_by: String,
    pub pinned_at: DateTime<Utc>,
}

/// What to change of a pin: the outer `None` leaves a part as it is, the inner one takes it away.
#[derive(Debug, Clone, Default)]
pub struct PinChange {
    pub tenant_id: Option<Option<TenantId>>,
    pub cloud_project_id: Option<Option<Uuid>>,
}

impl Store {
    /// The pin of a resource, if it has one.
    pub async fn pin(&self, resource: Uuid) -> Result<Option<Pin>, StoreError> {
        let pin = sqlx::query_as!(
            Pin,
            "select tenant_id, cloud_project_id, contradicted_by, pinned_by, pinned_at
             from cloud_resource_pins where resource_id = $1",
            resource,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(pin)
    }

    /// Changes what an operator says of a resource. What is a part of it, and cost lines, follow in the same transaction.
    pub async fn change_pin(
        &self,
        resource: Uuid,
        change: &PinChange,
        changed_by: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        lock_inventory(&mut tx).await?;
        let at = now(&mut tx).await?;
        let exists = sqlx::query_scalar!(
            r#"select exists (select 1 from cloud_resources where id = $1) as "exists!""#,
            resource
        )
        .fetch_one(&mut *tx)
        .await?;
        if !exists {
            return Err(StoreError::NotFound {
                what: "resource",
                id: resource,
            });
        }
        if let Some(Some(project)) = change.cloud_project_id {
            let is_live = sqlx::query_scalar!(
                r#"select exists (select 1 from cloud_projects where id = $1 and deleted_at is null) as "exists!""#,
                project
            )
            .fetch_one(&mut *tx)
            .await?;
            if !is_live {
                return Err(StoreError::NotFound {
                    what: "live project",
                    id: project,
                });
            }
        }
        let before = sqlx::query_as!(
            Pin,
            "select tenant_id, cloud_project_id, contradicted_by, pinned_by, pinned_at
             from cloud_resource_pins where resource_id = $1",
            resource,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let tenant = match &change.tenant_id {
            Some(tenant) => tenant.as_ref().map(ToString::to_string),
            None => before.as_ref().and_then(|pin| pin.tenant_id.clone()),
        };
        let project = match change.cloud_project_id {
            Some(project) => project,
            None => before.as_ref().and_then(|pin| pin.cloud_project_id),
        };
        let is_same = before.as_ref().map_or((None, None), |pin| {
            (pin.tenant_id.clone(), pin.cloud_project_id)
        }) == (tenant.clone(), project);
        if is_same {
            return Ok(());
        }
        if tenant.is_none() && project.is_none() {
            sqlx::query!(
                "delete from cloud_resource_pins where resource_id = $1",
                resource
            )
            .execute(&mut *tx)
            .await?;
        } else {
            sqlx::query!(
                "insert into cloud_resource_pins (resource_id, tenant_id, cloud_project_id, pinned_by, pinned_at)
                 values ($1, $2, $3, $4, $5)
                 on conflict (resource_id) do update set
                     tenant_id = excluded.tenant_id, cloud_project_id = excluded.cloud_project_id, contradicted_by = null,
                     pinned_by = excluded.pinned_by, pinned_at = excluded.pinned_at",
                resource,
                tenant,
                project,
                changed_by,
                at,
            )
            .execute(&mut *tx)
            .await?;
        }
        // Who said so stands in the record, also where the words change nothing else.
        sqlx::query!(
            "insert into cloud_resource_events (resource_id, event, changes, occurred_at)
             values ($1, 'updated', jsonb_build_object('pin', jsonb_build_object(
                 'before', case when $2 then jsonb_build_object('tenant_id', $3::text, 'cloud_project_id', $4::uuid) end,
                 'after', case when $5 then jsonb_build_object('tenant_id', $6::text, 'cloud_project_id', $7::uuid) end,
                 'by', $8::text)), $9)",
            resource,
            before.is_some(),
            before.as_ref().and_then(|pin| pin.tenant_id.as_deref()),
            before.as_ref().and_then(|pin| pin.cloud_project_id),
            tenant.is_some() || project.is_some(),
            tenant,
            project,
            changed_by,
            at,
        )
        .execute(&mut *tx)
        .await?;
        matching::note_cause(&mut tx, "operator", Some(changed_by), None).await?;
        attribution::attribute(&mut tx, Scope::All, None, at).await?;
        // A pin to the tenant that the resource has already moves nothing now, and says whose the time before was.
        owners::own_again(&mut tx, Which::OfResources(&[resource])).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Live DNS zones that are in no project and belong to no tenant: they wait for an operator's word.
    pub async fn unclassified_zones(
        &self,
        after: Option<(&str, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Resource>, StoreError> {
        let zones = sqlx::query_as!(
            Resource,
            "select id, provider, kind, provider_id, name, region, status, tags, attrs, cloud_project_id, tenant_id, attribution,
                 first_seen_at, last_seen_at, stale_strike_count, deleted_at
             from cloud_resources
             where kind = 'dns_zone' and deleted_at is null and cloud_project_id is null and tenant_id is null
               and ($1::text is null or (name, id) > ($1, $2))
             order by name, id limit $3",
            after.map(|(name, _)| name),
            after.map(|(_, id)| id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(zones)
    }
}
