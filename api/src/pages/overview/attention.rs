//! The items of the overview that need attention.

use chrono::NaiveDate;
use store::Store;
use store::invoices::CostLineFilter;

use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::lines::filter::address;
use crate::pages::page::PageProblem;
use crate::pages::sync::reasons::for_readers;
use crate::routes::cost_lines::filter::{AMBIGUOUS, UNMATCHED};
use crate::status::{Code, Status, Verdict};

/// An item that needs attention, with the page where it can be fixed.
pub(super) struct Attention {
    pub(super) class: &'static str,
    pub(super) text: String,
    pub(super) link: String,
    pub(super) link_text: &'static str,
}

/// Returns an item for each reason of the verdict.
pub(super) fn of_verdict(verdict: &Verdict) -> Vec<Attention> {
    let reasons = verdict.reasons.iter().map(|reason| Attention {
        class: if reason.severity == Status::Failing {
            "bad"
        } else {
            "warn"
        },
        text: for_readers(&reason.detail),
        link: link_of(reason.code).to_owned(),
        link_text: "Open",
    });
    reasons.collect()
}

/// The page where a reason can be examined.
fn link_of(code: Code) -> &'static str {
    match code {
        Code::InvoicesFailed
        | Code::InvoicesPending
        | Code::InvoicesCheckFailed
        | Code::InvoicesUnverified
        | Code::InvoicesUnreconciled
        | Code::BooksDiscrepancy => "/invoices",
        Code::OverridesOrphaned => "/lines/overrides",
        Code::ReallocationPending => "/reallocations",
        Code::DeletionsHeld => "/sync#held",
        _ => "/sync",
    }
}

/// Returns an item for the unmatched lines of a month, and one for the ambiguous ones, if there are
/// any. Each leads to the lines that it counts.
pub(super) async fn open_lines(
    store: &Store,
    period: NaiveDate,
) -> Result<Vec<Attention>, PageProblem> {
    let mut items = Vec::new();
    for (rule, link_text) in [(UNMATCHED, "Match them"), (AMBIGUOUS, "Choose a resource")] {
        let filter = CostLineFilter {
            period,
            match_rules: vec![rule.to_owned()],
            ..CostLineFilter::default()
        };
        let total = store.cost_line_total(&filter).await?;
        if total.count == 0 {
            continue;
        }
        items.push(Attention {
            class: "warn",
            text: format!(
                "{}: {} {rule} {}, {} USD",
                month_name(period),
                total.count,
                if total.count == 1 { "line" } else { "lines" },
                Money(total.amount)
            ),
            link: address(&filter, None),
            link_text,
        });
    }
    Ok(items)
}

/// Returns an item for each correction of a closed month that waits for a decision.
pub(super) async fn corrections(store: &Store) -> Result<Vec<Attention>, PageProblem> {
    let corrections = store.corrections().await?.into_iter();
    let items = corrections.map(|correction| Attention {
        class: "warn",
        text: format!(
            "{} is closed, and DigitalOcean corrected its invoices by {} USD",
            month_name(correction.period),
            Money(correction.difference)
        ),
        link: format!("/months/{}#close", month(correction.period)),
        link_text: "Accept or reopen",
    });
    Ok(items.collect())
}

/// Returns an item for the tokens that expire soon, if there are any.
pub(super) async fn expiring_tokens(store: &Store) -> Result<Option<Attention>, PageProblem> {
    let tokens = store.expiring_tokens().await?;
    let Some(next) = tokens.first() else {
        return Ok(None);
    };
    let expires = Moment(next.expires_at);
    let age = expires.age();
    Ok(Some(Attention {
        class: "warn",
        text: match tokens.len() - 1 {
            0 => format!("the token “{}” expires {age}", next.name),
            others => format!(
                "{} tokens expire soon, the first one, “{}”, {age}",
                others + 1,
                next.name
            ),
        },
        link: "/settings/tokens".to_owned(),
        link_text: "Rotate",
    }))
}
