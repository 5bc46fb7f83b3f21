//! Overrides: resources that operators set for single cost lines.

use chrono::{DateTime, Utc};
use domain::invoices::fits;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor, Postgres, Transaction};
use uuid::Uuid;

use super::effect::{Before, Effect, Measured};
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::inventory::Commit;
use crate::invoices::matching;
use crate::locks::{self, Lock};
use crate::{Actor, Store, StoreError};

/// An operator's match of a line to a resource. It takes precedence over all match rules and
/// remains after every ingest. If a correction changes the times of the line, it moves to the new
/// line, or becomes an [`super::OrphanedOverride`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Override {
    /// Null if the line is for no resource, so that it is a shared cost.
    pub resource_id: Option<Uuid>,
    pub reason: Option<String>,
    /// The name of the access token that set the override.
    pub set_by: String,
    pub set_at: DateTime<Utc>,
    /// When a correction of the invoice moved the override from an earlier line; null if it is for
    /// this line.
    pub moved_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Overrides the match of a line with a resource or with none, and returns the costs that this
    /// moves between tenants. The override remains after every ingest, see [`Override`]. The
    /// tenant of the line follows in the same transaction.
    ///
    /// # Errors
    ///
    /// [`StoreError::KindMismatch`] if the kind of the resource cannot be that of the line
    /// ([`domain::invoices::fits`]), unless `is_forced`.
    pub async fn override_match(
        &self,
        line: Uuid,
        resource: Option<Uuid>,
        is_forced: bool,
        actor: &Actor,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        let mut change = self.begin_override(line, actor).await?;
        let tx = &mut change.tx;
        if let Some(resource) = resource {
            must_fit(tx, line, resource, is_forced).await?;
        }
        let before = Effect::start(tx).await?;
        store_override(tx, line, resource, actor.reason(), actor.name()).await?;
        change
            .measure(&before, Action::CostLineMatchOverridden, actor, commit)
            .await
    }

    /// Deletes the override of a line and rematches the line. Returns the costs that this moves
    /// between tenants.
    pub async fn withdraw_override(
        &self,
        line: Uuid,
        actor: &Actor,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        let mut change = self.begin_override(line, actor).await?;
        let tx = &mut change.tx;
        let before = Effect::start(tx).await?;
        sqlx::query!(
            "delete from cloud_cost_line_overrides where line_id = $1",
            line
        )
        .execute(&mut **tx)
        .await?;
        change
            .measure(&before, Action::CostLineMatchWithdrawn, actor, commit)
            .await
    }

    pub(super) async fn begin_override(
        &self,
        line: Uuid,
        actor: &Actor,
    ) -> Result<LineTransaction, StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::CostLines).await?;
        matching::set_cause(&mut tx, "operator", Some(actor.name()), None).await?;
        let description = must_be_invoiced(&mut tx, line).await?;
        Ok(LineTransaction {
            object: Object::new(ObjectType::CostLine, &line).named(description),
            line,
            before: audited(&mut tx, line).await?,
            tx,
        })
    }

    /// Returns the override of a line, if there is one.
    pub async fn override_of(&self, line: Uuid) -> Result<Option<Override>, StoreError> {
        override_of(&self.pool, line).await
    }
}

/// Stores the override of a line, with the text of the line.
pub(super) async fn store_override(
    tx: &mut PgConnection,
    line: Uuid,
    resource: Option<Uuid>,
    reason: Option<&str>,
    set_by: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cloud_cost_line_overrides (line_id, resource_id, reason, set_by, set_at, invoice_id, product, group_description,
             description, item_resource_id, item_resource_uuid, start_at, end_at, amount)
         select id, $2, $3, $4, now(), invoice_id, product, group_description, description, item_resource_id, item_resource_uuid,
             start_at, end_at, amount
         from cloud_cost_lines where id = $1
         on conflict (line_id) do update set
             resource_id = excluded.resource_id, reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at,
             item_resource_id = excluded.item_resource_id, item_resource_uuid = excluded.item_resource_uuid,
             amount = excluded.amount, moved_from = null, moved_at = null, orphaned_at = null",
        line,
        resource,
        reason,
        set_by,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The transaction of a change of one line.
pub(super) struct LineTransaction {
    pub(super) tx: Transaction<'static, Postgres>,
    line: Uuid,
    object: Object,
    /// The override before the change.
    before: Value,
}

impl LineTransaction {
    /// Rematches the line, ends the transaction, and returns the costs that the change moves.
    pub(super) async fn measure(
        mut self,
        before: &Before,
        action: Action,
        actor: &Actor,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        matching::rematch_lines(&mut self.tx, &[self.line]).await?;
        let effect = before.until_now(&mut self.tx).await?;
        self.end(action, actor, commit).await?;
        Ok(Measured::of(effect))
    }

    async fn end(
        mut self,
        action: Action,
        actor: &Actor,
        commit: Commit,
    ) -> Result<(), StoreError> {
        match commit {
            Commit::Keep => {
                let after = audited(&mut self.tx, self.line).await?;
                let act = Act::new(action, self.object).before(self.before);
                audit::commit(self.tx, actor, act.after(after)).await
            }
            Commit::DryRun => Ok(self.tx.rollback().await?),
        }
    }
}

async fn override_of(
    executor: impl PgExecutor<'_>,
    line: Uuid,
) -> Result<Option<Override>, StoreError> {
    let found = sqlx::query_as!(
        Override,
        "select resource_id, reason, set_by, set_at, moved_at from cloud_cost_line_overrides where line_id = $1",
        line
    )
    .fetch_optional(executor)
    .await?;
    Ok(found)
}

/// Returns the override of a line for the audit.
async fn audited(tx: &mut PgConnection, line: Uuid) -> Result<Value, StoreError> {
    let found = override_of(tx, line).await?;
    Ok(json!({ "override": audit::state(&found)? }))
}

pub(super) async fn must_fit(
    tx: &mut PgConnection,
    line: Uuid,
    resource: Uuid,
    is_forced: bool,
) -> Result<(), StoreError> {
    let resource_kind = sqlx::query_scalar!(
        "select kind from cloud_resource_rows where id = $1",
        resource
    )
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

/// Fails unless the line belongs to an invoice. Returns its description.
async fn must_be_invoiced(tx: &mut PgConnection, line: Uuid) -> Result<String, StoreError> {
    let found = sqlx::query!(
        r#"select description, estimate_id is not null as "is_estimate!" from cloud_cost_lines where id = $1"#,
        line
    )
    .fetch_optional(tx)
    .await?
    .ok_or(StoreError::NotFound {
        entity: "cost line",
        id: line,
    })?;
    if found.is_estimate {
        // The line of the invoice will have a different id, so the override would be lost.
        return Err(StoreError::Estimated { id: line });
    }
    Ok(found.description)
}
