//! Overrides without a line: a correction removed the line, and no line certainly replaces it.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::effect::{Effect, Measured};
use super::overrides::{must_fit, store_override};
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::inventory::Commit;
use crate::locks::{self, Lock};
use crate::{Actor, Store, StoreError, usd};

/// Queries [`OrphanedOverride`]. The only list of its columns.
macro_rules! query_orphans {
    ($rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            OrphanedOverride,
            r#"select orphan.line_id as id, invoice.invoice_uuid, invoice.period, orphan.product,
                 orphan.group_description, orphan.description, orphan.start_at, orphan.end_at,
                 orphan.amount, orphan.resource_id, orphan.reason, orphan.set_by, orphan.set_at,
                 orphan.orphaned_at as "orphaned_at!",
                 array(
                     select line.id from cloud_cost_lines line
                     where line.invoice_id = orphan.invoice_id and line.product = orphan.product
                       and line.match_rule <> 'operator'
                       and ((line.group_description, line.description) = (orphan.group_description, orphan.description)
                           or line.item_resource_id = orphan.item_resource_id
                           or line.item_resource_uuid = orphan.item_resource_uuid)
                     order by line.line_no limit 20
                 ) as "candidates!"
             from cloud_cost_line_overrides orphan join cloud_invoices invoice on invoice.id = orphan.invoice_id
             where orphan.orphaned_at is not null "#
                + $rest
            $($arguments)*
        )
    };
}

/// An operator's match of a line that a correction of the invoice removed. It has no effect until
/// an operator applies it to another line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrphanedOverride {
    /// `id` of the removed line; another id if that is the id of a line for another item now.
    pub id: Uuid,
    /// `invoice_uuid` of the invoice.
    pub invoice_uuid: Uuid,
    /// The first of the month.
    pub period: NaiveDate,
    /// The product of the removed line.
    pub product: String,
    pub group_description: String,
    pub description: String,
    pub start_at: Option<DateTime<Utc>>,
    pub end_at: Option<DateTime<Utc>>,
    /// The amount of the line when the override was set or last moved.
    #[serde(serialize_with = "usd::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = usd::Usd))]
    pub amount: Decimal,
    /// The resource of the override; null if the line was set to be a shared cost.
    pub resource_id: Option<Uuid>,
    pub reason: Option<String>,
    /// The name of the access token that set the override.
    pub set_by: String,
    pub set_at: DateTime<Utc>,
    /// When a correction removed the line.
    pub orphaned_at: DateTime<Utc>,
    /// The `id` of lines of the invoice that may replace the removed one: those of its product with
    /// its description or its resource, and without an override; at most 20.
    pub candidates: Vec<Uuid>,
}

/// The cursor of a page of overrides without a line.
#[derive(Debug, Clone, Copy)]
pub struct AfterOrphan {
    pub period: NaiveDate,
    pub id: Uuid,
}

impl Store {
    /// Lists the overrides without a line, of a month or of all months, newest month first.
    pub async fn orphaned_overrides(
        &self,
        period: Option<NaiveDate>,
        after: Option<AfterOrphan>,
        limit: i64,
    ) -> Result<Vec<OrphanedOverride>, StoreError> {
        let orphans = query_orphans!(
            "and ($1::date is null or invoice.period = $1)
             and ($2::date is null or invoice.period < $2 or (invoice.period = $2 and orphan.line_id > $3))
             order by invoice.period desc, orphan.line_id limit $4",
            period,
            after.map(|after| after.period),
            after.map(|after| after.id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(orphans)
    }

    /// Returns the override of a removed line.
    pub async fn orphaned_override(&self, id: Uuid) -> Result<OrphanedOverride, StoreError> {
        orphan(&mut *self.pool.acquire().await?, id).await
    }

    /// Applies the override of a removed line to another line, and returns the costs that this
    /// moves between tenants. An override of that line is replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::KindMismatch`] if the kind of the resource cannot be that of the line, unless
    /// `is_forced`.
    pub async fn apply_orphan(
        &self,
        id: Uuid,
        line: Uuid,
        is_forced: bool,
        actor: &Actor,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        let mut change = self.begin_override(line, actor).await?;
        let tx = &mut change.tx;
        let orphan = orphan(tx, id).await?;
        if let Some(resource) = orphan.resource_id {
            must_fit(tx, line, resource, is_forced).await?;
        }
        let before = Effect::start(tx).await?;
        remove(tx, id).await?;
        let reason = actor.reason().or(orphan.reason.as_deref());
        store_override(tx, line, orphan.resource_id, reason, actor.name()).await?;
        change
            .measure(&before, Action::OrphanedOverrideApplied, actor, commit)
            .await
    }

    /// Deletes the override of a removed line, and returns it. Moves no costs.
    pub async fn dismiss_orphan(
        &self,
        id: Uuid,
        actor: &Actor,
        commit: Commit,
    ) -> Result<OrphanedOverride, StoreError> {
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::CostLines).await?;
        let orphan = orphan(&mut tx, id).await?;
        if commit == Commit::DryRun {
            return Ok(orphan);
        }
        remove(&mut tx, id).await?;
        let object = Object::new(ObjectType::CostLine, &id).named(&orphan.description);
        let act = Act::new(Action::OrphanedOverrideDismissed, object);
        let act = act
            .before(json!({ "override": audit::state(&orphan)? }))
            .after(json!({ "override": null }));
        audit::commit(tx, actor, act).await?;
        Ok(orphan)
    }
}

async fn orphan(connection: &mut PgConnection, id: Uuid) -> Result<OrphanedOverride, StoreError> {
    query_orphans!("and orphan.line_id = $1", id)
        .fetch_optional(connection)
        .await?
        .ok_or(StoreError::NotFound {
            entity: "override without a line",
            id,
        })
}

async fn remove(tx: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from cloud_cost_line_overrides where line_id = $1",
        id
    )
    .execute(tx)
    .await?;
    Ok(())
}
