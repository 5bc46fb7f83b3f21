//! Costs by month and group: `/costs`, the overview, and charts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::Value;

use super::{Expected, JsonApi, month_before, month_name, optional_usd, row, rows, sum, text, usd};
use crate::figures::page::Page;

/// Number of series of a chart with their own colour.
const SERIES: usize = 9;
/// Number of causes on the overview.
const CAUSES: usize = 6;

/// Amounts by month.
type Months = BTreeMap<String, Decimal>;

/// The costs of a group.
pub(super) struct Group {
    name: String,
    months: Months,
}

impl Group {
    fn total(&self) -> Decimal {
        sum(self.months.values().copied())
    }

    fn of(&self, month: &str) -> Decimal {
        self.months.get(month).copied().unwrap_or_default()
    }
}

/// Costs by group in the order of the page, the largest first.
struct Table {
    months: BTreeSet<String>,
    groups: Vec<Group>,
}

impl Table {
    fn new(costs: &[Value], group_by: &str) -> Self {
        let mut groups: BTreeMap<Option<String>, Group> = BTreeMap::new();
        let mut months = BTreeSet::new();
        for cost in costs {
            let month = text(&cost["period"]).to_owned();
            months.insert(month.clone());
            let group = cost["group"].as_str();
            let group = groups
                .entry(group.map(str::to_owned))
                .or_insert_with(|| Group {
                    name: name_of(cost, group_by),
                    months: Months::new(),
                });
            *group.months.entry(month).or_default() += usd(&cost["amount"]);
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(|group| Reverse(group.total()));
        Self { months, groups }
    }

    fn sum(&self, month: &str) -> Decimal {
        sum(self.groups.iter().map(|group| group.of(month)))
    }

    /// The last month minus the month before.
    fn change(&self, amount: impl Fn(&str) -> Decimal) -> Decimal {
        let mut latest = self.months.iter().rev();
        match (latest.next(), latest.next()) {
            (Some(last), Some(before)) => amount(last) - amount(before),
            _ => Decimal::ZERO,
        }
    }

    /// Adds the bars: one for each group and month, and the sum above each month.
    fn add_chart(&self, expected: &mut Expected) {
        let mut series: Vec<&Group> = self.groups.iter().collect();
        series.sort_by_key(|group| Reverse(group.total().abs()));
        let shown = if series.len() <= SERIES + 1 {
            series.len()
        } else {
            SERIES
        };
        let (single, combined) = series.split_at(shown);
        for month in &self.months {
            let name = month_name(month);
            for group in single.iter().filter(|group| !group.of(month).is_zero()) {
                expected.row(&format!("{}, {name}", group.name), [group.of(month)]);
            }
            let other = sum(combined.iter().map(|group| group.of(month)));
            if !other.is_zero() {
                expected.row(&format!("other ({}), {name}", combined.len()), [other]);
            }
            expected.row("", [self.sum(month)]);
        }
    }
}

fn name_of(cost: &Value, group_by: &str) -> String {
    let names = ["resource_name", "project_name", "group"];
    let name = names.into_iter().find_map(|field| cost[field].as_str());
    let without = match group_by {
        "tenant" => "unallocated".to_owned(),
        other => format!("no {other}"),
    };
    name.map_or(without, str::to_owned)
}

impl JsonApi<'_> {
    async fn costs(&self, group_by: &str, from: &str, to: &str) -> Vec<Value> {
        let query = format!("group_by={group_by}&from={from}&to={to}");
        self.all(&format!("/api/v1/billing/costs?{query}")).await
    }

    pub(super) async fn costs_page(&self, page: &Page) -> Expected {
        let (from, to) = (page.field("from").unwrap(), page.field("to").unwrap());
        let group_by = page.selected("group_by").unwrap();
        let costs = self.costs(&group_by, &from, &to).await;
        let table = Table::new(&costs, &group_by);
        let mut expected = Expected::default();
        if costs.is_empty() {
            return expected;
        }
        for group in &table.groups {
            let months = group.months.values().copied();
            let change = table.change(|month| group.of(month));
            expected.row(&group.name, months.chain([group.total(), change]));
        }
        let query = format!("group_by={group_by}&from={from}&to={to}&limit=500");
        let list = self.get(&format!("/api/v1/billing/costs?{query}")).await;
        let total = usd(&list["meta"]["total"]);
        let sums = table.months.iter().map(|month| table.sum(month));
        let change = table.change(|month| table.sum(month));
        expected.row("Total", sums.chain([total, change]));
        table.add_chart(&mut expected);
        expected
    }

    /// The costs of all months by resource.
    pub(super) async fn costs_of_resource(&self, id: &str) -> Vec<Value> {
        let mut costs = self.costs("resource", "2014-12", "2999-12").await;
        costs.retain(|cost| cost["group"] == id);
        costs
    }

    /// The table and the chart of the costs of a resource.
    pub(super) async fn add_costs_of_resource(&self, id: &str, expected: &mut Expected) {
        let costs = self.costs_of_resource(id).await;
        for cost in &costs {
            expected.row(&month_name(text(&cost["period"])), [usd(&cost["amount"])]);
        }
        if !costs.is_empty() {
            expected.row(
                "Total",
                [sum(costs.iter().map(|cost| usd(&cost["amount"])))],
            );
        }
        // The chart has the latest two years.
        let shown = &costs[costs.len().saturating_sub(24)..];
        if shown.len() > 1 {
            Table::new(shown, "resource").add_chart(expected);
        }
    }

    pub(super) async fn overview(&self) -> Expected {
        let mut expected = Expected::default();
        let estimate = self.open_estimate().await;
        if let Some(estimate) = &estimate {
            let name = format!("{} so far estimate", month_name(text(&estimate["period"])));
            expected.row(&name, [usd(&estimate["line_total"])]);
        }
        let invoices = self.get("/api/v1/billing/invoices?limit=1").await;
        let last = text(&rows(&invoices)[0]["period"]).to_owned();
        let before = month_before(&last);
        // Costs of today, also of closed months.
        let total = async |period: &str| {
            let costs = self.costs("tenant", period, period).await;
            sum(costs.iter().map(|cost| usd(&cost["amount"])))
        };
        let (now, then) = (total(&last).await, total(&before).await);
        expected.row(
            &format!("{} final", month_name(&last)),
            [now, (now - then).abs()],
        );
        let balance = self.get("/api/v1/billing/balance").await;
        let of_balance = [
            "month_to_date_balance",
            "account_balance",
            "month_to_date_usage",
        ];
        expected.row(
            "Balance",
            of_balance.map(|field| usd(&balance["data"][field])),
        );
        let open = estimate.map(|estimate| text(&estimate["period"]).to_owned());
        for period in open.into_iter().chain([last.clone()]) {
            let unmatched = self
                .get(&format!("/api/v1/billing/unmatched?period={period}"))
                .await;
            expected.others([usd(&unmatched["meta"]["total_amount"])]);
        }
        self.add_latest_months(&mut expected).await;
        self.add_causes(&before, &last, &mut expected).await;
        expected
    }

    /// The chart of the latest thirteen months with costs.
    async fn add_latest_months(&self, expected: &mut Expected) {
        let mut costs = self.costs("tenant", "2014-12", "2999-12").await;
        let months: BTreeSet<String> = costs
            .iter()
            .map(|cost| text(&cost["period"]).to_owned())
            .collect();
        let shown: BTreeSet<&String> = months.iter().rev().take(13).collect();
        costs.retain(|cost| shown.contains(&text(&cost["period"]).to_owned()));
        Table::new(&costs, "tenant").add_chart(expected);
    }

    /// The resources with the largest differences between two months.
    async fn add_causes(&self, before: &str, after: &str, expected: &mut Expected) {
        let costs = self.costs("resource", before, after).await;
        let mut causes: BTreeMap<Option<&str>, (String, Months)> = BTreeMap::new();
        for cost in &costs {
            let name = cost["resource_name"].as_str().or(cost["group"].as_str());
            let name = name.unwrap_or("no resource").to_owned();
            let (_, months) = causes
                .entry(cost["group"].as_str())
                .or_insert((name, Months::new()));
            let amount = optional_usd(&cost["amount"]).unwrap_or_default();
            *months.entry(text(&cost["period"]).to_owned()).or_default() += amount;
        }
        let causes = causes.into_values().map(|(name, months)| {
            let of = |month: &str| months.get(month).copied().unwrap_or_default();
            (name, [of(before), of(after), of(after) - of(before)])
        });
        let mut causes: Vec<_> = causes
            .filter(|(_, amounts)| !amounts[2].is_zero())
            .collect();
        causes.sort_by_key(|(_, amounts)| Reverse(amounts[2].abs()));
        // Several resources may have the difference of the last one.
        let last = causes.get(CAUSES - 1).map(|(_, amounts)| amounts[2].abs());
        for (name, amounts) in causes {
            if last.is_none_or(|last| amounts[2].abs() > last) {
                expected.row(&name, amounts);
            } else if last == Some(amounts[2].abs()) {
                expected.optional.push(row(&name, amounts));
            }
        }
    }
}
