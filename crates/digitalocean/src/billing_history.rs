//! Reads the billing history: invoices, payments and credits.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::ledger::BillingEntry;
use serde::Deserialize;

use crate::client::Client;
use crate::decode::{Amount, Unreadable, optional_text};
use crate::listing::Listing;
use crate::pages::Source;
use crate::paging::Paging;

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
    /// Lists the whole billing history. The response has pages, although the spec documents no page
    /// parameters (observed).
    pub async fn list_billing_history(&self) -> Listing<BillingEntry> {
        self.list(&Source {
            path: "/v2/customers/my/billing_history",
            envelope: "billing_history",
            paging: Paging::Pages,
            read: Arc::new(read_entry),
            id: None,
            extra: None,
        })
        .await
    }
}

fn read_entry(json: &str) -> Result<BillingEntry, Unreadable> {
    let body: EntryBody = serde_json::from_str(json)?;
    Ok(BillingEntry {
        description: body.description.unwrap_or_default(),
        amount: body.amount.0,
        invoice_id: body.invoice_id,
        invoice_uuid: body.invoice_uuid.and_then(|uuid| uuid.parse().ok()),
        date: body.date,
        entry_type: body.entry_type,
    })
}
