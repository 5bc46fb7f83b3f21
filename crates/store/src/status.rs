//! The data from which `api/src/status.rs` evaluates the health of the mirror: a few small queries.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::balance::balance_polled_at;
use crate::freshness::{KindFreshness, freshness};
use crate::inventory::HeldDeletion;
use crate::inventory::held_deletions::all_pending;
use crate::projects::{UnmatchedMembers, unmatched_members};
use crate::reallocations::{OpenReallocations, open_reallocations};
use crate::teams::{MirroredTeam, mirrored_team};
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
    /// Changes of which the cost lines are not updated yet.
    pub reallocations: OpenReallocations,
    /// When the last successful poll happened; `None` before the first one.
    pub balance_polled_at: Option<DateTime<Utc>>,
    /// The number of members of projects that match no resource, by kind.
    pub unmatched_members: Vec<UnmatchedMembers>,
    /// The last check of all sums; `None` before the first one. Checking sums every line, so that
    /// only the schedule `billing-history` does it, once a day.
    pub books: Option<BooksCheck>,
}

/// The state of the mirror, with its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncFacts {
    /// `None` before the first token of a team is used.
    pub team: Option<MirroredTeam>,
    /// Ordered by kind.
    pub kinds: Vec<KindFreshness>,
    /// Held deletions that await a decision, the latest first.
    pub held_deletions: Vec<HeldDeletion>,
    pub status: StatusFacts,
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

/// The result of the last check of all sums of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BooksCheck {
    /// When the check began.
    pub checked_at: DateTime<Utc>,
    /// The number of totals that did not reconcile, at most 100.
    pub discrepancies: i64,
}

/// Invoices that need attention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvoiceFacts {
    pub failed: i64,
    /// Invoices without lines for which no ingest has failed.
    pub pending: i64,
    /// When the first pending invoice was listed.
    pub pending_since: Option<DateTime<Utc>>,
    /// Ingested invoices with a failed recheck; their lines are the last confirmed ones.
    pub check_failed: i64,
    /// When the first of those checks failed.
    pub check_failed_since: Option<DateTime<Utc>>,
    /// Ingested invoices that could not be verified: no sum differs, but a source is missing.
    pub unverified: i64,
    /// Overrides of lines that a correction removed.
    pub orphaned_overrides: i64,
    /// When the first of these lines was removed.
    pub orphaned_since: Option<DateTime<Utc>>,
    /// Ingested invoices of which a sum differs: lines, header, summary or its parts.
    pub unreconciled: i64,
}

impl Store {
    /// Reads all status data, of one state.
    pub async fn status_facts(&self) -> Result<StatusFacts, StoreError> {
        let mut tx = self.snapshot().await?;
        read_facts(&mut tx).await
    }

    /// Reads the state of the mirror with its status, of one state.
    pub async fn sync_facts(&self) -> Result<SyncFacts, StoreError> {
        let mut tx = self.snapshot().await?;
        Ok(SyncFacts {
            team: mirrored_team(&mut *tx).await?,
            kinds: freshness(&mut *tx, None).await?,
            held_deletions: all_pending(&mut *tx).await?,
            status: read_facts(&mut tx).await?,
        })
    }
}

async fn read_facts(connection: &mut PgConnection) -> Result<StatusFacts, StoreError> {
    let moment = sqlx::query!(
        r#"select clock_timestamp() as "at!", coalesce(min(installed_on), clock_timestamp()) as "installed_at!"
           from _sqlx_migrations"#
    )
    .fetch_one(&mut *connection)
    .await?;
    Ok(StatusFacts {
        at: moment.at,
        installed_at: moment.installed_at,
        kinds: kind_facts(connection).await?,
        holds: hold_facts(connection).await?,
        invoices: invoice_facts(connection).await?,
        reallocations: open_reallocations(&mut *connection).await?,
        balance_polled_at: balance_polled_at(&mut *connection).await?,
        unmatched_members: unmatched_members(&mut *connection).await?,
        books: books_check(connection).await?,
    })
}

async fn kind_facts(connection: &mut PgConnection) -> Result<Vec<KindFacts>, StoreError> {
    let kinds = sqlx::query_as!(
        KindFacts,
        "select kind, last_complete_at, last_attempt_at, last_state, last_reason,
             (select min(listing.started_at) from cloud_listings listing
              where listing.kind = fresh.kind and not listing.complete
                and listing.started_at > coalesce(fresh.last_complete_at, '-infinity')) as failing_since
         from cloud_kind_freshness fresh where provider = 'digitalocean' order by kind"
    )
    .fetch_all(connection)
    .await?;
    Ok(kinds)
}

async fn hold_facts(connection: &mut PgConnection) -> Result<Vec<HoldFacts>, StoreError> {
    let holds = sqlx::query_as!(
        HoldFacts,
        "select kind, held_at, would_delete from cloud_held_deletions
         where provider = 'digitalocean' and state = 'pending' order by kind"
    )
    .fetch_all(connection)
    .await?;
    Ok(holds)
}

async fn invoice_facts(connection: &mut PgConnection) -> Result<InvoiceFacts, StoreError> {
    let invoices = sqlx::query_as!(
        InvoiceFacts,
        r#"
        select
            count(*) filter (where ingest_status = 'failed') as "failed!",
            count(*) filter (where ingest_status = 'pending' and version = 0) as "pending!",
            min(first_seen_at) filter (where ingest_status = 'pending' and version = 0) as pending_since,
            count(*) filter (where ingest_status = 'ingested' and check_failed_since is not null) as "check_failed!",
            min(check_failed_since) filter (where ingest_status = 'ingested') as check_failed_since,
            count(*) filter (where verification = 'unverified') as "unverified!",
            (select count(orphaned_at) from cloud_cost_line_overrides) as "orphaned_overrides!",
            (select min(orphaned_at) from cloud_cost_line_overrides) as orphaned_since,
            count(*) filter (where not reconciled or verification = 'unreconciled') as "unreconciled!"
        from cloud_invoices where provider = 'digitalocean'
        "#
    )
    .fetch_one(connection)
    .await?;
    Ok(invoices)
}

async fn books_check(connection: &mut PgConnection) -> Result<Option<BooksCheck>, StoreError> {
    let check = sqlx::query_as!(
        BooksCheck,
        "select checked_at, discrepancies from cloud_cost_checks"
    )
    .fetch_optional(connection)
    .await?;
    Ok(check)
}
