//! `/`: the open month, the last invoiced month, the balance, thirteen months of costs, and items
//! that need attention.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use chrono::{Months, NaiveDate};
use rust_decimal::Decimal;
use store::Role;
use store::balance::BalanceSnapshot;
use store::invoices::{CostLineFilter, Estimate};

use super::chart::StackedBars;
use super::costs::CostTable;
use super::format::{Moment, Money, month, month_name};
use super::page::{Frame, PageProblem, render};
use super::session::Viewer;
use crate::ApiState;
use crate::routes::costs::{Cost, Grouping, read_costs};
use crate::routes::sync::current_verdict;
use crate::status::{Code, Status};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/", get(show))
}

/// The estimate of the open month.
struct OpenMonth {
    name: String,
    path: String,
    amount: Money,
    estimated_at: Moment,
    note: Option<String>,
}

/// The last month with an invoice, compared with the month before.
struct LastMonth {
    name: String,
    path: String,
    amount: Money,
    before: String,
    /// The size of the difference; `direction` is `more` or `less`.
    change: Money,
    direction: &'static str,
    is_final: bool,
    causes: Vec<Cause>,
}

/// A resource with different costs in two months.
struct Cause {
    name: String,
    link: String,
    before: Money,
    after: Money,
    change: Money,
    /// `new`, `ended`, `more` or `less`.
    kind: &'static str,
}

struct Balance {
    owed: Money,
    usage: Money,
    account: Money,
    generated_at: Moment,
}

/// An item that needs attention, with the page where it can be fixed.
struct Attention {
    class: &'static str,
    text: String,
    link: String,
    link_text: &'static str,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    status: Status,
    open: Option<OpenMonth>,
    last: Option<LastMonth>,
    balance: Option<Balance>,
    chart: Option<StackedBars>,
    from: String,
    to: String,
    attention: Vec<Attention>,
}

async fn show(viewer: Viewer, State(state): State<ApiState>) -> Result<Response, PageProblem> {
    if let Role::Tenant(_) = viewer.access.role {
        return Ok(Redirect::to("/inventory").into_response());
    }
    let store = &state.store;
    let estimates = store.estimates(None, 1).await?;
    let estimate = estimates
        .into_iter()
        .find(|estimate| estimate.state == "open");
    let invoices = store.invoices(None, 1).await?;
    let last_period = invoices.first().map(|invoice| invoice.period);
    let newest = estimate
        .as_ref()
        .map(|estimate| estimate.period)
        .max(last_period);
    let (mut chart, mut ends) = (None, (String::new(), String::new()));
    if let Some(to) = newest {
        let from = to - Months::new(12);
        let costs = read_costs(store, Grouping::Tenant, from, to).await?;
        let table = CostTable::new(costs.rows, Grouping::Tenant, from, to);
        chart = Some(table.chart("Costs by tenant, USD a month"));
        ends = (month(from), month(to));
    }
    let last = match last_period {
        Some(period) => Some(last_month(&state, period).await?),
        None => None,
    };
    let verdict = current_verdict(&state).await?;
    let mut attention = Vec::new();
    for reason in &verdict.reasons {
        attention.push(Attention {
            class: if reason.severity == Status::Failing {
                "bad"
            } else {
                "warn"
            },
            text: reason.detail.clone(),
            link: link_of(reason.code).to_owned(),
            link_text: "Open",
        });
    }
    for period in [
        estimate.as_ref().map(|estimate| estimate.period),
        last_period,
    ] {
        let Some(period) = period else { continue };
        attention.extend(open_lines(&state, period).await?);
    }
    if let Some(last) = last.as_ref().filter(|last| !last.is_final) {
        attention.push(Attention {
            class: "warn",
            text: format!("{} is not final", last.name),
            link: last.path.clone(),
            link_text: "Open the checklist",
        });
    }
    let balance = store.latest_balance().await?;
    render(&OverviewPage {
        frame: viewer.frame("Overview", "/"),
        status: verdict.status,
        open: estimate.map(OpenMonth::from),
        last,
        balance: balance.map(Balance::from),
        chart,
        from: ends.0,
        to: ends.1,
        attention,
    })
}

impl From<Estimate> for OpenMonth {
    fn from(estimate: Estimate) -> Self {
        Self {
            name: month_name(estimate.period),
            path: format!("/months/{}", month(estimate.period)),
            amount: Money(estimate.line_total),
            estimated_at: Moment(estimate.estimated_at),
            note: estimate.source_note,
        }
    }
}

impl From<BalanceSnapshot> for Balance {
    fn from(balance: BalanceSnapshot) -> Self {
        Self {
            owed: Money(balance.month_to_date_balance),
            usage: Money(balance.month_to_date_usage),
            account: Money(balance.account_balance),
            generated_at: Moment(balance.generated_at),
        }
    }
}

/// Number of causes on the page.
const CAUSES: usize = 6;

/// Compares an invoiced month with the month before, by resource.
async fn last_month(state: &ApiState, period: NaiveDate) -> Result<LastMonth, PageProblem> {
    let before = period - Months::new(1);
    let costs = read_costs(&state.store, Grouping::Resource, before, period).await?;
    let total = |period: NaiveDate| -> Decimal {
        let costs = costs.rows.iter().filter(|cost| cost.period == period);
        costs.map(|cost| cost.amount.0).sum()
    };
    let amount = total(period);
    let change = amount - total(before);
    let statements = state.store.statements(period).await?;
    let is_final = !statements.is_estimate
        && statements.invoices > 0
        && statements.final_invoices == statements.invoices;
    Ok(LastMonth {
        name: month_name(period),
        path: format!("/months/{}", month(period)),
        amount: Money(amount),
        before: month_name(before),
        change: Money(change.abs()),
        direction: if change.is_sign_negative() {
            "less"
        } else {
            "more"
        },
        is_final,
        causes: causes(&costs.rows, period),
    })
}

/// The resources with the largest differences between a month and the month before.
fn causes(costs: &[Cost], period: NaiveDate) -> Vec<Cause> {
    let mut groups: Vec<&Option<String>> = costs.iter().map(|cost| &cost.group).collect();
    groups.sort();
    groups.dedup();
    let causes = groups.into_iter().map(|group| {
        let of_group = || costs.iter().filter(|cost| cost.group == *group);
        let sum = |is_after: bool| -> Decimal {
            let costs = of_group().filter(|cost| (cost.period == period) == is_after);
            costs.map(|cost| cost.amount.0).sum()
        };
        let (before, after) = (sum(false), sum(true));
        let name = of_group().find_map(|cost| cost.resource_name.clone());
        let name = name.or_else(|| group.clone());
        let is_resource = group.as_ref().is_some_and(|group| !group.contains(':'));
        Cause {
            link: match group {
                Some(id) if is_resource => format!("/inventory/{id}"),
                _ => format!("/lines?period={}", month(period)),
            },
            name: name.unwrap_or_else(|| "costs without a resource".to_owned()),
            before: Money(before),
            after: Money(after),
            change: Money(after - before),
            kind: match (before.is_zero(), after.is_zero(), after > before) {
                (true, false, _) => "new",
                (false, true, _) => "ended",
                (_, _, true) => "more",
                _ => "less",
            },
        }
    });
    let mut causes: Vec<Cause> = causes.filter(|cause| !cause.change.0.is_zero()).collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.change.0.abs()));
    causes.truncate(CAUSES);
    causes
}

/// The page where a reason can be examined.
fn link_of(code: Code) -> &'static str {
    match code {
        Code::InvoicesFailed
        | Code::InvoicesPending
        | Code::InvoicesUnverified
        | Code::InvoicesUnreconciled
        | Code::BooksDiscrepancy => "/invoices",
        _ => "/sync",
    }
}

/// The unmatched and ambiguous lines of a month, if there are any.
async fn open_lines(state: &ApiState, period: NaiveDate) -> Result<Option<Attention>, PageProblem> {
    let filter = CostLineFilter {
        period,
        match_rules: vec!["unmatched".to_owned(), "ambiguous".to_owned()],
        ..CostLineFilter::default()
    };
    let total = state.store.cost_line_total(&filter).await?;
    Ok((total.count > 0).then(|| Attention {
        class: "warn",
        text: format!(
            "{}: {} lines without a resource, {} USD",
            month_name(period),
            total.count,
            Money(total.amount)
        ),
        link: format!("/lines?period={}&match_rule=unmatched", month(period)),
        link_text: "Match them",
    }))
}

#[cfg(test)]
mod tests {
    use store::Usd;

    use super::*;

    fn cost(period: NaiveDate, group: &str, amount: i64) -> Cost {
        Cost::for_test(period, Some(group.to_owned()), Usd(amount.into()))
    }

    #[test]
    fn the_largest_differences_come_first_and_equal_costs_are_left_out() {
        let april: NaiveDate = "2026-04-01".parse().unwrap();
        let march = april - Months::new(1);
        let costs = [
            cost(march, "same", 5),
            cost(april, "same", 5),
            cost(march, "ended", 3),
            cost(april, "new", 9),
            cost(march, "more", 1),
            cost(april, "more", 2),
        ];
        let causes = causes(&costs, april);
        let shown: Vec<_> = causes
            .iter()
            .map(|cause| (cause.name.as_str(), cause.kind))
            .collect();
        assert_eq!(
            shown,
            [("new", "new"), ("ended", "ended"), ("more", "more")]
        );
    }
}
