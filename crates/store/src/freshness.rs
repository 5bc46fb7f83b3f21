//! The freshness of the mirror by kind.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::{Store, StoreError};

/// The freshness of one kind. Projects and their members count as kinds: `project`,
/// `project_member`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindFreshness {
    pub kind: String,
    /// When the last complete listing began; `None` before the first one.
    pub last_complete_at: Option<DateTime<Utc>>,
    pub last_attempt_at: DateTime<Utc>,
    /// `complete`, `held`, `incomplete`, `not_readable`, `unauthorized` or `failed`.
    pub last_state: String,
    /// Why the state is not `complete`, or which fields a complete listing lacks and why.
    pub last_reason: Option<String>,
    /// Why the kind's sources are known to be incomplete even after a complete listing, and how to
    /// configure the missing ones.
    pub partial_reason: Option<String>,
    /// The number of resources in the last attempt.
    pub last_items: i32,
    /// The number of requests to DigitalOcean in the last attempt.
    pub last_requests: i32,
    pub last_workflow_id: String,
    pub last_run_id: String,
}

impl KindFreshness {
    /// Returns true if the last attempt did not list every resource.
    pub fn last_attempt_failed(&self) -> bool {
        !matches!(self.last_state.as_str(), "complete" | "held")
    }
}

impl Store {
    /// Returns the freshness of the given kinds, or of all, ordered by kind.
    pub async fn freshness(
        &self,
        kinds: Option<&[String]>,
    ) -> Result<Vec<KindFreshness>, StoreError> {
        freshness(&self.pool, kinds).await
    }
}

/// Reads the result of [`Store::freshness`].
pub(crate) async fn freshness(
    executor: impl PgExecutor<'_>,
    kinds: Option<&[String]>,
) -> Result<Vec<KindFreshness>, StoreError> {
    let rows = sqlx::query_as!(
            KindFreshness,
            "select kind, last_complete_at, last_attempt_at, last_state, last_reason, partial_reason, last_items, last_requests, last_workflow_id,
                 last_run_id
             from cloud_kind_freshness
             where provider = 'digitalocean' and ($1::text[] is null or kind = any($1)) order by kind",
            kinds,
        )
        .fetch_all(executor)
        .await?;
    Ok(rows)
}
