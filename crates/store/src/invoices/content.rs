//! The content of an invoice or preview from DigitalOcean, before it is stored.

use domain::invoices::{InvoiceLine, InvoiceSummary, Joined};

use super::documents::Document;

/// The documents from which an invoice's lines were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    CsvAndItems,
    Csv,
    Items,
}

impl Sources {
    /// Returns the value of the column `sources`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CsvAndItems => "csv+items",
            Self::Csv => "csv",
            Self::Items => "items",
        }
    }
}

/// The content of an invoice or preview.
pub struct InvoiceContent<'a> {
    pub lines: &'a [InvoiceLine],
    pub sources: Sources,
    /// Why the lines were not read from both documents.
    pub source_note: Option<&'a str>,
    /// Why items or summary could not be read, if a later read may succeed. Such a content is
    /// provisional: it is stored and its check counts as failed, so that the next run reads the
    /// invoice again. A complete content replaces it within its version.
    pub unread: Option<&'a str>,
    pub joined: Option<Joined>,
    /// The CSV as received.
    pub csv: Option<&'a Document>,
    pub items: Option<&'a Document>,
    pub summary: Option<&'a InvoiceSummary>,
}
