//! `/months/{YYYY-MM}`: the close with its checklist, and the statements of all tenants.

mod decisions;
mod section;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{Months, NaiveDate};
use store::Store;
use store::costs::Statements;
use store::invoices::{AfterInvoice, CostLineFilter, Estimate, Invoice};
use uuid::Uuid;

use self::section::CloseSection;
use super::checks::{Books, Check, variance_total};
use super::tenants::{name_of, statement_path};
use crate::ApiState;
use crate::csv::{self, FileName};
use crate::extract::{InPath, Period};
use crate::notes::Coverage;
use crate::pages::exports::{ExportRow, files_of};
use crate::pages::format::{Moment, Money, month, month_name, percent};
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::{Parameters, unknown_table};
use crate::pages::session::{AdminViewer, Viewer};
use crate::routes::costs::Statement;
use crate::routes::months::read_month;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/months/{period}", get(show))
        .merge(decisions::routes())
}

struct StatementRow {
    name: String,
    path: String,
    direct: Money,
    shared: Money,
    adjusted: Money,
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
async fn invoices_of(store: &Store, period: NaiveDate) -> Result<Vec<Invoice>, PageProblem> {
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
        orphans: store
            .orphaned_overrides(Some(period), None, 1_000)
            .await?
            .len(),
        estimate: estimate_of(store, period).await?,
        variances: store.variances(period).await?,
        rule: rules.into_iter().find(|rule| rule.valid_from <= period),
    })
}

/// Returns the invoiced and the estimated part (USD) of a month that has both.
pub(in crate::pages) fn mixed(statements: &Statements) -> Option<(Money, Money)> {
    let invoiced = statements.invoiced();
    (statements.is_estimate && !invoiced.is_zero())
        .then_some((Money(invoiced), Money(statements.estimated)))
}

#[derive(Template)]
#[template(path = "month.html")]
struct ClosePage {
    frame: Frame,
    period: String,
    /// The paths of the nearest months before and after this one in the list of months.
    before: Option<String>,
    after: Option<String>,
    notes: Vec<String>,
    is_final: bool,
    is_estimate: bool,
    /// The part of an estimated month that is invoiced, and the rest; none without either.
    mixed: Option<(Money, Money)>,
    /// When the figures were last verified or estimated.
    fresh_at: Option<Moment>,
    open: usize,
    checks: Vec<Check>,
    closing: CloseSection,
    rows: Vec<StatementRow>,
    direct: Money,
    shared: Money,
    /// The total of the adjustments, if there are any.
    adjusted: Option<Money>,
    total: Money,
    invoice_total: Option<Money>,
    difference: Option<Money>,
    variances: Vec<VarianceRow>,
    variance_total: [Money; 3],
    exports: Vec<ExportRow>,
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    InPath(Period(period)): InPath<Period>,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    if let Some(table) = parameters.take_table()? {
        return csv_of(viewer, &state.store, period, &table).await;
    }
    parameters.refuse_others()?;
    let books = read(&state.store, period).await?;
    let detail = read_month(&state.store, period).await?;
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
        adjusted: Money(row.adjusted),
        total: Money(row.total()),
        share: percent(row.total(), total),
    });
    let has_adjusted = statements.rows.iter().any(|row| !row.adjusted.is_zero());
    let is_stored = statements.invoices > 0 || statements.is_estimate;
    let variances = books.variances.iter().map(|row| VarianceRow {
        product: row.product.clone(),
        estimated: Money(row.estimated),
        invoiced: Money(row.invoiced),
        variance: Money(row.variance),
    });
    let adjacent = state.store.adjacent_months(period).await?;
    let path = |period: NaiveDate| format!("/months/{}", month(period));
    render(&ClosePage {
        frame: viewer.frame(&month_name(period), "/months"),
        period: month(period),
        before: adjacent.before.map(path),
        after: adjacent.after.map(path),
        notes: coverage.notes.into_iter().map(|note| note.detail).collect(),
        is_final: statements.is_final(),
        is_estimate: statements.is_estimate,
        mixed: mixed(statements),
        fresh_at: fresh_at.map(Moment),
        open: checks
            .iter()
            .filter(|check| check.is_done == Some(false))
            .count(),
        checks,
        closing: CloseSection::read(&state, detail, is_stored).await?,
        rows: rows.collect(),
        direct: Money(statements.rows.iter().map(|row| row.direct).sum()),
        shared: Money(statements.rows.iter().map(|row| row.shared).sum()),
        adjusted: has_adjusted.then_some(Money(statements.adjusted())),
        total: Money(total),
        invoice_total: (statements.invoices > 0).then_some(Money(statements.invoice_total)),
        difference: statements.difference().map(Money),
        variance_total: variance_total(&books.variances),
        variances: variances.collect(),
        exports: files_of(period, statements.invoices > 0, statements.is_estimate),
    })
}

const STATEMENTS: &str = "statements";
const VARIANCE: &str = "variance";
const ADJUSTMENTS: &str = "adjustments";
const CAUSES: &str = "causes";
const FILES: &str = "files";
const CLOSES: &str = "closes";

/// Returns a table of a month as CSV.
async fn csv_of(
    viewer: Viewer,
    store: &Store,
    period: NaiveDate,
    table: &str,
) -> Result<Response, PageProblem> {
    match table {
        STATEMENTS => {
            let rows = store.statements(period).await?.rows.into_iter();
            let file = FileName::new(STATEMENTS).month(period);
            let rows: Vec<Statement> = rows.map(Statement::from).collect();
            Ok(csv::whole(viewer, file, rows)?)
        }
        VARIANCE => {
            let file = FileName::new("estimate-variance").month(period);
            let variances = store.variances(period).await?;
            Ok(csv::whole(viewer, file, variances)?)
        }
        ADJUSTMENTS => {
            let (adjustments, _) = store.adjustments(period).await?;
            let file = FileName::new(ADJUSTMENTS).month(period);
            Ok(csv::whole(viewer, file, adjustments)?)
        }
        CAUSES => {
            let (_, causes) = store.adjustments(period).await?;
            let file = FileName::new("adjustment-causes").month(period);
            Ok(csv::whole(viewer, file, causes)?)
        }
        FILES => {
            let files = read_month(store, period).await?.files;
            let file = FileName::new("close-files").month(period);
            Ok(csv::whole(viewer, file, files)?)
        }
        CLOSES => {
            let closes = store.closes(period).await?;
            let file = FileName::new(CLOSES).month(period);
            Ok(csv::whole(viewer, file, closes)?)
        }
        _ => Err(unknown_table(
            table,
            &[STATEMENTS, VARIANCE, ADJUSTMENTS, CAUSES, FILES, CLOSES],
        )),
    }
}
