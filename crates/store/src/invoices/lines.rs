//! Storing an invoice's lines.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use domain::InvoiceUuid;
use domain::invoices::{InvoiceLine, line_total};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgTransaction};
use uuid::Uuid;

use super::matching::{self, Match};
use crate::{Store, StoreError};

/// An invoice's CSV and what was read from it.
pub struct InvoiceFile<'a> {
    pub csv: &'a [u8],
    pub lines: &'a [InvoiceLine],
}

/// What an invoice looks like after its lines were stored; amounts in USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestOutcome {
    pub lines: usize,
    pub line_total: Decimal,
    /// The invoice's own amount less the sum of its lines: zero where they agree.
    pub off_by: Decimal,
    /// Lines whose resource is known.
    pub matched: usize,
    /// Whether the file was another than the one stored before.
    pub replaced: bool,
}

/// COPY is sent in portions of about this many bytes.
const COPY_CHUNK: usize = 256 * 1024;

impl Store {
    /// Replaces an invoice's line set, in one transaction. The same file again changes no line but those whose match has changed.
    pub async fn ingest_invoice(
        &self,
        invoice: InvoiceUuid,
        file: InvoiceFile<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let total = line_total(file.lines).ok_or_else(|| {
            StoreError::Database(sqlx::Error::Encode(
                "the lines' sum has more than 28 digits".into(),
            ))
        })?;
        let sha256 = Sha256::digest(file.csv).to_vec();

        let mut tx = self.pool.begin().await?;
        matching::share_lock(&mut tx).await?;
        // Another ingest of this invoice waits here until this one is done.
        let header = sqlx::query!(
            "select id, amount, csv_sha256 from cloud_invoices where invoice_uuid = $1 for update",
            invoice.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(StoreError::NotFound {
            what: "invoice",
            id: invoice.as_uuid(),
        })?;

        let matches = find_matches(&mut tx, file.lines).await?;
        let replaced = header.csv_sha256.as_deref() != Some(sha256.as_slice());
        if replaced {
            sqlx::query!(
                "delete from cloud_cost_lines where invoice_id = $1",
                header.id
            )
            .execute(&mut *tx)
            .await?;
            copy_lines(&mut tx, header.id, invoice, file.lines, &matches).await?;
        } else {
            update_matches(&mut tx, header.id, file.lines, &matches).await?;
        }
        let off_by = header.amount - total;
        sqlx::query!(
            "update cloud_invoices set
                 ingest_status = 'ingested', ingested_at = now(), line_count = $2, line_total = $3, off_by = $4::numeric,
                 reconciled = $4::numeric = 0, last_error = null, csv_sha256 = $5, updated_at = now()
             where id = $1",
            header.id,
            i32::try_from(file.lines.len()).unwrap_or(i32::MAX),
            total,
            off_by,
            sha256,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;

        let with_resource = file
            .lines
            .iter()
            .filter(|line| line_match(line, &matches).resource_id.is_some())
            .count();
        Ok(IngestOutcome {
            lines: file.lines.len(),
            line_total: total,
            off_by,
            matched: with_resource,
            replaced,
        })
    }
}

type Matches<'a> = HashMap<(&'a str, &'a str), Match>;

fn named_resource(line: &InvoiceLine) -> Option<(&str, &str)> {
    Some((line.kind.as_ref()?.as_str(), line.resource_name.as_deref()?))
}

async fn find_matches<'a>(
    tx: &mut PgConnection,
    lines: &'a [InvoiceLine],
) -> Result<Matches<'a>, StoreError> {
    let wanted: Vec<_> = lines
        .iter()
        .filter_map(named_resource)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let found = matching::find(tx, &wanted).await?;
    Ok(wanted.into_iter().zip(found).collect())
}

fn line_match(line: &InvoiceLine, matches: &Matches<'_>) -> Match {
    let by_name = named_resource(line).and_then(|named| matches.get(&named));
    by_name.cloned().unwrap_or_else(|| Match {
        resource_id: None,
        tenant_id: None,
        rule: if line.for_account {
            "account"
        } else {
            "unmatched"
        }
        .to_owned(),
    })
}

async fn copy_lines(
    tx: &mut PgTransaction<'_>,
    invoice_id: Uuid,
    invoice: InvoiceUuid,
    lines: &[InvoiceLine],
    matches: &Matches<'_>,
) -> Result<(), StoreError> {
    let mut copy = tx
        .copy_in_raw(
            "copy cloud_cost_lines (id, invoice_id, line_no, product, kind, group_description, description, hours, start_at,
                 end_at, amount, project_name, category, resource_name, resource_id, match_rule, tenant_id) from stdin",
        )
        .await?;
    let mut rows = String::with_capacity(COPY_CHUNK + 4096);
    for line in lines {
        write_row(
            &mut rows,
            invoice_id,
            invoice,
            line,
            &line_match(line, matches),
        );
        if rows.len() >= COPY_CHUNK {
            copy.send(rows.as_bytes()).await?;
            rows.clear();
        }
    }
    copy.send(rows.as_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

/// The same for the same place in the same invoice, whenever it is stored.
fn line_id(invoice: InvoiceUuid, line_no: i32) -> Uuid {
    let digest = Sha256::digest(format!("{invoice}/{line_no}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn write_row(
    rows: &mut String,
    invoice_id: Uuid,
    invoice: InvoiceUuid,
    line: &InvoiceLine,
    found: &Match,
) {
    let id = line_id(invoice, line.line_no);
    let _ = write!(rows, "{id}\t{invoice_id}\t{}\t", line.line_no);
    write_text(rows, Some(&line.product), '\t');
    write_text(
        rows,
        line.kind.as_ref().map(domain::ResourceKind::as_str),
        '\t',
    );
    write_text(rows, Some(&line.group_description), '\t');
    write_text(rows, Some(&line.description), '\t');
    write_value(rows, line.hours);
    write_value(
        rows,
        line.start_at.as_ref().map(DateTime::<Utc>::to_rfc3339),
    );
    write_value(rows, line.end_at.as_ref().map(DateTime::<Utc>::to_rfc3339));
    write_value(rows, Some(line.amount));
    write_text(rows, Some(&line.project_name), '\t');
    write_text(rows, line.category.as_deref(), '\t');
    write_text(rows, line.resource_name.as_deref(), '\t');
    write_value(rows, found.resource_id);
    write_text(rows, Some(&found.rule), '\t');
    write_text(rows, found.tenant_id.as_deref(), '\n');
}

fn write_value(rows: &mut String, value: Option<impl std::fmt::Display>) {
    let _ = match value {
        Some(value) => write!(rows, "{value}\t"),
        None => write!(rows, "\\N\t"),
    };
}

/// A field in COPY's text format: its escapes, and `\N` for NULL.
fn write_text(rows: &mut String, text: Option<&str>, end: char) {
    match text {
        None => rows.push_str("\\N"),
        Some(text) => {
            for character in text.chars() {
                match character {
                    '\\' => rows.push_str("\\\\"),
                    '\t' => rows.push_str("\\t"),
                    '\n' => rows.push_str("\\n"),
                    '\r' => rows.push_str("\\r"),
                    // PostgreSQL's text cannot hold it.
                    '\0' => {}
                    character => rows.push(character),
                }
            }
        }
    }
    rows.push(end);
}

async fn update_matches(
    tx: &mut PgConnection,
    invoice_id: Uuid,
    lines: &[InvoiceLine],
    matches: &Matches<'_>,
) -> Result<(), StoreError> {
    let found: Vec<Match> = lines.iter().map(|line| line_match(line, matches)).collect();
    let places: Vec<i32> = lines.iter().map(|line| line.line_no).collect();
    let resources: Vec<Option<Uuid>> = found.iter().map(|found| found.resource_id).collect();
    let rules: Vec<&str> = found.iter().map(|found| found.rule.as_str()).collect();
    let tenants: Vec<Option<&str>> = found
        .iter()
        .map(|found| found.tenant_id.as_deref())
        .collect();
    sqlx::query!(
        "update cloud_cost_lines line set
             resource_id = found.resource_id, match_rule = found.match_rule, tenant_id = found.tenant_id
         from unnest($2::int[], $3::uuid[], $4::text[], $5::text[]) as found (line_no, resource_id, match_rule, tenant_id)
         where line.invoice_id = $1 and line.line_no = found.line_no
           and (line.resource_id, line.match_rule, line.tenant_id)
               is distinct from (found.resource_id, found.match_rule, found.tenant_id)",
        invoice_id,
        &places,
        &resources as &[Option<Uuid>],
        &rules as &[&str],
        &tenants as &[Option<&str>],
    )
    .execute(tx)
    .await?;
    Ok(())
}
