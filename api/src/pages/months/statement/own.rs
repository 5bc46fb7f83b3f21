//! `/months/{YYYY-MM}/statements/{tenant}` for the tenant itself: its part of each cost, and
//! nothing from which the costs of others follow.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;
use chrono::NaiveDate;
use domain::TenantId;
use rust_decimal::Decimal;
use serde::Serialize;
use store::costs::ProductCost;
use store::invoices::OwnCostLine;
use store::own_statements::OwnStatementDetail;
use store::{Store, Usd};
use utoipa::ToSchema;

use super::{ADJUSTMENTS, ClosedMonth, LINES, MAX_LINES, SHARED, fits_one_page, last_day};
use crate::covered::CoveredDays;
use crate::csv::{self, FileName};
use crate::notes::Coverage;
use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::months::rule_form::in_words;
use crate::pages::months::tenants::statement_path;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::{address, unknown_table};
use crate::pages::session::Viewer;
use crate::routes::my::MyStatement;
use crate::routes::my::statement::respond_own;
use crate::routes::statement::Format;

/// The tenant's part of a line.
struct Line {
    /// None in a closed month: the tenant may have the line no longer.
    path: Option<String>,
    name: String,
    resource_path: Option<String>,
    time: String,
    amount: Money,
    is_split: bool,
}

impl From<OwnCostLine> for Line {
    fn from(line: OwnCostLine) -> Self {
        let time = line.start_at.zip(line.end_at);
        let time = time.map(|(start, end)| format!("{} to {}", Moment(start), Moment(end)));
        let texts = [line.description, line.resource_name];
        let mut names = texts.into_iter().flatten().filter(|text| !text.is_empty());
        Self {
            path: Some(format!("/lines/{}", line.id)),
            resource_path: line.resource_id.map(|id| format!("/inventory/{id}")),
            name: names.next().unwrap_or(line.product),
            time: time.unwrap_or_default(),
            amount: Money(line.amount),
            is_split: line.share == "split",
        }
    }
}

/// A product with the lines of the tenant.
struct Product {
    name: String,
    count: i64,
    amount: Money,
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "own_statement.html")]
struct OwnStatementPage {
    frame: Frame,
    tenant: String,
    month: String,
    first_day: String,
    last_day: String,
    /// None if the month has no lines.
    own: Option<MyStatement>,
    /// The close of the month.
    close: Option<ClosedMonth>,
    /// The path of the page, which those of its downloads begin with.
    path: String,
    rule: &'static str,
    verified_at: Option<Moment>,
    estimated_at: Option<Moment>,
    /// The days of the month that the estimate covers, and all days.
    covered: (String, u32),
    notes: Vec<String>,
    products: Vec<Product>,
    /// Lines that the page omits.
    omitted_lines: i64,
    lines_path: String,
    /// True if the lines fit on the printed page.
    prints_lines: bool,
    shared_products: Vec<Product>,
    adjustments: Vec<AdjustmentRow>,
    direct: Money,
    shared: Money,
    adjusted: Money,
    total: Money,
}

/// An adjustment of the tenant for a closed month.
struct AdjustmentRow {
    month: String,
    path: String,
    amount: Money,
}

/// A row of the CSV of the shared costs; USD.
#[derive(Serialize, ToSchema)]
struct SharedRow {
    period: NaiveDate,
    product: String,
    lines: i64,
    amount: Usd,
}

pub(super) async fn show(
    viewer: Viewer,
    store: &Store,
    tenant: &TenantId,
    period: NaiveDate,
    table: Option<String>,
) -> Result<Response, PageProblem> {
    if table.as_deref() == Some(LINES) {
        return Ok(respond_own(store, viewer, tenant, period, Format::Csv).await?);
    }
    let detail = store
        .own_statement_detail(tenant, period, MAX_LINES)
        .await?;
    if let Some(table) = table {
        return csv_of(viewer, tenant, period, &table, detail);
    }
    let OwnStatementDetail {
        statement,
        products: costs,
        lines,
        adjustments,
    } = detail;
    let (shared, direct): (Vec<_>, Vec<_>) = costs.into_iter().partition(|cost| cost.is_shared);
    let own = statement.map(|own| MyStatement::new(tenant, period, &own));
    let close = own.as_ref().and_then(|own| own.close);
    let shown = lines.len();
    let mut products = products(direct, lines);
    if close.is_some() {
        for line in products.iter_mut().flat_map(|product| &mut product.lines) {
            (line.path, line.resource_path) = (None, None);
        }
    }
    let shared_products: Vec<Product> = shared.into_iter().map(product).collect();
    let count: i64 = products.iter().map(|product| product.count).sum();
    let omitted_lines = count - i64::try_from(shown).unwrap_or(count);
    let texts = products.iter().flat_map(|product| &product.lines);
    let texts = texts.map(|line| line.name.as_str());
    let others = products.len() + shared_products.len() + adjustments.len();
    // Notes are about the figures of today.
    let notes = match close {
        Some(_) => Vec::new(),
        None => Coverage::for_tenant(store, period, period).await?.notes,
    };
    let adjustments = adjustments.into_iter().map(|adjustment| AdjustmentRow {
        month: month_name(adjustment.period),
        path: statement_path(adjustment.period, Some(tenant.as_str())),
        amount: Money(adjustment.amount),
    });
    let figure =
        |of: fn(&MyStatement) -> &Usd| Money(own.as_ref().map_or(Decimal::ZERO, |own| of(own).0));
    let estimated_at = own.as_ref().and_then(|own| own.estimated_at);
    let period_text = month(period);
    render(&OwnStatementPage {
        frame: viewer.frame(
            &format!("Statement for {}: {tenant}", month_name(period)),
            "/lines",
        ),
        tenant: tenant.to_string(),
        month: month_name(period),
        first_day: period.to_string(),
        last_day: last_day(period).to_string(),
        rule: own.as_ref().map_or("", |own| in_words(own.spread_rule)),
        verified_at: own.as_ref().and_then(|own| own.verified_at).map(Moment),
        covered: estimated_at.map_or_else(Default::default, |at| {
            let covered = CoveredDays::of_month(period, at);
            (
                format!("{:.1}", covered.days_elapsed),
                covered.days_in_month,
            )
        }),
        estimated_at: estimated_at.map(Moment),
        notes: notes.into_iter().map(|note| note.detail).collect(),
        prints_lines: omitted_lines == 0 && fits_one_page(others, texts),
        products,
        omitted_lines,
        lines_path: address("/lines", &[("period", &period_text)]),
        shared_products,
        adjustments: adjustments.collect(),
        close: close.map(ClosedMonth::from),
        path: statement_path(period, Some(tenant.as_str())),
        adjusted: figure(|own| &own.adjusted),
        direct: figure(|own| &own.direct),
        shared: figure(|own| &own.shared),
        total: figure(|own| &own.total),
        own,
    })
}

/// Returns a table of the statement as CSV.
fn csv_of(
    viewer: Viewer,
    tenant: &TenantId,
    period: NaiveDate,
    table: &str,
    detail: OwnStatementDetail,
) -> Result<Response, PageProblem> {
    let file = |list: &str| {
        FileName::new(list)
            .month(period)
            .with(Some(tenant.as_str()))
    };
    let response = match table {
        SHARED => {
            let shared = detail.products.into_iter().filter(|cost| cost.is_shared);
            let rows = shared.map(|cost| SharedRow {
                period,
                product: cost.product,
                lines: cost.lines,
                amount: Usd(cost.amount),
            });
            csv::whole(viewer, file("shared-costs"), rows.collect())
        }
        ADJUSTMENTS => csv::whole(viewer, file("adjustments"), detail.adjustments),
        _ => return Err(unknown_table(table, &[LINES, SHARED, ADJUSTMENTS])),
    };
    Ok(response?)
}

fn product(cost: ProductCost) -> Product {
    Product {
        name: cost.product,
        count: cost.lines,
        amount: Money(cost.amount),
        lines: Vec::new(),
    }
}

/// Returns the products of the direct costs, each with its lines.
fn products(costs: Vec<ProductCost>, lines: Vec<OwnCostLine>) -> Vec<Product> {
    let mut by_product: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for line in lines {
        let lines = by_product.entry(line.product.clone()).or_default();
        lines.push(line.into());
    }
    let products = costs.into_iter().map(|cost| Product {
        lines: by_product.remove(&cost.product).unwrap_or_default(),
        ..product(cost)
    });
    products.collect()
}
