//! Overrides: resources that operators set for single cost lines.

use chrono::{DateTime, Utc};
use domain::invoices::fits;
use serde::Serialize;
use uuid::Uuid;

use super::effect::{Before, Effect, Measured};
use crate::inventory::Commit;
use crate::invoices::matching;
use crate::locks::{self, Lock};
use crate::{Store, StoreError};

/// An operator's match of a line to a resource. It takes precedence over all match rules and
/// remains after every ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Override {
    /// Null if the line is for no resource, so that it is a shared cost.
    pub resource_id: Option<Uuid>,
    pub reason: Option<String>,
    /// The name of the access token that set the override.
    pub set_by: String,
    pub set_at: DateTime<Utc>,
}

impl Store {
    /// Overrides the match of a line with a resource or with none, and returns the costs that this
    /// moves between tenants. The override remains after every ingest. The tenant of the line
    /// follows in the same transaction.
    ///
    /// # Errors
    ///
    /// [`StoreError::KindMismatch`] if the kind of the resource cannot be that of the line
    /// ([`domain::invoices::fits`]), unless `is_forced`.
    pub async fn override_match(
        &self,
        line: Uuid,
        resource: Option<Uuid>,
        reason: Option<&str>,
        set_by: &str,
        is_forced: bool,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        let mut tx = self.begin_override(line, set_by).await?;
        if let Some(resource) = resource {
            must_fit(&mut tx, line, resource, is_forced).await?;
        }
        let before = Effect::start(&mut tx).await?;
        sqlx::query!(
            "insert into cloud_cost_line_overrides (line_id, resource_id, reason, set_by, set_at) values ($1, $2, $3, $4, now())
             on conflict (line_id) do update set
                 resource_id = excluded.resource_id, reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at",
            line,
            resource,
            reason,
            set_by,
        )
        .execute(&mut *tx)
        .await?;
        end_override(tx, line, &before, commit).await
    }

    /// Deletes the override of a line and rematches the line. Returns the costs that this moves
    /// between tenants.
    pub async fn withdraw_override(
        &self,
        line: Uuid,
        set_by: &str,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        let mut tx = self.begin_override(line, set_by).await?;
        let before = Effect::start(&mut tx).await?;
        sqlx::query!(
            "delete from cloud_cost_line_overrides where line_id = $1",
            line
        )
        .execute(&mut *tx)
        .await?;
        end_override(tx, line, &before, commit).await
    }

    async fn begin_override(
        &self,
        line: Uuid,
        set_by: &str,
    ) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::CostLines).await?;
        matching::set_cause(&mut tx, "operator", Some(set_by), None).await?;
        must_be_invoiced(&mut tx, line).await?;
        Ok(tx)
    }

    /// Returns the override of a line, if there is one.
    pub async fn override_of(&self, line: Uuid) -> Result<Option<Override>, StoreError> {
        let found = sqlx::query_as!(
            Override,
            "select resource_id, reason, set_by, set_at from cloud_cost_line_overrides where line_id = $1",
            line
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(found)
    }
}

async fn end_override(
    mut tx: sqlx::Transaction<'static, sqlx::Postgres>,
    line: Uuid,
    before: &Before,
    commit: Commit,
) -> Result<Measured, StoreError> {
    matching::rematch_lines(&mut tx, &[line]).await?;
    let effect = before.until_now(&mut tx).await?;
    match commit {
        Commit::Keep => tx.commit().await?,
        Commit::DryRun => tx.rollback().await?,
    }
    Ok(Measured::of(effect))
}

async fn must_fit(
    tx: &mut sqlx::PgConnection,
    line: Uuid,
    resource: Uuid,
    is_forced: bool,
) -> Result<(), StoreError> {
    let resource_kind =
        sqlx::query_scalar!("select kind from cloud_resources where id = $1", resource)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or(StoreError::NotFound {
                entity: "resource",
                id: resource,
            })?;
    let of_line = sqlx::query!(
        "select kind, identified_kind from cloud_cost_lines where id = $1",
        line
    )
    .fetch_one(tx)
    .await?;
    if is_forced
        || fits(
            of_line.kind.as_deref(),
            of_line.identified_kind.as_deref(),
            &resource_kind,
        )
    {
        return Ok(());
    }
    Err(StoreError::KindMismatch {
        id: line,
        line_kind: of_line.kind.or(of_line.identified_kind).unwrap_or_default(),
        resource_kind,
    })
}

async fn must_be_invoiced(tx: &mut sqlx::PgConnection, line: Uuid) -> Result<(), StoreError> {
    let is_estimate = sqlx::query_scalar!(
        r#"select estimate_id is not null as "is_estimate!" from cloud_cost_lines where id = $1"#,
        line
    )
    .fetch_optional(tx)
    .await?;
    match is_estimate {
        Some(false) => Ok(()),
        // The line of the invoice will have a different id, so the override would be lost.
        Some(true) => Err(StoreError::Estimated { id: line }),
        None => Err(StoreError::NotFound {
            entity: "cost line",
            id: line,
        }),
    }
}
