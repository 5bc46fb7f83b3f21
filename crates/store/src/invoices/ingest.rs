//! Ingests an invoice: stores its lines, totals and versions.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::InvoiceUuid;
use domain::invoices::{ChargePart, InvoiceLine, InvoiceSummary};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bill::{Bill, BillId, fingerprint};
use super::check::{self, Proven, Reading};
use super::content::{InvoiceContent, Sources};
use super::estimates;
use super::lines::{
    check_total, delete_lines, exact_total, insert_lines, lines_by_rule, match_bill,
};
use crate::locks::{self, Lock};
use crate::{Store, StoreError};

/// The state of an ingested invoice; amounts in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestOutcome {
    pub lines: usize,
    pub line_total: Decimal,
    /// The invoice's amount minus the total of its lines; zero if they reconcile.
    pub off_by: Decimal,
    /// True if all totals reconcile.
    pub is_final: bool,
    /// The number of lines by match rule.
    pub rules: BTreeMap<String, usize>,
    /// Starts at 1 and increases with each correction.
    pub version: i32,
    /// True if the lines changed.
    pub replaced: bool,
}

struct Header {
    id: Uuid,
    period: NaiveDate,
    amount: Decimal,
    version: i32,
    ingest_status: String,
    is_final: bool,
    verified_at: Option<DateTime<Utc>>,
    sources: Option<String>,
    off_by: Option<Decimal>,
    summary_amount: Option<Decimal>,
    rows_without_item: Option<i32>,
    items_without_row: Option<i32>,
    lines_sha256: Option<Vec<u8>>,
}

impl Header {
    /// Returns true if the stored lines were never read completely.
    fn is_provisional(&self) -> bool {
        self.ingest_status == "ingested" && self.verified_at.is_none()
    }

    /// Returns the content that a fresh read must confirm; `None` if there are no lines, or if the
    /// amount changed since they were read.
    fn proven(&self) -> Option<Proven> {
        (self.ingest_status == "ingested").then(|| Proven {
            sources: self.sources.clone(),
            amount: self.amount,
            off_by: self.off_by,
            summary_amount: self.summary_amount,
            rows_without_item: self.rows_without_item,
            items_without_row: self.items_without_row,
        })
    }
}

impl Store {
    /// Stores the lines of an invoice in one transaction, matches them and attributes them to
    /// tenants. Unchanged lines are only rematched. Changed lines are a new version; the previous
    /// lines are kept as superseded. Closes the estimate of the month.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unconfirmed`] if the invoice is already ingested and the content proves less
    /// than the stored one; nothing is changed then.
    pub async fn ingest_invoice(
        &self,
        invoice: InvoiceUuid,
        content: InvoiceContent<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let total = exact_total(content.lines)?;
        let lines_sha256 = fingerprint(content.lines);

        let mut tx = self.pool.begin().await?;
        locks::share(&mut tx, Lock::CostLines).await?;
        // A concurrent ingest of this invoice waits here until this transaction ends.
        let header = sqlx::query_as!(
            Header,
            "select id, period, amount, version, ingest_status, is_final, verified_at, sources, off_by, summary_amount, rows_without_item,
                 items_without_row, lines_sha256
             from cloud_invoices where invoice_uuid = $1 for update",
            invoice.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(StoreError::NotFound {
            entity: "invoice",
            id: invoice.as_uuid(),
        })?;
        let bill = Bill {
            id: BillId::Invoice(header.id),
            period: header.period,
            invoice_uuid: Some(invoice),
        };
        let is_same = header.lines_sha256.as_ref() == Some(&lines_sha256);
        let parts = part_sums(content.lines);
        if let Some(proven) = header.proven() {
            let reading = Reading {
                content: &content,
                total,
                parts: &parts,
            };
            if let Some(reason) =
                check::rejection_reason(&mut tx, header.id, &proven, &reading).await?
            {
                return Err(StoreError::Unconfirmed {
                    id: invoice.as_uuid(),
                    reason,
                });
            }
        }
        for document in [content.csv, content.items].into_iter().flatten() {
            document.store(&mut tx).await?;
        }
        let csv_sha256 = content.csv.map(|csv| csv.sha256.clone());
        let items_sha256 = content.items.map(|items| items.sha256.clone());

        let version = if is_same {
            match_bill(&mut tx, &bill).await?;
            header.version
        } else {
            let version = header.version + i32::from(!header.is_provisional());
            if header.version > 0 && version > header.version {
                supersede(&mut tx, &header).await?;
            }
            delete_lines(&mut tx, &bill).await?;
            insert_lines(&mut tx, &bill, content.lines).await?;
            version
        };
        let parts_reconcile = store_parts(&mut tx, &bill, &parts, content.summary).await?;
        let off_by = header.amount - total;
        let is_proven = off_by.is_zero()
            && parts_reconcile
            && content
                .summary
                .is_none_or(|summary| summary.amount == header.amount);
        // A final invoice stays final unless its lines or its amount change.
        let is_final = is_proven || (header.is_final && is_same);
        let stored = Stored {
            invoice: header.id,
            version,
            total,
            off_by,
            is_final,
            csv_sha256,
            items_sha256,
            lines_sha256,
        };
        store_header(&mut tx, &stored, &content).await?;
        estimates::close_estimate(&mut tx, header.period).await?;
        let rules = lines_by_rule(&mut tx, &bill).await?;
        check_total(&mut tx, &bill, total).await?;
        tx.commit().await?;
        Ok(IngestOutcome {
            lines: content.lines.len(),
            line_total: total,
            off_by,
            is_final,
            rules,
            version,
            replaced: !is_same,
        })
    }
}

/// The values of an ingested invoice to store.
struct Stored {
    invoice: Uuid,
    version: i32,
    total: Decimal,
    off_by: Decimal,
    is_final: bool,
    csv_sha256: Option<Vec<u8>>,
    items_sha256: Option<Vec<u8>>,
    lines_sha256: Vec<u8>,
}

/// Updates the invoice and its current version.
async fn store_header(
    tx: &mut PgConnection,
    stored: &Stored,
    content: &InvoiceContent<'_>,
) -> Result<(), StoreError> {
    let count = |rows: usize| i32::try_from(rows).unwrap_or(i32::MAX);
    let joined = content
        .joined
        .filter(|_| content.sources == Sources::CsvAndItems);
    sqlx::query!(
        "update cloud_invoices set
             ingest_status = 'ingested', ingested_at = now(), checked_at = now(), updated_at = now(), last_error = null,
             -- A provisional reading confirms nothing; of lines that were confirmed before, the time of that stays.
             verified_at = case when $15::text is null then now() when lines_sha256 = $10 then verified_at end,
             check_failed_since = case when $15::text is not null then coalesce(check_failed_since, now()) end,
             last_check_error = $15,
             line_count = $2, line_total = $3, off_by = $4::numeric, reconciled = $4::numeric = 0,
             summary_amount = $5::numeric, summary_off_by = amount - $5::numeric, is_final = $6,
             version = $7, csv_sha256 = $8, items_sha256 = $9, lines_sha256 = $10, sources = $11, source_note = $12,
             rows_without_item = $13, items_without_row = $14
         where id = $1",
        stored.invoice,
        count(content.lines.len()),
        stored.total,
        stored.off_by,
        content.summary.map(|summary| summary.amount),
        stored.is_final,
        stored.version,
        stored.csv_sha256,
        stored.items_sha256,
        stored.lines_sha256,
        content.sources.as_str(),
        content.source_note,
        joined.map(|joined| count(joined.rows_without_item)),
        joined.map(|joined| count(joined.items_without_row)),
        content.unread,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_invoice_versions
             (invoice_id, version, amount, line_count, line_total, csv_sha256, items_sha256, ingested_at)
         select id, version, amount, line_count, line_total, csv_sha256, items_sha256, ingested_at
         from cloud_invoices where id = $1
         on conflict (invoice_id, version) do update set
             amount = excluded.amount, csv_sha256 = excluded.csv_sha256, items_sha256 = excluded.items_sha256",
        stored.invoice,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Copies the current lines to the superseded version.
async fn supersede(tx: &mut PgConnection, header: &Header) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cloud_invoice_versions (invoice_id, version, amount, line_count, line_total, csv_sha256, ingested_at, superseded_at)
         select id, version, coalesce(line_total + off_by, amount), coalesce(line_count, 0), coalesce(line_total, 0),
             csv_sha256, coalesce(ingested_at, now()), now()
         from cloud_invoices where id = $1
         on conflict (invoice_id, version) do update set superseded_at = excluded.superseded_at",
        header.id,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_superseded_cost_lines (invoice_id, version, line_no, id, product, kind, group_description, description, hours,
             start_at, end_at, amount, project_name, category, resource_name, item_resource_id, item_resource_uuid, resource_id,
             match_rule, tenant_id, shares)
         select line.invoice_id, $2, line.line_no, line.id, line.product, line.kind, line.group_description, line.description, line.hours,
             line.start_at, line.end_at, line.amount, line.project_name, line.category, line.resource_name, line.item_resource_id,
             line.item_resource_uuid, line.resource_id, line.match_rule, line.tenant_id,
             case when line.is_split then (
                 select jsonb_object_agg(coalesce(share.tenant_id, ''), share.amount) from cloud_cost_line_shares share
                 where share.line_id = line.id) end
         from cloud_cost_lines line where line.invoice_id = $1",
        header.id,
        header.version,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the total of the lines of each part; USD.
fn part_sums(lines: &[InvoiceLine]) -> BTreeMap<ChargePart, Decimal> {
    let mut sums: BTreeMap<ChargePart, Decimal> = ChargePart::ALL
        .into_iter()
        .map(|part| (part, Decimal::ZERO))
        .collect();
    for line in lines {
        *sums.entry(line.part).or_default() += line.amount;
    }
    sums
}

/// Stores the stated amount and the total of the lines of each part, and returns true if they
/// reconcile.
async fn store_parts(
    tx: &mut PgConnection,
    bill: &Bill,
    sums: &BTreeMap<ChargePart, Decimal>,
    summary: Option<&InvoiceSummary>,
) -> Result<bool, StoreError> {
    let stated = |part: ChargePart| summary.and_then(|summary| check::stated(summary, part));
    let parts: Vec<&str> = sums.keys().map(|part| part.as_str()).collect();
    let stated: Vec<Option<Decimal>> = sums.keys().map(|part| stated(*part)).collect();
    let amounts: Vec<Decimal> = sums.values().copied().collect();
    sqlx::query!(
        "insert into cloud_invoice_parts (invoice_id, part, stated, lines)
         select $1, * from unnest($2::text[], $3::numeric[], $4::numeric[])
         on conflict (invoice_id, part) do update set stated = excluded.stated, lines = excluded.lines",
        bill.id.any(),
        &parts as &[&str],
        &stated as &[Option<Decimal>],
        &amounts,
    )
    .execute(tx)
    .await?;
    Ok(stated
        .iter()
        .zip(&amounts)
        .all(|(stated, lines)| stated.is_none_or(|stated| stated == *lines)))
}
