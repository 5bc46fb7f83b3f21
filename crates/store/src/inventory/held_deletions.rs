//! Held deletions: a listing that would delete many resources at once deletes none until an
//! operator decides.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::intervals;
use super::rows::{DeletedResource, SweepContext};
use crate::invoices::matching::{self, RematchTrigger};
use crate::listings::{ListingFacts, STRIKES, mark_held, now};
use crate::locks::{self, Lock};
use crate::{Run, Store, StoreError};

/// Queries [`HeldDeletion`]. The only list of its columns.
macro_rules! query_held_deletions {
    ($rest:tt $($arguments:tt)*) => {
        sqlx::query_as!(
            HeldDeletion,
            "select id, kind, state, would_delete, live, held_at, decided_by, decided_at, deleted
             from cloud_held_deletions "
                + $rest
            $($arguments)*
        )
    };
}

/// A complete listing that lacks so many resources that their deletion was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldDeletion {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(example = "droplet"))]
    pub kind: String,
    /// `pending`; `approved` or `rejected` by an operator; `superseded` by a later listing with few
    /// enough missing resources.
    pub state: String,
    /// The number of resources that would have been deleted.
    pub would_delete: i32,
    /// The number of live resources of the kind at that time.
    pub live: i32,
    pub held_at: DateTime<Utc>,
    /// The name of the access token, or the name sent to Temporal, of the operator who decided.
    pub decided_by: Option<String>,
    pub decided_at: Option<DateTime<Utc>>,
    /// The number of resources that the decision deleted.
    pub deleted: Option<i32>,
}

/// A resource of a held deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldResource {
    pub id: Uuid,
    /// The resource's id at DigitalOcean.
    pub provider_id: String,
    pub name: String,
    pub tenant_id: Option<String>,
    /// A resource that was observed after the listing is not deleted, even if the deletion is
    /// approved.
    pub last_seen_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Stores the held deletion and its resources. Each kind has at most one pending held deletion; a
/// later listing that would also delete too many updates it.
pub(super) async fn hold(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    facts: &ListingFacts,
    listing: Uuid,
    (doomed, live): (i64, i64),
) -> Result<(), StoreError> {
    let kind = context.kind.as_str();
    let count = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    let hold = sqlx::query_scalar!(
        "insert into cloud_held_deletions (kind, listing_id, listing_started_at, would_delete, live, held_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (provider, kind) where state = 'pending' do update set
             listing_id = excluded.listing_id, listing_started_at = excluded.listing_started_at,
             would_delete = excluded.would_delete, live = excluded.live
         returning id",
        kind,
        listing,
        facts.started_at,
        count(doomed),
        count(live),
        context.at,
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!("delete from cloud_held_resources where hold_id = $1", hold)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "insert into cloud_held_resources (hold_id, resource_id)
         select $6, id from cloud_resources
         where provider = 'digitalocean' and kind = $1 and deleted_at is null and last_seen_at < $2
           and stale_strike_count + 1 >= $4
           and (last_struck_at is null or last_struck_at <= $5::timestamptz - make_interval(secs => $3))
           and not ($7 and attrs <> '{}')",
        kind,
        facts.started_at,
        facts.strike_seconds(),
        STRIKES,
        context.at,
        hold,
        context.is_partial(),
    )
    .execute(&mut *tx)
    .await?;
    let reason = format!(
        "it would delete {doomed} of {live} resources, more than {} and {} percent: approve or reject the held deletion {hold}",
        facts.rules.guard.rows, facts.rules.guard.percent
    );
    tracing::warn!(kind, doomed, live, %hold, "deletions are held for an operator's decision");
    mark_held(tx, kind, listing, &reason).await
}

/// Supersedes the pending held deletion of a kind, after a complete listing that needs none.
pub(super) async fn supersede(
    tx: &mut PgConnection,
    kind: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update cloud_held_deletions set state = 'superseded', decided_at = $2
         where provider = 'digitalocean' and kind = $1 and state = 'pending'",
        kind,
        at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the pending held deletion of a kind.
pub(super) async fn pending(
    tx: &mut PgConnection,
    kind: &str,
) -> Result<Option<HeldDeletion>, StoreError> {
    let held = query_held_deletions!(
        "where provider = 'digitalocean' and kind = $1 and state = 'pending'",
        kind,
    )
    .fetch_optional(tx)
    .await?;
    Ok(held)
}

/// An operator's decision on a held deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The resources were deleted: mark them as deleted.
    Approve,
    /// The resources still exist: reset their strikes. Three more listings without them would hold
    /// the deletions again.
    Reject,
}

impl Store {
    /// Lists held deletions, pending ones first, then latest first.
    pub async fn held_deletions(&self, limit: i64) -> Result<Vec<HeldDeletion>, StoreError> {
        let held =
            query_held_deletions!("order by state <> 'pending', held_at desc limit $1", limit,)
                .fetch_all(&self.pool)
                .await?;
        Ok(held)
    }

    /// Returns a held deletion.
    pub async fn held_deletion(&self, id: Uuid) -> Result<HeldDeletion, StoreError> {
        one(&self.pool, id).await
    }

    /// Lists the resources of a held deletion by name.
    pub async fn held_resources(
        &self,
        hold: Uuid,
        after: Option<(&str, Uuid)>,
        limit: i64,
    ) -> Result<Vec<HeldResource>, StoreError> {
        let resources = sqlx::query_as!(
            HeldResource,
            "select r.id, r.provider_id, r.name, r.tenant_id, r.last_seen_at, r.deleted_at
             from cloud_held_resources h
             join cloud_resources r on r.id = h.resource_id
             where h.hold_id = $1 and ($2::text is null or (r.name, r.id) > ($2, $3))
             order by r.name, r.id limit $4",
            hold,
            after.map(|(name, _)| name),
            after.map(|(_, id)| id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(resources)
    }

    /// Stores and executes an operator's decision. Deletes only resources that no listing has
    /// observed since. Repeating a decision changes nothing; a different decision fails with
    /// [`StoreError::Decided`].
    pub async fn decide_held_deletion(
        &self,
        id: Uuid,
        decision: Decision,
        decided_by: &str,
        run: Option<&Run>,
    ) -> Result<HeldDeletion, StoreError> {
        let kind = self.held_deletion(id).await?.kind;
        let mut tx = self.pool.begin().await?;
        locks::share(&mut tx, Lock::Inventory).await?;
        locks::acquire(&mut tx, Lock::Listing(&kind)).await?;
        let at = now(&mut tx).await?;
        // Uses the connection of the transaction: waiting for another connection while holding one
        // can deadlock the pool.
        let hold = one(&mut *tx, id).await?;
        let state = match decision {
            Decision::Approve => "approved",
            Decision::Reject => "rejected",
        };
        if hold.state != "pending" {
            return if hold.state == state {
                Ok(hold)
            } else {
                Err(StoreError::Decided {
                    id,
                    state: hold.state,
                })
            };
        }
        let deleted = match decision {
            Decision::Approve => delete_held(&mut tx, &hold, at, decided_by, run).await?,
            Decision::Reject => {
                sqlx::query!(
                    "update cloud_resources r set stale_strike_count = 0, last_struck_at = null
                     from cloud_held_resources h where h.hold_id = $1 and r.id = h.resource_id and r.deleted_at is null",
                    id,
                )
                .execute(&mut *tx)
                .await?;
                0
            }
        };
        sqlx::query!(
            "update cloud_held_deletions set state = $2, decided_by = $3, decided_at = $4, deleted = $5 where id = $1",
            id,
            state,
            decided_by,
            at,
            i32::try_from(deleted).unwrap_or(i32::MAX),
        )
        .execute(&mut *tx)
        .await?;
        let hold = one(&mut *tx, id).await?;
        tx.commit().await?;
        Ok(hold)
    }
}

async fn one(executor: impl PgExecutor<'_>, id: Uuid) -> Result<HeldDeletion, StoreError> {
    query_held_deletions!("where id = $1", id,)
        .fetch_optional(executor)
        .await?
        .ok_or(StoreError::NotFound {
            entity: "held deletion",
            id,
        })
}

async fn delete_held(
    tx: &mut PgConnection,
    hold: &HeldDeletion,
    at: DateTime<Utc>,
    decided_by: &str,
    run: Option<&Run>,
) -> Result<usize, StoreError> {
    let deleted = sqlx::query_as!(
        DeletedResource,
        "with deleted as (
             update cloud_resources r set
                 stale_strike_count = stale_strike_count + 1, last_struck_at = $2, deleted_at = $2
             from cloud_held_resources h
             join cloud_held_deletions d on d.id = h.hold_id
             where h.hold_id = $1 and r.id = h.resource_id and r.deleted_at is null
               and r.last_seen_at < d.listing_started_at
             returning r.id, r.name
         ), noted as (
             insert into cloud_resource_events (resource_id, event, changes, occurred_at, workflow_id, run_id)
             select id, 'deleted', jsonb_build_object(
                 'deleted_at', jsonb_build_object('before', null, 'after', $2::timestamptz),
                 'approved_by', jsonb_build_object('before', null, 'after', $3::text)), $2, $4, $5
             from deleted
         )
         select id, name from deleted",
        hold.id,
        at,
        decided_by,
        run.map(|run| run.workflow_id.as_str()),
        run.map(|run| run.run_id.as_str()),
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = deleted.iter().map(|resource| resource.id).collect();
    let trigger = RematchTrigger {
        names: deleted
            .iter()
            .map(|resource| resource.name.to_lowercase())
            .collect(),
        discovered: Vec::new(),
    };
    intervals::follow_projects(tx, &ids, at).await?;
    matching::rematch(tx, &hold.kind, &trigger, run).await?;
    Ok(deleted.len())
}
