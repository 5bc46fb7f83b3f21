//! Invoices: the list, one's items, its summary and its CSV.

use chrono::{DateTime, Utc};
use domain::InvoiceUuid;
use domain::invoices::{InvoiceHeader, InvoicePeriod};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::answer_text::is_html;
use crate::client::Client;
use crate::decode::{Amount, Unreadable, optional_text, optional_time};
use crate::error::{Call, Error};
use crate::listing::Listing;
use crate::pages::{Paging, Source};

const INVOICES: &str = "/v2/customers/my/invoices";

/// One item of `GET /v2/customers/my/invoices/{uuid}`. No field is required by the spec; an item without an amount is none.
/// Items have no id: two may be alike in everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceItem {
    pub product: Option<String>,
    /// For kinds whose id is a uuid.
    pub resource_uuid: Option<String>,
    /// For kinds whose id is a number; a backup names its droplet (observed).
    pub resource_id: Option<String>,
    pub group_description: Option<String>,
    pub description: Option<String>,
    /// USD; negative for credits and discounts.
    pub amount: Decimal,
    /// In `duration_unit`.
    pub duration: Option<String>,
    /// `Hours` in the spec's examples; kept open.
    pub duration_unit: Option<String>,
    pub start_time: Option<DateTime<Utc>>,
    pub end_time: Option<DateTime<Utc>>,
    /// The project's name at billing time.
    pub project_name: Option<String>,
    /// `iaas` or `paas` (observed; not in the spec).
    pub category: Option<String>,
}

#[derive(Deserialize)]
struct ItemBody {
    #[serde(default, deserialize_with = "optional_text")]
    product: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    resource_uuid: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    resource_id: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    group_description: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    description: Option<String>,
    amount: Amount,
    #[serde(default, deserialize_with = "optional_text")]
    duration: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    duration_unit: Option<String>,
    #[serde(default, deserialize_with = "optional_time")]
    start_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "optional_time")]
    end_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "optional_text")]
    project_name: Option<String>,
    #[serde(default, deserialize_with = "optional_text")]
    category: Option<String>,
}

/// What the list and the summary say of an invoice; they name the month differently (spec).
#[derive(Deserialize)]
struct HeaderBody {
    invoice_uuid: InvoiceUuid,
    #[serde(default, deserialize_with = "optional_text")]
    invoice_id: Option<String>,
    #[serde(alias = "billing_period")]
    invoice_period: String,
    amount: Amount,
}

impl Client {
    /// Every invoice (`GET /v2/customers/my/invoices`). The preview of the running month is not among them.
    pub async fn list_invoices(&self) -> Listing<InvoiceHeader> {
        self.list(&Source {
            path: INVOICES,
            envelope: "invoices",
            paging: Paging::Pages,
            read: &|json| read_header(serde_json::from_str(json)?),
            id: Some(|invoice: &InvoiceHeader| invoice.invoice_uuid.to_string()),
        })
        .await
    }

    /// The items of an invoice (`GET /v2/customers/my/invoices/{uuid}`).
    pub async fn get_invoice(&self, invoice: InvoiceUuid) -> Listing<InvoiceItem> {
        self.list(&Source {
            path: &format!("{INVOICES}/{invoice}"),
            envelope: "invoice_items",
            paging: Paging::Pages,
            read: &read_item,
            id: None,
        })
        .await
    }

    /// What the list of invoices would say of one invoice, from its summary (`GET /v2/customers/my/invoices/{uuid}/summary`). The
    /// person's name and address that come along are left out.
    pub async fn get_invoice_summary(&self, invoice: InvoiceUuid) -> Result<InvoiceHeader, Error> {
        let call = Call::get(format!("{INVOICES}/{invoice}/summary"));
        let body = self.get(&call).await?;
        let header = self.decode(&call, &body)?;
        read_header(header)
            .map_err(|problem| Error::unexpected(&call, format!("no invoice: {problem}")))
    }

    /// An invoice's CSV as it is (`GET /v2/customers/my/invoices/{uuid}/csv`).
    pub async fn fetch_invoice_csv(&self, invoice: InvoiceUuid) -> Result<Vec<u8>, Error> {
        let call = Call::get(format!("{INVOICES}/{invoice}/csv"));
        let body = self.get_as(&call, "text/csv").await?;
        let content_type = body.content_type.as_deref().unwrap_or_default();
        let is_another = ["text/html", "application/json"]
            .iter()
            .any(|other| content_type.starts_with(other));
        if is_another || is_html(&body.bytes) {
            return Err(self.foreign(&call, &body));
        }
        Ok(body.bytes)
    }
}

fn read_header(body: HeaderBody) -> Result<InvoiceHeader, Unreadable> {
    let period: InvoicePeriod = body
        .invoice_period
        .parse()
        .map_err(|error: domain::invoices::InvalidPeriod| Unreadable::new(error.to_string()))?;
    Ok(InvoiceHeader {
        invoice_uuid: body.invoice_uuid,
        invoice_id: body.invoice_id,
        period,
        amount: body.amount.0,
    })
}

fn read_item(json: &str) -> Result<InvoiceItem, Unreadable> {
    let body: ItemBody = serde_json::from_str(json)?;
    Ok(InvoiceItem {
        product: body.product,
        resource_uuid: body.resource_uuid,
        resource_id: body.resource_id,
        group_description: body.group_description,
        description: body.description,
        amount: body.amount.0,
        duration: body.duration,
        duration_unit: body.duration_unit,
        start_time: body.start_time,
        end_time: body.end_time,
        project_name: body.project_name,
        category: body.category,
    })
}
