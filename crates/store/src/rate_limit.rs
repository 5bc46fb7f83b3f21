//! Leases of requests from the budget of a DigitalOcean token, in the table
//! `cloud_request_budgets`.
//!
//! All processes that use a token share its budget. Each lease is one short transaction that locks
//! the budget's row and uses the database's clock, so the clocks of the processes may differ. The
//! rule is in `rate_limit/rule.rs`.

mod rule;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::listings;
use crate::{Store, StoreError};

pub use self::rule::{Available, AvailableRequests, Limits, Share, Shortage};
use self::rule::{Budget, ReportedLimit, until};

/// The SHA-256 that identifies a token in the database.
pub type TokenHash = [u8; 32];

/// The result of a request for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    Granted {
        /// At least one.
        requests: u32,
        /// From the call on. Requests that are not sent by then expire.
        valid_for: Duration,
    },
    Refused {
        retry_after: Duration,
        reason: Shortage,
    },
    /// No budget is open for the token: call [`Store::open_budget`] first.
    Unknown,
}

/// The hourly limit of a token in the headers of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitReport {
    /// Requests an hour.
    pub limit: u32,
    pub remaining: u32,
    /// Until the next request is regained, from the response on.
    pub resets_in: Duration,
    /// Time since the response.
    pub age: Duration,
}

/// Budgets that were not used for this long are deleted: their token was replaced.
const RETENTION: TimeDelta = TimeDelta::days(7);

/// Longer waits in responses are shortened to this: the longest limit is hourly.
const MAX_WAIT: Duration = Duration::from_hours(1);

impl Store {
    /// Opens the budget of a token if it is new, and records that the purpose uses it.
    ///
    /// Deletes the budgets of tokens that were not used for a week.
    pub async fn open_budget(&self, token: &TokenHash, purpose: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "insert into cloud_request_budgets (provider_token_sha256) values ($1)
             on conflict (provider_token_sha256) do update set used_at = clock_timestamp()",
            token.as_slice()
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into cloud_request_purposes (purpose, provider_token_sha256) values ($1, $2)
             on conflict (purpose) do update set provider_token_sha256 = excluded.provider_token_sha256",
            purpose,
            token.as_slice()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let unused_since = self.now().await? - RETENTION;
        sqlx::query!(
            "delete from cloud_request_budgets where used_at < $1",
            unused_since
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Leases up to `requested` requests from a token's budget, after recording the report of the
    /// latest response.
    pub async fn lease_requests(
        &self,
        token: &TokenHash,
        limits: &Limits,
        share: Share,
        requested: u32,
        report: Option<LimitReport>,
    ) -> Result<Lease, StoreError> {
        let mut tx = self.pool.begin().await?;
        let Some((mut budget, now)) = lock(&mut tx, token).await? else {
            return Ok(Lease::Unknown);
        };
        if let Some(reported) = report.and_then(|report| report.received_by(now)) {
            budget.record_reported(reported);
        }
        let outcome = budget.lease(limits, share, requested, now);
        write(&mut tx, token, &budget, now).await?;
        tx.commit().await?;
        Ok(match outcome {
            Ok(requests) => Lease::Granted {
                requests,
                valid_for: limits.lease_duration().to_std().unwrap_or_default(),
            },
            Err((at, reason)) => Lease::Refused {
                retry_after: until(at, now),
                reason,
            },
        })
    }

    /// Closes a token's budget for all processes after a 429. Waits over an hour count as an hour.
    pub async fn close_budget(
        &self,
        token: &TokenHash,
        limits: &Limits,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        if let Some((mut budget, now)) = lock(&mut tx, token).await? {
            let wait = TimeDelta::from_std(retry_after.min(MAX_WAIT)).unwrap_or_default();
            budget.close(limits, now + wait);
            write(&mut tx, token, &budget, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Lists the requests that each purpose may lease at once, for all purposes that have a budget.
    pub async fn available_requests(
        &self,
        limits: &Limits,
        share_of: impl Fn(&str) -> Share,
    ) -> Result<Vec<AvailableRequests>, StoreError> {
        let rows = sqlx::query!(
            r#"select purpose, minute_full_at, hour_full_at, closed_until, reported_limit, reported_remaining, reported_reset_at, reported_at,
                   clock_timestamp() as "now!"
               from cloud_request_purposes join cloud_request_budgets using (provider_token_sha256) order by purpose"#
        )
        .fetch_all(&self.pool)
        .await?;
        let available = rows.into_iter().map(|row| {
            let budget = Budget {
                minute_full_at: row.minute_full_at,
                hour_full_at: row.hour_full_at,
                closed_until: row.closed_until,
                reported: reported_limit(
                    row.reported_limit,
                    row.reported_remaining,
                    row.reported_reset_at,
                    row.reported_at,
                ),
            };
            let share = share_of(&row.purpose);
            budget.available(row.purpose, limits, share, row.now)
        });
        Ok(available.collect())
    }
}

impl LimitReport {
    /// Converts the report to the database's clock, of which `now` is the time.
    fn received_by(&self, now: DateTime<Utc>) -> Option<ReportedLimit> {
        let at = now - TimeDelta::from_std(self.age).ok()?;
        let resets_in = TimeDelta::from_std(self.resets_in.min(MAX_WAIT)).ok()?;
        Some(ReportedLimit {
            limit: self.limit.into(),
            remaining: self.remaining.into(),
            reset_at: at + resets_in,
            at,
        })
    }
}

/// Reads the columns `reported_*`: a constraint makes all of them null or none.
fn reported_limit(
    limit: Option<i32>,
    remaining: Option<i32>,
    reset_at: Option<DateTime<Utc>>,
    at: Option<DateTime<Utc>>,
) -> Option<ReportedLimit> {
    Some(ReportedLimit {
        limit: limit?.into(),
        remaining: remaining?.into(),
        reset_at: reset_at?,
        at: at?,
    })
}

/// Locks and reads a budget until the transaction ends. Returns it with the time after the lock.
async fn lock(
    tx: &mut PgConnection,
    token: &TokenHash,
) -> Result<Option<(Budget, DateTime<Utc>)>, StoreError> {
    let row = sqlx::query!(
        "select minute_full_at, hour_full_at, closed_until, reported_limit, reported_remaining, reported_reset_at, reported_at
         from cloud_request_budgets where provider_token_sha256 = $1 for no key update",
        token.as_slice()
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let budget = Budget {
        minute_full_at: row.minute_full_at,
        hour_full_at: row.hour_full_at,
        closed_until: row.closed_until,
        reported: reported_limit(
            row.reported_limit,
            row.reported_remaining,
            row.reported_reset_at,
            row.reported_at,
        ),
    };
    Ok(Some((budget, listings::now(tx).await?)))
}

async fn write(
    tx: &mut PgConnection,
    token: &TokenHash,
    budget: &Budget,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let reported = budget.reported;
    let number = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    sqlx::query!(
        "update cloud_request_budgets
         set minute_full_at = $2, hour_full_at = $3, closed_until = $4, reported_limit = $5, reported_remaining = $6, reported_reset_at = $7,
             reported_at = $8, used_at = $9
         where provider_token_sha256 = $1",
        token.as_slice(),
        budget.minute_full_at,
        budget.hour_full_at,
        budget.closed_until,
        reported.map(|reported| number(reported.limit)),
        reported.map(|reported| number(reported.remaining)),
        reported.map(|reported| reported.reset_at),
        reported.map(|reported| reported.at),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
