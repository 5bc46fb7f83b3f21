//! Reasons that invoices, the balance and the books give.

use chrono::{DateTime, Utc};
use store::status::{InvoiceFacts, StatusFacts};

use super::{BALANCE_STALE_AFTER, Code, INVOICE_PENDING_AFTER, Reason};

pub(super) fn reasons_of_invoices(invoices: &InvoiceFacts, at: DateTime<Utc>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if invoices.failed > 0 {
        reasons.push(Reason::new(
            Code::InvoicesFailed,
            format!(
                "{} of the invoices could not be ingested: `last_error` in GET /api/v1/billing/invoices says why; the schedule \
                 billing-history tries again every day",
                invoices.failed
            ),
        ));
    }
    let waits = |since: &DateTime<Utc>| at - *since > INVOICE_PENDING_AFTER;
    if let Some(since) = invoices.pending_since.filter(waits) {
        let detail = format!(
            "{} of the invoices have waited for their lines for more than {} h: open the last run of billing-history in the Temporal UI, \
             or start one with `temporal schedule trigger --schedule-id billing-history`",
            invoices.pending,
            INVOICE_PENDING_AFTER.num_hours()
        );
        reasons.push(Reason::new(Code::InvoicesPending, detail).since(Some(since)));
    }
    if invoices.unverified > 0 {
        let detail = format!(
            "{} of the invoices could not be checked again, so that their lines are as they were confirmed last: `last_check_error` in \
             GET /api/v1/billing/invoices says why; the schedule billing-history tries again every day",
            invoices.unverified
        );
        let unverified = Reason::new(Code::InvoicesUnverified, detail);
        reasons.push(unverified.since(invoices.unverified_since));
    }
    if invoices.unreconciled > 0 {
        reasons.push(Reason::new(
            Code::InvoicesUnreconciled,
            format!(
                "the lines of {} of the invoices do not total the invoice's amount: compare `off_by` in GET /api/v1/billing/invoices with \
                 the invoice in DigitalOcean's control panel",
                invoices.unreconciled
            ),
        ));
    }
    reasons
}

pub(super) fn reason_of_balance(facts: &StatusFacts) -> Option<Reason> {
    let since = facts.balance_polled_at.unwrap_or(facts.installed_at);
    let is_stale = facts.at - since > BALANCE_STALE_AFTER;
    let detail = format!(
        "the balance has not been polled for more than {} h: open the last run of poll-balance in the Temporal UI; the token needs \
         billing:read",
        BALANCE_STALE_AFTER.num_hours()
    );
    is_stale.then(|| Reason::new(Code::BalanceStale, detail).since(Some(since)))
}

pub(super) fn reason_of_books(discrepancies: Option<i64>) -> Option<Reason> {
    let count = discrepancies.filter(|count| *count > 0)?;
    Some(Reason::new(
        Code::BooksDiscrepancy,
        format!(
            "the books do not balance in {count} places: GET /api/v1/billing/checks lists them; somebody wrote to the database by hand, or \
             this is a fault of this program, please report it"
        ),
    ))
}
