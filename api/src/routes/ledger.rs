//! The route of the account's billing history, with a running total and the difference to the
//! balance.

use axum::extract::State;
use axum::response::Response;
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
use crate::csv::{self, FileName};
use crate::envelope::{List, ListMeta, json_of};
use crate::extract::{Text, optional};
use crate::notes::{self, Note};
use crate::paging::{Page, PageQuery, Paged};
use crate::problem::{BadRequest, Problem};
use store::{Store, Usd};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An entry of the billing history; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    /// `id` of the entry in the mirror.
    id: Uuid,
    /// Type as DigitalOcean reports it: `Invoice`, `Payment`, `Credit`, ...
    r#type: String,
    /// Amount in USD: positive for a charge, negative for a payment or credit.
    amount: Usd,
    /// Description by DigitalOcean.
    description: String,
    /// Time of the entry.
    date: DateTime<Utc>,
    /// Number printed on the invoice; null for entries without an invoice.
    invoice_id: Option<String>,
    /// `invoice_uuid` of the invoice; null for entries without an invoice.
    invoice_uuid: Option<Uuid>,
    /// Amount stated on the invoice, in USD; null if the mirror does not have the invoice.
    invoice_amount: Option<Usd>,
    /// Path of the invoice in this API; null if the mirror does not have the invoice.
    #[schema(example = "/api/v1/billing/invoices/22737513-0ea7-4206-8ceb-98a575af7681")]
    invoice_url: Option<String>,
    /// True if the entry changes the amount owed; false for a failed payment.
    moves_money: bool,
    /// Time since which DigitalOcean no longer lists the entry; a missing entry is not in totals.
    /// Null if the entry is listed.
    missing_since: Option<DateTime<Utc>>,
    /// Amount owed after the entry, in USD: the sum of all entries of any type with `moves_money`
    /// up to and including this one.
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
            invoice_id: entry.invoice_number,
            invoice_uuid: entry.invoice_uuid,
            invoice_amount: entry.invoice_amount.map(Usd),
            invoice_url: known_invoice.map(|uuid| format!("/api/v1/billing/invoices/{uuid}")),
            moves_money: entry.counts_in_balance,
            missing_since: entry.missing_since,
            running_total: Usd(entry.running_total),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// Only entries of this type, in DigitalOcean's spelling, such as `Payment`.
    #[serde(default, deserialize_with = "optional")]
    #[param(inline, value_type = Text)]
    r#type: Option<Text>,
}

#[derive(Serialize, Deserialize)]
struct EntryPlace {
    date: DateTime<Utc>,
    id: Uuid,
}

/// A page of entries with the total of all entries.
#[derive(Debug, Serialize, ToSchema)]
struct EntryList {
    data: Vec<Entry>,
    meta: EntryMeta,
}

/// Totals of the billing history; amounts in USD.
#[derive(Debug, Serialize, ToSchema)]
struct EntryMeta {
    #[serde(flatten)]
    page: ListMeta,
    /// Number of entries of all types.
    entries: i64,
    /// Total of all entries with `moves_money`, in USD: the amount owed for past months.
    total: Usd,
    /// The same total at the time of `balance_generated_at`, in USD; null before the first poll of
    /// the balance.
    total_at_balance: Option<Usd>,
    /// `account_balance` of the latest polled balance, in USD.
    account_balance: Option<Usd>,
    /// `account_balance` minus `total_at_balance`, in USD.
    difference: Option<Usd>,
    /// Time at which DigitalOcean computed the balance.
    balance_generated_at: Option<DateTime<Utc>>,
}

/// Lists the billing history, the latest entry first, with a running total
///
/// `meta` compares the total of the history with the balance.
#[utoipa::path(
    get,
    path = "/api/v1/billing/entries",
    operation_id = "list_billing_entries",
    tag = "billing",
    security(("bearer" = [])),
    params(EntriesQuery, PageQuery),
    responses((status = OK, body = EntryList, description = "A page of entries with the total of all entries"), BadRequest)
)]
async fn list(
    admin: Admin,
    State(state): State<ApiState>,
    Paged { filter, pages }: Paged<EntriesQuery>,
) -> Result<Response, Problem> {
    let entry_type = filter.r#type.map(String::from);
    let page = pages.page(json!({ "entries": entry_type }))?;
    let (store, queried) = (state.store.clone(), entry_type.clone());
    let read = move |page| read_entries(store.clone(), queried.clone(), page);
    if page.is_csv() {
        let file = FileName::new("billing-entries").with(entry_type.as_deref());
        return csv::stream(&state.store, admin, file, page, read).await;
    }
    let list = read(page).await?;
    let balance = state.store.ledger_balance().await?;
    let mut notes = Vec::new();
    if balance.entries == 0 {
        notes.push(Note {
            code: "no_entries",
            detail:
                "no billing history ingested yet: wait for the schedule billing-history, which \
                     runs every day"
                    .to_owned(),
        });
    }
    if let Some(entry_type) = &entry_type {
        notes.extend(notes::on_entry_type(&state.store, entry_type).await?);
    }
    let List { data, meta } = list.with_notes(notes);
    Ok(json_of(EntryList {
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

async fn read_entries(
    store: Store,
    entry_type: Option<String>,
    page: Page<EntryPlace>,
) -> Result<List<Entry>, Problem> {
    let after = page.after.as_ref().map(|place| AfterEntry {
        date: place.date,
        id: place.id,
    });
    let entries = store
        .ledger(entry_type.as_deref(), after, page.rows_to_fetch())
        .await?;
    let list = page.show(entries, |last| EntryPlace {
        date: last.date,
        id: last.id,
    });
    Ok(list.into())
}
