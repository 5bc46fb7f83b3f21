//! `/months/{YYYY-MM}`: the checklist of the close, and the statements of all tenants.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{Months, NaiveDate};
use store::Store;
use store::invoices::{AfterInvoice, CostLineFilter, Estimate, Invoice};
use uuid::Uuid;

use super::checks::{Books, Check, variance_total};
use super::tenants::{name_of, statement_path};
use crate::ApiState;
use crate::extract::{InPath, NoParameters, Period};
use crate::notes::Coverage;
use crate::pages::format::{Moment, Money, month, month_name, percent};
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::AdminViewer;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/months/{period}", get(show))
}

struct StatementRow {
    name: String,
    path: String,
    direct: Money,
    shared: Money,
    total: Money,
    share: String,
}

struct VarianceRow {
    product: String,
    estimated: Money,
    invoiced: Money,
    variance: Money,
}

/// Returns the invoices of a month.
pub(super) async fn invoices_of(
    store: &Store,
    period: NaiveDate,
) -> Result<Vec<Invoice>, PageProblem> {
    let after = AfterInvoice {
        period: period + Months::new(1),
        invoice_uuid: Uuid::max(),
    };
    let mut invoices = store.invoices(Some(after), 100).await?;
    invoices.retain(|invoice| invoice.period == period);
    Ok(invoices)
}

/// Returns the estimate of a month, open or final.
pub(super) async fn estimate_of(
    store: &Store,
    period: NaiveDate,
) -> Result<Option<Estimate>, PageProblem> {
    let estimates = store.estimates(Some(period + Months::new(1)), 1).await?;
    let mut estimates = estimates.into_iter();
    Ok(estimates.find(|estimate| estimate.period == period))
}

async fn read(store: &Store, period: NaiveDate) -> Result<Books, PageProblem> {
    let invoices = invoices_of(store, period).await?;
    let ids: Vec<Uuid> = invoices.iter().map(|invoice| invoice.id).collect();
    let mut parts = store.parts_of_invoices(&ids).await?;
    let with_rule = |rule: &str| CostLineFilter {
        period,
        match_rules: vec![rule.to_owned()],
        ..CostLineFilter::default()
    };
    let rules = store.allocation_rules().await?;
    Ok(Books {
        statements: store.statements(period).await?,
        invoices: invoices
            .into_iter()
            .map(|invoice| {
                let parts = parts.remove(&invoice.id).unwrap_or_default();
                (invoice, parts)
            })
            .collect(),
        unmatched: store.cost_line_total(&with_rule("unmatched")).await?,
        ambiguous: store.cost_line_total(&with_rule("ambiguous")).await?,
        estimate: estimate_of(store, period).await?,
        variances: store.variances(period).await?,
        rule: rules.into_iter().find(|rule| rule.valid_from <= period),
        is_over: store.now().await?.date_naive() >= period + Months::new(1),
    })
}

#[derive(Template)]
#[template(path = "month.html")]
struct ClosePage {
    frame: Frame,
    period: String,
    /// The paths of the months before and after.
    before: String,
    after: String,
    notes: Vec<String>,
    is_final: bool,
    is_estimate: bool,
    /// When the figures were last verified or estimated.
    fresh_at: Option<Moment>,
    open: usize,
    checks: Vec<Check>,
    rows: Vec<StatementRow>,
    direct: Money,
    shared: Money,
    total: Money,
    invoice_total: Option<Money>,
    difference: Option<Money>,
    variances: Vec<VarianceRow>,
    variance_total: [Money; 3],
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    _: NoParameters,
) -> Result<Response, PageProblem> {
    let books = read(&state.store, period).await?;
    let coverage = Coverage::of(&state.store, period, period).await?;
    let checks = books.checks();
    let statements = &books.statements;
    let total = statements.total();
    let estimated_at = books
        .estimate
        .as_ref()
        .map(|estimate| estimate.estimated_at);
    let fresh_at = if statements.is_estimate {
        estimated_at
    } else {
        statements.verification.verified_at
    };
    let rows = statements.rows.iter().map(|row| StatementRow {
        name: name_of(row.tenant_id.as_deref()),
        path: statement_path(period, row.tenant_id.as_deref()),
        direct: Money(row.direct),
        shared: Money(row.shared),
        total: Money(row.total()),
        share: percent(row.total(), total),
    });
    let variances = books.variances.iter().map(|row| VarianceRow {
        product: row.product.clone(),
        estimated: Money(row.estimated),
        invoiced: Money(row.invoiced),
        variance: Money(row.variance),
    });
    let path = |period: NaiveDate| format!("/months/{}", month(period));
    render(&ClosePage {
        frame: viewer.frame(&month_name(period), "/months"),
        period: month(period),
        before: path(period - Months::new(1)),
        after: path(period + Months::new(1)),
        notes: coverage.notes.into_iter().map(|note| note.detail).collect(),
        is_final: statements.is_final(),
        is_estimate: statements.is_estimate,
        fresh_at: fresh_at.map(Moment),
        open: checks
            .iter()
            .filter(|check| check.is_done == Some(false))
            .count(),
        checks,
        rows: rows.collect(),
        direct: Money(statements.rows.iter().map(|row| row.direct).sum()),
        shared: Money(statements.rows.iter().map(|row| row.shared).sum()),
        total: Money(total),
        invoice_total: (statements.invoices > 0).then_some(Money(statements.invoice_total)),
        difference: statements.difference().map(Money),
        variance_total: variance_total(&books.variances),
        variances: variances.collect(),
    })
}
