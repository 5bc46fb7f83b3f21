//! Held deletions: a listing that would delete many resources or projects at once deletes none
//! until an operator decides.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use domain::fold_case;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::intervals;
use super::rows::{DeletedResource, SweepContext};
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::invoices::matching::{self, RematchTrigger};
use crate::listings::{ListingFacts, PROJECT, STRIKES, mark_held, now};
use crate::locks::{self, Lock};
use crate::projects::held;
use crate::{Actor, Store, StoreError};

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

/// A complete listing that lacks so many resources, or projects, that their deletion was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldDeletion {
    pub id: Uuid,
    /// A kind of resources, or `project`.
    #[cfg_attr(feature = "openapi", schema(example = "droplet"))]
    pub kind: String,
    /// `pending`; `approved` or `rejected` by an operator; `superseded` by a later listing with few
    /// enough missing resources, or with others only.
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

/// A resource, or a project, of a held deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldResource {
    pub id: Uuid,
    /// The id at DigitalOcean.
    pub provider_id: String,
    pub name: String,
    pub tenant_id: Option<String>,
    /// A resource that was observed after the listing is not deleted, even if the deletion is
    /// approved.
    pub last_seen_at: DateTime<Utc>,
    pub deleted_at: Option<DateTime<Utc>>,
}

/// The rows of a kind that a listing would delete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss<'a> {
    pub(crate) kind: &'a str,
    pub(crate) listing: Uuid,
    pub(crate) doomed: i64,
    pub(crate) live: i64,
}

/// Stores a held deletion, without its rows, and returns its id. Each kind has at most one pending
/// held deletion. If `remaining` of its rows are still missing, updates it and returns `None`: a
/// decision is about the rows that were shown, and further ones wait until it is made.
pub(crate) async fn open(
    tx: &mut PgConnection,
    rows: Loss<'_>,
    remaining: i64,
    facts: &ListingFacts,
    at: DateTime<Utc>,
) -> Result<Option<Uuid>, StoreError> {
    let Loss {
        kind,
        listing,
        doomed,
        live,
    } = rows;
    let count = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    let (hold, would_delete) = if remaining > 0 {
        let pending = sqlx::query_scalar!(
            "update cloud_held_deletions set listing_id = $2, listing_started_at = $3, would_delete = $4, live = $5
             where provider = 'digitalocean' and kind = $1 and state = 'pending' returning id",
            kind,
            listing,
            facts.evidence.began_at,
            count(remaining),
            count(live),
        )
        .fetch_one(&mut *tx)
        .await?;
        (pending, remaining)
    } else {
        supersede(tx, kind, at).await?;
        let new = sqlx::query_scalar!(
            "insert into cloud_held_deletions (kind, listing_id, listing_started_at, would_delete, live, held_at)
             values ($1, $2, $3, $4, $5, $6) returning id",
            kind,
            listing,
            facts.evidence.began_at,
            count(doomed),
            count(live),
            at,
        )
        .fetch_one(&mut *tx)
        .await?;
        (new, doomed)
    };
    let guard = facts.rules.guard;
    let limit = if guard.is_exceeded(doomed, live) {
        format!("more than {} and {} percent", guard.rows, guard.percent)
    } else {
        "all that can be deleted".to_owned()
    };
    let mut reason = format!(
        "it would delete {would_delete} of {live} rows of kind {kind}, {limit}: approve or reject the held deletion {hold}"
    );
    if doomed > would_delete {
        let _ = write!(
            reason,
            "; {} further rows wait for that",
            doomed - would_delete
        );
    }
    // Not a warning, because the mirror works as designed: status, metrics and pages report it.
    tracing::info!(kind, doomed, live, %hold, "deletions are held for an operator's decision");
    mark_held(tx, kind, listing, &reason).await?;
    Ok((remaining == 0).then_some(hold))
}

/// Stores a held deletion and its resources, or releases the resources that are observed again from
/// the pending one.
pub(super) async fn hold(
    tx: &mut PgConnection,
    context: SweepContext<'_>,
    facts: &ListingFacts,
    rows: Loss<'_>,
) -> Result<(), StoreError> {
    let doomed: Vec<Uuid> = sqlx::query_scalar!(
        r#"select id as "id!" from cloud_resources
           where provider = 'digitalocean' and kind = $1 and deleted_at is null and last_seen_at < $2
             and stale_strike_count + 1 >= $4
             and (last_struck_at is null or last_struck_at <= $3)
             and not ($5 and attrs <> '{}')"#,
        rows.kind,
        facts.evidence.began_at,
        context.apart_from,
        STRIKES,
        context.is_partial(),
    )
    .fetch_all(&mut *tx)
    .await?;
    let remaining = sqlx::query_scalar!(
        r#"with held as (
               select held.hold_id, held.resource_id, held.resource_id = any($2) as is_doomed
               from cloud_held_deletions hold join cloud_held_resources held on held.hold_id = hold.id
               where hold.provider = 'digitalocean' and hold.kind = $1 and hold.state = 'pending'
           ), released as (
               delete from cloud_held_resources released using held
               where released.hold_id = held.hold_id and released.resource_id = held.resource_id and not held.is_doomed
           )
           select count(*) as "remaining!" from held where is_doomed"#,
        rows.kind,
        &doomed,
    )
    .fetch_one(&mut *tx)
    .await?;
    if let Some(hold) = open(tx, rows, remaining, facts, context.at).await? {
        sqlx::query!(
            "insert into cloud_held_resources (hold_id, resource_id) select $1, unnest($2::uuid[])",
            hold,
            &doomed,
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Supersedes the pending held deletion of a kind, after a complete listing that needs none.
pub(crate) async fn supersede(
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
pub(crate) async fn pending(
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

/// Lists the held deletions that await a decision, latest first.
pub(crate) async fn all_pending(
    executor: impl PgExecutor<'_>,
) -> Result<Vec<HeldDeletion>, StoreError> {
    let held = query_held_deletions!("where state = 'pending' order by held_at desc, id",)
        .fetch_all(executor)
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

    /// Lists the resources, or projects, of a held deletion by name.
    pub async fn held_resources(
        &self,
        hold: Uuid,
        after: Option<(&str, Uuid)>,
        limit: i64,
    ) -> Result<Vec<HeldResource>, StoreError> {
        let resources = sqlx::query_as!(
            HeldResource,
            r#"select id as "id!", provider_id as "provider_id!", name as "name!", tenant_id,
                 last_seen_at as "last_seen_at!", deleted_at
             from (
                 select r.id, r.provider_id, r.name, r.tenant_id, r.last_seen_at, r.deleted_at
                 from cloud_held_resources h join cloud_resources r on r.id = h.resource_id
                 where h.hold_id = $1
                 union all
                 select p.id, p.provider_id, p.name, p.tenant_id, p.last_seen_at, p.deleted_at
                 from cloud_held_projects h join cloud_projects p on p.id = h.cloud_project_id
                 where h.hold_id = $1
             ) held
             where $2::text is null or (name, id) > ($2, $3)
             order by name, id limit $4"#,
            hold,
            after.map(|(name, _)| name),
            after.map(|(_, id)| id),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(resources)
    }

    /// Stores and executes an operator's decision. Deletes only rows that no listing has observed
    /// since. Repeating a decision changes nothing; a different decision fails with
    /// [`StoreError::Decided`].
    pub async fn decide_held_deletion(
        &self,
        id: Uuid,
        decision: Decision,
        actor: &Actor,
    ) -> Result<HeldDeletion, StoreError> {
        let kind = self.held_deletion(id).await?.kind;
        let mut tx = self.pool.begin().await?;
        locks::share(&mut tx, Lock::Inventory).await?;
        locks::acquire(&mut tx, Lock::Listing(&kind)).await?;
        let at = now(&mut tx).await?;
        // Uses the connection of the transaction: waiting for another connection while holding one
        // can deadlock the pool.
        let hold = one(&mut *tx, id).await?;
        let (state, action) = match decision {
            Decision::Approve => ("approved", Action::HeldDeletionApproved),
            Decision::Reject => ("rejected", Action::HeldDeletionRejected),
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
            Decision::Approve if kind == PROJECT => held::delete(&mut tx, id, at, actor).await?,
            Decision::Approve => delete_held(&mut tx, &hold, at, actor).await?,
            Decision::Reject if kind == PROJECT => {
                held::keep(&mut tx, id).await?;
                0
            }
            Decision::Reject => {
                sqlx::query!(
                    "update cloud_resource_rows r set stale_strike_count = 0, last_struck_at = null
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
            actor.name(),
            at,
            i32::try_from(deleted).unwrap_or(i32::MAX),
        )
        .execute(&mut *tx)
        .await?;
        let decided = one(&mut *tx, id).await?;
        let object = Object::new(ObjectType::HeldDeletion, &id).named(kind);
        let act = Act::new(action, object).before(audited(&hold));
        audit::commit(tx, actor, act.after(audited(&decided))).await?;
        Ok(decided)
    }
}

/// Returns the state of a held deletion for the audit.
fn audited(hold: &HeldDeletion) -> Value {
    json!({ "state": hold.state, "would_delete": hold.would_delete, "deleted": hold.deleted })
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
    actor: &Actor,
) -> Result<usize, StoreError> {
    let run = actor.run();
    let deleted = sqlx::query_as!(
        DeletedResource,
        "with deleted as (
             update cloud_resource_rows r set
                 stale_strike_count = r.stale_strike_count + 1, last_struck_at = $2, deleted_at = $2,
                 seen_before_deletion_at = missing.last_seen_at, sighting_id = null
             from cloud_held_resources h
             join cloud_held_deletions d on d.id = h.hold_id
             join cloud_resources missing on missing.id = h.resource_id
             where h.hold_id = $1 and r.id = missing.id and missing.deleted_at is null
               and missing.last_seen_at < d.listing_started_at
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
        actor.name(),
        run.map(|run| run.workflow_id.as_str()),
        run.map(|run| run.run_id.as_str()),
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = deleted.iter().map(|resource| resource.id).collect();
    let trigger = RematchTrigger {
        names: deleted
            .iter()
            .map(|resource| fold_case(&resource.name))
            .collect(),
        discovered: Vec::new(),
    };
    intervals::follow_projects(tx, &ids, at).await?;
    matching::rematch(tx, &hold.kind, &trigger, run).await?;
    Ok(deleted.len())
}
