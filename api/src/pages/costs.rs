//! `/costs`: costs by month and group, as bars and as a table of the same amounts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{Datelike as _, Months, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use store::costs::MonthTotal;
use store::{Store, StoreError};

use super::chart::{Column, Series, StackedBars};
use super::format::{Money, month, percent};
use super::months::frozen;
use super::page::{Frame, PageProblem, render};
use super::session::CostViewer;
use crate::ApiState;
use crate::csv;
use crate::extract::{Period, optional_field};
use crate::paging::Paged;
use crate::routes::costs::{Cost, Grouping, file_of_costs, read_costs, read_largest_costs};
use crate::routes::my::costs::{MyCost, file_of_own_costs, read_own_costs};

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
    /// The tenant that the costs are limited to; none for an administrator.
    tenant: Option<String>,
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

/// The most groups of a page; smaller ones are combined. The CSV has all.
const MAX_GROUPS: usize = 100;

/// Number of months by default: a year, and the same month of the year before.
const DEFAULT_MONTHS: i64 = 13;

/// The range of the latest thirteen months with costs; of the last thirteen months if none has.
pub(super) async fn latest_months(store: &Store) -> Result<(NaiveDate, NaiveDate), StoreError> {
    let billed = store.billed_months(DEFAULT_MONTHS).await?;
    if let (Some(from), Some(to)) = (billed.last(), billed.first()) {
        let longest = *to - Months::new(MAX_MONTHS - 1);
        return Ok((longest.max(*from), *to));
    }
    let today = Utc::now().date_naive();
    let to = today.with_day(1).unwrap_or(today);
    Ok((to - Months::new(12), to))
}

/// The costs on a page: those of the account, or those of the tenant of the viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Account,
    Own,
}

impl Scope {
    /// The name of the costs that belong to no group.
    pub(super) fn without_group(self, grouping: Grouping) -> &'static str {
        match (self, grouping) {
            (Self::Account, Grouping::Tenant) => "unallocated",
            (Self::Account, Grouping::Project) => "no project",
            (Self::Account, Grouping::Kind) => "no kind",
            (Self::Account, Grouping::Product) => "no product",
            (Self::Account, Grouping::Resource) => "no resource",
            // The part of the shared costs is among these.
            (Self::Own, Grouping::Tenant | Grouping::Product) => "shared costs",
            (Self::Own, Grouping::Project) => "shared costs, and costs without a project",
            (Self::Own, Grouping::Kind) => "shared costs, and costs without a kind",
            (Self::Own, Grouping::Resource) => "shared costs, and costs without a resource",
        }
    }

    /// The filter of `/lines` that selects a group; `None` if its lines cannot be selected.
    pub(super) fn filter_of(self, grouping: Grouping, group: Option<&str>) -> Option<String> {
        let pair = match group {
            // An empty field of a form is absent.
            Some("") => return None,
            // A tenant sees no other lines.
            Some(_) if self == Self::Own && grouping == Grouping::Tenant => {
                return Some(String::new());
            }
            Some(group) => (grouping.name(), group),
            None => ("without", grouping.name()),
        };
        let filter = serde_urlencoded::to_string([pair]).ok()?;
        Some(format!("&{filter}"))
    }
}

/// The costs of a group in a month.
pub(super) struct GroupCost {
    pub(super) period: NaiveDate,
    pub(super) group: Option<String>,
    /// The name of a resource or a project.
    pub(super) name: Option<String>,
    pub(super) amount: Decimal,
    pub(super) is_estimate: bool,
}

impl From<Cost> for GroupCost {
    fn from(cost: Cost) -> Self {
        Self {
            period: cost.period,
            group: cost.group,
            name: cost.resource_name.or(cost.project_name),
            amount: cost.amount.0,
            is_estimate: cost.is_estimate,
        }
    }
}

impl From<MyCost> for GroupCost {
    fn from(cost: MyCost) -> Self {
        Self {
            period: cost.period,
            group: cost.group,
            name: cost.resource_name,
            amount: cost.amount.0,
            is_estimate: cost.is_estimate,
        }
    }
}

/// A group of costs, such as a tenant.
struct Group {
    name: String,
    /// See [`Scope::filter_of`].
    filter: Option<String>,
    amounts: BTreeMap<NaiveDate, Decimal>,
}

impl Group {
    /// Several groups, of which the lines cannot be selected.
    fn others(count: usize, amounts: BTreeMap<NaiveDate, Decimal>) -> Self {
        Self {
            name: format!("{count} smaller ones (see CSV)"),
            filter: None,
            amounts,
        }
    }

    fn amount(&self, period: NaiveDate) -> Decimal {
        self.amounts.get(&period).copied().unwrap_or_default()
    }

    fn total(&self) -> Decimal {
        self.amounts.values().sum()
    }

    /// The address of the lines of a month; empty if they cannot be selected.
    fn lines(&self, period: NaiveDate) -> String {
        match &self.filter {
            Some(filter) => format!("/lines?period={}{filter}", month(period)),
            None => String::new(),
        }
    }
}

/// The costs of a range of months by group, the largest group first; amounts in USD.
pub(super) struct CostTable {
    /// The months with costs.
    months: Vec<NaiveDate>,
    /// The months with estimated costs.
    estimated: BTreeSet<NaiveDate>,
    groups: Vec<Group>,
}

impl CostTable {
    pub(super) fn new<C: Into<GroupCost>>(scope: Scope, costs: Vec<C>, grouping: Grouping) -> Self {
        let mut months = BTreeSet::new();
        let mut estimated = BTreeSet::new();
        let mut groups: BTreeMap<Option<String>, Group> = BTreeMap::new();
        for cost in costs {
            let cost: GroupCost = cost.into();
            months.insert(cost.period);
            if cost.is_estimate {
                estimated.insert(cost.period);
            }
            let group = groups.entry(cost.group.clone()).or_insert_with(|| Group {
                name: cost
                    .name
                    .or(cost.group.clone())
                    .unwrap_or_else(|| scope.without_group(grouping).to_owned()),
                filter: scope.filter_of(grouping, cost.group.as_deref()),
                amounts: BTreeMap::new(),
            });
            *group.amounts.entry(cost.period).or_default() += cost.amount;
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(|group| Reverse(group.total()));
        Self {
            months: months.into_iter().collect(),
            estimated,
            groups,
        }
    }

    /// Adds the groups that are not in the table: the difference to the totals of all groups, of
    /// which there are `groups`.
    fn add_others(&mut self, totals: &[MonthTotal], groups: usize) {
        let others = groups.saturating_sub(self.groups.len());
        if others == 0 {
            return;
        }
        let amounts = totals.iter();
        let amounts = amounts.map(|total| (total.period, total.amount - self.sum(total.period)));
        let amounts = amounts.collect();
        // The largest groups may have no costs in some of the months.
        self.months.extend(totals.iter().map(|total| total.period));
        self.months.sort_unstable();
        self.months.dedup();
        let estimated = totals.iter().filter(|total| total.is_estimate);
        self.estimated.extend(estimated.map(|total| total.period));
        self.groups.push(Group::others(others, amounts));
    }

    /// Combines the groups after the largest ones.
    fn combine_others(&mut self) {
        if self.groups.len() <= MAX_GROUPS + 1 {
            return;
        }
        let others = self.groups.split_off(MAX_GROUPS);
        let mut amounts: BTreeMap<NaiveDate, Decimal> = BTreeMap::new();
        for (period, amount) in others.iter().flat_map(|group| &group.amounts) {
            *amounts.entry(*period).or_default() += amount;
        }
        self.groups.push(Group::others(others.len(), amounts));
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
            period: *period,
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

/// Returns the months of a query, the earlier one first.
fn range(query: &CostsQuery, default: (NaiveDate, NaiveDate)) -> (NaiveDate, NaiveDate) {
    let ends = [
        query.from.map_or(default.0, |from| from.0),
        query.to.map_or(default.1, |to| to.0),
    ];
    let from = ends[0].min(ends[1]);
    let longest = from + Months::new(MAX_MONTHS - 1);
    (from, ends[0].max(ends[1]).min(longest))
}

async fn show(
    CostViewer(viewer): CostViewer,
    State(state): State<ApiState>,
    Paged {
        filter: query,
        pages,
    }: Paged<CostsQuery>,
) -> Result<Response, PageProblem> {
    let (from, to) = range(&query, latest_months(&state.store).await?);
    let tenant = viewer.tenant().cloned();
    let default = match tenant {
        None => Grouping::Tenant,
        Some(_) => Grouping::Product,
    };
    let grouping = query.group_by.unwrap_or(default);
    let is_csv = pages.is_csv();
    let (mut table, mut notes) = match &tenant {
        None if grouping == Grouping::Resource && !is_csv => {
            let limit = i64::try_from(MAX_GROUPS).unwrap_or(i64::MAX);
            let largest = read_largest_costs(&state.store, from, to, limit).await?;
            let (costs, totals, groups) = largest;
            let mut table = CostTable::new(Scope::Account, costs.rows, grouping);
            table.add_others(&totals, groups);
            (table, costs.notes)
        }
        None => {
            let costs = read_costs(&state.store, grouping, from, to).await?;
            if is_csv {
                let file = file_of_costs(grouping, from, to);
                return Ok(csv::whole(viewer, file, costs.rows)?);
            }
            let table = CostTable::new(Scope::Account, costs.rows, grouping);
            (table, costs.notes)
        }
        Some(tenant) => {
            let costs = read_own_costs(&state.store, tenant, grouping, from, to).await?;
            if is_csv {
                let file = file_of_own_costs(tenant, grouping, from, to);
                return Ok(csv::whole(viewer, file, costs.rows)?);
            }
            let table = CostTable::new(Scope::Own, costs.rows, grouping);
            (table, costs.notes)
        }
    };
    table.combine_others();
    notes.extend(frozen::sentence(&state.store, from, to).await?);
    // All costs of a tenant are in one group by tenant.
    let is_own = tenant.is_some();
    let groupings = Grouping::ALL
        .into_iter()
        .filter(|one| !is_own || *one != Grouping::Tenant || grouping == Grouping::Tenant);
    render(&CostsPage {
        frame: viewer.frame("Costs", "/costs"),
        from: month(from),
        to: month(to),
        tenant: tenant.map(|tenant| tenant.to_string()),
        groupings: groupings.map(|one| (one.name(), one == grouping)).collect(),
        group_name: grouping.name(),
        months: table.heads(),
        rows: table.rows(),
        total: Money(table.total()),
        change: table.change(|period| table.sum(period)),
        chart: table.chart(&format!("Costs by {}, USD a month", grouping.name())),
        notes,
    })
}
