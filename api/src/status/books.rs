//! Reasons from invoices, from the balance, and from stored sums that do not reconcile.

use chrono::{DateTime, SecondsFormat, Utc};
use store::reallocations::OpenReallocations;
use store::status::{BooksCheck, InvoiceFacts, StatusFacts};

use super::{BALANCE_STALE_AFTER, Code, INVOICE_PENDING_AFTER, REALLOCATION_PENDING_AFTER, Reason};

/// Returns the reasons from the ingest and the checks of invoices.
pub(super) fn reasons_of_invoices(invoices: &InvoiceFacts, at: DateTime<Utc>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if invoices.failed > 0 {
        reasons.push(Reason::new(
            Code::InvoicesFailed,
            format!(
                "failed to ingest {} invoices: `last_error` in GET /api/v1/billing/invoices has \
                 the reason; the schedule billing-history retries every day",
                invoices.failed
            ),
        ));
    }
    let is_late = |since: &DateTime<Utc>| at - *since > INVOICE_PENDING_AFTER;
    if let Some(since) = invoices.pending_since.filter(is_late) {
        let detail = format!(
            "{} invoices have been without lines for more than {} h: check the last run of \
             billing-history in the Temporal UI, or start one with `temporal schedule trigger \
             --schedule-id billing-history`",
            invoices.pending,
            INVOICE_PENDING_AFTER.num_hours()
        );
        reasons.push(Reason::new(Code::InvoicesPending, detail).since(Some(since)));
    }
    if invoices.check_failed > 0 {
        let detail = format!(
            "failed to recheck {} invoices, which keep their last confirmed lines: \
             `last_check_error` in GET /api/v1/billing/invoices has the reason; the schedule \
             billing-history retries every day",
            invoices.check_failed
        );
        let check_failed = Reason::new(Code::InvoicesCheckFailed, detail);
        reasons.push(check_failed.since(invoices.check_failed_since));
    }
    if invoices.unverified > 0 {
        reasons.push(Reason::new(
            Code::InvoicesUnverified,
            format!(
                "{} invoices are not verified, so that their months are not final: no sum differs, \
                 but DigitalOcean's summary or another source is missing; `source_note` in GET \
                 /api/v1/billing/invoices has the reason; the schedule billing-history retries \
                 every day",
                invoices.unverified
            ),
        ));
    }
    if invoices.orphaned_overrides > 0 {
        let detail = format!(
            "{} overrides have no line, because a correction of the invoice removed it: GET \
             /api/v1/billing/orphaned-overrides lists them; apply each to a line, or dismiss it",
            invoices.orphaned_overrides
        );
        let orphaned = Reason::new(Code::OverridesOrphaned, detail);
        reasons.push(orphaned.since(invoices.orphaned_since));
    }
    if invoices.unreconciled > 0 {
        reasons.push(Reason::new(
            Code::InvoicesUnreconciled,
            format!(
                "{} invoices do not reconcile in their lines, header, summary or parts: compare \
                 `off_by`, `summary_off_by` and the parts in GET /api/v1/billing/invoices with the \
                 invoice in DigitalOcean's control panel",
                invoices.unreconciled
            ),
        ));
    }
    reasons
}

/// Returns a reason if cost lines have waited too long for a reallocation.
pub(super) fn reason_of_reallocations(
    open: OpenReallocations,
    at: DateTime<Utc>,
) -> Option<Reason> {
    let detail = format!(
        "the cost lines of {} changes wait for a reallocation, so that figures of their months mix \
         tenants of before and after: GET /api/v1/billing/reallocations has the progress; if it \
         does not advance, check the run `reallocate` in the Temporal UI",
        open.count
    );
    let is_late = |since: &DateTime<Utc>| at - *since > REALLOCATION_PENDING_AFTER;
    let since = open.since.filter(is_late)?;
    Some(Reason::new(Code::ReallocationPending, detail).since(Some(since)))
}

/// Returns a reason if the balance is stale.
pub(super) fn reason_of_balance(facts: &StatusFacts) -> Option<Reason> {
    let since = facts.balance_polled_at.unwrap_or(facts.installed_at);
    let is_stale = facts.at - since > BALANCE_STALE_AFTER;
    let detail = format!(
        "balance not polled for more than {} h: check the last run of poll-balance in the Temporal \
         UI; the token needs the scope billing:read",
        BALANCE_STALE_AFTER.num_hours()
    );
    is_stale.then(|| Reason::new(Code::BalanceStale, detail).since(Some(since)))
}

/// Returns a reason if stored sums did not reconcile when they were last checked.
pub(super) fn reason_of_books(books: Option<BooksCheck>) -> Option<Reason> {
    let BooksCheck {
        checked_at,
        discrepancies: count,
    } = books.filter(|books| books.discrepancies > 0)?;
    let checked_at = checked_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    Some(Reason::new(
        Code::BooksDiscrepancy,
        format!(
            "{count} stored sums did not reconcile when billing-history last checked them, at \
             {checked_at}: GET /api/v1/billing/checks checks them again and lists them; the \
             database was changed by hand, or this is a bug, please report it"
        ),
    ))
}
