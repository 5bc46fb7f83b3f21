//! `/lines/{id}` for a tenant: its part of one line, and the reason for it.

use askama::Template;
use axum::response::Response;
use domain::TenantId;
use store::Store;
use store::invoices::{OwnCostLine, OwnSpan};
use uuid::Uuid;

use super::explanation::own_basis;
use super::strip::OwnStrip;
use super::{ResourceLink, own, resource_names};
use crate::csv::{self, FileName};
use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::months::rule_form::in_words;
use crate::pages::months::tenants::statement_path;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::{Parameters, unknown_table};
use crate::pages::session::Viewer;
use crate::routes::my::cost_lines::read_own_line;
use crate::routes::my::{MyStatement, read_own_statement};

/// A part of the charged time in which the resource was the tenant's.
struct During {
    from: Moment,
    to: Moment,
    basis: &'static str,
}

#[derive(Template)]
#[template(path = "own_line.html")]
struct OwnLinePage {
    frame: Frame,
    line: OwnCostLine,
    amount: Money,
    month: String,
    month_path: String,
    statement_path: String,
    is_final: bool,
    verified_at: Option<Moment>,
    estimated_at: Option<Moment>,
    resource: Option<ResourceLink>,
    reason: String,
    during: Vec<During>,
    strip: Option<OwnStrip>,
    start: Option<Moment>,
    end: Option<Moment>,
}

/// The name of the table of intervals in the address of its CSV.
const INTERVALS: &str = "intervals";

pub(super) async fn show(
    viewer: Viewer,
    store: &Store,
    tenant: &TenantId,
    id: Uuid,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    let table = parameters.take_table()?;
    parameters.refuse_others()?;
    let detail = read_own_line(store, tenant, id).await?;
    let (line, intervals) = (detail.line, detail.intervals);
    if let Some(table) = table {
        if table != INTERVALS {
            return Err(unknown_table(&table, &[INTERVALS]));
        }
        let file = FileName::new("line-intervals").month(line.period);
        let file = file.with(Some(tenant.as_str()));
        return Ok(csv::whole(viewer, file, intervals)?);
    }
    let statement = read_own_statement(store, tenant, line.period).await?;
    let own = statement.as_ref();
    let mut names = resource_names(store, line.resource_id.as_slice()).await?;
    render(&OwnLinePage {
        frame: viewer.frame(&own::name(&line), "/lines"),
        amount: Money(line.amount),
        month: month_name(line.period),
        month_path: format!("/lines?period={}", month(line.period)),
        statement_path: statement_path(line.period, Some(tenant.as_str())),
        is_final: own.is_some_and(|own| own.is_final),
        verified_at: own.and_then(|own| own.verified_at).map(Moment),
        estimated_at: own.and_then(|own| own.estimated_at).map(Moment),
        resource: line.resource_id.and_then(|id| names.remove(&id)),
        reason: reason(&line, own),
        strip: OwnStrip::new(line.period, &intervals),
        during: intervals.iter().map(during).collect(),
        start: line.start_at.map(Moment),
        end: line.end_at.map(Moment),
        line,
    })
}

fn during(span: &OwnSpan) -> During {
    During {
        from: Moment(span.from),
        to: Moment(span.to),
        basis: own_basis(span.attributed_by),
    }
}

/// Explains why the tenant pays for the line.
fn reason(line: &OwnCostLine, statement: Option<&MyStatement>) -> String {
    match line.share.as_str() {
        "shared" => {
            let rule = statement.map_or("", |own| in_words(own.spread_rule));
            format!(
                "A shared cost: a tax, a credit, a subscription or a similar charge that no single \
                 resource causes. It is allocated to all tenants {rule}. The amount above is your \
                 part."
            )
        }
        "split" => "The resource was yours for a part of the charged time. You pay for that time; \
                    the amount above is your part of the line."
            .to_owned(),
        _ => {
            "The resource was yours during the charged time, so you pay the whole line.".to_owned()
        }
    }
}
