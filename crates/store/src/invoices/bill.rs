//! The bill that a line belongs to: an invoice, or the estimate of the open month.

use chrono::{DateTime, Months, NaiveDate, NaiveTime, Utc};
use domain::InvoiceUuid;
use domain::invoices::InvoiceLine;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BillId {
    Invoice(Uuid),
    Estimate(Uuid),
}

impl BillId {
    pub(super) fn invoice(self) -> Option<Uuid> {
        match self {
            Self::Invoice(id) => Some(id),
            Self::Estimate(_) => None,
        }
    }

    pub(super) fn estimate(self) -> Option<Uuid> {
        match self {
            Self::Estimate(id) => Some(id),
            Self::Invoice(_) => None,
        }
    }

    /// Returns the id of either kind of bill.
    pub(super) fn any(self) -> Uuid {
        match self {
            Self::Invoice(id) | Self::Estimate(id) => id,
        }
    }
}

/// The bill of a month.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill {
    pub(super) id: BillId,
    /// The first of the month.
    pub(super) period: NaiveDate,
    /// DigitalOcean's UUID of an invoice; `None` for an estimate.
    pub(super) invoice_uuid: Option<InvoiceUuid>,
}

impl Bill {
    /// Returns the start of the charge; for a line without dates, the start of the month.
    pub(super) fn start_of(&self, line: &InvoiceLine) -> DateTime<Utc> {
        line.start_at.unwrap_or_else(|| start_of_month(self.period))
    }

    /// Returns the end of the charge, like the SQL function `charge_ends`. It is never before the
    /// start.
    pub(super) fn end_of(&self, line: &InvoiceLine) -> DateTime<Utc> {
        let end = line.end_at.unwrap_or_else(|| end_of_month(self.period));
        line.start_at.map_or(end, |start| start.max(end))
    }

    /// Returns the ids of the lines. A line of a bill keeps its id whenever it is stored,
    /// independent of its position in the file and of its amount. An ordinal distinguishes lines
    /// that are equal otherwise.
    pub(super) fn line_ids(&self, lines: &[InvoiceLine]) -> Vec<Uuid> {
        let bill = self.invoice_uuid.map_or_else(
            || format!("estimate {}", self.period),
            |uuid| uuid.to_string(),
        );
        let mut ordinals_by_name: HashMap<[u8; 32], u64> = HashMap::with_capacity(lines.len());
        lines
            .iter()
            .map(|line| {
                let mut hash = FieldHash::new();
                hash.text(&bill);
                hash_name(&mut hash, line);
                let name = hash.finish();
                let ordinal = ordinals_by_name.entry(name).or_default();
                *ordinal += 1;
                let mut hash = Sha256::new();
                hash.update(name);
                hash.update(ordinal.to_le_bytes());
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&hash.finalize()[..16]);
                uuid::Builder::from_custom_bytes(bytes).into_uuid()
            })
            .collect()
    }
}

pub(super) fn start_of_month(period: NaiveDate) -> DateTime<Utc> {
    period.and_time(NaiveTime::MIN).and_utc()
}

pub(super) fn end_of_month(period: NaiveDate) -> DateTime<Utc> {
    let next = period.checked_add_months(Months::new(1)).unwrap_or(period);
    start_of_month(next)
}

/// About three milliseconds of hashing.
const LINES_AT_ONCE: usize = 1_000;

/// Hashes the content of the lines in their order; an equal hash means no new version. If lines are
/// equal in all other fields, it does not matter which of them has which resource id: the order of
/// the items is not significant.
///
/// Yields to other tasks of the thread after each portion of the lines.
pub(super) async fn fingerprint(lines: &[InvoiceLine]) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut ids: Vec<[u8; 32]> = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        if number % LINES_AT_ONCE == LINES_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let mut content = FieldHash::new();
        hash_name(&mut content, line);
        content.optional(line.hours.map(|hours| hours.normalize().to_string()));
        content.text(&line.amount.normalize().to_string());
        content.text(&line.project_name);
        content.optional(line.category.as_deref());
        let content = content.finish();
        hash.update(content);
        let mut with_ids = FieldHash::new();
        with_ids.0.update(content);
        with_ids.optional(line.item.resource_id.as_deref());
        with_ids.optional(line.item.resource_uuid.as_deref());
        ids.push(with_ids.finish());
    }
    ids.sort_unstable();
    for id in ids {
        hash.update(id);
    }
    hash.finalize().to_vec()
}

fn hash_name(hash: &mut FieldHash, line: &InvoiceLine) {
    hash.text(&line.product);
    hash.text(&line.group_description);
    hash.text(&line.description);
    hash.optional(line.start_at.map(|time| time.timestamp().to_string()));
    hash.optional(line.end_at.map(|time| time.timestamp().to_string()));
}

/// A hash of fields. Each is preceded by its length, so that "ab", "c" and "a", "bc" have different
/// hashes.
struct FieldHash(Sha256);

impl FieldHash {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    fn optional(&mut self, text: Option<impl AsRef<str>>) {
        match text {
            Some(text) => self.text(text.as_ref()),
            None => self.0.update(u64::MAX.to_le_bytes()),
        }
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
