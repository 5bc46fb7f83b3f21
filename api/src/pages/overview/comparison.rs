//! The costs of a month compared with the month before, by resource.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::response::Response;
use chrono::{Months, NaiveDate};
use domain::TenantId;
use rust_decimal::Decimal;
use serde::Serialize;
use store::Usd;
use store::costs::MonthComparison;
use utoipa::ToSchema;

use crate::csv::{self, FileName};
use crate::pages::costs::{GroupCost, Scope};
use crate::pages::format::{Money, month, month_name};
use crate::pages::page::PageProblem;
use crate::pages::parameters::unknown_table;
use crate::pages::session::Viewer;
use crate::routes::costs::Grouping;

/// The total of a month, its difference to the month before, and the causes.
pub(super) struct Comparison {
    period: NaiveDate,
    /// The month, and the month before.
    pub(super) name: String,
    pub(super) before: String,
    pub(super) amount: Money,
    /// The size of the difference; `direction` is `more` or `less`.
    pub(super) change: Money,
    pub(super) direction: &'static str,
    /// The largest differences.
    pub(super) causes: Vec<Cause>,
}

/// A resource with different costs in two months.
pub(super) struct Cause {
    pub(super) name: String,
    pub(super) link: String,
    pub(super) before: Money,
    pub(super) after: Money,
    pub(super) change: Money,
    /// `new`, `ended`, `more` or `less`.
    pub(super) kind: &'static str,
}

/// Number of causes on the page.
pub(super) const CAUSES: i64 = 6;

impl Comparison {
    /// Compares the costs of a month with those of the month before. `costs` has both, by resource.
    pub(super) fn new<C: Into<GroupCost>>(scope: Scope, costs: Vec<C>, period: NaiveDate) -> Self {
        let mut groups: BTreeMap<Option<String>, Group> = BTreeMap::new();
        for cost in costs {
            let cost: GroupCost = cost.into();
            let group = groups.entry(cost.group).or_default();
            group.name = group.name.take().or(cost.name);
            if cost.period == period {
                group.after += cost.amount;
            } else {
                group.before += cost.amount;
            }
        }
        let amount: Decimal = groups.values().map(|group| group.after).sum();
        let total_before: Decimal = groups.values().map(|group| group.before).sum();
        let mut causes: Vec<Cause> = groups
            .into_iter()
            .filter(|(_, group)| group.before != group.after)
            .map(|(id, group)| group.cause(id, scope, period))
            .collect();
        causes.sort_by_key(|cause| Reverse(cause.change.0.abs()));
        causes.truncate(usize::try_from(CAUSES).unwrap_or_default());
        Self::of_totals(period, total_before, amount, causes)
    }

    /// Shows a comparison of all costs of the account.
    pub(super) fn of_account(compared: MonthComparison, period: NaiveDate) -> Self {
        let causes = compared.largest.into_iter().map(|change| {
            let group = Group {
                name: change.name,
                before: change.before,
                after: change.after,
            };
            group.cause(change.group, Scope::Account, period)
        });
        Self::of_totals(period, compared.before, compared.after, causes.collect())
    }

    fn of_totals(period: NaiveDate, before: Decimal, after: Decimal, causes: Vec<Cause>) -> Self {
        Self {
            period,
            name: month_name(period),
            before: month_name(period - Months::new(1)),
            amount: Money(after),
            change: Money((after - before).abs()),
            direction: if after < before { "less" } else { "more" },
            causes,
        }
    }
}

/// The costs of a resource in two months.
#[derive(Default)]
struct Group {
    name: Option<String>,
    before: Decimal,
    after: Decimal,
}

impl Group {
    fn cause(self, id: Option<String>, scope: Scope, period: NaiveDate) -> Cause {
        let Self {
            name,
            before,
            after,
        } = self;
        let is_stored = id.as_ref().is_some_and(|id| !id.contains(':'));
        let link = match &id {
            Some(id) if is_stored => format!("/inventory/{id}"),
            id => {
                let billed = if after.is_zero() {
                    period - Months::new(1)
                } else {
                    period
                };
                let filter = scope.filter_of(Grouping::Resource, id.as_deref());
                format!(
                    "/lines?period={}{}",
                    month(billed),
                    filter.unwrap_or_default()
                )
            }
        };
        let without = scope.without_group(Grouping::Resource);
        Cause {
            link,
            name: name.or(id).unwrap_or_else(|| without.to_owned()),
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
    }
}

/// A row of the CSV of the causes; amounts in USD.
#[derive(Serialize, ToSchema)]
struct CauseRow {
    period: NaiveDate,
    resource: String,
    change: &'static str,
    before: Usd,
    after: Usd,
    difference: Usd,
}

/// The name of the table in the address of its CSV.
const TABLE: &str = "changes";

/// Returns the largest changes as CSV.
pub(super) fn csv(
    viewer: Viewer,
    table: &str,
    costs: Option<Comparison>,
    tenant: Option<&TenantId>,
) -> Result<Response, PageProblem> {
    if table != TABLE {
        return Err(unknown_table(table, &[TABLE]));
    }
    let mut file = FileName::new("largest-changes");
    if let Some(costs) = &costs {
        file = file.month(costs.period);
    }
    let rows = costs.into_iter().flat_map(|costs| {
        let period = costs.period;
        costs.causes.into_iter().map(move |cause| CauseRow {
            period,
            resource: cause.name,
            change: cause.kind,
            before: Usd(cause.before.0),
            after: Usd(cause.after.0),
            difference: Usd(cause.change.0),
        })
    });
    let file = file.with(tenant.map(TenantId::as_str));
    Ok(csv::whole(viewer, file, rows.collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_differences_come_first_and_equal_costs_are_left_out() {
        let april: NaiveDate = "2026-04-01".parse().unwrap();
        let march = april - Months::new(1);
        let cost = |period, group: &str, amount: i64| GroupCost {
            period,
            group: Some(group.to_owned()),
            name: None,
            amount: amount.into(),
            is_estimate: false,
        };
        let costs = vec![
            cost(march, "same", 5),
            cost(april, "same", 5),
            cost(march, "ended", 3),
            cost(april, "new", 9),
            cost(march, "more", 1),
            cost(april, "more", 2),
            cost(march, "droplet:7", 1),
        ];
        let compared = Comparison::new(Scope::Account, costs, april);
        let causes = compared.causes.iter();
        let shown: Vec<_> = causes
            .map(|cause| (cause.name.as_str(), cause.kind, cause.link.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("new", "new", "/inventory/new"),
                ("ended", "ended", "/inventory/ended"),
                (
                    "droplet:7",
                    "ended",
                    "/lines?period=2026-03&resource=droplet%3A7"
                ),
                ("more", "more", "/inventory/more"),
            ]
        );
        let total = (compared.amount, compared.change, compared.direction);
        assert_eq!(total, (Money(16.into()), Money(6.into()), "more"));
    }
}
