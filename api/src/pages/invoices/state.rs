//! The state of an invoice in text: final, or the reasons why it is not.

use store::invoices::{Invoice, InvoicePart};

use super::PARTS;
use crate::pages::format::{Moment, Money};

/// The state of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pages) struct InvoiceState {
    /// `final`, `verified` (of a month that is not over), `unverified`, `not final`, `withdrawn`,
    /// `failed` or `pending`.
    pub(in crate::pages) name: &'static str,
    /// The class of its color.
    pub(in crate::pages) class: &'static str,
    /// Reasons for a state other than final, and a failed last check of a final invoice.
    pub(in crate::pages) reasons: Vec<String>,
}

impl InvoiceState {
    pub(in crate::pages) fn of(invoice: &Invoice, parts: &[InvoicePart]) -> Self {
        let reasons = reasons(invoice, parts);
        let (name, class) = match invoice.ingest_status.as_str() {
            "failed" => ("failed", "bad-text"),
            "pending" => ("pending", "warn-text"),
            _ if invoice.is_withdrawn => ("withdrawn", "bad-text"),
            _ if invoice.is_final => ("final", "good-text"),
            _ => match invoice.verification.as_deref() {
                Some("verified") => ("verified", "faint"),
                Some("unverified") => ("unverified", "warn-text"),
                _ => ("not final", "bad-text"),
            },
        };
        Self {
            name,
            class,
            reasons,
        }
    }

    pub(in crate::pages) fn is_final(&self) -> bool {
        self.name == "final"
    }

    /// Returns the class of a notice with this state.
    pub(in crate::pages) fn notice(&self) -> &'static str {
        match self.class {
            "good-text" => "good",
            "bad-text" => "bad",
            "warn-text" => "warn",
            _ => "",
        }
    }
}

fn reasons(invoice: &Invoice, parts: &[InvoicePart]) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(since) = invoice.missing_since {
        let since = Moment(since);
        reasons.push(format!(
            "DigitalOcean has not listed the invoice since {since} UTC; its lines still count"
        ));
    }
    match invoice.ingest_status.as_str() {
        "failed" => reasons.push(format!(
            "the lines could not be read: {}",
            invoice.last_error.as_deref().unwrap_or("unknown error")
        )),
        "pending" if invoice.version == 0 => {
            reasons.push("the lines are not read yet".to_owned());
        }
        "pending" => reasons.push(
            "DigitalOcean changed the amount; the lines of the new amount are not read yet"
                .to_owned(),
        ),
        _ => {
            reasons.extend(differences(invoice, parts));
            reasons.extend(missing(invoice, parts));
        }
    }
    if let (Some(since), Some(error)) = (invoice.check_failed_since, &invoice.last_check_error)
        && invoice.ingest_status != "failed"
    {
        reasons.push(format!(
            "the checks since {} UTC failed: {error}",
            Moment(since)
        ));
    }
    reasons
}

/// Why an ingested invoice without a difference is not final.
fn missing(invoice: &Invoice, parts: &[InvoicePart]) -> Option<String> {
    match invoice.verification.as_deref() {
        Some("verified") if !invoice.is_final => Some(
            "its month is not over: DigitalOcean can issue further invoices of this month"
                .to_owned(),
        ),
        Some("unverified") if invoice.summary_amount.is_none() => Some(format!(
            "not verified, because DigitalOcean returned no summary to compare the lines with{}",
            note(invoice)
        )),
        Some("unverified") => {
            let lacking = PARTS.iter().filter(|(name, _)| {
                let part = parts.iter().find(|part| part.part == *name);
                part.is_some_and(|part| part.stated.is_none() && !part.lines.is_zero())
            });
            let lacking: Vec<String> = lacking.map(|(_, text)| text.to_lowercase()).collect();
            Some(if lacking.is_empty() {
                format!("not verified, because a source is missing{}", note(invoice))
            } else {
                let lacking = lacking.join(", ");
                format!("not verified, because the summary does not state: {lacking}")
            })
        }
        _ => None,
    }
}

fn note(invoice: &Invoice) -> String {
    let note = invoice.source_note.as_deref();
    note.map_or_else(String::new, |note| format!(": {note}"))
}

/// The sums of an ingested invoice that do not reconcile.
fn differences(invoice: &Invoice, parts: &[InvoicePart]) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(off_by) = invoice.off_by.filter(|off_by| !off_by.is_zero()) {
        reasons.push(format!(
            "the lines are off by {} USD from the amount of the invoice",
            Money(off_by)
        ));
    }
    if let Some(off_by) = invoice.summary_off_by.filter(|off_by| !off_by.is_zero()) {
        reasons.push(format!(
            "the summary is off by {} USD from the amount of the invoice",
            Money(off_by)
        ));
    }
    for (name, text) in PARTS {
        let part = parts.iter().find(|part| part.part == name);
        let off_by = part.and_then(|part| part.off_by);
        if let Some(off_by) = off_by.filter(|off_by| !off_by.is_zero()) {
            reasons.push(format!(
                "{}: the lines are off by {} USD from the summary",
                text.to_lowercase(),
                Money(off_by)
            ));
        }
    }
    reasons
}
