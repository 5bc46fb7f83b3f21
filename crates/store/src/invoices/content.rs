//! An invoice or preview as DigitalOcean shows it, ready to be stored.

use domain::invoices::{InvoiceLine, InvoiceSummary, Joined};

use super::documents::Document;

/// What an invoice's lines were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    CsvAndItems,
    Csv,
    Items,
}

impl Sources {
    /// The column's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CsvAndItems => "csv+items",
            Self::Csv => "csv",
            Self::Items => "items",
        }
    }
}

/// An invoice as DigitalOcean shows it.
pub struct InvoiceContent<'a> {
    pub lines: &'a [InvoiceLine],
    pub sources: Sources,
    /// Why not from both.
    pub source_note: Option<&'a str>,
    /// Why items or summary could not be read, where a later reading may find them. Such a reading is provisional: it is stored, its
    /// check counts as failed, so that the next run reads the invoice again, and a full reading replaces it within its version.
    pub unread: Option<&'a str>,
    pub joined: Option<Joined>,
    /// As they came.
    pub csv: Option<&'a Document>,
    pub items: Option<&'a Document>,
    pub summary: Option<&'a InvoiceSummary>,
}
