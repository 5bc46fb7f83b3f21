//! The reasons of a status, each with a link to the place where it is fixed.

use store::inventory::HeldDeletion;

use crate::pages::format::Moment;
use crate::status::{Code, Reason, Status};

/// A part of a reason's text.
pub(super) struct Part {
    pub(super) text: String,
    /// Whether the text is a command, a path or a name.
    pub(super) is_code: bool,
}

/// Texts for callers of the API, and those for readers of the page.
const FOR_READERS: [(&str, &str); 5] = [
    (
        "GET /api/v1/held-deletions lists them, PATCH /api/v1/held-deletions/ID decides on them",
        "approve or reject them",
    ),
    (
        "`workflow_url` of the kind links to the last one",
        "the time of the last attempt links to its run",
    ),
    ("GET /api/v1/billing/invoices", "the list of invoices"),
    (
        "GET /api/v1/billing/orphaned-overrides lists them; apply",
        "apply",
    ),
    ("GET /api/v1/inventory", "the inventory"),
];

/// A reason as a page shows it.
pub(super) struct ShownReason {
    pub(super) severity: String,
    /// Class of the severity.
    pub(super) class: &'static str,
    pub(super) parts: Vec<Part>,
    pub(super) since: Option<Moment>,
    /// The address and the name of the place where the reason is fixed.
    pub(super) fix: Option<(String, &'static str)>,
}

impl ShownReason {
    pub(super) fn new(reason: &Reason, holds: &[HeldDeletion]) -> Self {
        Self {
            severity: reason.severity.to_string(),
            class: match reason.severity {
                Status::Ok => "good-text",
                Status::Degraded => "warn-text",
                Status::Failing => "bad-text",
            },
            parts: parts(&reason.detail),
            since: reason.since.map(Moment),
            fix: fix(reason, holds),
        }
    }
}

/// Returns the text of a reason for readers of a page.
pub(in crate::pages) fn for_readers(text: &str) -> String {
    let texts = FOR_READERS.iter();
    texts.fold(text.to_owned(), |text, (api, page)| text.replace(api, page))
}

/// Splits a text at the backticks around its code.
fn parts(text: &str) -> Vec<Part> {
    let text = for_readers(text);
    let parts = text.split('`').enumerate().map(|(index, part)| Part {
        text: part.to_owned(),
        is_code: index % 2 == 1,
    });
    parts.filter(|part| !part.text.is_empty()).collect()
}

/// Returns the place where a reason is fixed; none if that is outside these pages.
fn fix(reason: &Reason, holds: &[HeldDeletion]) -> Option<(String, &'static str)> {
    let row = |table: &str, name: &'static str| match reason.subjects.as_slice() {
        [one] => Some((format!("#{table}-{one}"), name)),
        _ => Some((format!("#{table}s"), name)),
    };
    match reason.code {
        Code::DatabaseUnreachable | Code::TemporalUnreachable | Code::SchedulesNotChecked => None,
        Code::NoSync
        | Code::SyncStopped
        | Code::ScheduleMissing
        | Code::ScheduleForeign
        | Code::SchedulePaused
        | Code::ScheduleOutdated
        | Code::RunFailed => row("schedule", "See the schedules"),
        Code::FirstSyncRunning => Some(("#schedules".to_owned(), "See the runs")),
        Code::BalanceStale => Some(("#schedule-poll-balance".to_owned(), "Poll the balance now")),
        Code::TokenRefused
        | Code::KindFailed
        | Code::KindIncomplete
        | Code::KindNotReadable
        | Code::KindStale => row("kind", "See the kinds"),
        Code::DeletionsHeld => match holds {
            [one] => Some((
                format!("/sync/held-deletions/{}", one.id),
                "Decide on the deletions",
            )),
            _ => Some(("#held".to_owned(), "Decide on the deletions")),
        },
        Code::MembersUnmatched => Some(("/projects".to_owned(), "See the projects")),
        Code::ReallocationPending => Some(("/reallocations".to_owned(), "See the progress")),
        Code::OverridesOrphaned => Some(("/lines/overrides".to_owned(), "Decide on them")),
        Code::BooksDiscrepancy
        | Code::InvoicesFailed
        | Code::InvoicesPending
        | Code::InvoicesCheckFailed
        | Code::InvoicesUnverified
        | Code::InvoicesUnreconciled => Some(("/invoices".to_owned(), "See the invoices")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_a_reason_is_marked() {
        let parts = parts("run `arcadia doctor`, then wait");
        let marked: Vec<_> = parts
            .iter()
            .map(|part| (&*part.text, part.is_code))
            .collect();
        assert_eq!(
            marked,
            [
                ("run ", false),
                ("arcadia doctor", true),
                (", then wait", false)
            ]
        );
    }

    #[test]
    fn a_reason_with_one_subject_links_to_its_row() {
        let reason =
            |subjects: &[&str]| Reason::new(Code::KindFailed, "").about(subjects.iter().copied());
        let address = |reason: &Reason| fix(reason, &[]).unwrap().0;
        assert_eq!(address(&reason(&["volume"])), "#kind-volume");
        assert_eq!(address(&reason(&["volume", "vpc"])), "#kinds");
    }
}
