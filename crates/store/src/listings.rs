//! The record of each listing, which is the evidence for its strikes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::Completeness;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// The number of strikes, each by a different complete listing, that marks a row as deleted (our
/// rule).
pub(crate) const STRIKES: i32 = 3;

/// The Temporal workflow run on behalf of which rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub workflow_id: String,
    pub run_id: String,
}

/// When a listing counts strikes, and how many deletions it may make at once (our rules).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The minimum time between two strikes of a row.
    pub strike_interval: Duration,
    pub guard: Guard,
}

/// The limits of one listing's deletions. A complete listing that would exceed both deletes
/// nothing; its deletions are held for an operator's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// In percent of the kind's live resources.
    pub percent: u8,
    pub rows: u32,
}

impl Guard {
    /// Holds every deletion for an operator's decision.
    pub(crate) const NOTHING: Self = Self {
        percent: 0,
        rows: 0,
    };

    /// Returns true if deleting `doomed` of `live` rows exceeds both limits.
    pub(crate) fn holds(self, doomed: i64, live: i64) -> bool {
        doomed > i64::from(self.rows) && doomed * 100 > live * i64::from(self.percent)
    }
}

impl Default for Guard {
    /// 20 percent and 10 rows.
    fn default() -> Self {
        Self {
            percent: 20,
            rows: 10,
        }
    }
}

/// The result of a listing, apart from the resources that it observed.
#[derive(Debug, Clone)]
pub struct ListingFacts {
    /// The time of the database's clock ([`crate::Store::now`]) before the first request.
    pub started_at: DateTime<Utc>,
    pub completeness: Completeness,
    /// The category of the reason if the listing is not complete; otherwise unused.
    pub shortfall: Shortfall,
    /// The total that DigitalOcean reports, if it does.
    pub total: Option<u64>,
    /// The number of requests to DigitalOcean.
    pub requests: u32,
    pub rules: Rules,
    pub run: Run,
}

/// Why a listing is not complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shortfall {
    /// The pages contradict each other, or an item cannot be parsed.
    #[default]
    Incomplete,
    /// The token lacks the scope to read the list, or the API does not know the path.
    NotReadable,
    /// DigitalOcean rejects the token: it is invalid, expired, revoked or of another team.
    Unauthorized,
    /// Any other failure.
    Failed,
}

impl ListingFacts {
    pub(crate) fn strike_seconds(&self) -> f64 {
        self.rules.strike_interval.as_secs_f64()
    }

    fn state(&self) -> &'static str {
        match (&self.completeness, self.shortfall) {
            (Completeness::Complete, _) => "complete",
            (_, Shortfall::Incomplete) => "incomplete",
            (_, Shortfall::NotReadable) => "not_readable",
            (_, Shortfall::Unauthorized) => "unauthorized",
            (_, Shortfall::Failed) => "failed",
        }
    }
}

/// Returns the time of the database's clock. Called under a lock, so that of two transactions that
/// write the same rows the later one has the later time. Histories are ordered by this time.
pub(crate) async fn now(tx: &mut PgConnection) -> Result<DateTime<Utc>, StoreError> {
    let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
        .fetch_one(tx)
        .await?;
    Ok(now)
}

/// A recorded listing.
pub(crate) struct Recorded {
    pub(crate) id: Uuid,
    /// True if the listing is complete and no earlier listing of this run and kind counted strikes.
    /// A retried activity lists again in the same run and so never counts a strike twice.
    pub(crate) may_strike: bool,
}

/// Records a listing and updates the freshness of its kind.
pub(crate) async fn record(
    tx: &mut PgConnection,
    kind: &str,
    facts: &ListingFacts,
    items: usize,
) -> Result<Recorded, StoreError> {
    let is_complete = facts.completeness.is_complete();
    let items = i32::try_from(items).unwrap_or(i32::MAX);
    let requests = i32::try_from(facts.requests).unwrap_or(i32::MAX);
    let row = sqlx::query!(
        r#"
        with before as (
            select has_struck from cloud_listings where run_id = $3 and kind = $1
        )
        insert into cloud_listings
            (kind, workflow_id, run_id, started_at, finished_at, complete, reason, items, total, requests, has_struck, state)
        values ($1, $2, $3, $4, clock_timestamp(), $5, $6, $7, $8, $9, $5, $10)
        on conflict (run_id, kind) do update set
            started_at = excluded.started_at,
            finished_at = excluded.finished_at,
            complete = excluded.complete,
            reason = excluded.reason,
            items = excluded.items,
            total = excluded.total,
            requests = excluded.requests,
            has_struck = cloud_listings.has_struck or excluded.has_struck,
            state = excluded.state
        returning id, coalesce((select has_struck from before), false) as "has_struck_before!"
        "#,
        kind,
        facts.run.workflow_id,
        facts.run.run_id,
        facts.started_at,
        is_complete,
        facts.completeness.reason(),
        items,
        facts.total.and_then(|total| i64::try_from(total).ok()),
        requests,
        facts.state(),
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_kind_freshness as f
             (kind, last_complete_at, last_attempt_at, last_state, last_reason, last_items, last_requests, last_workflow_id,
              last_run_id)
         values ($1, case when $2 then $3::timestamptz end, $3, $4, $5, $6, $7, $8, $9)
         on conflict (provider, kind) do update set
             last_complete_at = greatest(f.last_complete_at, excluded.last_complete_at),
             last_attempt_at = excluded.last_attempt_at,
             last_state = excluded.last_state,
             last_reason = excluded.last_reason,
             last_items = excluded.last_items,
             last_requests = excluded.last_requests,
             last_workflow_id = excluded.last_workflow_id,
             last_run_id = excluded.last_run_id
         where f.last_attempt_at <= excluded.last_attempt_at",
        kind,
        is_complete,
        facts.started_at,
        facts.state(),
        facts.completeness.reason(),
        items,
        requests,
        facts.run.workflow_id,
        facts.run.run_id,
    )
    .execute(tx)
    .await?;
    Ok(Recorded {
        id: row.id,
        may_strike: is_complete && !row.has_struck_before,
    })
}

/// Stores why the sources of a kind are known to be incomplete, or `None`, and returns true if the
/// reason changed. A listing that began before the latest one changes nothing.
pub(crate) async fn note_partial(
    tx: &mut PgConnection,
    kind: &str,
    facts: &ListingFacts,
    reason: Option<&str>,
) -> Result<bool, StoreError> {
    let changed = sqlx::query!(
        "update cloud_kind_freshness set partial_reason = $3
         where provider = 'digitalocean' and kind = $1 and last_attempt_at <= $2 and partial_reason is distinct from $3",
        kind,
        facts.started_at,
        reason,
    )
    .execute(tx)
    .await?
    .rows_affected();
    Ok(changed > 0)
}

/// Records that the deletions of a listing await an operator's decision.
pub(crate) async fn mark_held(
    tx: &mut PgConnection,
    kind: &str,
    listing: Uuid,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with held as (update cloud_listings set state = 'held', reason = $3 where id = $2)
         update cloud_kind_freshness set last_state = 'held', last_reason = $3
         where kind = $1 and last_run_id = (select run_id from cloud_listings where id = $2)",
        kind,
        listing,
        reason,
    )
    .execute(tx)
    .await?;
    Ok(())
}
