//! The checks before the close of a month.

use chrono::Months;
use rust_decimal::Decimal;
use store::costs::{Statements, StoredAllocationRule};
use store::invoices::{CostLineTotal, Estimate, Invoice, InvoicePart, Variance};

use super::rule_form::describe;
use super::tenants::statement_path;
use crate::pages::format::{Moment, Money, month, percent};
use crate::pages::invoices::{InvoiceState, number};

/// A fact of a check, with a link to the place where it is fixed.
pub(super) struct Fact {
    pub(super) text: String,
    pub(super) link: Option<(String, &'static str)>,
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
pub(super) struct Check {
    pub(super) name: &'static str,
    /// `None` for information that neither passes nor fails.
    pub(super) is_done: Option<bool>,
    pub(super) facts: Vec<Fact>,
}

/// The data of a month.
pub(super) struct Books {
    pub(super) statements: Statements,
    pub(super) invoices: Vec<(Invoice, Vec<InvoicePart>)>,
    pub(super) unmatched: CostLineTotal,
    pub(super) ambiguous: CostLineTotal,
    /// Overrides of lines that a correction removed.
    pub(super) orphans: usize,
    pub(super) estimate: Option<Estimate>,
    pub(super) variances: Vec<Variance>,
    pub(super) rule: Option<StoredAllocationRule>,
}

impl Books {
    pub(super) fn checks(&self) -> Vec<Check> {
        vec![
            self.month_is_over(),
            self.invoices_are_final(),
            self.statements_total_the_invoices(),
            self.tenants_are_up_to_date(),
            self.lines_are_matched(),
            self.overrides_have_a_line(),
            self.costs_are_allocated(),
            self.allocation_rule(),
            self.estimate_against_final(),
        ]
    }

    fn month_is_over(&self) -> Check {
        let period = self.statements.period;
        let end = (period + Months::new(1)).format("%Y-%m-%d");
        let month = &self.statements;
        let mut facts = vec![Fact::new(if month.is_over {
            format!("ended {end} 00:00 UTC")
        } else {
            format!("ends {end} 00:00 UTC; DigitalOcean then issues the invoice")
        })];
        // An invoice of the running month leaves the estimate open.
        let is_partly_invoiced = month.is_estimate && !month.invoiced().is_zero();
        if is_partly_invoiced {
            facts.push(Fact::new(format!(
                "invoiced {} USD during the month, the rest of the preview {} USD{}",
                Money(month.invoiced()),
                Money(month.estimated),
                if month.is_over {
                    "; the invoice of the end of the month is not listed yet"
                } else {
                    ""
                }
            )));
        }
        Check {
            name: "The month is over",
            is_done: Some(month.is_over && !is_partly_invoiced),
            facts,
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
        let total = Money(self.statements.costs());
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

    fn tenants_are_up_to_date(&self) -> Check {
        let is_reallocating = self.statements.is_reallocating;
        let fact = if is_reallocating {
            Fact::linked(
                "lines wait for a reallocation after a change of tenants, overrides or projects: \
                 the statements mix before and after",
                "/reallocations",
                "See the progress",
            )
        } else {
            Fact::new("every line has the tenants of the present assignments and overrides")
        };
        Check {
            name: "No reallocation is pending",
            is_done: Some(!is_reallocating),
            facts: vec![fact],
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

    fn overrides_have_a_line(&self) -> Check {
        let fact = if self.orphans == 0 {
            Fact::new("no correction removed the line of an override")
        } else {
            Fact::linked(
                format!(
                    "{} {} removed by a correction of the invoice",
                    self.orphans,
                    if self.orphans == 1 {
                        "override is of a line"
                    } else {
                        "overrides are of lines"
                    }
                ),
                format!("/lines/overrides?period={}", month(self.statements.period)),
                "Apply or dismiss",
            )
        };
        Check {
            name: "Every override has a line",
            is_done: Some(self.orphans == 0),
            facts: vec![fact],
        }
    }

    fn costs_are_allocated(&self) -> Check {
        let rows = &self.statements.rows;
        let unallocated = rows.iter().find(|row| row.tenant_id.is_none());
        let fact = match unallocated {
            Some(row) => Fact::linked(
                format!(
                    "{} USD unallocated ({} direct, {} shared): assign the projects to tenants",
                    Money(row.costs()),
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
pub(super) fn variance_total(variances: &[Variance]) -> [Money; 3] {
    let sum = |of: fn(&Variance) -> Decimal| Money(variances.iter().map(of).sum());
    [
        sum(|row| row.estimated),
        sum(|row| row.invoiced),
        sum(|row| row.variance),
    ]
}
