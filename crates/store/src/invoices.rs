//! Invoices and their lines.

mod bill;
mod billed;
mod check;
mod content;
mod cost_lines;
mod differences;
mod documents;
mod estimates;
pub(crate) mod histories;
mod ingest;
pub(crate) mod line_attribution;
mod lines;
pub(crate) mod matching;
mod month_end;
mod months;
pub(crate) mod own_lines;
mod reads;
mod reattach;
mod rest;
mod spans;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use domain::InvoiceUuid;
use domain::invoices::InvoiceHeader;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

pub use billed::BilledResource;
pub use check::Verification;
pub use content::{InvoiceContent, Sources};
pub use cost_lines::{AfterLine, CostLine, CostLineFilter, CostLineTotal, LineChange, Share};
pub use differences::LineDifference;
pub use documents::{Document, DocumentContent, DocumentWriter, StoredDocument};
pub use estimates::{Estimate, EstimateOutcome, Variance};
pub use ingest::IngestOutcome;
pub use months::{ListedMonth, Months};
pub use own_lines::{OwnCostLine, OwnLineFilter, OwnLineTotal, OwnSpan};
pub use reads::{AfterInvoice, Invoice, InvoicePart, InvoiceVersion};
pub use spans::TenantSpan;

use crate::evidence::{BillList, begin_list};
use crate::locks::{self, Lock};
use crate::{Evidence, Store, StoreError};

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
    /// Stores a list of invoices. A new invoice and one with a changed amount become `pending`; one
    /// with the amount that its lines were verified with is `ingested` again. Lines follow their
    /// invoice to another month.
    ///
    /// A complete list marks known invoices that it lacks as missing; the mark is removed from
    /// listed invoices. Nothing is deleted. A superseded list changes nothing.
    pub async fn store_invoice_list(
        &self,
        headers: &[InvoiceHeader],
        evidence: Evidence,
        is_complete: bool,
    ) -> Result<InvoicesDiscovered, StoreError> {
        let mut tx = self.pool.begin().await?;
        let list = BillList::Invoices;
        if !begin_list(&mut tx, list, evidence, is_complete).await? {
            return Ok(InvoicesDiscovered {
                listed: headers.len(),
                ..InvoicesDiscovered::default()
            });
        }
        let mut discovered = write_headers(&mut tx, headers, evidence).await?;
        let listed: Vec<Uuid> = headers
            .iter()
            .map(|header| header.invoice_uuid.as_uuid())
            .collect();
        sqlx::query!(
            "update cloud_invoices set
                 missing_since = null,
                 listed_at = $2,
                 updated_at = case when missing_since is null then updated_at else now() end
             where invoice_uuid = any($1) and listed_at <= $2 and (missing_since is not null or not $3)",
            &listed,
            evidence.began_at,
            is_complete,
        )
        .execute(&mut *tx)
        .await?;
        if is_complete {
            let missing = sqlx::query!(
                "update cloud_invoices set missing_since = $2, updated_at = now()
                 where missing_since is null and listed_at < $2 and not invoice_uuid = any($1)",
                &listed,
                evidence.began_at,
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
    /// last check, those to recheck, and those of all months that could not be verified. Omits
    /// ingested invoices that DigitalOcean no longer lists, because there is nothing to check them
    /// against.
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
                       or ((period >= $4 or verification = 'unverified')
                           and (checked_at is null or checked_at < now() - make_interval(secs => $5))))))
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
                      or ((period >= $1 or verification = 'unverified')
                          and (checked_at is null or checked_at < now() - make_interval(secs => $2)))))"#,
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
    /// `failed`. A check that began before the latest one changes nothing.
    pub async fn fail_invoice(
        &self,
        invoice: InvoiceUuid,
        evidence: Evidence,
        reason: &str,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update cloud_invoices set
                 ingest_status = case when ingest_status = 'ingested' then ingest_status else 'failed' end,
                 last_error = case when ingest_status = 'ingested' then last_error else $2 end,
                 check_failed_since = coalesce(check_failed_since, now()), last_check_error = $2,
                 checked_at = $3, updated_at = now()
             where invoice_uuid = $1 and coalesce(checked_at <= $3, true)",
            invoice.as_uuid(),
            reason,
            evidence.began_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

async fn write_headers(
    tx: &mut PgConnection,
    headers: &[InvoiceHeader],
    evidence: Evidence,
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
    let mut changed = changed_invoices(tx, &uuids, &periods, &amounts).await?;
    // Acquired before the rows of the invoices, as by an ingest. A change that began after the
    // query above waits for the next list.
    if !changed.is_empty() {
        locks::acquire(tx, Lock::CostLines).await?;
        // An ingest that was in progress has stored its lines since.
        changed = changed_invoices(tx, &uuids, &periods, &amounts).await?;
    }
    let counts = sqlx::query!(
        r#"
        with listed as (
            select distinct on (invoice_uuid) *
            from unnest($1::uuid[], $2::text[], $3::date[], $4::numeric[]) as listed (invoice_uuid, invoice_id, period, amount)
        ), written as (
            insert into cloud_invoices as invoice (invoice_uuid, invoice_id, period, amount, listed_at)
            select *, $5 from listed order by invoice_uuid
            on conflict (invoice_uuid) do update set
                invoice_id = coalesce(excluded.invoice_id, invoice.invoice_id),
                period = excluded.period,
                amount = excluded.amount,
                reconciled = excluded.amount = invoice.line_total,
                off_by = excluded.amount - invoice.line_total,
                summary_off_by = excluded.amount - invoice.summary_amount,
                is_final = invoice.is_final and (excluded.period, excluded.amount) = (invoice.period, invoice.amount),
                -- The amount that was verified with the stored lines is verified again.
                ingest_status = case when excluded.amount = invoice.amount then invoice.ingest_status
                    when excluded.amount = invoice.verified_amount then 'ingested' else 'pending' end,
                verification = case when excluded.amount = invoice.amount then invoice.verification
                    when excluded.amount = invoice.verified_amount then 'verified' end,
                last_error = case when excluded.amount = invoice.amount or excluded.amount is distinct from invoice.verified_amount
                    then invoice.last_error end,
                listed_at = excluded.listed_at,
                updated_at = now()
            where invoice.listed_at <= excluded.listed_at
              and ((invoice.period, invoice.amount) is distinct from (excluded.period, excluded.amount)
                  or (excluded.invoice_id is not null and invoice.invoice_id is distinct from excluded.invoice_id))
              and ($6 or invoice.version = 0 or (invoice.period, invoice.amount) = (excluded.period, excluded.amount))
            returning (xmax = 0) as is_new, ingest_status = 'pending' as is_pending
        )
        select count(*) filter (where is_new) as "new!", count(*) filter (where not is_new and is_pending) as "corrected!"
        from written
        "#,
        &uuids,
        &ids as &[Option<&str>],
        &periods,
        &amounts,
        evidence.began_at,
        !changed.is_empty(),
    )
    .fetch_one(&mut *tx)
    .await?;
    let invoices: Vec<Uuid> = changed.iter().map(|row| row.invoice_uuid).collect();
    move_lines(tx, &invoices).await?;
    let months: BTreeSet<NaiveDate> = changed
        .iter()
        .flat_map(|row| [row.before, row.after])
        .collect();
    for month in months {
        month_end::settle(tx, month).await?;
    }
    Ok(InvoicesDiscovered {
        listed: headers.len(),
        new: usize::try_from(counts.new).unwrap_or_default(),
        corrected: usize::try_from(counts.corrected).unwrap_or_default(),
        missing: 0,
    })
}

/// An ingested invoice of which a list has another month or amount.
struct ChangedInvoice {
    invoice_uuid: Uuid,
    before: NaiveDate,
    after: NaiveDate,
}

async fn changed_invoices(
    tx: &mut PgConnection,
    uuids: &[Uuid],
    periods: &[NaiveDate],
    amounts: &[Decimal],
) -> Result<Vec<ChangedInvoice>, StoreError> {
    let changed = sqlx::query_as!(
        ChangedInvoice,
        r#"select invoice.invoice_uuid, invoice.period as before, listed.period as "after!"
           from cloud_invoices invoice
           join unnest($1::uuid[], $2::date[], $3::numeric[]) as listed (invoice_uuid, period, amount) using (invoice_uuid)
           where invoice.version > 0 and (invoice.period, invoice.amount) is distinct from (listed.period, listed.amount)"#,
        uuids,
        periods,
        amounts,
    )
    .fetch_all(tx)
    .await?;
    Ok(changed)
}

/// Moves the lines of these invoices to the month of their invoice. The caller holds the lock
/// [`Lock::CostLines`].
async fn move_lines(tx: &mut PgConnection, invoices: &[Uuid]) -> Result<(), StoreError> {
    let moved = sqlx::query_scalar!(
        "update cloud_cost_lines line set bill_period = invoice.period from cloud_invoices invoice
         where line.invoice_id = invoice.id and line.bill_period <> invoice.period and invoice.invoice_uuid = any($1)
         returning line.id",
        invoices,
    )
    .fetch_all(&mut *tx)
    .await?;
    if moved.is_empty() {
        return Ok(());
    }
    // The charge period of a line without dates is its month.
    matching::set_cause(tx, "ingest", None, None).await?;
    matching::rematch_lines(tx, &moved).await?;
    line_attribution::reallocate_lines(tx, &moved).await?;
    Ok(())
}
