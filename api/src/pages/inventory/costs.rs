//! The costs of a resource by month.

use chrono::NaiveDate;
use domain::TenantId;
use serde::Serialize;
use store::inventory::Resource;
use store::{Store, StoreError, Usd};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::pages::chart::{Column, Series, StackedBars};
use crate::pages::format::{Money, month, month_name};

/// The costs of a resource in a month; USD.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MonthCost {
    period: NaiveDate,
    amount: Usd,
    is_estimate: bool,
}

/// Reads the costs of a resource, ordered by month; with `tenant`, the parts of that tenant.
pub(super) async fn read_costs_of(
    store: &Store,
    tenant: Option<&TenantId>,
    resource: Uuid,
) -> Result<Vec<MonthCost>, StoreError> {
    let costs = match tenant {
        None => store
            .costs_of_resource(resource)
            .await?
            .into_iter()
            .map(|cost| (cost.period, cost.direct, cost.is_estimate))
            .collect::<Vec<_>>(),
        Some(tenant) => store
            .own_costs_of_resource(tenant, resource)
            .await?
            .into_iter()
            .map(|cost| (cost.period, cost.direct, cost.is_estimate))
            .collect(),
    };
    let costs = costs
        .into_iter()
        .map(|(period, amount, is_estimate)| MonthCost {
            period,
            amount: Usd(amount),
            is_estimate,
        });
    Ok(costs.collect())
}

/// A month in the table.
pub(super) struct MonthRow {
    pub(super) month: String,
    pub(super) link: String,
    pub(super) amount: Money,
    pub(super) is_estimate: bool,
}

/// The costs by month.
pub(super) struct CostsView {
    /// The latest month first.
    pub(super) months: Vec<MonthRow>,
    pub(super) total: Money,
    /// Drawn for two months or more.
    pub(super) chart: Option<StackedBars>,
}

/// The most months of the chart.
const MAX_BARS: usize = 24;

impl CostsView {
    /// `costs` is ordered by month.
    pub(super) fn new(resource: &Resource, costs: &[MonthCost]) -> Self {
        let id = resource.id;
        let link = |period: NaiveDate| format!("/lines?period={}&resource={id}", month(period));
        // Months without costs have no column.
        let shown = &costs[costs.len().saturating_sub(MAX_BARS)..];
        let columns = shown.iter().map(|cost| Column {
            period: cost.period,
            is_estimate: cost.is_estimate,
        });
        let columns: Vec<Column> = columns.collect();
        let series = Series {
            name: resource.name.clone(),
            links: shown.iter().map(|cost| link(cost.period)).collect(),
            amounts: shown.iter().map(|cost| cost.amount.0).collect(),
        };
        let title = "Costs of the resource, USD a month";
        let months = costs.iter().rev().map(|cost| MonthRow {
            month: month_name(cost.period),
            link: link(cost.period),
            amount: Money(cost.amount.0),
            is_estimate: cost.is_estimate,
        });
        Self {
            months: months.collect(),
            total: Money(costs.iter().map(|cost| cost.amount.0).sum()),
            chart: (shown.len() > 1).then(|| StackedBars::new(title, &columns, vec![series])),
        }
    }
}
