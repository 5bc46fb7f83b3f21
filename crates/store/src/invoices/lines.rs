//! Storing an invoice's lines.

use std::collections::BTreeSet;
use std::collections::HashMap;

use domain::InvoiceUuid;
use domain::invoices::{InvoiceLine, line_total};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::matching::{self, Match};
use crate::copy::CopyIn;
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
    tx: &mut PgConnection,
    invoice_id: Uuid,
    invoice: InvoiceUuid,
    lines: &[InvoiceLine],
    matches: &Matches<'_>,
) -> Result<(), StoreError> {
    let mut copy = CopyIn::start(
        tx,
        "cloud_cost_lines (id, invoice_id, line_no, product, kind, group_description, description, hours, start_at, end_at,
             amount, project_name, category, resource_name, resource_id, match_rule, tenant_id)",
    )
    .await?;
    for line in lines {
        let found = line_match(line, matches);
        write_row(&mut copy, invoice_id, invoice, line, &found);
        copy.end_row().await?;
    }
    copy.finish().await
}

/// The same for the same place in the same invoice, whenever it is stored.
fn line_id(invoice: InvoiceUuid, line_no: i32) -> Uuid {
    let digest = Sha256::digest(format!("{invoice}/{line_no}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn write_row(
    row: &mut CopyIn<'_>,
    invoice_id: Uuid,
    invoice: InvoiceUuid,
    line: &InvoiceLine,
    found: &Match,
) {
    row.value(Some(line_id(invoice, line.line_no)));
    row.value(Some(invoice_id));
    row.value(Some(line.line_no));
    row.text(Some(&line.product));
    row.text(line.kind.as_ref().map(domain::ResourceKind::as_str));
    row.text(Some(&line.group_description));
    row.text(Some(&line.description));
    row.value(line.hours);
    row.time(line.start_at);
    row.time(line.end_at);
    row.value(Some(line.amount));
    row.text(Some(&line.project_name));
    row.text(line.category.as_deref());
    row.text(line.resource_name.as_deref());
    row.value(found.resource_id);
    row.text(Some(&found.rule));
    row.text(found.tenant_id.as_deref());
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
