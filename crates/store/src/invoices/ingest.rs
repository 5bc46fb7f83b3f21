//! Ingests an invoice: stores its lines, totals and versions.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::InvoiceUuid;
use domain::invoices::{ChargePart, InvoiceLine, InvoiceSummary};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bill::{Bill, BillId, fingerprint};
use super::check::{self, Proven, Reading, Verification};
use super::content::{InvoiceContent, Sources};
use super::lines::{
    check_total, delete_lines, exact_total, insert_lines, lines_by_rule, match_bill, set_parts,
};
use super::month_end;
use super::reattach::reattach_overrides;
use crate::locks::{self, Lock};
use crate::{Evidence, Store, StoreError};

/// The state of an ingested invoice; amounts in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestOutcome {
    pub lines: usize,
    pub line_total: Decimal,
    /// The invoice's amount minus the total of its lines; zero if they reconcile.
    pub off_by: Decimal,
    pub verification: Verification,
    /// True if the invoice is verified and the bill of its month has ended.
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
    verification: Option<String>,
    is_provisional: bool,
    is_final: bool,
    sources: Option<String>,
    off_by: Option<Decimal>,
    summary_amount: Option<Decimal>,
    rows_without_item: Option<i32>,
    items_without_row: Option<i32>,
    lines_sha256: Option<Vec<u8>>,
    line_count: Option<i32>,
    line_total: Option<Decimal>,
    listed_at: DateTime<Utc>,
    checked_at: Option<DateTime<Utc>>,
}

impl Header {
    fn verification(&self) -> Option<Verification> {
        self.verification.as_deref().and_then(Verification::named)
    }

    fn is_ingested(&self) -> bool {
        self.ingest_status == "ingested"
    }

    /// Returns true if the invoice was checked or corrected after this fetch began.
    fn supersedes(&self, evidence: Evidence) -> bool {
        let awaits_lines = self.ingest_status != "ingested";
        evidence.is_superseded_by(self.checked_at)
            || (awaits_lines && evidence.is_superseded_by(Some(self.listed_at)))
    }

    /// Returns the content that a fresh read must confirm; `None` if there are no lines, or if the
    /// amount changed since they were read.
    fn proven(&self) -> Option<Proven> {
        self.is_ingested().then(|| Proven {
            is_verified: self.verification() == Some(Verification::Verified),
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
    /// lines are kept as superseded. Closes the estimate of the month, or while the month runs
    /// reduces it to the rest.
    ///
    /// Content that was fetched before the latest check of the invoice changes nothing; the outcome
    /// is that of the stored lines.
    ///
    /// # Errors
    ///
    /// Nothing is changed then:
    ///
    /// - [`StoreError::Unconfirmed`] if the invoice is already ingested and the content proves less
    ///   than the stored one;
    /// - [`StoreError::Superseded`] if the invoice awaits lines that were fetched later, for
    ///   example because its amount was corrected after the fetch began.
    pub async fn ingest_invoice(
        &self,
        invoice: InvoiceUuid,
        evidence: Evidence,
        content: InvoiceContent<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let total = exact_total(content.lines)?;
        let lines_sha256 = fingerprint(content.lines).await;

        let mut tx = self.pool.begin().await?;
        locks::share(&mut tx, Lock::CostLines).await?;
        // A concurrent ingest of this invoice waits here until this transaction ends.
        let header = sqlx::query_as!(
            Header,
            "select id, period, amount, version, ingest_status, verification, is_provisional, is_final, sources, off_by, summary_amount,
                 rows_without_item, items_without_row, lines_sha256, line_count, line_total, listed_at, checked_at
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
        if header.supersedes(evidence) {
            return unchanged(&mut tx, &header, &bill).await;
        }
        let is_same = header.lines_sha256.as_ref() == Some(&lines_sha256);
        let parts = part_sums(content.lines);
        let reading = Reading {
            content: &content,
            total,
            parts: &parts,
        };
        if let Some(proven) = header.proven()
            && let Some(reason) =
                check::rejection_reason(&mut tx, header.id, &proven, &reading).await?
        {
            return Err(StoreError::Unconfirmed {
                id: invoice.as_uuid(),
                reason,
            });
        }
        for document in [content.csv, content.items].into_iter().flatten() {
            document.store(&mut tx).await?;
        }
        let csv_sha256 = content.csv.map(|csv| csv.sha256.clone());
        let items_sha256 = content.items.map(|items| items.sha256.clone());

        let version = if is_same {
            match_bill(&mut tx, &bill).await?;
            set_parts(&mut tx, header.id, content.lines).await?;
            header.version
        } else {
            let replaces = header.is_ingested() && header.is_provisional;
            let version = header.version + i32::from(!replaces);
            if header.version > 0 && version > header.version {
                supersede(&mut tx, &header).await?;
            }
            reattach_overrides(&mut tx, &bill, content.lines).await?;
            delete_lines(&mut tx, &bill).await?;
            insert_lines(&mut tx, &bill, content.lines).await?;
            version
        };
        store_parts(&mut tx, &bill, &parts, content.summary).await?;
        let off_by = header.amount - total;
        let verification = Verification::of(header.amount, &reading);
        // Complete lines stay complete if a later read only confirms them.
        let is_complete = header.is_ingested() && !header.is_provisional && is_same;
        let stored = Stored {
            invoice: header.id,
            evidence,
            version,
            total,
            off_by,
            verification,
            is_provisional: content.unread.is_some() && !is_complete,
            csv_sha256,
            items_sha256,
            lines_sha256,
        };
        store_header(&mut tx, &stored, &content).await?;
        month_end::settle(&mut tx, header.period).await?;
        let rules = lines_by_rule(&mut tx, &bill).await?;
        check_total(&mut tx, &bill, total).await?;
        let is_final = sqlx::query_scalar!(
            "select is_final from cloud_invoices where id = $1",
            header.id
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(IngestOutcome {
            lines: content.lines.len(),
            line_total: total,
            off_by,
            verification,
            is_final,
            rules,
            version,
            replaced: !is_same,
        })
    }
}

/// Returns the outcome of superseded content, which is not stored: that of the stored lines.
async fn unchanged(
    tx: &mut PgConnection,
    header: &Header,
    bill: &Bill,
) -> Result<IngestOutcome, StoreError> {
    let (Some(line_count), Some(line_total), Some(off_by), "ingested") = (
        header.line_count,
        header.line_total,
        header.off_by,
        header.ingest_status.as_str(),
    ) else {
        return Err(StoreError::Superseded {
            entity: "invoice",
            id: bill.invoice_uuid.map_or(header.id, InvoiceUuid::as_uuid),
        });
    };
    Ok(IngestOutcome {
        lines: usize::try_from(line_count).unwrap_or_default(),
        line_total,
        off_by,
        verification: header.verification().unwrap_or(Verification::Unverified),
        is_final: header.is_final,
        rules: lines_by_rule(tx, bill).await?,
        version: header.version,
        replaced: false,
    })
}

/// The values of an ingested invoice to store.
struct Stored {
    invoice: Uuid,
    evidence: Evidence,
    version: i32,
    total: Decimal,
    off_by: Decimal,
    verification: Verification,
    is_provisional: bool,
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
             ingest_status = 'ingested', ingested_at = now(), checked_at = $16, updated_at = now(), last_error = null,
             verification = $6::text, is_provisional = $17, is_final = is_final and $6::text = 'verified',
             verified_at = case when $6::text = 'verified' then now() end,
             verified_amount = case when $6::text = 'verified' then amount end,
             check_failed_since = case when $15::text is not null then coalesce(check_failed_since, now()) end,
             last_check_error = $15,
             line_count = $2, line_total = $3, off_by = $4::numeric, reconciled = $4::numeric = 0,
             summary_amount = $5::numeric, summary_off_by = amount - $5::numeric,
             version = $7, csv_sha256 = $8, items_sha256 = $9, lines_sha256 = $10, sources = $11, source_note = $12,
             rows_without_item = $13, items_without_row = $14
         where id = $1",
        stored.invoice,
        count(content.lines.len()),
        stored.total,
        stored.off_by,
        content.summary.map(|summary| summary.amount),
        stored.verification.as_str(),
        stored.version,
        stored.csv_sha256,
        stored.items_sha256,
        stored.lines_sha256,
        content.sources.as_str(),
        content.source_note,
        joined.map(|joined| count(joined.rows_without_item)),
        joined.map(|joined| count(joined.items_without_row)),
        content.unread,
        stored.evidence.began_at,
        stored.is_provisional,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into cloud_invoice_versions
             (invoice_id, version, amount, line_count, line_total, csv_sha256, items_sha256, ingested_at)
         select id, version, amount, line_count, line_total, csv_sha256, items_sha256, ingested_at
         from cloud_invoices where id = $1
         -- A complete read replaces the lines of a provisional one within the version.
         on conflict (invoice_id, version) do update set
             amount = excluded.amount, line_count = excluded.line_count, line_total = excluded.line_total,
             csv_sha256 = excluded.csv_sha256, items_sha256 = excluded.items_sha256",
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

/// Stores the stated amount and the total of the lines of each part.
async fn store_parts(
    tx: &mut PgConnection,
    bill: &Bill,
    sums: &BTreeMap<ChargePart, Decimal>,
    summary: Option<&InvoiceSummary>,
) -> Result<(), StoreError> {
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
    Ok(())
}
