//! Invoices: the list, one's items, its summary and its CSV.

mod bodies;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use domain::invoices::{InvoiceHeader, InvoiceItem, InvoicePreview, InvoiceSummary};
use domain::{Completeness, InvoiceUuid};

use crate::answer_text::is_html;
use crate::client::Client;
use crate::decode::compact;
use crate::error::{Call, Error};
use crate::listing::Listing;
use crate::pages::{Beside, PageSink, Source};
use crate::paging::Paging;
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

/// An item of an invoice, read and as it came.
#[derive(Debug)]
pub struct InvoiceItemRead {
    pub item: InvoiceItem,
    /// Its JSON with every field as received and no white space between them.
    pub json: String,
}

/// How the listing of an invoice's items went.
#[derive(Debug)]
pub struct InvoiceItemsListed {
    pub completeness: Completeness,
    /// Why a page could not be read, which ended the listing.
    pub failure: Option<Error>,
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

    /// The items of an invoice (`GET /v2/customers/my/invoices/{uuid}`), in DigitalOcean's order, handed over a page at a time: all
    /// of a large invoice would weigh more than its lines.
    pub async fn get_invoice<S: PageSink<InvoiceItemRead>>(
        &self,
        invoice: InvoiceKey,
        sink: &mut S,
    ) -> Result<InvoiceItemsListed, S::Error> {
        let source = Source {
            path: &format!("{INVOICES}/{invoice}"),
            envelope: "invoice_items",
            paging: Paging::Pages,
            read: &|json| {
                Ok(InvoiceItemRead {
                    item: read_item(json)?,
                    json: compact(json),
                })
            },
            // They have none: two alike are two.
            id: None,
            beside: None,
        };
        let read = self.list_into(&source, sink).await?;
        Ok(InvoiceItemsListed {
            completeness: read.completeness,
            failure: read.failure,
        })
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
