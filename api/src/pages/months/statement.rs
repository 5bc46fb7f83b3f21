//! `/months/{YYYY-MM}/statements/{tenant}`: the statement of one tenant, to print.

mod download;
mod own;

use std::collections::BTreeMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{Months, NaiveDate};
use domain::TenantId;
use domain::costs::AllocationRule;
use rust_decimal::Decimal;
use serde::Deserialize;
use store::Store;
use store::costs::{
    CloseOfStatement, DirectLine, ProductCost, Statement, StatementDetail, StatementInvoice,
};

use super::adjustments::{AdjustmentRow, CauseRow};
use super::close::{estimate_of, mixed};
use super::rule_form::describe;
use super::tenants::{name_of, statement_path};
use crate::ApiState;
use crate::covered::CoveredDays;
use crate::extract::{InPath, Period, required};
use crate::notes::{self, Coverage};
use crate::pages::format::{Moment, Money, month, month_name, percent};
use crate::pages::invoices::number_of;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::Parameters;
use crate::pages::session::{CostViewer, Viewer};
use crate::problem::Problem;
use crate::routes::statement::{Format, respond, tenant_of};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/months/{period}/statements/{tenant}", get(show))
        .route(
            "/months/{period}/statements/{tenant}/xlsx",
            get(download::workbook),
        )
        .route(
            "/months/{period}/statements/{tenant}/json",
            get(download::json),
        )
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

impl From<DirectLine> for Line {
    fn from(line: DirectLine) -> Self {
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
            whole: (line.amount != line.line_amount).then_some(Money(line.line_amount)),
        }
    }
}

/// A product with its lines.
struct Product {
    name: String,
    count: i64,
    amount: Money,
    /// The whole lines of a shared product.
    whole: Money,
    lines: Vec<Line>,
}

/// The products of the direct costs, each with its lines, and those of the shared costs without.
fn products(costs: Vec<ProductCost>, lines: Vec<DirectLine>) -> (Vec<Product>, Vec<Product>) {
    let mut by_product: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in lines {
        let lines = by_product.entry(line.product.clone()).or_default();
        lines.push(line.into());
    }
    let mut products = (Vec::new(), Vec::new());
    for cost in costs {
        let lines = (!cost.is_shared).then(|| by_product.remove(&cost.product));
        let (direct, shared) = (&mut products.0, &mut products.1);
        let list: &mut Vec<Product> = if cost.is_shared { shared } else { direct };
        list.push(Product {
            lines: lines.flatten().unwrap_or_default(),
            name: cost.product,
            count: cost.lines,
            amount: Money(cost.amount),
            whole: Money(cost.line_amount.unwrap_or_default()),
        });
    }
    products
}

/// The weight of a tenant in the allocation of the shared costs.
struct Weight {
    rule: String,
    /// Weight and sum of the weights, with the unit if there is one.
    text: String,
    share: String,
}

fn shown_weight(rule: &AllocationRule, weight: &store::costs::Weight) -> Weight {
    let (own, sum) = (weight.weight, weight.of);
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
    /// The invoiced and the estimated part of a month that has both.
    mixed: Option<(Money, Money)>,
    invoices: Vec<InvoiceRow>,
    notes: Vec<String>,
    /// The close of the month.
    close: Option<ClosedMonth>,
    has_costs: bool,
    products: Vec<Product>,
    /// Lines that the page omits.
    omitted_lines: i64,
    lines_path: String,
    /// The path of the page, which those of its downloads begin with.
    path: String,
    /// True if the lines fit on the printed page.
    prints_lines: bool,
    shared_products: Vec<Product>,
    shared_total: Money,
    weight: Weight,
    adjustments: Vec<AdjustmentRow>,
    causes: Vec<CauseRow>,
    direct: Money,
    shared: Money,
    adjusted: Money,
    total: Money,
}

/// The close of the month of a statement.
struct ClosedMonth {
    number: u32,
    frozen: Moment,
}

impl From<CloseOfStatement> for ClosedMonth {
    fn from(close: CloseOfStatement) -> Self {
        Self {
            number: close.number,
            frozen: Moment(close.frozen_at),
        }
    }
}

/// The most lines of a page. Its CSV has all lines.
const MAX_LINES: usize = 500;
/// The most rows of products, lines and invoices that one A4 page fits in addition to the totals.
const MAX_PRINTED_ROWS: usize = 26;
/// The least length of a description that the printed table breaks into two rows.
const LONG_DESCRIPTION: usize = 45;

/// Returns true if one printed page fits lines with these texts, and some other rows.
fn fits_one_page<'a>(others: usize, lines: impl Iterator<Item = &'a str>) -> bool {
    let rows = lines.map(|text| 1 + text.chars().count() / LONG_DESCRIPTION);
    others + rows.sum::<usize>() <= MAX_PRINTED_ROWS
}

async fn show(
    CostViewer(viewer): CostViewer,
    State(state): State<ApiState>,
    InPath(path): InPath<StatementPath>,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    let table = parameters.take_table()?;
    parameters.refuse_others()?;
    let (Period(period), tenant) = (path.period, tenant_of(&path.tenant));
    match own_tenant(&viewer, tenant)? {
        None => of_account(viewer, &state.store, period, tenant, table).await,
        Some(own) => own::show(viewer, &state.store, &own, period, table).await,
    }
}

/// Returns the tenant of the viewer; `None` for an administrator. Refuses the statements of others.
fn own_tenant(viewer: &Viewer, tenant: Option<&str>) -> Result<Option<TenantId>, PageProblem> {
    let own = viewer.tenant().cloned();
    match &own {
        Some(own) if tenant != Some(own.as_str()) => Err(Problem::Forbidden(
            "this statement is not of your tenant: open yours from the overview",
        )
        .into()),
        _ => Ok(own),
    }
}

/// The names of tables in the addresses of their CSV.
const LINES: &str = "lines";
const SHARED: &str = "shared";
const ADJUSTMENTS: &str = "adjustments";
const CAUSES: &str = "causes";

/// Shows the statement of any tenant, or of the unallocated costs, to an administrator.
async fn of_account(
    viewer: Viewer,
    store: &Store,
    period: NaiveDate,
    tenant: Option<&str>,
    table: Option<String>,
) -> Result<Response, PageProblem> {
    if table.as_deref() == Some(LINES) {
        return Ok(respond(store, viewer, period, tenant, Format::Csv).await?);
    }
    let detail = store.statement_detail(period, tenant, MAX_LINES).await?;
    let mut rows = detail.statements.rows.iter();
    let row = rows.find(|row| row.tenant_id.as_deref() == tenant).cloned();
    if let (None, Some(tenant)) = (&row, tenant)
        && let Some(note) = notes::on_tenant(store, tenant).await?
    {
        return Err(Problem::NotFound(note.detail).into());
    }
    if let Some(table) = table {
        return download::csv_of(viewer, period, tenant, &table, detail);
    }
    let StatementDetail {
        statements,
        invoices,
        weight,
        products: costs,
        lines,
        adjustments,
        adjustment_causes,
    } = detail;
    // Notes are about the figures of today.
    let notes = match statements.close {
        Some(_) => Vec::new(),
        None => Coverage::of(store, period, period).await?.notes,
    };
    let estimate = estimate_of(store, period).await?;
    let estimated = estimate
        .filter(|_| statements.is_estimate)
        .map(|estimate| estimated(period, estimate.estimated_at));
    let shown = lines.len();
    let (products, shared_products) = products(costs, lines);
    let line_count: i64 = products.iter().map(|product| product.count).sum();
    let omitted_lines = line_count - i64::try_from(shown).unwrap_or(line_count);
    let texts = products.iter().flat_map(|product| &product.lines);
    let texts = texts.map(|line| line.description.as_str());
    let others = products.len() + shared_products.len() + invoices.len() + adjustments.len();
    let amount = |of: fn(&Statement) -> Decimal| Money(row.as_ref().map(of).unwrap_or_default());
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
        mixed: mixed(&statements),
        invoices: invoices.iter().map(invoice_row).collect(),
        notes: notes.into_iter().map(|note| note.detail).collect(),
        close: statements.close.map(ClosedMonth::from),
        has_costs: row.is_some(),
        prints_lines: omitted_lines == 0 && fits_one_page(others, texts),
        products,
        omitted_lines,
        lines_path: lines_path(period, tenant),
        path: statement_path(period, tenant),
        shared_total: Money(shared_products.iter().map(|product| product.whole.0).sum()),
        shared_products,
        weight: shown_weight(&statements.rule, &weight),
        adjustments: adjustments.into_iter().map(Into::into).collect(),
        causes: adjustment_causes.into_iter().map(Into::into).collect(),
        direct: amount(|row| row.direct),
        shared: amount(|row| row.shared),
        adjusted: amount(|row| row.adjusted),
        total: amount(Statement::total),
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

fn invoice_row(invoice: &StatementInvoice) -> InvoiceRow {
    InvoiceRow {
        number: number_of(invoice.invoice_uuid, invoice.invoice_id.as_deref()),
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
