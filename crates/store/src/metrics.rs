//! The database values that the metrics export: a few aggregates, each read by one query.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;

use crate::access::expiring_tokens;
use crate::balance::{BalanceSnapshot, balance_polled_at, latest_balance};
use crate::ledger::{LedgerBalance, ledger_balance};
use crate::listings::now;
use crate::maintenance::maintained_at;
use crate::{ExpiringToken, Store, StoreError};

/// The state of the mirror and of the bills at one time of the database's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauges {
    pub at: DateTime<Utc>,
    /// Ordered by kind; `project` and `project_member` count as kinds.
    pub kinds: Vec<KindGauges>,
    pub invoices: InvoiceGauges,
    /// `None` before the first poll.
    pub balance: Option<BalanceSnapshot>,
    /// When the last successful poll of the balance began.
    pub balance_polled_at: Option<DateTime<Utc>>,
    pub ledger: LedgerBalance,
    /// The estimate of the open month; `None` if no month is open.
    pub estimate: Option<EstimateGauges>,
    /// The API tokens that expire soon, the next one first.
    pub expiring_tokens: Vec<ExpiringToken>,
    /// When the maintenance was last complete; before the first time, when the database was
    /// installed.
    pub maintained_at: DateTime<Utc>,
}

/// The state of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindGauges {
    pub kind: String,
    /// When the last complete listing began; `None` before the first one.
    pub last_complete_at: Option<DateTime<Utc>>,
    /// `None` for a kind without a separate listing.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// `complete`, `held`, `incomplete`, `not_readable`, `unauthorized` or `failed`.
    pub last_state: Option<String>,
    /// The number of rows that are not deleted.
    pub live: i64,
    /// The number of live rows with a strike.
    pub with_strikes: i64,
    /// When deletions of this kind were held; `None` if none await a decision.
    pub held_at: Option<DateTime<Utc>>,
    /// The number of held deletions.
    pub held_rows: i64,
}

/// The number of invoices by state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceGauges {
    pub pending: i64,
    pub ingested: i64,
    pub failed: i64,
    /// Ingested invoices with lines that do not total the invoice's amount.
    pub unreconciled: i64,
    /// The sum of the absolute differences of the unreconciled invoices; USD.
    pub off_by: Decimal,
    /// Ingested invoices of which a sum differs: lines, header, summary or its parts.
    pub not_final: i64,
    /// Ingested invoices that could not be verified: no sum differs, but a source is missing.
    pub unverified: i64,
    /// Overrides of lines that a correction removed.
    pub orphaned_overrides: i64,
    /// Ingested invoices, still listed, with a failed last check.
    pub check_failed: i64,
    /// Invoices that DigitalOcean no longer lists.
    pub withdrawn: i64,
}

/// The estimate of the open month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstimateGauges {
    /// When the preview was last read.
    pub estimated_at: DateTime<Utc>,
    /// The total that the preview states; USD.
    pub amount: Decimal,
}

impl Gauges {
    /// Returns the seconds from `moment` until `at`; 0 if `moment` is in the future.
    pub fn age_of(&self, moment: DateTime<Utc>) -> f64 {
        (self.at - moment).max(TimeDelta::zero()).as_seconds_f64()
    }
}

impl Store {
    /// Reads all values, of one state. Waits for no writer; the duration is that of one scan of
    /// the live resources.
    pub async fn gauges(&self) -> Result<Gauges, StoreError> {
        let mut tx = self.snapshot().await?;
        Ok(Gauges {
            at: now(&mut tx).await?,
            kinds: kind_gauges(&mut tx).await?,
            invoices: invoice_gauges(&mut tx).await?,
            balance: latest_balance(&mut *tx).await?,
            balance_polled_at: balance_polled_at(&mut *tx).await?,
            ledger: ledger_balance(&mut *tx).await?,
            estimate: estimate_gauges(&mut tx).await?,
            expiring_tokens: expiring_tokens(&mut *tx).await?,
            maintained_at: maintained_at(&mut *tx).await?,
        })
    }
}

async fn kind_gauges(connection: &mut PgConnection) -> Result<Vec<KindGauges>, StoreError> {
    let kinds = sqlx::query_as!(
        KindGauges,
        r#"
        with counted as (
            select kind, count(*) as live, count(*) filter (where stale_strike_count > 0) as with_strikes
            from cloud_resources where provider = 'digitalocean' and deleted_at is null group by kind
            union all
            select 'project', count(*), count(*) filter (where stale_strike_count > 0)
            from cloud_project_rows where provider = 'digitalocean' and deleted_at is null
            union all
            select 'project_member', count(*), count(*) filter (where stale_strike_count > 0)
            from cloud_project_members where provider = 'digitalocean'
        ), fresh as (
            select kind, last_complete_at, last_attempt_at, last_state from cloud_kind_freshness where provider = 'digitalocean'
        ), held as (
            select kind, held_at, would_delete from cloud_held_deletions where provider = 'digitalocean' and state = 'pending'
        )
        select kind as "kind!", fresh.last_complete_at, fresh.last_attempt_at as "last_attempt_at?",
            fresh.last_state as "last_state?", coalesce(counted.live, 0) as "live!", coalesce(counted.with_strikes, 0) as "with_strikes!",
            held.held_at as "held_at?", coalesce(held.would_delete, 0)::bigint as "held_rows!"
        from fresh
        full join counted using (kind)
        left join held using (kind)
        order by kind
        "#
    )
    .fetch_all(connection)
    .await?;
    Ok(kinds)
}

async fn invoice_gauges(connection: &mut PgConnection) -> Result<InvoiceGauges, StoreError> {
    let invoices = sqlx::query_as!(
        InvoiceGauges,
        r#"
        select
            count(*) filter (where ingest_status = 'pending') as "pending!",
            count(*) filter (where ingest_status = 'ingested') as "ingested!",
            count(*) filter (where ingest_status = 'failed') as "failed!",
            count(*) filter (where not reconciled) as "unreconciled!",
            coalesce(sum(abs(off_by)) filter (where not reconciled), 0) as "off_by!",
            count(*) filter (where verification = 'unreconciled') as "not_final!",
            count(*) filter (where verification = 'unverified') as "unverified!",
            (select count(orphaned_at) from cloud_cost_line_overrides) as "orphaned_overrides!",
            count(*) filter (where ingest_status = 'ingested' and missing_since is null and check_failed_since is not null)
                as "check_failed!",
            count(*) filter (where missing_since is not null) as "withdrawn!"
        from cloud_invoices where provider = 'digitalocean'
        "#
    )
    .fetch_one(connection)
    .await?;
    Ok(invoices)
}

async fn estimate_gauges(
    connection: &mut PgConnection,
) -> Result<Option<EstimateGauges>, StoreError> {
    let estimate = sqlx::query_as!(
        EstimateGauges,
        "select estimated_at, amount from cloud_estimates
         where provider = 'digitalocean' and state = 'open' order by period desc limit 1"
    )
    .fetch_optional(connection)
    .await?;
    Ok(estimate)
}
