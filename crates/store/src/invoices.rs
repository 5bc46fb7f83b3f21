//! Invoices and their lines.

mod bill;
mod billed;
mod check;
mod content;
mod cost_lines;
mod differences;
mod documents;
mod estimates;
mod histories;
mod ingest;
pub(crate) mod line_attribution;
mod lines;
pub(crate) mod matching;
mod months;
mod own_lines;
mod reads;
mod spans;

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use domain::InvoiceUuid;
use domain::invoices::InvoiceHeader;
use sqlx::PgConnection;
use uuid::Uuid;

pub use billed::BilledResource;
pub use content::{InvoiceContent, Sources};
pub use cost_lines::{AfterLine, CostLine, CostLineFilter, CostLineTotal, LineChange, Share};
pub use differences::LineDifference;
pub use documents::{Document, DocumentContent, DocumentWriter, StoredDocument};
pub use estimates::{Estimate, EstimateOutcome, Variance};
pub use ingest::IngestOutcome;
pub use months::{ListedMonth, Months};
pub use own_lines::{OwnCostLine, OwnLineFilter};
pub use reads::{AfterInvoice, Invoice, InvoicePart, InvoiceVersion};
pub use spans::TenantSpan;

use crate::{Store, StoreError};

/// The changes by one read of the list of invoices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvoicesDiscovered {
    pub listed: usize,
    pub new: usize,
    /// Invoices with a changed amount, which must be ingested again.
    pub corrected: usize,
    /// Known invoices that this complete list is the first to lack.
    pub missing: usize,
}

/// The cursor of a page of invoices to ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AfterPending {
    pub period: NaiveDate,
    pub invoice_uuid: InvoiceUuid,
}

/// When to recheck ingested invoices, because DigitalOcean corrects issued invoices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recheck {
    /// Recheck invoices of this month and of later months.
    pub since: NaiveDate,
    /// Recheck invoices that were not checked for this long.
    pub after: Duration,
}

impl Store {
    /// Stores the headers of invoices. A new invoice and one with a changed amount become
    /// `pending`.
    pub async fn discover_invoices(
        &self,
        headers: &[InvoiceHeader],
    ) -> Result<InvoicesDiscovered, StoreError> {
        let mut tx = self.pool.begin().await?;
        let discovered = write_headers(&mut tx, headers).await?;
        tx.commit().await?;
        Ok(discovered)
    }

    /// Stores a list of invoices that was begun at `started_at` (database clock, see
    /// [`Store::now`]).
    ///
    /// A complete list marks known invoices that it lacks as missing; the mark is removed from
    /// listed invoices. Nothing is deleted. A list that was begun before the latest stored list
    /// changes nothing.
    pub async fn store_invoice_list(
        &self,
        headers: &[InvoiceHeader],
        started_at: DateTime<Utc>,
        is_complete: bool,
    ) -> Result<InvoicesDiscovered, StoreError> {
        let mut tx = self.pool.begin().await?;
        // Concurrent lists wait here until this transaction ends.
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
            // An invoice that was stored after the list was begun may be newer than the list.
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

    /// Lists the next invoices to ingest, newest first: those without lines, those with a failed
    /// last check, and those to recheck. Omits ingested invoices that DigitalOcean no longer lists,
    /// because there is nothing to check them against.
    pub async fn pending_invoices(
        &self,
        after: Option<AfterPending>,
        recheck: Recheck,
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
            recheck.since,
            recheck.after.as_secs_f64(),
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

    /// Counts all invoices to ingest, see [`Self::pending_invoices`].
    pub async fn count_pending_invoices(&self, recheck: Recheck) -> Result<usize, StoreError> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from cloud_invoices
               where ingest_status <> 'ingested'
                  or (missing_since is null and (check_failed_since is not null
                      or (period >= $1 and (checked_at is null or checked_at < now() - make_interval(secs => $2)))))"#,
            recheck.since,
            recheck.after.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Returns true if the invoice is stored.
    pub async fn has_invoice(&self, invoice: InvoiceUuid) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            r#"select exists (select 1 from cloud_invoices where invoice_uuid = $1) as "found!""#,
            invoice.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Records that an invoice could not be read, and why. Does nothing if the invoice is not
    /// stored.
    ///
    /// An invoice without lines becomes `failed`. An ingested invoice stays `ingested` with its
    /// lines, totals and versions: only the failed check is recorded (`check_failed_since`,
    /// `last_check_error`). Its `last_error` stays null, since that column explains the status
    /// `failed`.
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
