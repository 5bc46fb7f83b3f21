//! The billing history.

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    HistoryEntry, answers::amount, caller::Caller, errors::ApiError, paging::PageRequest,
    state::Shared,
};

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

pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    page: PageRequest,
) -> Result<Response, ApiError> {
    caller.needs("billing:read")?;
    let entries = shared.account().history();
    Ok(page.answer("billing_history", &entries, HistoryEntry::body))
}
