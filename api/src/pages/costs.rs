//! `/costs`: costs by month and group, as bars and as a table of the same amounts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

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
use crate::csv;
use crate::extract::{Period, optional_field};
use crate::paging::Paged;
use crate::routes::costs::{Cost, Grouping, file_of_costs, read_costs};

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
    groupings: Vec<(&'static str, bool)>,
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
fn filter_of(grouping: Grouping, group: Option<&str>) -> Option<String> {
    let pair = match group {
        // An empty field of a form is absent.
        Some("") => return None,
        Some(group) => (grouping.name(), group),
        None => ("without", grouping.name()),
    };
    serde_urlencoded::to_string([pair]).ok()
}

/// A group of costs, such as a tenant.
struct Group {
    name: String,
    /// The filter of `/lines` for the group; `None` if its lines cannot be selected.
    filter: Option<String>,
    amounts: BTreeMap<NaiveDate, Decimal>,
}

impl Group {
    fn amount(&self, period: NaiveDate) -> Decimal {
        self.amounts.get(&period).copied().unwrap_or_default()
    }

    fn total(&self) -> Decimal {
        self.amounts.values().sum()
    }

    /// The address of the lines of a month; empty if they cannot be selected.
    fn lines(&self, period: NaiveDate) -> String {
        match &self.filter {
            Some(filter) => format!("/lines?period={}&{filter}", month(period)),
            None => String::new(),
        }
    }
}

/// The costs of a range of months by group, the largest group first; amounts in USD.
pub(super) struct CostTable {
    months: Vec<NaiveDate>,
    /// The months with estimated costs.
    estimated: BTreeSet<NaiveDate>,
    groups: Vec<Group>,
}

impl CostTable {
    pub(super) fn new(
        costs: Vec<Cost>,
        grouping: Grouping,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Self {
        let estimated = costs.iter().filter(|cost| cost.is_estimate);
        let estimated = estimated.map(|cost| cost.period).collect();
        let mut groups: BTreeMap<Option<String>, Group> = BTreeMap::new();
        for cost in costs {
            let group = groups.entry(cost.group.clone()).or_insert_with(|| Group {
                name: cost
                    .resource_name
                    .or(cost.project_name)
                    .or(cost.group.clone())
                    .unwrap_or_else(|| without_group(grouping).to_owned()),
                filter: filter_of(grouping, cost.group.as_deref()),
                amounts: BTreeMap::new(),
            });
            *group.amounts.entry(cost.period).or_default() += cost.amount.0;
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(|group| Reverse(group.total()));
        let months = (0..).map(|count| from + Months::new(count));
        Self {
            months: months.take_while(|period| *period <= to).collect(),
            estimated,
            groups,
        }
    }

    fn sum(&self, period: NaiveDate) -> Decimal {
        self.groups.iter().map(|group| group.amount(period)).sum()
    }

    fn total(&self) -> Decimal {
        self.groups.iter().map(Group::total).sum()
    }

    /// The last month minus the month before.
    fn change(&self, amount: impl Fn(NaiveDate) -> Decimal) -> Money {
        match self.months.as_slice() {
            [.., before, last] => Money(amount(*last) - amount(*before)),
            _ => Money::default(),
        }
    }

    fn heads(&self) -> Vec<MonthHead> {
        let heads = self.months.iter().map(|period| MonthHead {
            name: month(*period),
            link: format!("/lines?period={}", month(*period)),
            is_estimate: self.estimated.contains(period),
            total: Money(self.sum(*period)),
        });
        heads.collect()
    }

    fn rows(&self) -> Vec<Row> {
        let total = self.total();
        let rows = self.groups.iter().map(|group| Row {
            name: group.name.clone(),
            cells: self
                .months
                .iter()
                .map(|period| Cell {
                    amount: group.amounts.get(period).copied().map(Money),
                    link: group.lines(*period),
                })
                .collect(),
            total: Money(group.total()),
            share: percent(group.total(), total),
            change: self.change(|period| group.amount(period)),
        });
        rows.collect()
    }

    /// Draws the months as stacked bars; each bar leads to its lines.
    pub(super) fn chart(&self, title: &str) -> StackedBars {
        let columns = self.months.iter().map(|period| Column {
            label: period.format("%b %y").to_string(),
            name: month_name(*period),
            is_estimate: self.estimated.contains(period),
        });
        let series = self.groups.iter().map(|group| Series {
            name: group.name.clone(),
            links: self
                .months
                .iter()
                .map(|period| group.lines(*period))
                .collect(),
            amounts: self
                .months
                .iter()
                .map(|period| group.amount(*period))
                .collect(),
        });
        StackedBars::new(title, &columns.collect::<Vec<_>>(), series.collect())
    }
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<CostsQuery>,
) -> Result<Response, PageProblem> {
    let default = default_range();
    let grouping = query.group_by.unwrap_or(Grouping::Tenant);
    let ends = [
        query.from.unwrap_or(default.0),
        query.to.unwrap_or(default.1),
    ];
    let from = ends[0].min(ends[1]).0;
    let longest = from + Months::new(MAX_MONTHS - 1);
    let to = ends[0].max(ends[1]).0.min(longest);
    let costs = read_costs(&state.store, grouping, from, to).await?;
    if pages.is_csv() {
        let file = file_of_costs(grouping, from, to);
        return Ok(csv::whole(viewer, file, costs.rows)?);
    }
    let table = CostTable::new(costs.rows, grouping, from, to);
    render(&CostsPage {
        frame: viewer.frame("Costs", "/costs"),
        from: month(from),
        to: month(to),
        groupings: Grouping::ALL
            .map(|one| (one.name(), one == grouping))
            .to_vec(),
        group_name: grouping.name(),
        months: table.heads(),
        rows: table.rows(),
        total: Money(table.total()),
        change: table.change(|period| table.sum(period)),
        chart: table.chart(&format!("Costs by {}, USD a month", grouping.name())),
        notes: costs.notes,
    })
}
