//! The data from which `api/src/status.rs` evaluates the health of the mirror: a few small queries.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Executor as _;

use crate::projects::UnmatchedMembers;
use crate::{Store, StoreError};

/// The state of the mirror and of the books at one time of the database's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusFacts {
    pub at: DateTime<Utc>,
    /// When the first migration was applied.
    pub installed_at: DateTime<Utc>,
    /// Ordered by name; `project` and `project_member` count as kinds.
    pub kinds: Vec<KindFacts>,
    /// Held deletions that await a decision, ordered by kind.
    pub holds: Vec<HoldFacts>,
    pub invoices: InvoiceFacts,
    /// When the last successful poll happened; `None` before the first one.
    pub balance_polled_at: Option<DateTime<Utc>>,
    /// The number of members of projects that match no resource, by kind.
    pub unmatched_members: Vec<UnmatchedMembers>,
    /// The number of totals that do not reconcile, at most 100; `None` if counting took longer than
    /// [`LONGEST_COUNT`].
    pub discrepancies: Option<i64>,
}

/// The last attempt to list a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindFacts {
    pub kind: String,
    /// When the last complete listing began; `None` before the first one.
    pub last_complete_at: Option<DateTime<Utc>>,
    pub last_attempt_at: DateTime<Utc>,
    /// `complete`, `held`, `incomplete`, `not_readable`, `unauthorized` or `failed`.
    pub last_state: String,
    /// Why the state is not `complete`.
    pub last_reason: Option<String>,
    /// When the first attempt after the last complete listing began.
    pub failing_since: Option<DateTime<Utc>>,
}

/// Deletions of one kind that await an operator's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldFacts {
    pub kind: String,
    pub held_at: DateTime<Utc>,
    pub would_delete: i32,
}

/// Invoices that need attention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvoiceFacts {
    pub failed: i64,
    /// Invoices without lines for which no ingest has failed.
    pub pending: i64,
    /// When the first pending invoice was listed.
    pub pending_since: Option<DateTime<Utc>>,
    /// Ingested invoices with a failed recheck; their lines are the last verified ones.
    pub unverified: i64,
    /// When the first of those checks failed.
    pub unverified_since: Option<DateTime<Utc>>,
    /// Ingested invoices with lines that do not total the invoice's amount.
    pub unreconciled: i64,
}

/// The timeout of the count of discrepancies, which sums every line and takes seconds for millions
/// of lines. The schedule `billing-history` counts them daily without this timeout and fails its
/// run if there are any, so that no discrepancy stays undetected.
pub const LONGEST_COUNT: Duration = Duration::from_secs(1);

impl Store {
    /// Reads all status data.
    pub async fn status_facts(&self) -> Result<StatusFacts, StoreError> {
        let moment = sqlx::query!(
            r#"select clock_timestamp() as "at!", coalesce(min(installed_on), clock_timestamp()) as "installed_at!"
               from _sqlx_migrations"#
        )
        .fetch_one(&self.pool)
        .await?;
        let balance = self.latest_balance().await?;
        Ok(StatusFacts {
            at: moment.at,
            installed_at: moment.installed_at,
            kinds: self.kind_facts().await?,
            holds: self.hold_facts().await?,
            invoices: self.invoice_facts().await?,
            balance_polled_at: balance.map(|balance| balance.last_polled_at),
            unmatched_members: self.unmatched_members().await?,
            discrepancies: self.count_discrepancies(LONGEST_COUNT).await?,
        })
    }

    async fn kind_facts(&self) -> Result<Vec<KindFacts>, StoreError> {
        let kinds = sqlx::query_as!(
            KindFacts,
            "select kind, last_complete_at, last_attempt_at, last_state, last_reason,
                 (select min(listing.started_at) from cloud_listings listing
                  where listing.kind = fresh.kind and not listing.complete
                    and listing.started_at > coalesce(fresh.last_complete_at, '-infinity')) as failing_since
             from cloud_kind_freshness fresh where provider = 'digitalocean' order by kind"
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(kinds)
    }

    async fn hold_facts(&self) -> Result<Vec<HoldFacts>, StoreError> {
        let holds = sqlx::query_as!(
            HoldFacts,
            "select kind, held_at, would_delete from cloud_held_deletions
             where provider = 'digitalocean' and state = 'pending' order by kind"
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(holds)
    }

    async fn invoice_facts(&self) -> Result<InvoiceFacts, StoreError> {
        let invoices = sqlx::query_as!(
            InvoiceFacts,
            r#"
            select
                count(*) filter (where ingest_status = 'failed') as "failed!",
                count(*) filter (where ingest_status = 'pending' and version = 0) as "pending!",
                min(first_seen_at) filter (where ingest_status = 'pending' and version = 0) as pending_since,
                count(*) filter (where ingest_status = 'ingested' and check_failed_since is not null) as "unverified!",
                min(check_failed_since) filter (where ingest_status = 'ingested') as unverified_since,
                count(*) filter (where not reconciled) as "unreconciled!"
            from cloud_invoices where provider = 'digitalocean'
            "#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(invoices)
    }

    /// Counts the totals that do not reconcile, at most 100; `None` if counting takes longer than
    /// `longest`.
    async fn count_discrepancies(&self, longest: Duration) -> Result<Option<i64>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let timeout = format!("set local statement_timeout = {}", longest.as_millis());
        tx.execute(sqlx::AssertSqlSafe(timeout)).await?;
        let counted = sqlx::query_scalar!(
            r#"select count(*) as "count!" from (select 1 from cloud_cost_discrepancies limit 100) found"#
        )
        .fetch_one(&mut *tx)
        .await;
        match counted {
            Ok(count) => Ok(Some(count)),
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(QUERY_CANCELED) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The SQLSTATE of a statement that `statement_timeout` cancelled.
const QUERY_CANCELED: &str = "57014";
