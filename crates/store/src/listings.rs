//! The record of what each listing saw: the evidence behind each strike.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::Completeness;
use sqlx::PgConnection;

use crate::StoreError;

/// How many strikes, each by a complete listing of its own, make a tombstone (rule of ours).
pub(crate) const STRIKES: i32 = 3;

/// The Temporal run in whose name something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub workflow_id: String,
    pub run_id: String,
}

/// How a listing went, apart from what it saw.
#[derive(Debug, Clone)]
pub struct ListingFacts {
    /// By the database's clock ([`crate::Store::now`]), before the first request.
    pub started_at: DateTime<Utc>,
    pub completeness: Completeness,
    /// DigitalOcean's own count, where it gives one.
    pub total: Option<u64>,
    /// Requests made to DigitalOcean.
    pub requests: u32,
    /// The least time between two strikes of one row.
    pub strike_interval: Duration,
    pub run: Run,
}

impl ListingFacts {
    pub(crate) fn strike_seconds(&self) -> f64 {
        self.strike_interval.as_secs_f64()
    }
}

/// Waits until no other transaction holds the lock of that name; the lock goes with the transaction.
pub(crate) async fn lock(tx: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('arcadia ' || $1, 0))",
        name
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Sweeps of different kinds go side by side and share this lock; what writes resources of all kinds takes it alone, so that no
/// two transactions wait for each other's rows.
const INVENTORY: &str = "inventory";

pub(crate) async fn share_inventory(tx: &mut PgConnection) -> Result<(), StoreError> {
    lock_shared(tx, INVENTORY).await
}

pub(crate) async fn lock_inventory(tx: &mut PgConnection) -> Result<(), StoreError> {
    lock(tx, INVENTORY).await
}

/// Like [`lock`], but held side by side with others that share it.
pub(crate) async fn lock_shared(tx: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "select pg_advisory_xact_lock_shared(hashtextextended('arcadia ' || $1, 0))",
        name
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the listing down and says whether it may strike: it is complete, and this run has not struck yet. A retried activity
/// lists anew under the same run and so never strikes twice.
pub(crate) async fn record(
    tx: &mut PgConnection,
    kind: &str,
    facts: &ListingFacts,
    items: usize,
) -> Result<bool, StoreError> {
    let has_struck_before = sqlx::query_scalar!(
        r#"
        with before as (
            select has_struck from cloud_listings where run_id = $3 and kind = $1
        )
        insert into cloud_listings
            (kind, workflow_id, run_id, started_at, finished_at, complete, reason, items, total, requests, has_struck)
        values ($1, $2, $3, $4, clock_timestamp(), $5, $6, $7, $8, $9, $5)
        on conflict (run_id, kind) do update set
            started_at = excluded.started_at,
            finished_at = excluded.finished_at,
            complete = excluded.complete,
            reason = excluded.reason,
            items = excluded.items,
            total = excluded.total,
            requests = excluded.requests,
            has_struck = cloud_listings.has_struck or excluded.has_struck
        returning coalesce((select has_struck from before), false) as "has_struck_before!"
        "#,
        kind,
        facts.run.workflow_id,
        facts.run.run_id,
        facts.started_at,
        facts.completeness.is_complete(),
        facts.completeness.reason(),
        i32::try_from(items).unwrap_or(i32::MAX),
        facts.total.and_then(|total| i64::try_from(total).ok()),
        i32::try_from(facts.requests).unwrap_or(i32::MAX),
    )
    .fetch_one(tx)
    .await?;
    Ok(facts.completeness.is_complete() && !has_struck_before)
}
