//! `/months`: all months with their total and the items that are open before the close.

mod adjustments;
mod checks;
pub(super) mod close;
pub(super) mod frozen;
mod rule;
pub(super) mod rule_form;
mod statement;
pub(super) mod tenants;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use store::Usd;
use store::costs::{MonthState, MonthSummary};
use utoipa::ToSchema;

use super::format::{Money, month, month_name};
use super::page::{Frame, PageProblem, render};
use super::parameters::Parameters;
use super::session::AdminViewer;
use crate::ApiState;
use crate::csv::{self, FileName};
use crate::extract::{Period, optional_field};
use crate::notes;
use crate::routes::months;

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
    /// `closed`, `final`, `not final`, `estimate`, or `running` for an invoiced month that is not
    /// over.
    state: &'static str,
    class: &'static str,
    /// The close of the month on its page.
    close_path: Option<String>,
    total: Money,
    /// The part of the total that is an estimate.
    estimated: Option<Money>,
    invoice_total: Option<Money>,
    difference: Option<Money>,
    unallocated: Money,
    unallocated_path: String,
    open: Vec<String>,
}

/// A row of the CSV; amounts in USD.
#[derive(Serialize, ToSchema)]
struct CsvRow {
    period: NaiveDate,
    state: &'static str,
    total: Usd,
    invoice_total: Option<Usd>,
    difference: Option<Usd>,
    unallocated: Usd,
    open: String,
}

impl From<MonthSummary> for CsvRow {
    fn from(summary: MonthSummary) -> Self {
        Self {
            period: summary.period,
            state: in_words(summary.state()).0,
            total: Usd(summary.line_total),
            invoice_total: (summary.invoices > 0).then_some(Usd(summary.invoice_total)),
            difference: summary.difference().map(Usd),
            unallocated: Usd(summary.unallocated),
            open: open_items(&summary).join("; "),
        }
    }
}

/// Returns the state of a month in words, and the class of its text.
fn in_words(state: MonthState) -> (&'static str, &'static str) {
    match state {
        MonthState::Closed => ("closed", "good-text"),
        MonthState::Final => ("final", "good-text"),
        MonthState::Running => ("running", "faint"),
        MonthState::Estimate => ("estimate", "faint"),
        MonthState::NotFinal => ("not final", "bad-text"),
    }
}

impl From<MonthSummary> for Row {
    fn from(summary: MonthSummary) -> Self {
        let (state, class) = in_words(summary.state());
        let path = format!("/months/{}", month(summary.period));
        let close = summary.close.as_ref();
        Self {
            period: month(summary.period),
            name: month_name(summary.period),
            state,
            class,
            close_path: close.map(|_| format!("{path}#close")),
            total: Money(summary.line_total),
            estimated: summary.is_estimate.then_some(Money(summary.estimated)),
            invoice_total: (summary.invoices > 0).then_some(Money(summary.invoice_total)),
            difference: summary.difference().map(Money),
            unallocated: Money(summary.unallocated),
            unallocated_path: tenants::statement_path(summary.period, None),
            open: open_items(&summary),
            path,
        }
    }
}

fn open_items(summary: &MonthSummary) -> Vec<String> {
    months::open_items(summary, |amount| Money(amount).to_string())
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

/// The name of the table in the address of its CSV.
const TABLE: &str = "months";

/// The months of a page.
const MONTHS: usize = 36;

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    if parameters.take_whole_table(TABLE)? {
        let summaries = state.store.month_summaries(None, i64::MAX).await?;
        let rows: Vec<CsvRow> = summaries.into_iter().map(CsvRow::from).collect();
        return Ok(csv::whole(viewer, FileName::new(TABLE), rows)?);
    }
    let query: MonthsQuery = parameters.read()?;
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
    use store::costs::CloseOfMonth;

    use super::*;

    #[test]
    fn a_month_lists_each_open_item() {
        let summary = MonthSummary {
            period: "2026-04-01".parse().unwrap(),
            line_total: "33.00".parse().unwrap(),
            unallocated: "1.50".parse().unwrap(),
            is_over: true,
            is_estimate: false,
            estimated: rust_decimal::Decimal::ZERO,
            invoice_total: "33.66".parse().unwrap(),
            invoices: 2,
            final_invoices: 1,
            unverified_invoices: 1,
            withdrawn_invoices: 1,
            is_reallocating: true,
            close: None,
            has_correction: false,
        };
        assert_eq!(open_items(&summary).len(), 6);
        assert_eq!(Row::from(summary.clone()).state, "not final");
        let done = MonthSummary {
            invoice_total: summary.line_total,
            unallocated: rust_decimal::Decimal::ZERO,
            final_invoices: 2,
            unverified_invoices: 0,
            withdrawn_invoices: 0,
            is_reallocating: false,
            ..summary
        };
        assert_eq!(open_items(&done), Vec::<String>::new());
        assert_eq!(Row::from(done.clone()).state, "final");
        let pending = MonthSummary {
            is_reallocating: true,
            ..done.clone()
        };
        assert_eq!(Row::from(pending).state, "not final");
        let running = MonthSummary {
            is_over: false,
            ..done
        };
        assert_eq!(open_items(&running), ["not over"]);
        let closed = MonthSummary {
            close: Some(CloseOfMonth {
                number: 1,
                closed_at: "2026-05-02T10:00:00Z".parse().unwrap(),
                closed_by: "ann".to_owned(),
            }),
            has_correction: true,
            ..running.clone()
        };
        assert_eq!(open_items(&closed), ["a correction waits for a decision"]);
        assert_eq!(Row::from(closed).state, "closed");
        assert_eq!(Row::from(running).state, "running");
    }
}
