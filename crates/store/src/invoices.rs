//! Invoices and their lines.

mod bill;
mod billed;
mod check;
mod content;
mod cost_lines;
mod documents;
mod estimates;
mod histories;
mod ingest;
mod lines;
pub(crate) mod matching;
mod months;
pub(crate) mod owners;
mod reads;

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use domain::InvoiceUuid;
use domain::invoices::InvoiceHeader;
use sqlx::PgConnection;
use uuid::Uuid;

pub use billed::BilledResource;
pub use content::{InvoiceContent, Sources};
pub use cost_lines::{AfterLine, CostLine, CostLineFilter, CostLineTotal, LineChange, Share};
pub use documents::{Document, DocumentWriter};
pub use estimates::{Estimate, EstimateOutcome, Variance};
pub use ingest::IngestOutcome;
pub use months::{ListedMonth, Months};
pub use reads::{AfterInvoice, Invoice, InvoicePart, InvoiceVersion};

use crate::{Store, StoreError};

/// What a look at the list of invoices changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvoicesDiscovered {
    pub listed: usize,
    pub new: usize,
    /// Whose amount is another than before: they are to be ingested again.
    pub corrected: usize,
    /// Known before, and lacking from this complete list for the first time.
    pub missing: usize,
}

/// Where a page of invoices that wait for their lines ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AfterPending {
    pub period: NaiveDate,
    pub invoice_uuid: InvoiceUuid,
}

/// Which invoices to look at again although their lines are here: `DigitalOcean` corrects what it has issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookAgain {
    /// Those of this month and of later ones.
    pub since: NaiveDate,
    /// That were not looked at for so long.
    pub after: Duration,
}

impl Store {
    /// Stores the headers of invoices that no listing has shown yet. A new one waits for its lines; one whose amount was corrected does
    /// so again.
    pub async fn discover_invoices(
        &self,
        headers: &[InvoiceHeader],
    ) -> Result<InvoicesDiscovered, StoreError> {
        let mut tx = self.pool.begin().await?;
        let discovered = write_headers(&mut tx, headers).await?;
        tx.commit().await?;
        Ok(discovered)
    }

    /// Stores a list of invoices, which began at `started_at` by the database's clock ([`Store::now`]).
    ///
    /// A complete list marks known invoices that it lacks as missing; a listed one is missing no longer. Nothing is removed. A list that
    /// began before the latest one that was stored changes nothing.
    pub async fn store_invoice_list(
        &self,
        headers: &[InvoiceHeader],
        started_at: DateTime<Utc>,
        is_complete: bool,
    ) -> Result<InvoicesDiscovered, StoreError> {
        let mut tx = self.pool.begin().await?;
        // Another list waits here until this one is stored.
        let is_latest = sqlx::query_scalar!(
            "insert into cloud_bill_listings as latest (list, started_at) values ('invoices', $1)
             on conflict (provider, list) do update set started_at = excluded.started_at
                 where latest.started_at <= excluded.started_at
             returning true",
            started_at
        )
        .fetch_optional(&mut *tx)
        .await?;
        if is_latest.is_none() {
            return Ok(InvoicesDiscovered {
                listed: headers.len(),
                ..InvoicesDiscovered::default()
            });
        }
        let mut discovered = write_headers(&mut tx, headers).await?;
        let listed: Vec<Uuid> = headers
            .iter()
            .map(|header| header.invoice_uuid.as_uuid())
            .collect();
        sqlx::query!(
            "update cloud_invoices set missing_since = null, updated_at = now()
             where missing_since is not null and invoice_uuid = any($1)",
            &listed,
        )
        .execute(&mut *tx)
        .await?;
        if is_complete {
            // One that was stored since the list began may be younger than it.
            let missing = sqlx::query!(
                "update cloud_invoices set missing_since = $2, updated_at = now()
                 where missing_since is null and first_seen_at < $2 and not invoice_uuid = any($1)",
                &listed,
                started_at,
            )
            .execute(&mut *tx)
            .await?
            .rows_affected();
            discovered.missing = usize::try_from(missing).unwrap_or_default();
        }
        tx.commit().await?;
        Ok(discovered)
    }

    /// The next invoices to ingest, the newest first: those that wait for their lines or failed to get them, those whose last check
    /// failed, and those to look at again. Of an invoice that DigitalOcean no longer lists there is nothing to confirm.
    pub async fn pending_invoices(
        &self,
        after: Option<AfterPending>,
        look_again: LookAgain,
        limit: i64,
    ) -> Result<Vec<AfterPending>, StoreError> {
        let rows = sqlx::query!(
            "select period, invoice_uuid from cloud_invoices
             where (ingest_status <> 'ingested'
                   or (missing_since is null and (check_failed_since is not null
                       or (period >= $4 and (checked_at is null or checked_at < now() - make_interval(secs => $5))))))
               and ($1::date is null or period < $1 or (period = $1 and invoice_uuid > $2))
             order by period desc, invoice_uuid limit $3",
            after.map(|after| after.period),
            after.map(|after| after.invoice_uuid.as_uuid()),
            limit,
            look_again.since,
            look_again.after.as_secs_f64(),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| AfterPending {
                period: row.period,
                invoice_uuid: row.invoice_uuid.into(),
            })
            .collect())
    }

    /// How many there are of them in all.
    pub async fn count_pending_invoices(&self, look_again: LookAgain) -> Result<usize, StoreError> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from cloud_invoices
               where ingest_status <> 'ingested'
                  or (missing_since is null and (check_failed_since is not null
                      or (period >= $1 and (checked_at is null or checked_at < now() - make_interval(secs => $2)))))"#,
            look_again.since,
            look_again.after.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Whether an invoice is written down.
    pub async fn has_invoice(&self, invoice: InvoiceUuid) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            r#"select exists (select 1 from cloud_invoices where invoice_uuid = $1) as "found!""#,
            invoice.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Records that an invoice could not be read, with the reason. One that is not stored has nowhere to record it.
    ///
    /// An invoice that waits for its lines is `failed`. One whose lines are here stays `ingested`, with its lines, sums and versions:
    /// what was proven stays proven, and only the failed check is recorded (`check_failed_since`, `last_check_error`). Its `last_error`
    /// stays null, since that column says why an invoice is `failed`.
    pub async fn fail_invoice(&self, invoice: InvoiceUuid, reason: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "update cloud_invoices set
                 ingest_status = case when ingest_status = 'ingested' then ingest_status else 'failed' end,
                 last_error = case when ingest_status = 'ingested' then last_error else $2 end,
                 check_failed_since = coalesce(check_failed_since, now()), last_check_error = $2,
                 checked_at = now(), updated_at = now()
             where invoice_uuid = $1",
            invoice.as_uuid(),
            reason,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

async fn write_headers(
    tx: &mut PgConnection,
    headers: &[InvoiceHeader],
) -> Result<InvoicesDiscovered, StoreError> {
    let uuids: Vec<Uuid> = headers
        .iter()
        .map(|header| header.invoice_uuid.as_uuid())
        .collect();
    let ids: Vec<Option<&str>> = headers
        .iter()
        .map(|header| header.invoice_id.as_deref())
        .collect();
    let periods: Vec<NaiveDate> = headers
        .iter()
        .map(|header| header.period.first_day())
        .collect();
    let amounts: Vec<_> = headers.iter().map(|header| header.amount).collect();
    let counts = sqlx::query!(
        r#"
        with listed as (
            select distinct on (invoice_uuid) *
            from unnest($1::uuid[], $2::text[], $3::date[], $4::numeric[]) as listed (invoice_uuid, invoice_id, period, amount)
        ), written as (
            insert into cloud_invoices as invoice (invoice_uuid, invoice_id, period, amount)
            select * from listed order by invoice_uuid
            on conflict (invoice_uuid) do update set
                invoice_id = coalesce(excluded.invoice_id, invoice.invoice_id),
                period = excluded.period,
                amount = excluded.amount,
                reconciled = excluded.amount = invoice.line_total,
                off_by = excluded.amount - invoice.line_total,
                summary_off_by = excluded.amount - invoice.summary_amount,
                is_final = invoice.is_final and excluded.amount = invoice.amount,
                ingest_status = case when excluded.amount <> invoice.amount then 'pending' else invoice.ingest_status end,
                updated_at = now()
            where (invoice.period, invoice.amount) is distinct from (excluded.period, excluded.amount)
               or (excluded.invoice_id is not null and invoice.invoice_id is distinct from excluded.invoice_id)
            returning (xmax = 0) as is_new, ingest_status = 'pending' as is_pending
        )
        select count(*) filter (where is_new) as "new!", count(*) filter (where not is_new and is_pending) as "corrected!"
        from written
        "#,
        &uuids,
        &ids as &[Option<&str>],
        &periods,
        &amounts,
    )
    .fetch_one(tx)
    .await?;
    Ok(InvoicesDiscovered {
        listed: headers.len(),
        new: usize::try_from(counts.new).unwrap_or_default(),
        corrected: usize::try_from(counts.corrected).unwrap_or_default(),
        missing: 0,
    })
}
