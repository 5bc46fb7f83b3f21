//! `/months/{YYYY-MM}`: the checklist of the close, and the statements of all tenants.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{Months, NaiveDate};
use rust_decimal::Decimal;
use store::Store;
use store::costs::{Statements, StoredAllocationRule};
use store::invoices::{
    AfterInvoice, CostLineFilter, CostLineTotal, Estimate, Invoice, InvoicePart, Variance,
};
use uuid::Uuid;

use super::rule_form::describe;
use super::tenants::{name_of, statement_path};
use crate::ApiState;
use crate::extract::{InPath, NoParameters, Period};
use crate::notes::Coverage;
use crate::pages::format::{Moment, Money, month, month_name, percent};
use crate::pages::invoices::{InvoiceState, number};
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::AdminViewer;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/months/{period}", get(show))
}

/// A fact of a check, with a link to the place where it is fixed.
struct Fact {
    text: String,
    link: Option<(String, &'static str)>,
}

impl Fact {
    fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            link: None,
        }
    }

    fn linked(text: impl Into<String>, path: impl Into<String>, label: &'static str) -> Self {
        Self {
            text: text.into(),
            link: Some((path.into(), label)),
        }
    }
}

/// A check of the close.
struct Check {
    name: &'static str,
    /// `None` for information that neither passes nor fails.
    is_done: Option<bool>,
    facts: Vec<Fact>,
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

/// The data of a month.
struct Books {
    statements: Statements,
    invoices: Vec<(Invoice, Vec<InvoicePart>)>,
    unmatched: CostLineTotal,
    ambiguous: CostLineTotal,
    estimate: Option<Estimate>,
    variances: Vec<Variance>,
    rule: Option<StoredAllocationRule>,
    is_over: bool,
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

impl Books {
    fn checks(&self) -> Vec<Check> {
        vec![
            self.month_is_over(),
            self.invoices_are_final(),
            self.statements_total_the_invoices(),
            self.lines_are_matched(),
            self.costs_are_allocated(),
            self.allocation_rule(),
            self.estimate_against_final(),
        ]
    }

    fn month_is_over(&self) -> Check {
        let period = self.statements.period;
        let end = (period + Months::new(1)).format("%Y-%m-%d");
        let text = if self.is_over {
            format!("ended {end} 00:00 UTC")
        } else {
            format!("ends {end} 00:00 UTC; DigitalOcean then issues the invoice")
        };
        Check {
            name: "The month is over",
            is_done: Some(self.is_over),
            facts: vec![Fact::new(text)],
        }
    }

    fn invoices_are_final(&self) -> Check {
        let facts = self.invoices.iter().map(|(invoice, parts)| {
            let state = InvoiceState::of(invoice, parts);
            let mut text = format!("invoice {}: {}", number(invoice), state.name);
            for reason in &state.reasons {
                text = format!("{text}; {reason}");
            }
            Fact::linked(text, format!("/invoices/{}", invoice.invoice_uuid), "Open")
        });
        let mut facts: Vec<Fact> = facts.collect();
        if facts.is_empty() {
            facts.push(Fact::new("no invoice yet"));
        }
        let month = &self.statements;
        let is_done = month.invoices > 0
            && month.final_invoices == month.invoices
            && month.verification.withdrawn_invoices == 0;
        Check {
            name: "Every invoice is final",
            is_done: Some(is_done),
            facts,
        }
    }

    fn statements_total_the_invoices(&self) -> Check {
        let total = Money(self.statements.total());
        let (text, is_done) = match self.statements.difference() {
            Some(difference) if difference.is_zero() => (
                format!("the statements and the invoices total {total} USD"),
                true,
            ),
            Some(difference) => (
                format!(
                    "the statements total {total} USD, the invoices {} USD: off by {} USD",
                    Money(self.statements.invoice_total),
                    Money(difference)
                ),
                false,
            ),
            None => (
                format!("the statements total {total} USD; there is no invoice to compare with"),
                false,
            ),
        };
        Check {
            name: "Statements total the invoices",
            is_done: Some(is_done),
            facts: vec![Fact::new(text)],
        }
    }

    fn lines_are_matched(&self) -> Check {
        let period = month(self.statements.period);
        let fact = |total: &CostLineTotal, rule: &str, label| {
            let text = format!(
                "{} {rule} {}, {} USD",
                total.count,
                if total.count == 1 { "line" } else { "lines" },
                Money(total.amount)
            );
            Fact::linked(
                text,
                format!("/lines?period={period}&match_rule={rule}"),
                label,
            )
        };
        let mut facts = Vec::new();
        if self.unmatched.count > 0 {
            facts.push(fact(&self.unmatched, "unmatched", "Match them"));
        }
        if self.ambiguous.count > 0 {
            facts.push(fact(&self.ambiguous, "ambiguous", "Choose a resource"));
        }
        let is_done = facts.is_empty();
        if is_done {
            facts.push(Fact::new("no unmatched and no ambiguous lines"));
        }
        Check {
            name: "Every line has its resource",
            is_done: Some(is_done),
            facts,
        }
    }

    fn costs_are_allocated(&self) -> Check {
        let rows = &self.statements.rows;
        let unallocated = rows.iter().find(|row| row.tenant_id.is_none());
        let fact = match unallocated {
            Some(row) => Fact::linked(
                format!(
                    "{} USD unallocated ({} direct, {} shared): assign the projects to tenants",
                    Money(row.total()),
                    Money(row.direct),
                    Money(row.shared)
                ),
                statement_path(self.statements.period, None),
                "Show the lines",
            ),
            None => Fact::new("every cost has a tenant"),
        };
        Check {
            name: "No unallocated costs",
            is_done: Some(unallocated.is_none()),
            facts: vec![fact],
        }
    }

    fn allocation_rule(&self) -> Check {
        let shared: Decimal = self.statements.rows.iter().map(|row| row.shared).sum();
        let set = match &self.rule {
            Some(rule) => format!(
                "since {}, set by {} at {} UTC",
                month(rule.valid_from),
                rule.set_by,
                Moment(rule.set_at)
            ),
            None => "the default; no rule is set".to_owned(),
        };
        let path = format!("/months/{}/rule", month(self.statements.period));
        Check {
            name: "Allocation rule",
            is_done: None,
            facts: vec![
                Fact::linked(describe(&self.statements.rule), path, "Change"),
                Fact::new(format!("{set}; it allocates {} USD", Money(shared))),
            ],
        }
    }

    fn estimate_against_final(&self) -> Check {
        let fact = match &self.estimate {
            Some(estimate) if estimate.state == "open" => Fact::new(format!(
                "estimate of {} USD, read at {} UTC; no invoice to compare with yet",
                Money(estimate.amount),
                Moment(estimate.estimated_at)
            )),
            Some(estimate) => {
                let [estimated, invoiced, variance] = variance_total(&self.variances);
                Fact::linked(
                    format!(
                        "invoiced {invoiced} USD, last estimate {estimated} USD of {} UTC: {variance} USD ({}) more",
                        Moment(estimate.estimated_at),
                        percent(variance.0, estimated.0)
                    ),
                    "#variance",
                    "By product",
                )
            }
            None => Fact::new("no estimate was read for this month"),
        };
        Check {
            name: "Estimate against final",
            is_done: None,
            facts: vec![fact],
        }
    }
}

/// The estimated total, the invoiced total and the variance.
fn variance_total(variances: &[Variance]) -> [Money; 3] {
    let sum = |of: fn(&Variance) -> Decimal| Money(variances.iter().map(of).sum());
    [
        sum(|row| row.estimated),
        sum(|row| row.invoiced),
        sum(|row| row.variance),
    ]
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
