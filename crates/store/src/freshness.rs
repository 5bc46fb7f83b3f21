//! How fresh the mirror is, kind by kind.

use chrono::{DateTime, Utc};

use crate::{Store, StoreError};

/// How fresh one kind is. Projects and their memberships count as kinds: `project`, `project_member`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindFreshness {
    pub kind: String,
    /// When the last complete listing began; none before the first.
    pub last_complete_at: Option<DateTime<Utc>>,
    pub last_attempt_at: DateTime<Utc>,
    /// `complete`, `held`, `incomplete`, `not_readable`, `unauthorized` or `failed`.
    pub last_state: String,
    /// Why it is not `complete`.
    pub last_reason: Option<String>,
    /// Why the kind's sources are known not to tell of all there is, however complete the attempt was, and what to configure.
    pub partial_reason: Option<String>,
    /// Resources that the last attempt saw.
    pub last_items: i32,
    /// Requests to `DigitalOcean` that it took.
    pub last_requests: i32,
    pub last_workflow_id: String,
    pub last_run_id: String,
}

impl KindFreshness {
    /// Whether the last attempt saw everything.
    pub fn last_attempt_failed(&self) -> bool {
        !matches!(self.last_state.as_str(), "complete" | "held")
    }
}

impl Store {
    /// The freshness of these kinds, or of all, by kind.
    pub async fn freshness(
        &self,
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
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}
