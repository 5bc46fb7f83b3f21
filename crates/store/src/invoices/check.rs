//! Compares the lines of an invoice with its header and its summary, and decides if a fresh read of
//! an ingested invoice may replace the stored content.
//!
//! A read that proves less than the stored content does not replace it: a truncated file, a list
//! that changed during the read, a document that is unavailable. It is recorded as a failed check.
//! A correction first changes the amount in DigitalOcean's list of invoices, which resets the
//! invoice to `pending`: it is then ingested, not checked.

use std::collections::BTreeMap;

use domain::invoices::{ChargePart, InvoiceSummary};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::content::{InvoiceContent, Sources};
use crate::StoreError;

/// The result of comparing the lines of an invoice with its header and its summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Lines, header, summary and the parts of the summary reconcile.
    Verified,
    /// No sum differs, but the summary, one of its parts or another source is missing.
    Unverified,
    /// A sum differs.
    Unreconciled,
}

impl Verification {
    /// Returns the value of the column `verification`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Unreconciled => "unreconciled",
        }
    }

    /// Returns the result with this value in the column `verification`.
    pub(super) fn named(value: &str) -> Option<Self> {
        let all = [Self::Verified, Self::Unverified, Self::Unreconciled];
        all.into_iter().find(|result| result.as_str() == value)
    }

    /// Compares the content of an invoice with its amount (USD).
    pub(super) fn of(amount: Decimal, reading: &Reading<'_>) -> Self {
        let lines_differ = reading.total != amount;
        let Some(summary) = reading.content.summary else {
            return if lines_differ {
                Self::Unreconciled
            } else {
                Self::Unverified
            };
        };
        let parts = || {
            let parts = reading.parts.iter();
            parts.map(|(part, lines)| (stated(summary, *part), *lines))
        };
        let part_differs = parts().any(|(stated, lines)| stated.is_some_and(|is| is != lines));
        let lacks_part = parts().any(|(stated, lines)| stated.is_none() && !lines.is_zero());
        if lines_differ || part_differs || summary.amount != amount {
            Self::Unreconciled
        } else if lacks_part || reading.content.unread.is_some() {
            Self::Unverified
        } else {
            Self::Verified
        }
    }
}

/// The stored sources and totals of an invoice; amounts in USD.
pub(super) struct Proven {
    pub(super) is_verified: bool,
    pub(super) sources: Option<String>,
    pub(super) amount: Decimal,
    pub(super) off_by: Option<Decimal>,
    pub(super) summary_amount: Option<Decimal>,
    pub(super) rows_without_item: Option<i32>,
    pub(super) items_without_row: Option<i32>,
}

/// The content of the fresh read; amounts in USD.
pub(super) struct Reading<'a> {
    pub(super) content: &'a InvoiceContent<'a>,
    pub(super) total: Decimal,
    pub(super) parts: &'a BTreeMap<ChargePart, Decimal>,
}

/// Returns why a read proves less than the stored content; `None` if it may be stored.
pub(super) async fn rejection_reason(
    tx: &mut PgConnection,
    invoice: Uuid,
    proven: &Proven,
    reading: &Reading<'_>,
) -> Result<Option<String>, StoreError> {
    if let Some(source) = missing_source(proven, reading.content) {
        let note = reading.content.source_note.unwrap_or("not found");
        return Ok(Some(format!("{source} could not be read: {note}")));
    }
    if let Some(reason) = worse_join(proven, reading) {
        return Ok(Some(reason));
    }
    let off_by = proven.amount - reading.total;
    if grows(proven.off_by, Some(off_by)) {
        return Ok(Some(format!(
            "the fetched lines total {} USD, the invoice {} USD, off by {off_by}; the stored lines are off by {}",
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
            "the fetched summary states {} USD, the invoice {} USD",
            stated.unwrap_or_default(),
            proven.amount,
        )));
    }
    if let Some(reason) = worse_part(tx, invoice, reading).await? {
        return Ok(Some(reason));
    }
    let verifies_less =
        proven.is_verified && Verification::of(proven.amount, reading) != Verification::Verified;
    Ok(verifies_less.then(|| {
        let unread = reading.content.unread.map(str::to_owned);
        unread.unwrap_or_else(|| "the fetched documents do not verify the stored lines".to_owned())
    }))
}

fn missing_source(proven: &Proven, content: &InvoiceContent<'_>) -> Option<&'static str> {
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

/// A truncated CSV or list of items leaves more entries of the other document without a
/// counterpart.
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
            "{} items have no row in the fetched CSV: the CSV may be truncated",
            joined.items_without_row
        ))
    } else if grew(proven.rows_without_item, joined.rows_without_item) {
        Some(format!(
            "{} rows of the CSV have no item in the fetched list: the list may be incomplete",
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
                "the fetched lines of {} total {lines} USD, the summary states {} USD",
                row.part,
                stated.unwrap_or_default(),
            )));
        }
    }
    Ok(None)
}

/// Returns the amount that a summary states for a part; USD.
pub(super) fn stated(summary: &InvoiceSummary, part: ChargePart) -> Option<Decimal> {
    let mut parts = summary.parts.iter();
    parts
        .find(|(stated, _)| *stated == part)
        .map(|(_, amount)| *amount)
}

/// Returns true if a known difference is now larger or unknown.
fn grows(before: Option<Decimal>, now: Option<Decimal>) -> bool {
    before.is_some_and(|before| now.is_none_or(|now| now.abs() > before.abs()))
}
