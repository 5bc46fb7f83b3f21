//! What the metrics tell of the database: a few sums, each read with one query.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use crate::balance::BalanceSnapshot;
use crate::ledger::LedgerBalance;
use crate::{Store, StoreError};

/// How the mirror and the bill stand, at one moment of the database's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauges {
    pub at: DateTime<Utc>,
    /// By kind; `project` and `project_member` count as kinds.
    pub kinds: Vec<KindGauges>,
    pub invoices: InvoiceGauges,
    /// None before the first poll.
    pub balance: Option<BalanceSnapshot>,
    pub ledger: LedgerBalance,
    /// The estimate of the month that is open; none while no month is.
    pub estimate: Option<EstimateGauges>,
}

/// How one kind stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindGauges {
    pub kind: String,
    /// When the last complete listing began; none before the first.
    pub last_complete_at: Option<DateTime<Utc>>,
    /// None for a kind that has no listing of its own.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// `complete`, `held`, `incomplete`, `not_readable`, `unauthorized` or `failed`.
    pub last_state: Option<String>,
    /// Rows that are not deleted.
    pub live: i64,
    /// Of those, the ones that the last complete listings lacked.
    pub struck: i64,
    /// Since when deletions of this kind wait for an operator; none where none do.
    pub held_at: Option<DateTime<Utc>>,
    /// How many those are.
    pub held_rows: i64,
}

/// How the invoices stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceGauges {
    pub pending: i64,
    pub ingested: i64,
    pub failed: i64,
    /// Ingested, and the lines do not come to the invoice's amount.
    pub unreconciled: i64,
    /// What is missing or too much in those, added up without sign; USD.
    pub off_by: Decimal,
    /// Ingested, and some sum does not agree with another.
    pub not_final: i64,
    /// Ingested ones, still listed, whose last check failed.
    pub check_failed: i64,
    /// Those that DigitalOcean no longer lists.
    pub withdrawn: i64,
}

/// The estimate of the open month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstimateGauges {
    /// When the preview was last read.
    pub estimated_at: DateTime<Utc>,
    /// The preview's own total; USD.
    pub amount: Decimal,
}

impl Gauges {
    /// How long ago that was, in seconds; what lies ahead is now.
    pub fn age_of(&self, moment: DateTime<Utc>) -> f64 {
        (self.at - moment).max(TimeDelta::zero()).as_seconds_f64()
    }
}

impl Store {
    /// Reads all of it. None of it waits for a writer; it takes as long as going once over the live resources.
    pub async fn gauges(&self) -> Result<Gauges, StoreError> {
        Ok(Gauges {
            at: self.now().await?,
            kinds: self.kind_gauges().await?,
            invoices: self.invoice_gauges().await?,
            balance: self.latest_balance().await?,
            ledger: self.ledger_balance().await?,
            estimate: self.estimate_gauges().await?,
        })
    }

    async fn kind_gauges(&self) -> Result<Vec<KindGauges>, StoreError> {
        let kinds = sqlx::query_as!(
            KindGauges,
            r#"
            with counted as (
                select kind, count(*) as live, count(*) filter (where stale_strike_count > 0) as struck
                from cloud_resources where provider = 'digitalocean' and deleted_at is null group by kind
                union all
                select 'project', count(*), count(*) filter (where stale_strike_count > 0)
                from cloud_projects where provider = 'digitalocean' and deleted_at is null
                union all
                select 'project_member', count(*), count(*) filter (where stale_strike_count > 0)
                from cloud_project_members where provider = 'digitalocean'
            ), fresh as (
                select kind, last_complete_at, last_attempt_at, last_state from cloud_kind_freshness where provider = 'digitalocean'
            ), held as (
                select kind, held_at, would_delete from cloud_held_deletions where provider = 'digitalocean' and state = 'pending'
            )
            select kind as "kind!", fresh.last_complete_at, fresh.last_attempt_at as "last_attempt_at?",
                fresh.last_state as "last_state?", coalesce(counted.live, 0) as "live!", coalesce(counted.struck, 0) as "struck!",
                held.held_at as "held_at?", coalesce(held.would_delete, 0)::bigint as "held_rows!"
            from fresh
            full join counted using (kind)
            left join held using (kind)
            order by kind
            "#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(kinds)
    }

    async fn invoice_gauges(&self) -> Result<InvoiceGauges, StoreError> {
        let invoices = sqlx::query_as!(
            InvoiceGauges,
            r#"
            select
                count(*) filter (where ingest_status = 'pending') as "pending!",
                count(*) filter (where ingest_status = 'ingested') as "ingested!",
                count(*) filter (where ingest_status = 'failed') as "failed!",
                count(*) filter (where not reconciled) as "unreconciled!",
                coalesce(sum(abs(off_by)) filter (where not reconciled), 0) as "off_by!",
                count(*) filter (where ingest_status = 'ingested' and not is_final) as "not_final!",
                count(*) filter (where ingest_status = 'ingested' and missing_since is null and check_failed_since is not null)
                    as "check_failed!",
                count(*) filter (where missing_since is not null) as "withdrawn!"
            from cloud_invoices where provider = 'digitalocean'
            "#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(invoices)
    }

    async fn estimate_gauges(&self) -> Result<Option<EstimateGauges>, StoreError> {
        let estimate = sqlx::query_as!(
            EstimateGauges,
            "select estimated_at, amount from cloud_estimates
             where provider = 'digitalocean' and state = 'open' order by period desc limit 1"
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(estimate)
    }
}
