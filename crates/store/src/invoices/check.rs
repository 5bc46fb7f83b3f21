//! Whether a fresh reading of an invoice whose lines are here may replace what is stored.
//!
//! What was proven once is not given up for evidence that proves less: a file that was cut off, a list that was torn, a source that
//! cannot be read at the moment. Such a reading confirms nothing, and is recorded as a failed check. A correction changes the amount in
//! DigitalOcean's list of invoices first, and the invoice waits for its lines then: it is ingested, not checked.

use std::collections::BTreeMap;

use domain::invoices::{ChargePart, InvoiceSummary};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::content::{InvoiceContent, Sources};
use crate::StoreError;

/// What is stored of an invoice's sources and sums; amounts in USD.
pub(super) struct Proven {
    pub(super) sources: Option<String>,
    pub(super) amount: Decimal,
    pub(super) off_by: Option<Decimal>,
    pub(super) summary_amount: Option<Decimal>,
    pub(super) rows_without_item: Option<i32>,
    pub(super) items_without_row: Option<i32>,
}

/// What was read now; amounts in USD.
pub(super) struct Reading<'a> {
    pub(super) content: &'a InvoiceContent<'a>,
    pub(super) total: Decimal,
    pub(super) parts: &'a BTreeMap<ChargePart, Decimal>,
}

/// Returns why a reading confirms less than what is stored; none where it may be stored.
pub(super) async fn shortcoming(
    tx: &mut PgConnection,
    invoice: Uuid,
    proven: &Proven,
    reading: &Reading<'_>,
) -> Result<Option<String>, StoreError> {
    if let Some(source) = lacking_source(proven, reading.content) {
        let note = reading.content.source_note.unwrap_or("it was not found");
        return Ok(Some(format!("{source} could not be read: {note}")));
    }
    if let Some(reason) = worse_join(proven, reading) {
        return Ok(Some(reason));
    }
    let off_by = proven.amount - reading.total;
    if grows(proven.off_by, Some(off_by)) {
        return Ok(Some(format!(
            "the lines read now total {} USD and the invoice {} USD, off by {off_by}; the stored lines are off by {}",
            reading.total,
            proven.amount,
            proven.off_by.unwrap_or_default(),
        )));
    }
    let stated = reading.content.summary.map(|summary| summary.amount);
    let summary_off_by = |amount: Option<Decimal>| amount.map(|amount| proven.amount - amount);
    if grows(
        summary_off_by(proven.summary_amount),
        summary_off_by(stated),
    ) {
        return Ok(Some(format!(
            "the summary states {} USD now, and the invoice {} USD",
            stated.unwrap_or_default(),
            proven.amount,
        )));
    }
    worse_part(tx, invoice, reading).await
}

fn lacking_source(proven: &Proven, content: &InvoiceContent<'_>) -> Option<&'static str> {
    let had = |source: &str| {
        let sources = proven.sources.as_deref().unwrap_or_default();
        sources.split('+').any(|had| had == source)
    };
    if had("csv") && content.sources == Sources::Items {
        Some("the CSV")
    } else if had("items") && content.sources == Sources::Csv {
        Some("the items")
    } else if proven.summary_amount.is_some() && content.summary.is_none() {
        Some("the summary")
    } else {
        None
    }
}

/// A CSV or a list of items that lacks some of what it had leaves more of the other without a partner.
fn worse_join(proven: &Proven, reading: &Reading<'_>) -> Option<String> {
    let joined = reading
        .content
        .joined
        .filter(|_| reading.content.sources == Sources::CsvAndItems)?;
    let grew = |before: Option<i32>, now: usize| {
        before.is_some_and(|before| i32::try_from(now).unwrap_or(i32::MAX) > before)
    };
    if grew(proven.items_without_row, joined.items_without_row) {
        Some(format!(
            "{} items have no row in the CSV read now: the CSV may be cut off",
            joined.items_without_row
        ))
    } else if grew(proven.rows_without_item, joined.rows_without_item) {
        Some(format!(
            "{} rows of the CSV have no item in the list read now: the list may lack some",
            joined.rows_without_item
        ))
    } else {
        None
    }
}

async fn worse_part(
    tx: &mut PgConnection,
    invoice: Uuid,
    reading: &Reading<'_>,
) -> Result<Option<String>, StoreError> {
    let stored = sqlx::query!(
        "select part, off_by from cloud_invoice_parts where invoice_id = $1 order by part",
        invoice
    )
    .fetch_all(tx)
    .await?;
    for row in stored {
        let part = ChargePart::ALL
            .into_iter()
            .find(|part| part.as_str() == row.part);
        let Some(part) = part else { continue };
        let lines = reading.parts.get(&part).copied().unwrap_or_default();
        let stated = reading
            .content
            .summary
            .and_then(|summary| stated(summary, part));
        if grows(row.off_by, stated.map(|stated| stated - lines)) {
            return Ok(Some(format!(
                "the lines of {} read now total {lines} USD, and the summary states {} USD",
                row.part,
                stated.unwrap_or_default(),
            )));
        }
    }
    Ok(None)
}

/// What a summary states of a part; USD.
pub(super) fn stated(summary: &InvoiceSummary, part: ChargePart) -> Option<Decimal> {
    let mut parts = summary.parts.iter();
    parts
        .find(|(stated, _)| *stated == part)
        .map(|(_, amount)| *amount)
}

/// Whether a difference is known, and is larger now or not known any more.
fn grows(before: Option<Decimal>, now: Option<Decimal>) -> bool {
    before.is_some_and(|before| now.is_none_or(|now| now.abs() > before.abs()))
}
