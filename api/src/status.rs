//! The status of the mirror with its reasons, derived from facts of the database and of Temporal.
//!
//! `GET /api/v1/sync` and `arcadia status` both use this module.

mod books;
mod listings;
mod schedules;

use std::fmt::{self, Display};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use store::status::StatusFacts;
use utoipa::ToSchema;

use self::books::{
    reason_of_balance, reason_of_books, reason_of_reallocations, reasons_of_invoices,
};
use self::listings::{reason_of_holds, reason_of_members, reasons_of_listings, reasons_of_states};
pub use self::schedules::reasons_of_schedules;
use crate::temporal::ScheduleStatus;

/// Age from which a listing is stale. Syncs of projects and inventory start every 15 minutes, and a
/// run can wait up to half an hour for the rate limit: after an hour at least two consecutive runs
/// have not listed the kind.
pub const LISTING_STALE_AFTER: TimeDelta = TimeDelta::hours(1);
/// Age from which the balance is stale. It is polled every hour: after three hours two consecutive
/// polls are missing.
pub const BALANCE_STALE_AFTER: TimeDelta = TimeDelta::hours(3);
/// Age from which an invoice without lines is reported. A schedule ingests listed invoices once a
/// day; the other two hours are for the run.
pub const INVOICE_PENDING_AFTER: TimeDelta = TimeDelta::hours(26);
/// Age from which a reallocation is reported. It begins at once; if its start was lost, the next
/// sync starts it within a quarter of an hour.
pub const REALLOCATION_PENDING_AFTER: TimeDelta = TimeDelta::minutes(20);
/// Time limit for the first sync. Its duration depends on the request budget, which allows 900,000
/// resources an hour.
pub const FIRST_SYNC_WITHIN: TimeDelta = TimeDelta::hours(1);

/// Status of the mirror and of the stored amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All listings, polls and ingests are on schedule.
    Ok,
    /// Some data is missing, stale or waits for an operator; the rest is reliable.
    Degraded,
    /// No new data arrives, or amounts are wrong.
    Failing,
}

impl Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        })
    }
}

/// Code of a reason, in order of importance; codes of the first group set the status `failing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The database is unreachable; from `arcadia status` only.
    DatabaseUnreachable,
    /// Temporal is unreachable, so that no runs start.
    TemporalUnreachable,
    /// `DigitalOcean` refused a token.
    TokenRefused,
    /// No kind has a complete listing.
    NoSync,
    /// The kinds of a schedule have not been listed for more than an hour.
    SyncStopped,
    /// A schedule is missing in Temporal.
    ScheduleMissing,
    /// Schedules belong to another installation, so that no runs of this one start.
    ScheduleForeign,
    /// Stored sums do not reconcile.
    BooksDiscrepancy,

    /// The first sync is in progress.
    FirstSyncRunning,
    /// Deletions wait for an operator.
    DeletionsHeld,
    /// The last run of a schedule did not complete.
    RunFailed,
    /// The last listing of a kind failed.
    KindFailed,
    /// The last listing of a kind is incomplete.
    KindIncomplete,
    /// The token lacks the scope for a kind, or the DigitalOcean API does not have it.
    KindNotReadable,
    /// A kind has not been listed for more than an hour.
    KindStale,
    /// Project members match no resource, so that nothing is attributed by them.
    MembersUnmatched,
    /// A schedule is paused.
    SchedulePaused,
    /// A schedule differs from the definition of this version.
    ScheduleOutdated,
    /// The ingest of invoices failed.
    InvoicesFailed,
    /// Invoices have been without lines for more than a day.
    InvoicesPending,
    /// Ingested invoices could not be rechecked.
    InvoicesCheckFailed,
    /// Ingested invoices could not be verified, because a source is missing.
    InvoicesUnverified,
    /// Lines, header, summary or parts of invoices do not reconcile.
    InvoicesUnreconciled,
    /// Cost lines have waited for 20 minutes for a reallocation after a change of tenants,
    /// overrides or projects.
    ReallocationPending,
    /// Overrides of cost lines have no line any more, because a correction removed it.
    OverridesOrphaned,
    /// The balance has not been polled for three hours.
    BalanceStale,
    /// This API was started without a connection to Temporal, so that schedules are not checked.
    SchedulesNotChecked,
}

impl Code {
    fn status(self) -> Status {
        if self < Self::FirstSyncRunning {
            Status::Failing
        } else {
            Status::Degraded
        }
    }
}

/// A reason for a status other than `ok`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reason {
    /// Code of the reason, for programs.
    pub code: Code,
    /// Status that this reason alone causes: `degraded` or `failing`.
    pub severity: Status,
    /// Text for people: the problem, then the fix.
    pub detail: String,
    /// Time since which the reason exists; null if unknown.
    pub since: Option<DateTime<Utc>>,
    /// The affected kinds or schedules; empty if the reason is not specific to any.
    pub subjects: Vec<String>,
}

impl Reason {
    /// Returns a reason with the severity of its code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            severity: code.status(),
            code,
            detail: detail.into(),
            since: None,
            subjects: Vec::new(),
        }
    }

    /// Sets the time since which the reason exists.
    #[must_use]
    pub fn since(mut self, since: Option<DateTime<Utc>>) -> Self {
        self.since = since;
        self
    }

    /// Sets the affected kinds or schedules.
    #[must_use]
    pub fn about(mut self, subjects: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.subjects = subjects.into_iter().map(Into::into).collect();
        self
    }
}

/// The status with its reasons, the most important first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub status: Status,
    pub reasons: Vec<Reason>,
}

impl From<Vec<Reason>> for Verdict {
    fn from(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|reason| reason.code);
        let statuses = reasons.iter().map(|reason| reason.severity);
        Self {
            status: statuses.max().unwrap_or(Status::Ok),
            reasons,
        }
    }
}

/// The known state of the schedules.
#[derive(Debug, Clone, Copy)]
pub enum Schedules<'a> {
    /// Temporal returned these schedules.
    Known(&'a [ScheduleStatus]),
    /// Temporal is unreachable, for this reason.
    Unreachable(&'a str),
    /// There is no connection to Temporal.
    NotChecked,
}

/// Derives the status and its reasons from the facts.
pub fn verdict(facts: &StatusFacts, schedules: Schedules<'_>) -> Verdict {
    let mut reasons = reasons_of_schedules(schedules);
    reasons.extend(reasons_of_listings(facts, schedules));
    reasons.extend(reasons_of_states(facts));
    reasons.extend(reason_of_holds(&facts.holds));
    reasons.extend(reason_of_members(&facts.unmatched_members));
    reasons.extend(reasons_of_invoices(&facts.invoices, facts.at));
    reasons.extend(reason_of_reallocations(facts.reallocations, facts.at));
    reasons.extend(reason_of_balance(facts));
    reasons.extend(reason_of_books(facts.books));
    reasons.into()
}

/// Formats up to five names for a sentence.
fn names(all: &[&str]) -> String {
    const MAX: usize = 5;
    let shown = all.iter().take(MAX).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
