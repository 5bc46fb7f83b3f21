//! Reasons from invoices, from the balance, and from stored sums that do not reconcile.

use chrono::{DateTime, Utc};
use store::status::{InvoiceFacts, StatusFacts};

use super::{BALANCE_STALE_AFTER, Code, INVOICE_PENDING_AFTER, Reason};

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
    if invoices.unverified > 0 {
        let detail = format!(
            "failed to recheck {} invoices, which keep their last confirmed lines: \
             `last_check_error` in GET /api/v1/billing/invoices has the reason; the schedule \
             billing-history retries every day",
            invoices.unverified
        );
        let unverified = Reason::new(Code::InvoicesUnverified, detail);
        reasons.push(unverified.since(invoices.unverified_since));
    }
    if invoices.unreconciled > 0 {
        reasons.push(Reason::new(
            Code::InvoicesUnreconciled,
            format!(
                "the lines of {} invoices do not total the amount of their invoice: compare \
                 `off_by` in GET /api/v1/billing/invoices with the invoice in DigitalOcean's \
                 control panel",
                invoices.unreconciled
            ),
        ));
    }
    reasons
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

/// Returns a reason if stored sums do not reconcile.
pub(super) fn reason_of_books(discrepancies: Option<i64>) -> Option<Reason> {
    let count = discrepancies.filter(|count| *count > 0)?;
    Some(Reason::new(
        Code::BooksDiscrepancy,
        format!(
            "{count} stored sums do not reconcile: GET /api/v1/billing/checks lists them; the \
             database was changed by hand, or this is a bug, please report it"
        ),
    ))
}
