//! What lines belong to: an invoice, or the estimate of the open month.

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

    /// Either way.
    pub(super) fn any(self) -> Uuid {
        match self {
            Self::Invoice(id) | Self::Estimate(id) => id,
        }
    }
}

/// A month's bill.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill {
    pub(super) id: BillId,
    /// The first of the month.
    pub(super) period: NaiveDate,
    /// DigitalOcean's, where it is an invoice.
    pub(super) invoice_uuid: Option<InvoiceUuid>,
}

impl Bill {
    /// When what a line paid for began; for a line without dates, the month.
    pub(super) fn start_of(&self, line: &InvoiceLine) -> DateTime<Utc> {
        line.start_at.unwrap_or_else(|| start_of_month(self.period))
    }

    pub(super) fn end_of(&self, line: &InvoiceLine) -> DateTime<Utc> {
        line.end_at.unwrap_or_else(|| end_of_month(self.period))
    }

    /// The lines' ids: the same for the same line of the same bill, whenever it is stored, wherever in the file it stands and
    /// whatever it comes to. Lines alike in all of that are counted.
    pub(super) fn line_ids(&self, lines: &[InvoiceLine]) -> Vec<Uuid> {
        let bill = self.invoice_uuid.map_or_else(
            || format!("estimate {}", self.period),
            |uuid| uuid.to_string(),
        );
        let mut alike: HashMap<[u8; 32], u64> = HashMap::with_capacity(lines.len());
        lines
            .iter()
            .map(|line| {
                let mut hash = FieldHash::new();
                hash.text(&bill);
                hash_name(&mut hash, line);
                let name = hash.finish();
                let ordinal = alike.entry(name).or_default();
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

/// Over all that lines say, in their order: the same again is no new version. Which of lines alike in everything has which id is no
/// difference: it is the order of the items, which means nothing.
pub(super) fn fingerprint(lines: &[InvoiceLine]) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut ids: Vec<[u8; 32]> = Vec::with_capacity(lines.len());
    for line in lines {
        let mut said = FieldHash::new();
        hash_name(&mut said, line);
        said.optional(line.hours.map(|hours| hours.normalize().to_string()));
        said.text(&line.amount.normalize().to_string());
        said.text(&line.project_name);
        said.optional(line.category.as_deref());
        let said = said.finish();
        hash.update(said);
        let mut named = FieldHash::new();
        named.0.update(said);
        named.optional(line.item.resource_id.as_deref());
        named.optional(line.item.resource_uuid.as_deref());
        ids.push(named.finish());
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

/// Lengths keep fields apart: "ab", "c" is not "a", "bc".
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
