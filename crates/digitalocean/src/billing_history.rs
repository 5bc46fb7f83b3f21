//! What was invoiced, paid and credited.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::client::Client;
use crate::decode::{Amount, Unreadable, optional_text};
use crate::listing::Listing;
use crate::pages::{Paging, Source};

/// One entry of `GET /v2/customers/my/billing_history`. It has no id: two entries may be alike in everything (spec).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingHistoryEntry {
    pub description: String,
    /// USD; negative for what was paid or credited.
    pub amount: Decimal,
    /// The number printed on the invoice; only entries for invoices have one.
    pub invoice_id: Option<String>,
    /// As given; only entries for invoices have one.
    pub invoice_uuid: Option<String>,
    pub date: DateTime<Utc>,
    /// `Invoice`, `Payment`, `Credit` ... (spec: `type`); kept open.
    pub entry_type: String,
}

#[derive(Deserialize)]
struct EntryBody {
    description: Option<String>,
    amount: Amount,
    #[serde(default, deserialize_with = "optional_text")]
    invoice_id: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    invoice_uuid: Option<String>,
    date: DateTime<Utc>,
    #[serde(rename = "type")]
    entry_type: String,
}

impl Client {
    /// The whole billing history. It comes in pages, though the spec gives its request no page parameters (observed).
    pub async fn list_billing_history(&self) -> Listing<BillingHistoryEntry> {
        self.list(&Source {
            path: "/v2/customers/my/billing_history",
            envelope: "billing_history",
            paging: Paging::Pages,
            read: &read_entry,
            id: None,
        })
        .await
    }
}

fn read_entry(json: &str) -> Result<BillingHistoryEntry, Unreadable> {
    let body: EntryBody = serde_json::from_str(json)?;
    Ok(BillingHistoryEntry {
        description: body.description.unwrap_or_default(),
        amount: body.amount.0,
        invoice_id: body.invoice_id,
        invoice_uuid: body.invoice_uuid,
        date: body.date,
        entry_type: body.entry_type,
    })
}
