//! The billing history: what was invoiced, what was paid, and what else happened.

use axum::{extract::State, response::Response};
use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Account, access::Caller, balance::amount, errors::ApiError, paging::PageRequest, server::Shared,
};

/// One entry. DigitalOcean gives it no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// `Invoice for May 2018`.
    pub description: String,
    /// US dollars: positive for what is owed, negative for what was paid.
    pub amount: Decimal,
    /// The invoice's number and UUID, for entries of type `Invoice`.
    pub invoice: Option<(String, Uuid)>,
    /// When it happened.
    pub date: DateTime<Utc>,
    /// `Invoice`, `Payment`, `Refund`, …: an open word.
    pub kind: String,
}

#[derive(Serialize)]
struct EntryBody<'a> {
    description: &'a str,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_uuid: Option<Uuid>,
    date: DateTime<Utc>,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl HistoryEntry {
    fn body(&self) -> EntryBody<'_> {
        EntryBody {
            description: &self.description,
            amount: amount(self.amount),
            invoice_id: self.invoice.as_ref().map(|(id, _)| id.as_str()),
            invoice_uuid: self.invoice.as_ref().map(|(_, uuid)| *uuid),
            date: self.date,
            kind: &self.kind,
        }
    }
}

impl Account {
    /// The billing history, newest first: every invoice with the payment that settled it a day later, and what was
    /// added with [`Account::add_history`].
    pub fn history(&self) -> Vec<HistoryEntry> {
        let mut entries = self.other_history.clone();
        for invoice in &self.invoices {
            let issued = invoice.issued_at();
            entries.push(HistoryEntry {
                description: format!("Invoice for {}", invoice.period.format("%B %Y")),
                amount: invoice.amount,
                invoice: Some((invoice.id.clone(), invoice.uuid)),
                date: issued,
                kind: "Invoice".to_owned(),
            });
            entries.push(HistoryEntry {
                description: format!("Payment (MC {})", issued.format("%Y")),
                amount: -invoice.amount,
                invoice: None,
                date: issued + TimeDelta::days(1),
                kind: "Payment".to_owned(),
            });
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.date));
        entries
    }

    /// Adds an entry that belongs to no invoice: a refund, a credit, a failed attempt.
    pub fn add_history(&mut self, entry: HistoryEntry) {
        self.other_history.push(entry);
    }
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
) -> Result<Response, ApiError> {
    caller.needs("billing:read")?;
    let entries = shared.account().history();
    Ok(page.answer("billing_history", &entries, HistoryEntry::body))
}
