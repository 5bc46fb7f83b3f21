//! The account's billing history, and whether it comes to the balance.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::ledger::AfterEntry;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::envelope::{List, ListMeta};
use crate::extract::{Text, optional};
use crate::notes::{self, Note};
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{Invalid, Problem};
use store::Usd;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An entry of the billing history; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    id: Uuid,
    /// DigitalOcean's word for it: `Invoice`, `Payment`, `Credit`, ...
    r#type: String,
    /// Positive for what is owed, negative for what was paid or credited.
    amount: Usd,
    description: String,
    date: DateTime<Utc>,
    /// The number printed on the invoice; only entries for invoices have one.
    invoice_id: Option<String>,
    /// `invoice_uuid` of the invoice; only entries for invoices have one.
    invoice_uuid: Option<Uuid>,
    /// The invoice's own amount; null where it is not known here.
    invoice_amount: Option<Usd>,
    /// Where the invoice is shown; null where it is not known here.
    #[schema(example = "/api/v1/billing/invoices/22737513-0ea7-4206-8ceb-98a575af7681")]
    invoice_url: Option<String>,
    /// Whether it changes what is owed: a payment that was only tried does not.
    moves_money: bool,
    /// Since when DigitalOcean lists it no longer; it counts no longer then.
    missing_since: Option<DateTime<Utc>>,
    /// What was owed after it: the sum of all that moved money up to and with it, of whatever type.
    running_total: Usd,
}

impl From<store::ledger::LedgerEntry> for Entry {
    fn from(entry: store::ledger::LedgerEntry) -> Self {
        let known_invoice = entry
            .invoice_uuid
            .filter(|_| entry.invoice_amount.is_some());
        Self {
            id: entry.id,
            r#type: entry.entry_type,
            amount: Usd(entry.amount),
            description: entry.description,
            date: entry.date,
            invoice_id: entry.invoice_id,
            invoice_uuid: entry.invoice_uuid,
            invoice_amount: entry.invoice_amount.map(Usd),
            invoice_url: known_invoice.map(|uuid| format!("/api/v1/billing/invoices/{uuid}")),
            moves_money: entry.moves_money,
            missing_since: entry.missing_since,
            running_total: Usd(entry.running_total),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// Only entries of this type, in DigitalOcean's spelling, like `Payment`.
    #[serde(default, deserialize_with = "optional")]
    #[param(value_type = String)]
    r#type: Option<Text>,
}

#[derive(Serialize, Deserialize)]
struct EntryPlace {
    date: DateTime<Utc>,
    id: Uuid,
}

/// A page of entries, and what all entries come to.
#[derive(Debug, Serialize, ToSchema)]
struct EntryList {
    data: Vec<Entry>,
    meta: EntryMeta,
}

/// Amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct EntryMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// How many entries there are, of all types.
    entries: i64,
    /// What all that moves money comes to: what is owed for past months.
    total: Usd,
    /// What of it was there when DigitalOcean worked its balance out; null before the balance was polled.
    total_at_balance: Option<Usd>,
    /// `account_balance` of the balance polled last.
    account_balance: Option<Usd>,
    /// `account_balance` less `total_at_balance`.
    difference: Option<Usd>,
    /// When DigitalOcean worked its balance out.
    balance_generated_at: Option<DateTime<Utc>>,
}

/// The billing history, the latest entry first, with what was owed after each, and what all of it comes to beside the balance
#[utoipa::path(
    get,
    path = "/api/v1/billing/entries",
    operation_id = "list_billing_entries",
    tag = "billing",
    security(("bearer" = [])),
    params(EntriesQuery, PageQuery),
    responses((status = OK, body = EntryList, description = "A page of entries, and what all entries come to"), Invalid)
)]
async fn list(
    _: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<EntriesQuery>,
) -> Result<Json<EntryList>, Problem> {
    let entry_type = filter.r#type.as_ref().map(Text::as_str);
    let page: Page<EntryPlace> = pages.page(json!({ "entries": entry_type }))?;
    let after = page.after.as_ref().map(|place| AfterEntry {
        date: place.date,
        id: place.id,
    });
    let entries = state
        .store
        .ledger(entry_type, after, page.rows_to_fetch())
        .await?;
    let balance = state.store.ledger_balance().await?;
    let mut notes = Vec::new();
    if balance.entries == 0 {
        notes.push(Note {
            code: "no_entries",
            detail: "no entry of the billing history has been read yet: the schedule billing-history reads it every day".to_owned(),
        });
    }
    if let Some(entry_type) = entry_type {
        notes.extend(notes::on_entry_type(&state.store, entry_type).await?);
    }
    let List { data, meta } = page
        .show(entries, |last| EntryPlace {
            date: last.date,
            id: last.id,
        })
        .into()
        .noting(notes);
    Ok(Json(EntryList {
        data,
        meta: EntryMeta {
            page: meta,
            entries: balance.entries,
            total: Usd(balance.total),
            total_at_balance: balance.total_at_balance.map(Usd),
            account_balance: balance.account_balance.map(Usd),
            difference: balance.difference.map(Usd),
            balance_generated_at: balance.balance_generated_at,
        },
    }))
}
