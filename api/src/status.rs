//! The verdict on the mirror: whether it keeps up, and if not, why.
//!
//! The one place where facts of the database and of Temporal become a verdict. `GET /api/v1/sync` and `arcadia status` both show it.

mod books;
mod listings;
mod schedules;

use std::fmt::{self, Display};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use store::status::StatusFacts;
use utoipa::ToSchema;

use self::books::{reason_of_balance, reason_of_books, reasons_of_invoices};
use self::listings::{reason_of_holds, reason_of_members, reasons_of_listings, reasons_of_states};
pub use self::schedules::reasons_of_schedules;
use crate::temporal::ScheduleStatus;

/// Syncs of projects and inventory start every 15 minutes, and one run may wait for requests for half an hour. After an hour at least
/// two runs in a row have not listed the kind.
pub const LISTING_STALE_AFTER: TimeDelta = TimeDelta::hours(1);
/// The balance is polled every hour: two polls in a row were missed.
pub const BALANCE_STALE_AFTER: TimeDelta = TimeDelta::hours(3);
/// Invoices are ingested within a day of being listed, by a schedule that runs once a day; two hours are for the run itself.
pub const INVOICE_PENDING_AFTER: TimeDelta = TimeDelta::hours(26);
/// A first sync of a large account takes as long as its budget of requests lets it: an hour's budget lists 900,000 resources.
pub const FIRST_SYNC_WITHIN: TimeDelta = TimeDelta::hours(1);

/// Whether the mirror and the books can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is listed, polled and ingested as the schedules want it.
    Ok,
    /// A part is missing, old or waits for an operator; the rest can be relied on.
    Degraded,
    /// Nothing new arrives, or figures are wrong.
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

/// What a reason is about. In the order of importance; the first group makes the status `failing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The database does not answer; from `arcadia status` only.
    DatabaseUnreachable,
    /// Temporal does not answer, so that nothing is started.
    TemporalUnreachable,
    /// `DigitalOcean` refuses a token.
    TokenRefused,
    /// Nothing was ever listed completely.
    NoSync,
    /// A schedule's kinds have not been listed for longer than an hour.
    SyncStopped,
    /// Temporal lacks a schedule.
    ScheduleMissing,
    /// Schedules belong to another installation, so that nothing starts the runs of this one.
    ScheduleForeign,
    /// Two sums that should be the same are not.
    BooksDiscrepancy,

    /// The first sync has not ended.
    FirstSyncRunning,
    /// Deletions wait for an operator.
    DeletionsHeld,
    /// The last run of a schedule did not complete.
    RunFailed,
    /// The last listing of a kind failed.
    KindFailed,
    /// The last listing of a kind did not see everything.
    KindIncomplete,
    /// The token may not read a kind, or the API does not know it.
    KindNotReadable,
    /// A kind has not been listed completely for longer than an hour.
    KindStale,
    /// Members of projects match no resource, so that these resources have no project and no tenant.
    MembersUnmatched,
    /// A schedule is paused.
    SchedulePaused,
    /// A schedule differs from what this version wants.
    ScheduleOutdated,
    /// Invoices could not be ingested.
    InvoicesFailed,
    /// Invoices have waited for their lines for longer than a day.
    InvoicesPending,
    /// Ingested invoices could not be checked again.
    InvoicesUnverified,
    /// The lines of invoices do not total the invoice's amount.
    InvoicesUnreconciled,
    /// The balance has not been polled for three hours.
    BalanceStale,
    /// This API was started without a way to reach Temporal, so that schedules are not checked.
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

/// Why the status is not `ok`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reason {
    pub code: Code,
    /// What this reason alone makes the status: `degraded` or `failing`.
    pub severity: Status,
    /// For people: the problem, then the fix.
    pub detail: String,
    /// Since when, where it is known.
    pub since: Option<DateTime<Utc>>,
    /// The kinds or the schedules that it is about; empty where it is about all.
    pub subjects: Vec<String>,
}

impl Reason {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            severity: code.status(),
            code,
            detail: detail.into(),
            since: None,
            subjects: Vec::new(),
        }
    }

    #[must_use]
    pub fn since(mut self, since: Option<DateTime<Utc>>) -> Self {
        self.since = since;
        self
    }

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

/// What is known of the schedules.
#[derive(Debug, Clone, Copy)]
pub enum Schedules<'a> {
    Known(&'a [ScheduleStatus]),
    /// Temporal cannot be asked, for this reason.
    Unreachable(&'a str),
    /// There is no way to ask Temporal.
    NotChecked,
}

/// The verdict on these facts.
pub fn verdict(facts: &StatusFacts, schedules: Schedules<'_>) -> Verdict {
    let mut reasons = reasons_of_schedules(schedules);
    reasons.extend(reasons_of_listings(facts, schedules));
    reasons.extend(reasons_of_states(facts));
    reasons.extend(reason_of_holds(&facts.holds));
    reasons.extend(reason_of_members(&facts.unmatched_members));
    reasons.extend(reasons_of_invoices(&facts.invoices, facts.at));
    reasons.extend(reason_of_balance(facts));
    reasons.extend(reason_of_books(facts.discrepancies));
    reasons.into()
}

/// Names to be read in a sentence: five at most.
fn names(all: &[&str]) -> String {
    const MOST: usize = 5;
    let shown = all
        .iter()
        .take(MOST)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
