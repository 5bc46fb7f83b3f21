//! Invoices: the list, one's items, its summary and its CSV.

mod bodies;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use domain::InvoiceUuid;
use domain::invoices::{InvoiceHeader, InvoiceItem, InvoicePreview, InvoiceSummary};

use crate::answer_text::is_html;
use crate::client::Client;
use crate::decode::compact;
use crate::error::{Call, Error};
use crate::listing::Listing;
use crate::pages::{Beside, Paging, Source};
use bodies::{read_header, read_item, read_preview, read_summary};

const INVOICES: &str = "/v2/customers/my/invoices";

/// Which invoice: one that was issued, or the running month's. Displayed as it stands in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvoiceKey {
    Issued(InvoiceUuid),
    /// The word `preview` stands for its uuid (spec).
    Preview,
}

impl From<InvoiceUuid> for InvoiceKey {
    fn from(invoice: InvoiceUuid) -> Self {
        Self::Issued(invoice)
    }
}

impl fmt::Display for InvoiceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issued(invoice) => invoice.fmt(formatter),
            Self::Preview => formatter.write_str("preview"),
        }
    }
}

/// The list of invoices, and what it says of the running month.
#[derive(Debug)]
pub struct InvoiceList {
    /// The issued ones.
    pub invoices: Listing<InvoiceHeader>,
    /// None where there is no preview, or none that can be read.
    pub preview: Option<InvoicePreview>,
}

/// The items of an invoice, read and as they came.
#[derive(Debug)]
pub struct InvoiceItems {
    pub listing: Listing<InvoiceItem>,
    /// The JSON of each item of the listing, in its order, with every field as received and no white space between them.
    pub raw: Vec<String>,
}

impl Client {
    /// Every invoice (`GET /v2/customers/my/invoices`). The preview of the running month comes beside them.
    pub async fn list_invoices(&self) -> InvoiceList {
        let preview = Mutex::new(None);
        let take_preview = |json: Option<&str>| {
            *preview.lock().unwrap_or_else(PoisonError::into_inner) = json.and_then(preview_of);
        };
        let source = Source {
            path: INVOICES,
            envelope: "invoices",
            paging: Paging::Pages,
            read: &read_header,
            id: Some(|invoice: &InvoiceHeader| invoice.invoice_uuid.to_string()),
            beside: Some(Beside {
                key: "invoice_preview",
                read: &take_preview,
            }),
        };
        let invoices = self.list(&source).await;
        InvoiceList {
            invoices,
            preview: preview.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The items of an invoice (`GET /v2/customers/my/invoices/{uuid}`).
    pub async fn get_invoice(&self, invoice: InvoiceKey) -> InvoiceItems {
        let listed = self
            .list(&Source {
                path: &format!("{INVOICES}/{invoice}"),
                envelope: "invoice_items",
                paging: Paging::Pages,
                read: &|json| Ok((read_item(json)?, compact(json))),
                id: None,
                beside: None,
            })
            .await;
        let mut raw = Vec::with_capacity(listed.items.len());
        let mut items = Vec::with_capacity(listed.items.len());
        for (item, json) in listed.items {
            items.push(item);
            raw.push(json);
        }
        InvoiceItems {
            listing: Listing {
                items,
                total: listed.total,
                requests: listed.requests,
                completeness: listed.completeness,
                failure: listed.failure,
            },
            raw,
        }
    }

    /// The sums of an invoice (`GET /v2/customers/my/invoices/{uuid}/summary`). The person's name and address that come along are
    /// left out.
    pub async fn get_invoice_summary(&self, invoice: InvoiceKey) -> Result<InvoiceSummary, Error> {
        let call = Call::get(format!("{INVOICES}/{invoice}/summary"));
        let body = self.get(&call).await?;
        let summary = Self::decode(&call, &body)?;
        read_summary(summary)
            .map_err(|problem| Error::unexpected(&call, format!("no summary: {problem}")))
    }

    /// An invoice's CSV as it is (`GET /v2/customers/my/invoices/{uuid}/csv`).
    pub async fn fetch_invoice_csv(&self, invoice: InvoiceKey) -> Result<Vec<u8>, Error> {
        let call = Call::get(format!("{INVOICES}/{invoice}/csv"));
        let body = self.get_as(&call, "text/csv").await?;
        let content_type = body.content_type.as_deref().unwrap_or_default();
        let is_another = ["text/html", "application/json"]
            .iter()
            .any(|other| content_type.starts_with(other));
        if is_another || is_html(&body.bytes) {
            return Err(Self::foreign(&call, &body));
        }
        Ok(body.bytes)
    }
}

fn preview_of(json: &str) -> Option<InvoicePreview> {
    read_preview(json)
        .inspect_err(|problem| tracing::warn!(%problem, "the invoice preview cannot be read"))
        .ok()
        .flatten()
}
