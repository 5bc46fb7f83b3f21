//! `/months`: all months with their total and the items that are open before the close.

mod checks;
mod close;
mod rule;
mod rule_form;
mod statement;
pub(super) mod tenants;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use store::costs::MonthSummary;

use super::format::{Money, month, month_name};
use super::page::{Frame, PageProblem, render};
use super::session::AdminViewer;
use crate::ApiState;
use crate::extract::{Period, Query, optional_field};
use crate::notes;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/months", get(show))
        .merge(close::routes())
        .merge(rule::routes())
        .merge(statement::routes())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MonthsQuery {
    /// Only months before this one.
    #[serde(default, deserialize_with = "optional_field")]
    before: Option<Period>,
}

struct Row {
    period: String,
    name: String,
    path: String,
    /// `final`, `not final` or `estimate`.
    state: &'static str,
    class: &'static str,
    total: Money,
    invoice_total: Option<Money>,
    difference: Option<Money>,
    unallocated: Money,
    unallocated_path: String,
    open: Vec<String>,
}

impl From<MonthSummary> for Row {
    fn from(summary: MonthSummary) -> Self {
        let (state, class) = if summary.is_final() {
            ("final", "good-text")
        } else if summary.is_estimate {
            ("estimate", "faint")
        } else {
            ("not final", "bad-text")
        };
        let path = format!("/months/{}", month(summary.period));
        Self {
            period: month(summary.period),
            name: month_name(summary.period),
            state,
            class,
            total: Money(summary.line_total),
            invoice_total: (summary.invoices > 0).then_some(Money(summary.invoice_total)),
            difference: summary.difference().map(Money),
            unallocated: Money(summary.unallocated),
            unallocated_path: tenants::statement_path(summary.period, None),
            open: open_items(&summary),
            path,
        }
    }
}

/// The items of a month that are open before the close.
fn open_items(summary: &MonthSummary) -> Vec<String> {
    let mut open = Vec::new();
    if summary.invoices == 0 {
        open.push("no invoice yet".to_owned());
    }
    let missing = summary.invoices - summary.final_invoices;
    if missing > 0 {
        open.push(format!(
            "{missing} of {} {} not final",
            summary.invoices,
            if summary.invoices == 1 {
                "invoice"
            } else {
                "invoices"
            }
        ));
    }
    if summary.withdrawn_invoices > 0 {
        open.push(format!("{} withdrawn", summary.withdrawn_invoices));
    }
    let difference = summary.difference().unwrap_or_default();
    if !difference.is_zero() {
        open.push(format!("lines are off by {} USD", Money(difference)));
    }
    if !summary.unallocated.is_zero() {
        open.push(format!("{} USD unallocated", Money(summary.unallocated)));
    }
    open
}

#[derive(Template)]
#[template(path = "months.html")]
struct MonthsPage {
    frame: Frame,
    rows: Vec<Row>,
    note: Option<String>,
    is_first_page: bool,
    next: Option<String>,
}

/// The months of a page.
const MONTHS: usize = 36;

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Query(query): Query<MonthsQuery>,
) -> Result<Response, PageProblem> {
    let before = query.before.map(|Period(period)| period);
    let limit = i64::try_from(MONTHS + 1).unwrap_or(i64::MAX);
    let mut summaries = state.store.month_summaries(before, limit).await?;
    let has_more = summaries.len() > MONTHS;
    summaries.truncate(MONTHS);
    let next = summaries.last().filter(|_| has_more);
    let next = next.map(|last| format!("/months?before={}", month(last.period)));
    let note = if summaries.is_empty() {
        notes::on_books(&state.store).await?
    } else {
        None
    };
    render(&MonthsPage {
        frame: viewer.frame("Months", "/months"),
        rows: summaries.into_iter().map(Row::from).collect(),
        note: note.map(|note| note.detail),
        is_first_page: before.is_none(),
        next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_lists_each_open_item() {
        let summary = MonthSummary {
            period: "2026-04-01".parse().unwrap(),
            line_total: "33.00".parse().unwrap(),
            unallocated: "1.50".parse().unwrap(),
            is_estimate: false,
            invoice_total: "33.66".parse().unwrap(),
            invoices: 2,
            final_invoices: 1,
            withdrawn_invoices: 1,
        };
        assert_eq!(open_items(&summary).len(), 4);
        assert_eq!(Row::from(summary.clone()).state, "not final");
        let done = MonthSummary {
            invoice_total: summary.line_total,
            unallocated: rust_decimal::Decimal::ZERO,
            final_invoices: 2,
            withdrawn_invoices: 0,
            ..summary
        };
        assert_eq!(open_items(&done), Vec::<String>::new());
        assert_eq!(Row::from(done).state, "final");
    }
}
