//! The activities of the workflows on invoices, with their inputs and results.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::InvoiceUuid;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::activity_definitions;

use crate::ledger::LedgerSynced;

/// The activities of these workflows; `activities::invoices` implements them.
pub struct InvoiceActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "declarations only: this code never runs"
)]
#[activity_definitions]
impl InvoiceActivities {
    /// Lists the account's invoices and stores them.
    #[activity(name = "invoices.discover")]
    pub fn discover() -> Result<InvoicesDiscovered, ActivityError> {
        unimplemented!()
    }

    /// Returns the next invoices without lines or to recheck, at most [`PAGE`](super::PAGE) of
    /// them.
    #[activity(name = "invoices.list_pending")]
    pub fn list_pending(after: Option<Pending>) -> Result<Vec<Pending>, ActivityError> {
        unimplemented!()
    }

    /// Returns the total number of these invoices.
    #[activity(name = "invoices.count_pending")]
    pub fn count_pending() -> Result<usize, ActivityError> {
        unimplemented!()
    }

    /// Fetches the preview of the open month's invoice and replaces the month's estimate.
    #[activity(name = "invoices.estimate")]
    pub fn estimate() -> Result<EstimateStored, ActivityError> {
        unimplemented!()
    }

    /// Fetches one invoice's CSV, items and summary, and stores its lines.
    #[activity(name = "invoices.ingest")]
    pub fn ingest(invoice: InvoiceUuid) -> Result<InvoiceIngested, ActivityError> {
        unimplemented!()
    }

    /// Stores the reason why an invoice could not be ingested.
    #[activity(name = "invoices.mark_failed")]
    pub fn mark_failed(failure: IngestFailure) -> Result<(), ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::invoice_activities::{
        CountPending, Discover, Estimate, Ingest, ListPending, MarkFailed,
    };
}

/// The result of a listing of invoices.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvoicesDiscovered {
    pub listed: usize,
    pub new: usize,
    /// Invoices with a changed amount.
    pub corrected: usize,
    /// The reason if the list may be incomplete; none if it is complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
}

/// An invoice without lines, or one to recheck.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
pub struct Pending {
    pub period: NaiveDate,
    pub invoice_uuid: InvoiceUuid,
}

impl Pending {
    /// The invoice's month, as `2026-04`.
    pub(crate) fn month(&self) -> String {
        self.period.format("%Y-%m").to_string()
    }
}

/// The result of an ingest; amounts are USD, as decimal strings.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvoiceIngested {
    pub lines: usize,
    pub matched: usize,
    pub line_total: String,
    /// The invoice's amount less the sum of its lines.
    pub off_by: String,
    /// `verified` if every sum of the invoice equals its counterparts, `unverified` if none differs
    /// and a source is missing, else `unreconciled`.
    #[serde(default)]
    pub verification: String,
    /// Whether the invoice is verified and its month is over.
    #[serde(default)]
    pub is_final: bool,
    /// 1 for the first version; each correction adds 1.
    #[serde(default)]
    pub version: i32,
    /// The sources of the lines, and below the reason if one is missing.
    #[serde(default)]
    pub sources: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_note: Option<String>,
    /// The number of lines that each rule matched.
    #[serde(default)]
    pub rules: BTreeMap<String, usize>,
}

/// The result of storing the open month's preview; amounts are USD, as decimal strings.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum EstimateStored {
    Estimated {
        /// `YYYY-MM`
        period: String,
        lines: usize,
        line_total: String,
        /// The preview's amount less the sum of its lines.
        off_by: String,
    },
    /// The preview is out of date: its month is over and has its invoice.
    AlreadyInvoiced {
        period: String,
    },
    NoPreview,
}

/// Why an invoice could not be ingested.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct IngestFailure {
    pub invoice_uuid: InvoiceUuid,
    pub reason: String,
}

/// The progress of a run over all invoices; a run passes it to the next one when it continues as
/// new.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct BillingProgress {
    /// The last invoice of the page before; none before the first.
    pub after: Option<Pending>,
    pub listed: usize,
    /// The reason if the list may be incomplete; none if it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// The reason if the list of invoices could not be read; none if it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_listed: Option<String>,
    /// The number of invoices to ingest or recheck.
    pub pending: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerSynced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateStored>,
    /// The other problems of the run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    pub ingested: usize,
    pub failed: usize,
    /// Invoices that another run is ingesting.
    pub already_running: usize,
    /// The first failed invoices, with the reasons; `cloud_invoices.last_error` has all of them.
    pub failures: Vec<IngestFailure>,
}
