//! Reads invoices: the list, and the items, the summary and the CSV of one invoice.

mod bodies;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use domain::invoices::{InvoiceHeader, InvoiceItem, InvoicePreview, InvoiceSummary};
use domain::{Completeness, InvoiceUuid};

use crate::client::Client;
use crate::decode::compact;
use crate::error::{Call, Error};
use crate::listing::Listing;
use crate::pages::{ExtraField, PageSink, Source};
use crate::paging::Paging;
use crate::response_text::is_html;
use bodies::{read_header, read_item, read_preview, read_summary};

const INVOICES: &str = "/v2/customers/my/invoices";

/// Identifies an invoice: an issued one, or the preview of the current month. Displays as its path
/// segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvoiceKey {
    Issued(InvoiceUuid),
    /// The path segment `preview` takes the place of a UUID (spec).
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

/// The list of invoices, and the preview of the current month.
#[derive(Debug)]
pub struct InvoiceList {
    /// The issued invoices.
    pub invoices: Listing<InvoiceHeader>,
    /// None if there is no preview or it is invalid.
    pub preview: Option<InvoicePreview>,
}

/// An item of an invoice, decoded and as received.
#[derive(Debug)]
pub struct InvoiceItemRead {
    pub item: InvoiceItem,
    /// The JSON with every field as received, without white space between tokens.
    pub json: String,
}

/// The result of listing the items of an invoice.
#[derive(Debug)]
pub struct InvoiceItemsListed {
    pub completeness: Completeness,
    /// The error of the page that ended the listing.
    pub failure: Option<Error>,
}

impl Client {
    /// Lists every invoice (`GET /v2/customers/my/invoices`). The response also has the preview of
    /// the current month.
    pub async fn list_invoices(&self) -> InvoiceList {
        let preview = Mutex::new(None);
        let take_preview = |json: Option<&str>| {
            *preview.lock().unwrap_or_else(PoisonError::into_inner) = json.and_then(parse_preview);
        };
        let source = Source {
            path: INVOICES,
            envelope: "invoices",
            paging: Paging::Pages,
            read: Arc::new(read_header),
            id: Some(|invoice: &InvoiceHeader| invoice.invoice_uuid.to_string()),
            extra: Some(ExtraField {
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

    /// Lists the items of an invoice (`GET /v2/customers/my/invoices/{uuid}`), in DigitalOcean's
    /// order. They are passed on a page at a time: all items of a large invoice would take more
    /// memory than its lines.
    pub async fn get_invoice<S: PageSink<InvoiceItemRead>>(
        &self,
        invoice: InvoiceKey,
        sink: &mut S,
    ) -> Result<InvoiceItemsListed, S::Error> {
        let source = Source {
            path: &format!("{INVOICES}/{invoice}"),
            envelope: "invoice_items",
            paging: Paging::Pages,
            read: Arc::new(|json| {
                Ok(InvoiceItemRead {
                    item: read_item(json)?,
                    json: compact(json),
                })
            }),
            // Items have no id: two equal items are two.
            id: None,
            extra: None,
        };
        let read = self.list_into(&source, sink).await?;
        Ok(InvoiceItemsListed {
            completeness: read.completeness,
            failure: read.failure,
        })
    }

    /// Returns the sums of an invoice (`GET /v2/customers/my/invoices/{uuid}/summary`). The name
    /// and the address of the customer in the response are ignored.
    pub async fn get_invoice_summary(&self, invoice: InvoiceKey) -> Result<InvoiceSummary, Error> {
        let call = Call::get(format!("{INVOICES}/{invoice}/summary"));
        let body = self.get(&call).await?;
        let summary = Self::decode(&call, &body)?;
        read_summary(summary)
            .map_err(|problem| Error::unexpected(&call, format!("an invalid summary: {problem}")))
    }

    /// Returns the CSV of an invoice, byte for byte (`GET /v2/customers/my/invoices/{uuid}/csv`).
    pub async fn fetch_invoice_csv(&self, invoice: InvoiceKey) -> Result<Vec<u8>, Error> {
        let call = Call::get(format!("{INVOICES}/{invoice}/csv"));
        let body = self.get_as(&call, "text/csv").await?;
        let content_type = body.content_type.as_deref().unwrap_or_default();
        let is_other_type = ["text/html", "application/json"]
            .iter()
            .any(|other| content_type.starts_with(other));
        if is_other_type || is_html(&body.bytes) {
            return Err(Self::unexpected_body(&call, &body));
        }
        Ok(body.bytes)
    }
}

fn parse_preview(json: &str) -> Option<InvoicePreview> {
    read_preview(json)
        .inspect_err(|problem| tracing::warn!(%problem, "invalid invoice preview"))
        .ok()
        .flatten()
}
