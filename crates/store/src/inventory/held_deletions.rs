//! What holds strikes back: a listing that would tombstone much at once tombstones nothing until an operator says so.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::intervals;
use super::rows::{Gone, Writing};
use crate::invoices::matching::{self, RematchTrigger};
use crate::listings::{ListingFacts, STRIKES, mark_held, now};
use crate::locks::{self, Lock};
use crate::{Run, Store, StoreError};

/// Queries held deletions: the one list of the columns of [`HeldDeletion`].
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

/// A complete listing that lacks so much that nothing was deleted for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldDeletion {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schema(example = "droplet"))]
    pub kind: String,
    /// `pending`; `approved` or `rejected` by an operator; `superseded` by a later listing that saw
    /// enough again.
    pub state: String,
    /// How many resources would have been deleted.
    pub would_delete: i32,
    /// How many of the kind were live then.
    pub live: i32,
    pub held_at: DateTime<Utc>,
    /// The name of the access token by which it was decided, or who said so in Temporal.
    pub decided_by: Option<String>,
    pub decided_at: Option<DateTime<Utc>>,
    /// How many the decision deleted.
    pub deleted: Option<i32>,
}

/// A resource that would be deleted, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldResource {
    pub id: Uuid,
    /// DigitalOcean's id of it.
    pub provider_id: String,
    pub name: String,
    pub tenant_id: Option<String>,
    /// A resource that was seen again after the listing is not deleted, even if the deletion is approved.
    pub last_seen_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Writes down what would be tombstoned. One hold a kind waits at a time; a later listing that comes to the same renews it.
pub(super) async fn hold(
    tx: &mut PgConnection,
    writing: Writing<'_>,
    facts: &ListingFacts,
    listing: Uuid,
    (doomed, live): (i64, i64),
) -> Result<(), StoreError> {
    let kind = writing.kind.as_str();
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
        writing.at,
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
        writing.at,
        hold,
        writing.is_partial(),
    )
    .execute(&mut *tx)
    .await?;
    let reason = format!(
        "it would tombstone {doomed} of {live}, more than {} rows and {} percent: approve or reject the hold {hold}",
        facts.rules.guard.rows, facts.rules.guard.percent
    );
    tracing::warn!(kind, doomed, live, %hold, "deletions are held for an operator");
    mark_held(tx, kind, listing, &reason).await
}

/// A complete listing that needs no hold ends the one that waits: so much came back that the rest is no mass deletion.
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

/// The hold of a kind that waits for an operator.
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

/// What an operator says of held deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// They are gone: tombstone them.
    Approve,
    /// They are not: it takes three more listings to ask again.
    Reject,
}

impl Store {
    /// Holds, those that wait first, then the newest.
    pub async fn held_deletions(&self, limit: i64) -> Result<Vec<HeldDeletion>, StoreError> {
        let held =
            query_held_deletions!("order by state <> 'pending', held_at desc limit $1", limit,)
                .fetch_all(&self.pool)
                .await?;
        Ok(held)
    }

    /// One hold.
    pub async fn held_deletion(&self, id: Uuid) -> Result<HeldDeletion, StoreError> {
        one(&self.pool, id).await
    }

    /// The resources that a hold is about, by name.
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

    /// Carries out what an operator says of a hold. Only what no listing has seen since is tombstoned. A hold that is decided stays
    /// as it is: the same word again changes nothing, another one is a [`StoreError::Decided`].
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
        // By the same connection: a transaction that waits for another one could wait for ever.
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
        .ok_or(StoreError::NotFound { what: "hold", id })
}

async fn delete_held(
    tx: &mut PgConnection,
    hold: &HeldDeletion,
    at: DateTime<Utc>,
    decided_by: &str,
    run: Option<&Run>,
) -> Result<usize, StoreError> {
    let gone = sqlx::query_as!(
        Gone,
        "with gone as (
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
             from gone
         )
         select id, name from gone",
        hold.id,
        at,
        decided_by,
        run.map(|run| run.workflow_id.as_str()),
        run.map(|run| run.run_id.as_str()),
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = gone.iter().map(|gone| gone.id).collect();
    let learned = RematchTrigger {
        names: gone.iter().map(|gone| gone.name.to_lowercase()).collect(),
        discovered: Vec::new(),
    };
    intervals::follow_projects(tx, &ids, at).await?;
    matching::rematch(tx, &hold.kind, &learned, run).await?;
    Ok(gone.len())
}
