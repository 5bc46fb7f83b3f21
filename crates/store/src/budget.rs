//! One budget of requests for each DigitalOcean token, shared by every process that uses the token.
//!
//! A process takes a few requests at a time. The budget's row is locked meanwhile, and the only clock is the database's, so that
//! processes whose clocks differ share it all the same.

mod allowance;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::listings;
use crate::{Store, StoreError};

use self::allowance::{Allowance, Told, ahead};
pub use self::allowance::{Left, Limits, Share, Shortage};

/// The SHA-256 by which a token is known here.
pub type TokenHash = [u8; 32];

/// Requests that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    Granted {
        /// At least one.
        requests: u32,
        /// How long after it was asked for. What is not sent until then is lost.
        lasts: Duration,
    },
    Refused {
        /// After which it may be asked again.
        wait: Duration,
        why: Shortage,
    },
    /// The budget has to be opened first ([`Store::open_budget`]).
    Unknown,
}

/// What the latest answer told of a token's hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Requests an hour.
    pub limit: u32,
    pub remaining: u32,
    /// Until the next request is regained, as of the answer.
    pub resets_in: Duration,
    /// How long ago the answer came.
    pub age: Duration,
}

/// What a purpose may ask for at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetLeft {
    pub purpose: String,
    /// By the limit per minute; none where there is none.
    pub this_minute: Option<Left>,
    /// By the limit per hour; none where there is none.
    pub this_hour: Option<Left>,
    /// By DigitalOcean's headers, less what is kept for people; none before the first answer of an hour.
    pub told: Option<Left>,
    /// How long a 429 still keeps it closed; zero where none does.
    pub closed_for: Duration,
}

impl BudgetLeft {
    /// The least of all; none where nothing limits the purpose.
    pub fn least(&self) -> Option<u32> {
        if !self.closed_for.is_zero() {
            return Some(0);
        }
        let all = [self.this_minute, self.this_hour, self.told];
        all.into_iter().flatten().map(|left| left.now).min()
    }
}

/// A budget that nobody has drawn on for so long is of a token that was replaced.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::days(7);

/// A hint from so far back is not worth its bytes.
const OLDEST_HINT: Duration = Duration::from_hours(1);

impl Store {
    /// Notes that a purpose uses this token, and opens its budget if it is new. Budgets of replaced tokens go after a week.
    pub async fn open_budget(&self, token: &TokenHash, purpose: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "insert into cloud_request_budgets (token_sha256) values ($1)
             on conflict (token_sha256) do update set used_at = clock_timestamp()",
            token.as_slice()
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into cloud_request_purposes (purpose, token_sha256) values ($1, $2)
             on conflict (purpose) do update set token_sha256 = excluded.token_sha256",
            purpose,
            token.as_slice()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let long_ago = self.now().await? - FORGOTTEN_AFTER;
        sqlx::query!(
            "delete from cloud_request_budgets where used_at < $1",
            long_ago
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes up to `wanted` requests out of a token's budget, after noting what answers have told meanwhile.
    pub async fn take_requests(
        &self,
        token: &TokenHash,
        limits: &Limits,
        share: Share,
        wanted: u32,
        hint: Option<Hint>,
    ) -> Result<Lease, StoreError> {
        let mut tx = self.pool.begin().await?;
        let Some((mut allowance, now)) = locked(&mut tx, token).await? else {
            return Ok(Lease::Unknown);
        };
        if let Some(told) = hint.and_then(|hint| hint.at(now)) {
            allowance.hear(told);
        }
        let outcome = allowance.take(limits, share, wanted, now);
        write(&mut tx, token, &allowance, now).await?;
        tx.commit().await?;
        Ok(match outcome {
            Ok(requests) => Lease::Granted {
                requests,
                lasts: limits.lease().to_std().unwrap_or_default(),
            },
            Err((at, why)) => Lease::Refused {
                wait: ahead(at, now),
                why,
            },
        })
    }

    /// Closes a token's budget for so long, for everybody: DigitalOcean has answered 429.
    pub async fn close_budget(
        &self,
        token: &TokenHash,
        limits: &Limits,
        retry_after: Duration,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        if let Some((mut allowance, now)) = locked(&mut tx, token).await? {
            let longest = retry_after.min(OLDEST_HINT);
            let until = now + TimeDelta::from_std(longest).unwrap_or_default();
            allowance.close(limits, until);
            write(&mut tx, token, &allowance, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// What each purpose that has asked for anything may ask for at once.
    pub async fn budgets_left(
        &self,
        limits: &Limits,
        share_of: impl Fn(&str) -> Share,
    ) -> Result<Vec<BudgetLeft>, StoreError> {
        let rows = sqlx::query!(
            r#"select purpose, minute_full_at, hour_full_at, closed_until, reported_limit, reported_remaining, reported_reset_at, reported_at,
                   clock_timestamp() as "now!"
               from cloud_request_purposes join cloud_request_budgets using (token_sha256) order by purpose"#
        )
        .fetch_all(&self.pool)
        .await?;
        let left = rows.into_iter().map(|row| {
            let told = (
                row.reported_limit,
                row.reported_remaining,
                row.reported_reset_at,
                row.reported_at,
            );
            let allowance = Allowance {
                minute_full_at: row.minute_full_at,
                hour_full_at: row.hour_full_at,
                closed_until: row.closed_until,
                told: told_of(told),
            };
            let share = share_of(&row.purpose);
            let [this_minute, this_hour, told] = allowance.left(limits, share, row.now);
            BudgetLeft {
                purpose: row.purpose,
                this_minute,
                this_hour,
                told,
                closed_for: row
                    .closed_until
                    .map_or(Duration::ZERO, |until| ahead(until, row.now)),
            }
        });
        Ok(left.collect())
    }
}

impl Hint {
    fn at(&self, now: DateTime<Utc>) -> Option<Told> {
        let at = now - TimeDelta::from_std(self.age).ok()?;
        let resets_in = TimeDelta::from_std(self.resets_in.min(OLDEST_HINT)).ok()?;
        Some(Told {
            limit: self.limit.into(),
            left: self.remaining.into(),
            reset_at: at + resets_in,
            at,
        })
    }
}

/// The columns `told_*`, which are all null or all not.
type ToldColumns = (
    Option<i32>,
    Option<i32>,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
);

fn told_of((limit, left, reset_at, at): ToldColumns) -> Option<Told> {
    Some(Told {
        limit: limit?.into(),
        left: left?.into(),
        reset_at: reset_at?,
        at: at?,
    })
}

/// A budget, kept from others until the transaction ends, and the time at which that began.
async fn locked(
    tx: &mut PgConnection,
    token: &TokenHash,
) -> Result<Option<(Allowance, DateTime<Utc>)>, StoreError> {
    let row = sqlx::query!(
        "select minute_full_at, hour_full_at, closed_until, reported_limit, reported_remaining, reported_reset_at, reported_at
         from cloud_request_budgets where token_sha256 = $1 for no key update",
        token.as_slice()
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let told = (
        row.reported_limit,
        row.reported_remaining,
        row.reported_reset_at,
        row.reported_at,
    );
    let allowance = Allowance {
        minute_full_at: row.minute_full_at,
        hour_full_at: row.hour_full_at,
        closed_until: row.closed_until,
        told: told_of(told),
    };
    Ok(Some((allowance, listings::now(tx).await?)))
}

async fn write(
    tx: &mut PgConnection,
    token: &TokenHash,
    allowance: &Allowance,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Allowance {
        minute_full_at,
        hour_full_at,
        closed_until,
        told,
    } = *allowance;
    let number = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    sqlx::query!(
        "update cloud_request_budgets
         set minute_full_at = $2, hour_full_at = $3, closed_until = $4, reported_limit = $5, reported_remaining = $6, reported_reset_at = $7,
             reported_at = $8, used_at = $9
         where token_sha256 = $1",
        token.as_slice(),
        minute_full_at,
        hour_full_at,
        closed_until,
        told.map(|told| number(told.limit)),
        told.map(|told| number(told.left)),
        told.map(|told| told.reset_at),
        told.map(|told| told.at),
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
