//! `/months/{YYYY-MM}/statements/{tenant}`: the statement of one tenant, to print.

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{Months, NaiveDate};
use domain::costs::{AllocationRule, weights};
use rust_decimal::Decimal;
use serde::Deserialize;
use store::costs::{ProductCost, StatementLine, Statements};

use super::close::{estimate_of, invoices_of};
use super::rule_form::describe;
use super::tenants::{name_of, tenant_of};
use crate::ApiState;
use crate::covered::CoveredDays;
use crate::extract::{InPath, NoParameters, Period, required};
use crate::notes::{self, Coverage};
use crate::pages::format::{Moment, Money, month, month_name, percent};
use crate::pages::invoices::number;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::AdminViewer;
use crate::problem::Problem;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/months/{period}/statements/{tenant}", get(show))
}

#[derive(Deserialize)]
struct StatementPath {
    #[serde(deserialize_with = "required")]
    period: Period,
    tenant: String,
}

struct Line {
    path: String,
    name: String,
    /// The resource in the inventory.
    resource_path: Option<String>,
    description: String,
    time: String,
    amount: Money,
    /// The whole line, if the tenant pays only a part.
    whole: Option<Money>,
}

impl From<StatementLine> for Line {
    fn from(line: StatementLine) -> Self {
        let day = |time: chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M");
        let time = line.start_at.zip(line.end_at);
        let time = time.map(|(start, end)| format!("{} to {}", day(start), day(end)));
        Self {
            path: format!("/lines/{}", line.id),
            name: line.resource_name.unwrap_or_default(),
            resource_path: line.resource_id.map(|id| format!("/inventory/{id}")),
            description: line.description,
            time: time.unwrap_or_default(),
            amount: Money(line.amount),
            whole: line.is_split.then_some(Money(line.line_amount)),
        }
    }
}

/// A product with its lines.
struct Product {
    name: String,
    count: i64,
    amount: Money,
    lines: Vec<Line>,
}

/// The products of the direct costs, each with its lines, and those of the shared costs without.
fn products(costs: Vec<ProductCost>, lines: Vec<StatementLine>) -> (Vec<Product>, Vec<Product>) {
    let mut by_product: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in lines {
        let lines = by_product.entry(line.product.clone()).or_default();
        lines.push(line.into());
    }
    let (shared, direct): (Vec<_>, Vec<_>) = costs.into_iter().partition(|cost| cost.is_shared);
    let mut product = |cost: ProductCost, has_lines: bool| Product {
        lines: has_lines
            .then(|| by_product.remove(&cost.product))
            .flatten()
            .unwrap_or_default(),
        name: cost.product,
        count: cost.lines,
        amount: Money(cost.amount),
    };
    let direct = direct.into_iter().map(|cost| product(cost, true)).collect();
    let shared = shared
        .into_iter()
        .map(|cost| product(cost, false))
        .collect();
    (direct, shared)
}

/// The weight of a tenant in the allocation of the shared costs.
struct Weight {
    rule: String,
    /// Weight and sum of the weights, with the unit if there is one.
    text: String,
    share: String,
}

fn weight(statements: &Statements, tenant: Option<&str>) -> Weight {
    let rule = &statements.rule;
    let direct: BTreeMap<Option<String>, Decimal> = statements
        .rows
        .iter()
        .map(|row| (row.tenant_id.clone(), row.direct))
        .collect();
    let weights = weights(&direct, rule);
    let sum: Decimal = weights.values().sum();
    let own = weights.get(&tenant.map(str::to_owned)).copied();
    let own = own.unwrap_or_default();
    let text = match rule {
        _ if sum.is_zero() => {
            "no tenant has a weight, so that shared costs are unallocated".to_owned()
        }
        AllocationRule::Proportional => {
            format!("{} of {} USD direct costs", Money(own), Money(sum))
        }
        AllocationRule::Even if own.is_zero() => "no part".to_owned(),
        AllocationRule::Even => format!("1 of {sum} tenants"),
        AllocationRule::Fixed(_) => {
            format!("weight {} of {}", own.normalize(), sum.normalize())
        }
    };
    // A statement of one tenant omits the weights of others.
    let short = match rule {
        AllocationRule::Fixed(_) => "fixed weights".to_owned(),
        _ => describe(rule),
    };
    Weight {
        rule: short,
        text,
        share: percent(own, sum),
    }
}

/// The estimate that the amounts come from.
struct Estimated {
    at: Moment,
    days: String,
    days_in_month: u32,
}

/// An invoice that the amounts come from.
struct InvoiceRow {
    number: String,
    path: String,
    uuid: String,
    version: i32,
    is_final: bool,
}

#[derive(Template)]
#[template(path = "statement.html")]
struct StatementPage {
    frame: Frame,
    month: String,
    month_path: String,
    first_day: String,
    last_day: String,
    /// The name of the tenant, or of the unallocated costs.
    tenant: String,
    tenant_id: Option<String>,
    is_final: bool,
    verified_at: Option<Moment>,
    estimated: Option<Estimated>,
    invoices: Vec<InvoiceRow>,
    notes: Vec<String>,
    has_costs: bool,
    products: Vec<Product>,
    /// Lines that the page omits.
    omitted_lines: i64,
    lines_path: String,
    /// True if the lines fit on the printed page.
    prints_lines: bool,
    shared_products: Vec<Product>,
    shared_total: Money,
    weight: Weight,
    direct: Money,
    shared: Money,
    total: Money,
}

/// The most lines of a page. `/lines` lists all lines.
const MAX_LINES: i64 = 500;
/// The most rows of products, lines and invoices that one A4 page fits in addition to the totals.
const MAX_PRINTED_ROWS: usize = 26;
/// The least length of a description that the printed table breaks into two rows.
const LONG_DESCRIPTION: usize = 45;

/// The rows of printed products with their lines.
fn printed_rows(products: &[Product]) -> usize {
    let lines = products.iter().flat_map(|product| &product.lines);
    let rows = lines.map(|line| 1 + line.description.chars().count() / LONG_DESCRIPTION);
    products.len() + rows.sum::<usize>()
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(path): InPath<StatementPath>,
    _: NoParameters,
) -> Result<Response, PageProblem> {
    let store = &state.store;
    let Period(period) = path.period;
    let tenant = tenant_of(&path.tenant);
    if let Some(tenant) = tenant
        && let Some(note) = notes::on_tenant(store, tenant).await?
    {
        return Err(Problem::NotFound(note.detail).into());
    }
    let statements = store.statements(period).await?;
    let costs = store.statement_products(period, tenant).await?;
    let lines = store.statement_lines(period, tenant, MAX_LINES).await?;
    let estimate = estimate_of(store, period).await?;
    let invoices = invoices_of(store, period).await?;
    let coverage = Coverage::of(store, period, period).await?;

    let row = statements
        .rows
        .iter()
        .find(|row| row.tenant_id.as_deref() == tenant);
    let (direct, shared) = row.map_or_else(Default::default, |row| (row.direct, row.shared));
    let shown = lines.len();
    let (products, shared_products) = products(costs, lines);
    let line_count: i64 = products.iter().map(|product| product.count).sum();
    let omitted_lines = line_count - i64::try_from(shown).unwrap_or(line_count);
    let printed = printed_rows(&products) + printed_rows(&shared_products) + invoices.len();
    let estimated = estimate
        .filter(|_| statements.is_estimate)
        .map(|estimate| estimated(period, estimate.estimated_at));
    render(&StatementPage {
        frame: viewer.frame(
            &format!("Statement for {}: {}", month_name(period), name_of(tenant)),
            "/months",
        ),
        month: month_name(period),
        month_path: format!("/months/{}", month(period)),
        first_day: period.to_string(),
        last_day: last_day(period).to_string(),
        tenant: name_of(tenant),
        tenant_id: tenant.map(str::to_owned),
        is_final: statements.is_final(),
        verified_at: statements.verification.verified_at.map(Moment),
        estimated,
        invoices: invoices.iter().map(invoice_row).collect(),
        notes: coverage.notes.into_iter().map(|note| note.detail).collect(),
        has_costs: row.is_some(),
        products,
        omitted_lines,
        lines_path: lines_path(period, tenant),
        prints_lines: printed <= MAX_PRINTED_ROWS && omitted_lines == 0,
        shared_total: Money(shared_products.iter().map(|product| product.amount.0).sum()),
        shared_products,
        weight: weight(&statements, tenant),
        direct: Money(direct),
        shared: Money(shared),
        total: Money(direct + shared),
    })
}

fn estimated(period: NaiveDate, at: chrono::DateTime<chrono::Utc>) -> Estimated {
    let covered = CoveredDays::of_month(period, at);
    Estimated {
        at: Moment(at),
        days: format!("{:.1}", covered.days_elapsed),
        days_in_month: covered.days_in_month,
    }
}

fn invoice_row(invoice: &store::invoices::Invoice) -> InvoiceRow {
    InvoiceRow {
        number: number(invoice),
        path: format!("/invoices/{}", invoice.invoice_uuid),
        uuid: invoice.invoice_uuid.to_string(),
        version: invoice.version,
        is_final: invoice.is_final,
    }
}

fn last_day(period: NaiveDate) -> NaiveDate {
    let next = period + Months::new(1);
    next.pred_opt().unwrap_or(next)
}

/// The address of the lines of a tenant, or of the unallocated lines.
fn lines_path(period: NaiveDate, tenant: Option<&str>) -> String {
    let period = month(period);
    let group = tenant.map_or(("without", "tenant"), |tenant| ("tenant", tenant));
    let query = serde_urlencoded::to_string([("period", period.as_str()), group]);
    format!("/lines?{}", query.unwrap_or_default())
}
