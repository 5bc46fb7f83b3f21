//! The record of each listing, which is the evidence for its strikes.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Completeness;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Evidence, StoreError};

/// The number of strikes, each by a different complete listing, that marks a row as deleted (our
/// rule).
pub(crate) const STRIKES: i32 = 3;

/// The kind of listings of projects.
pub(crate) const PROJECT: &str = "project";

/// The Temporal workflow run on behalf of which rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub workflow_id: String,
    pub run_id: String,
}

/// When a listing counts strikes, and how many deletions it may make at once (our rules).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The minimum time between two strikes of a row: from the end of one listing to the beginning
    /// of the next.
    pub strike_interval: Duration,
    pub guard: Guard,
}

impl Rules {
    /// Returns the latest end of an earlier listing from which one that began at `began_at` is
    /// apart.
    pub(crate) fn apart_from(&self, began_at: DateTime<Utc>) -> DateTime<Utc> {
        let interval = TimeDelta::from_std(self.strike_interval).unwrap_or(TimeDelta::MAX);
        let end = began_at.checked_sub_signed(interval);
        end.unwrap_or(DateTime::UNIX_EPOCH)
    }
}

/// The limits of one listing's deletions. A complete listing that would exceed both, or delete all
/// rows of a kind, deletes nothing; its deletions are held for an operator's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// In percent of the kind's live resources.
    pub percent: u8,
    pub rows: u32,
}

impl Guard {
    /// Holds every deletion for an operator's decision.
    pub const NOTHING: Self = Self {
        percent: 0,
        rows: 0,
    };

    /// Returns true if deleting `doomed` of `live` rows exceeds both limits.
    pub(crate) fn is_exceeded(self, doomed: i64, live: i64) -> bool {
        doomed > i64::from(self.rows) && doomed * 100 > live * i64::from(self.percent)
    }

    /// Returns true if the deletion of `doomed` of `live` rows is held: it exceeds both limits, or
    /// leaves none of two or more rows. A single row is deleted, since no other row could show that
    /// the listing contains the kind at all.
    pub(crate) fn holds(self, doomed: i64, live: i64) -> bool {
        self.is_exceeded(doomed, live) || leaves_none(doomed, live)
    }
}

/// Returns true if deleting `doomed` of `live` rows leaves none of two or more.
pub(crate) fn leaves_none(doomed: i64, live: i64) -> bool {
    doomed >= 2 && doomed == live
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
    pub evidence: Evidence,
    /// The time of the database's clock after the last response.
    pub finished_at: DateTime<Utc>,
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

/// Records a listing and updates the freshness of its kind. The caller holds the lock of the kind.
///
/// Returns `None` if the listing is superseded: a complete listing of the kind, or a listing of the
/// same run, began later. The caller then stores nothing of it.
pub(crate) async fn record(
    tx: &mut PgConnection,
    kind: &str,
    facts: &ListingFacts,
    items: usize,
) -> Result<Option<Recorded>, StoreError> {
    let is_complete = facts.completeness.is_complete();
    let latest_complete = sqlx::query_scalar!(
        "select last_complete_at from cloud_kind_freshness where provider = 'digitalocean' and kind = $1",
        kind,
    )
    .fetch_optional(&mut *tx)
    .await?
    .flatten();
    let is_superseded = facts.evidence.is_superseded_by(latest_complete);
    let items = i32::try_from(items).unwrap_or(i32::MAX);
    let requests = i32::try_from(facts.requests).unwrap_or(i32::MAX);
    let row = sqlx::query!(
        r#"
        with before as (
            select has_struck from cloud_listings where run_id = $3 and kind = $1
        )
        insert into cloud_listings
            (kind, workflow_id, run_id, started_at, finished_at, complete, reason, items, total, requests, has_struck, state)
        values ($1, $2, $3, $4, $12, $5, $6, $7, $8, $9, $11, $10)
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
        where cloud_listings.started_at <= excluded.started_at
        returning id, coalesce((select has_struck from before), false) as "has_struck_before!"
        "#,
        kind,
        facts.run.workflow_id,
        facts.run.run_id,
        facts.evidence.began_at,
        is_complete,
        facts.completeness.reason(),
        items,
        facts.total.and_then(|total| i64::try_from(total).ok()),
        requests,
        facts.state(),
        is_complete && !is_superseded,
        facts.finished_at,
    )
    .fetch_optional(&mut *tx)
    .await?;
    // Nothing is stored of a listing if a later attempt of its run is recorded.
    let stores_all = is_complete && row.is_some();
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
        stores_all,
        facts.evidence.began_at,
        facts.state(),
        facts.completeness.reason(),
        items,
        requests,
        facts.run.workflow_id,
        facts.run.run_id,
    )
    .execute(&mut *tx)
    .await?;
    if stores_all {
        // The statement above leaves the row as it is if a later attempt failed.
        sqlx::query!(
            "update cloud_kind_freshness set last_complete_at = $2
             where provider = 'digitalocean' and kind = $1 and coalesce(last_complete_at < $2, true)",
            kind,
            facts.evidence.began_at,
        )
        .execute(tx)
        .await?;
    }
    Ok(row.filter(|_| !is_superseded).map(|row| Recorded {
        id: row.id,
        may_strike: is_complete && !row.has_struck_before,
    }))
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
        facts.evidence.began_at,
        reason,
    )
    .execute(tx)
    .await?
    .rows_affected();
    Ok(changed > 0)
}

/// Records a lack of a listing that is not evidence of absence, such as tags without their scope.
/// An incomplete listing keeps its own reason.
pub(crate) async fn note_reason(
    tx: &mut PgConnection,
    kind: &str,
    listing: Uuid,
    reason: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with noted as (
             update cloud_listings set reason = $3 where id = $2 and reason is null returning run_id
         )
         update cloud_kind_freshness f set last_reason = $3
         from noted where f.kind = $1 and f.last_run_id = noted.run_id",
        kind,
        listing,
        reason,
    )
    .execute(tx)
    .await?;
    Ok(())
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
