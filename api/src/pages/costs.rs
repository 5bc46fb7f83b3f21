//! `/costs`: costs by month and group, as bars and as a table of the same amounts.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{Months, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::chart::{Column, Series, StackedBars};
use super::format::{Money, month, month_name, percent};
use super::page::{Frame, PageProblem, render};
use super::session::AdminViewer;
use crate::ApiState;
use crate::extract::{Period, Query, optional_field};
use crate::routes::costs::{Cost, Grouping, read_costs};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/costs", get(show))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CostsQuery {
    #[serde(default, deserialize_with = "optional_field")]
    from: Option<Period>,
    #[serde(default, deserialize_with = "optional_field")]
    to: Option<Period>,
    #[serde(default, deserialize_with = "optional_field")]
    group_by: Option<Grouping>,
}

struct Cell {
    amount: Option<Money>,
    link: String,
}

struct Row {
    name: String,
    cells: Vec<Cell>,
    total: Money,
    share: String,
    /// The last month less the month before.
    change: Money,
}

struct MonthHead {
    name: String,
    link: String,
    is_estimate: bool,
    total: Money,
}

#[derive(Template)]
#[template(path = "costs.html")]
struct CostsPage {
    frame: Frame,
    from: String,
    to: String,
    groupings: Vec<(&'static str, &'static str, bool)>,
    group_name: &'static str,
    months: Vec<MonthHead>,
    rows: Vec<Row>,
    total: Money,
    change: Money,
    chart: StackedBars,
    notes: Vec<String>,
}

/// The most months of a page; longer ranges are cut at their end.
const MAX_MONTHS: u32 = 60;

/// The last thirteen months by default: a year, and the same month of the year before.
fn default_range() -> (Period, Period) {
    let today = Utc::now().date_naive();
    let to = chrono::Datelike::with_day(&today, 1).unwrap_or(today);
    (Period(to - Months::new(12)), Period(to))
}

/// The name of the costs that belong to no group.
fn without_group(grouping: Grouping) -> &'static str {
    match grouping {
        Grouping::Tenant => "unallocated",
        Grouping::Project => "no project",
        Grouping::Kind => "no kind",
        Grouping::Product => "no product",
        Grouping::Resource => "no resource",
    }
}

/// The filter of `/lines` that selects a group; none if the lines of the group cannot be selected.
fn filter_of(grouping: Grouping, group: &Option<String>) -> Option<String> {
    let group = group.as_deref()?;
    let name = match grouping {
        Grouping::Tenant => "tenant",
        Grouping::Project => "project",
        Grouping::Kind => "kind",
        Grouping::Product => "product",
        Grouping::Resource if group.contains(':') => return None,
        Grouping::Resource => "resource",
    };
    serde_urlencoded::to_string([(name, group)]).ok()
}

struct Group {
    name: String,
    filter: Option<String>,
    amounts: BTreeMap<NaiveDate, Decimal>,
}

fn groups(costs: Vec<Cost>, grouping: Grouping) -> Vec<Group> {
    let mut groups: BTreeMap<Option<String>, Group> = BTreeMap::new();
    for cost in costs {
        let group = groups.entry(cost.group.clone()).or_insert_with(|| Group {
            name: cost
                .resource_name
                .or(cost.project_name)
                .or(cost.group.clone())
                .unwrap_or_else(|| without_group(grouping).to_owned()),
            filter: filter_of(grouping, &cost.group),
            amounts: BTreeMap::new(),
        });
        *group.amounts.entry(cost.period).or_default() += cost.amount.0;
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.amounts.values().sum::<Decimal>()));
    groups
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Query(query): Query<CostsQuery>,
) -> Result<Response, PageProblem> {
    let default = default_range();
    let grouping = query.group_by.unwrap_or(Grouping::Tenant);
    let ends = [
        query.from.unwrap_or(default.0),
        query.to.unwrap_or(default.1),
    ];
    let from = ends[0].min(ends[1]).0;
    let to = ends[0]
        .max(ends[1])
        .0
        .min(from + Months::new(MAX_MONTHS - 1));
    let costs = read_costs(&state.store, grouping, from, to).await?;
    let estimated: Vec<NaiveDate> = costs
        .rows
        .iter()
        .filter(|cost| cost.is_estimate)
        .map(|cost| cost.period)
        .collect();
    let groups = groups(costs.rows, grouping);
    let all: Vec<NaiveDate> = (0..)
        .map(|count| from + Months::new(count))
        .take_while(|period| *period <= to)
        .collect();
    let sum = |period: &NaiveDate| -> Decimal {
        let amounts = groups.iter().filter_map(|group| group.amounts.get(period));
        amounts.sum()
    };
    let change = |amounts: &dyn Fn(&NaiveDate) -> Decimal| match all.as_slice() {
        [.., before, last] => Money(amounts(last) - amounts(before)),
        _ => Money::default(),
    };
    let total: Decimal = all.iter().map(sum).sum();
    let lines = |group: &Group, period: NaiveDate| match &group.filter {
        Some(filter) => format!("/lines?period={}&{filter}", month(period)),
        None => String::new(),
    };
    let rows = groups.iter().map(|group| {
        let amount = |period: &NaiveDate| group.amounts.get(period).copied().unwrap_or_default();
        let sum: Decimal = group.amounts.values().sum();
        Row {
            name: group.name.clone(),
            cells: all
                .iter()
                .map(|period| Cell {
                    amount: group.amounts.get(period).copied().map(Money),
                    link: lines(group, *period),
                })
                .collect(),
            total: Money(sum),
            share: percent(sum, total),
            change: change(&amount),
        }
    });
    let heads = all.iter().map(|period| MonthHead {
        name: month(*period),
        link: format!("/lines?period={}", month(*period)),
        is_estimate: estimated.contains(period),
        total: Money(sum(period)),
    });
    let columns: Vec<Column> = all
        .iter()
        .map(|period| Column {
            label: period.format("%b %y").to_string(),
            name: month_name(*period),
            is_estimate: estimated.contains(period),
        })
        .collect();
    let series = groups.iter().map(|group| Series {
        name: group.name.clone(),
        links: all.iter().map(|period| lines(group, *period)).collect(),
        amounts: all
            .iter()
            .map(|period| group.amounts.get(period).copied().unwrap_or_default())
            .collect(),
    });
    let chart = StackedBars::new(
        &format!("Costs by {}, USD a month", grouping.name()),
        &columns,
        series.collect(),
    );
    render(&CostsPage {
        frame: viewer.frame("Costs", "/costs"),
        from: month(from),
        to: month(to),
        groupings: Grouping::ALL
            .map(|one| (one.name(), one.name(), one == grouping))
            .to_vec(),
        group_name: grouping.name(),
        months: heads.collect(),
        rows: rows.collect(),
        total: Money(total),
        change: change(&sum),
        chart,
        notes: costs.notes,
    })
}
