//! The sentence about closed months on pages with figures of today.

use chrono::NaiveDate;
use store::Store;

use crate::pages::format::month_name;
use crate::pages::page::PageProblem;

/// Returns a sentence if any of the months is closed: the page shows the figures of today.
pub(in crate::pages) async fn sentence(
    store: &Store,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Option<String>, PageProblem> {
    let closed = store.closed_months(from, to).await?;
    let months = match closed.as_slice() {
        [] => return Ok(None),
        [one] => format!("{} is closed: its statements are", month_name(*one)),
        [first, .., last] => format!(
            "{} months from {} to {} are closed: their statements are",
            closed.len(),
            month_name(*first),
            month_name(*last)
        ),
    };
    Ok(Some(format!(
        "{months} frozen, and this page shows the figures of today."
    )))
}
