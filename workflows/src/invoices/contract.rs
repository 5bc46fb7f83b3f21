//! What the workflows over invoices ask of the outside, and what crosses.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::InvoiceUuid;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_macros::activity_definitions;

use crate::ledger::LedgerSynced;

/// What these workflows ask of the outside; `activities::invoices` answers.
pub struct InvoiceActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "a contract: nothing runs here"
)]
#[activity_definitions]
impl InvoiceActivities {
    /// Lists the account's invoices and writes them down.
    #[activity(name = "invoices.discover")]
    pub fn discover() -> Result<InvoicesDiscovered, ActivityError> {
        unimplemented!()
    }

    /// The next invoices without lines or to be looked at again, at most [`PAGE`](super::PAGE) of them.
    #[activity(name = "invoices.list_pending")]
    pub fn list_pending(after: Option<Pending>) -> Result<Vec<Pending>, ActivityError> {
        unimplemented!()
    }

    /// How many invoices that is in all.
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

    /// Writes down why an invoice could not be ingested.
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

/// What a look at the list of invoices found.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvoicesDiscovered {
    pub listed: usize,
    pub new: usize,
    /// Whose amount has changed.
    pub corrected: usize,
    /// Why there may be more invoices than were listed; none if these are all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
}

/// An invoice that waits for its lines.
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

/// What an ingest stored; amounts are USD, as decimal strings.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvoiceIngested {
    pub lines: usize,
    pub matched: usize,
    pub line_total: String,
    /// The invoice's amount less the sum of its lines.
    pub off_by: String,
    /// Every sum of it agrees with every other.
    #[serde(default)]
    pub is_final: bool,
    /// 1 for the first; a corrected invoice counts up.
    #[serde(default)]
    pub version: i32,
    /// What the lines were read from, and why not from both.
    #[serde(default)]
    pub sources: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_note: Option<String>,
    /// How many lines each rule matched.
    #[serde(default)]
    pub rules: BTreeMap<String, usize>,
}

/// What storing the open month's preview came to; amounts are USD, as decimal strings.
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
    /// The preview lags behind: its month has an invoice.
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

/// How far a run over all invoices has come; one run hands it to the next when it continues as new.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct BillingProgress {
    /// The last invoice that was looked at; none before the first.
    pub after: Option<Pending>,
    pub listed: usize,
    /// Why there may be more invoices than were listed; none if these are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Why the list of invoices could not be read; none if it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_listed: Option<String>,
    /// How many invoices this run has to ingest or to look at again.
    pub pending: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerSynced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateStored>,
    /// What else went wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    pub ingested: usize,
    pub failed: usize,
    /// Being ingested by another run.
    pub already_running: usize,
    /// The first that failed, with the reason: all of them have it in `cloud_invoices.last_error`.
    pub failures: Vec<IngestFailure>,
}
