//! `/` for a tenant: its resources, and with a token that permits them its costs.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use chrono::{Months, NaiveDate};
use domain::TenantId;
use rust_decimal::Decimal;
use store::Store;

use super::Billed;
use super::comparison::{self, Comparison};
use crate::ApiState;
use crate::csv::{self, FileName};
use crate::freshness;
use crate::pages::chart::StackedBars;
use crate::pages::costs::{CostTable, Scope, latest_months};
use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::freshness::FreshnessView;
use crate::pages::months::frozen;
use crate::pages::months::tenants::statement_path;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::address;
use crate::pages::session::Viewer;
use crate::routes::costs::Grouping;
use crate::routes::inventory::{InventoryQuery, read_counts};
use crate::routes::my::costs::read_own_costs;
use crate::routes::my::read_own_statement;

struct KindRow {
    kind: String,
    address: String,
    resources: i64,
}

/// The open month: its part of the invoices so far, and of the rest of DigitalOcean's preview.
struct OpenMonth {
    name: String,
    path: String,
    amount: Money,
    /// None without a preview.
    estimated_at: Option<Moment>,
}

/// The last month with an invoice.
struct LastMonth {
    path: String,
    is_final: bool,
    verified_at: Option<Moment>,
    costs: Comparison,
}

/// The statement of a month.
struct MonthRow {
    period: String,
    name: String,
    path: String,
    is_estimate: bool,
    direct: Money,
    shared: Money,
    total: Money,
}

/// The costs of the tenant.
struct Costs {
    open: Option<OpenMonth>,
    last: Option<LastMonth>,
    /// Drawn if the tenant has costs.
    chart: Option<StackedBars>,
    /// The latest month first.
    months: Vec<MonthRow>,
    direct: Money,
    shared: Money,
    total: Money,
    /// Set if any of the months is closed.
    frozen: Option<String>,
    from: String,
    to: String,
}

#[derive(Template)]
#[template(path = "own_overview.html")]
struct OwnOverviewPage {
    frame: Frame,
    tenant: String,
    resources: i64,
    kinds: Vec<KindRow>,
    freshness: FreshnessView,
    /// None if the token does not permit costs.
    costs: Option<Costs>,
}

/// The name of the table of kinds in the address of its CSV.
const KINDS: &str = "kinds";

pub(super) async fn show(
    viewer: Viewer,
    state: &ApiState,
    tenant: &TenantId,
    table: Option<String>,
) -> Result<Response, PageProblem> {
    let store = &state.store;
    let counts = read_counts(store, Some(tenant), InventoryQuery::default()).await?;
    if table.as_deref() == Some(KINDS) {
        let file = FileName::new("inventory-counts").with(Some(tenant.as_str()));
        return Ok(csv::whole(viewer, file, counts)?);
    }
    let permits_costs = viewer.access.costs;
    let costs = if permits_costs {
        Some(costs(store, tenant).await?)
    } else {
        None
    };
    if let Some(table) = table {
        let last = costs.and_then(|costs| costs.last);
        return comparison::csv(viewer, &table, last.map(|last| last.costs), Some(tenant));
    }
    let kinds = counts.iter().map(|count| count.kind.as_str());
    let freshness = freshness::of(store, kinds).await?;
    render(&OwnOverviewPage {
        frame: viewer.frame("Overview", "/"),
        tenant: tenant.to_string(),
        resources: counts.iter().map(|count| count.resources).sum(),
        kinds: counts
            .into_iter()
            .map(|count| KindRow {
                address: address("/inventory", &[("kind", &count.kind)]),
                resources: count.resources,
                kind: count.kind,
            })
            .collect(),
        freshness: freshness.into(),
        costs,
    })
}

async fn costs(store: &Store, tenant: &TenantId) -> Result<Costs, PageProblem> {
    let billed = Billed::read(store).await?;
    let last = match billed.last {
        Some(period) => Some(last_month(store, tenant, period).await?),
        None => None,
    };
    let (from, to) = latest_months(store).await?;
    let by_product = read_own_costs(store, tenant, Grouping::Product, from, to).await?;
    let mut sums: BTreeMap<NaiveDate, (Decimal, Decimal, bool)> = BTreeMap::new();
    for cost in &by_product.rows {
        let (direct, shared, is_estimate) = sums.entry(cost.period).or_default();
        *direct += cost.direct.0;
        *shared += cost.shared.0;
        *is_estimate |= cost.is_estimate;
    }
    let path = |period| statement_path(period, Some(tenant.as_str()));
    let months = sums.iter().rev().map(|(period, sum)| MonthRow {
        period: month(*period),
        name: month_name(*period),
        path: path(*period),
        is_estimate: sum.2,
        direct: Money(sum.0),
        shared: Money(sum.1),
        total: Money(sum.0 + sum.1),
    });
    let estimated_at = billed.estimate.map(|estimate| estimate.estimated_at);
    let open = billed.open.map(|period| {
        let sum = sums.get(&period).copied().unwrap_or_default();
        OpenMonth {
            name: month_name(period),
            path: path(period),
            amount: Money(sum.0 + sum.1),
            estimated_at: estimated_at.map(Moment),
        }
    });
    let direct: Decimal = sums.values().map(|sum| sum.0).sum();
    let shared: Decimal = sums.values().map(|sum| sum.1).sum();
    let months = months.collect();
    let has_costs = !by_product.rows.is_empty();
    let table = CostTable::new(Scope::Own, by_product.rows, Grouping::Product);
    Ok(Costs {
        open,
        last,
        chart: has_costs.then(|| table.chart("Your costs by product, USD a month")),
        months,
        direct: Money(direct),
        shared: Money(shared),
        total: Money(direct + shared),
        frozen: frozen::sentence(store, from, to).await?,
        from: month(from),
        to: month(to),
    })
}

async fn last_month(
    store: &Store,
    tenant: &TenantId,
    period: NaiveDate,
) -> Result<LastMonth, PageProblem> {
    let before = period - Months::new(1);
    let costs = read_own_costs(store, tenant, Grouping::Resource, before, period).await?;
    let statement = read_own_statement(store, tenant, period).await?;
    let statement = statement.as_ref();
    Ok(LastMonth {
        path: statement_path(period, Some(tenant.as_str())),
        is_final: statement.is_some_and(|own| own.is_final),
        verified_at: statement.and_then(|own| own.verified_at).map(Moment),
        costs: Comparison::new(Scope::Own, costs.rows, period),
    })
}
