//! `/lines`: the lines of a month, each with its resource, its tenant and the rule of the match.

mod change;
mod explanation;
pub(super) mod filter;
mod line;
pub(super) mod orphans;
mod own;
mod own_line;
mod strip;

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use store::costs::{GroupBy, Statements};
use store::invoices::{CostLine, CostLineFilter};
use store::{Store, Usd};
use uuid::Uuid;

use self::filter::{Filters, LinesQuery, address};
use super::format::{Moment, Money, month, month_name};
use super::months::close::mixed;
use super::months::frozen;
use super::months::tenants::statement_path;
use super::page::{Frame, PageProblem, render};
use super::parameters::Parameters;
use super::session::{CostViewer, Viewer};
use crate::ApiState;
use crate::extract::{Id, Period};
use crate::paging::Paged;
use crate::problem::Problem;
use crate::routes::cost_lines::{CostLineList, csv_of_lines, read_lines};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/lines", get(show))
        .route("/lines/overrides", get(orphans::list))
        .route(
            "/lines/overrides/{id}",
            get(orphans::show).post(orphans::apply),
        )
        .route("/lines/overrides/{id}/dismiss", post(orphans::dismiss))
        .route("/lines/{id}", get(show_one))
        .route(
            "/lines/{id}/match",
            get(change::preview).post(change::apply),
        )
}

/// A tenant's part of a line.
struct Part {
    /// Empty for the unallocated part.
    tenant: String,
    amount: Money,
}

/// The resource of a line.
#[derive(Clone)]
struct ResourceLink {
    id: Uuid,
    name: String,
    kind: String,
}

/// A line in the table.
struct Row {
    id: Uuid,
    product: String,
    description: String,
    amount: Money,
    /// The amount that the tenant of the filter pays.
    part: Option<Money>,
    is_shared: bool,
    /// The tenants of the line; several if it is split.
    parts: Vec<Part>,
    rule: String,
    rule_link: String,
    needs_attention: bool,
    resource: Option<ResourceLink>,
    /// The line names a resource that is not stored.
    is_unstored: bool,
    start: Option<Moment>,
    end: Option<Moment>,
    project: String,
    /// The invoice; none for an estimate.
    invoice: Option<Uuid>,
    /// The amount in the preview, if a part of it is invoiced already.
    preview_amount: Option<Money>,
}

/// The costs of the tenant of the filter, or the unallocated costs.
struct Costs {
    /// None for unallocated costs.
    tenant: Option<String>,
    /// The tenant's parts of the listed lines.
    direct: Money,
    /// The part of the shared costs and the sum of both; none if the filter has other conditions.
    whole: Option<(Money, Money)>,
    /// The statement of the month.
    link: String,
}

#[derive(Template)]
#[template(path = "lines.html")]
struct LinesPage {
    frame: Frame,
    filters: Filters,
    month: String,
    month_link: String,
    is_estimate: bool,
    /// True if some lines are billed and some are an estimate.
    is_mixed: bool,
    read_at: Option<Moment>,
    invoices: i64,
    final_invoices: i64,
    count: i64,
    total: Money,
    costs: Option<Costs>,
    rows: Vec<Row>,
    /// The link of the next page; empty on the last page.
    next: String,
    /// The link of the first page; empty on it.
    first: String,
    notes: Vec<String>,
    /// The address of the overrides of the month that have no line; empty without any.
    orphans: String,
}

impl LinesPage {
    /// Returns the name of the state of the amounts.
    fn basis(&self) -> &'static str {
        match (self.is_mixed, self.is_estimate) {
            (true, _) => "billed and estimate",
            (false, true) => "estimate",
            (false, false) => "billed",
        }
    }
}

/// The month that the page shows by default: the open month if it has lines, else the last month
/// with an invoice.
async fn default_month(store: &Store) -> Result<NaiveDate, Problem> {
    let today = store.now().await?.date_naive();
    let open = chrono::Datelike::with_day(&today, 1).unwrap_or(today);
    let months = store.listed_months(open, open).await?;
    if months.listed.contains_key(&open) {
        return Ok(open);
    }
    Ok(months.last_invoiced.unwrap_or(open))
}

async fn show(
    CostViewer(viewer): CostViewer,
    State(state): State<ApiState>,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    match viewer.tenant().cloned() {
        None => of_account(viewer, &state.store, parameters).await,
        Some(tenant) => own::show(viewer, &state.store, &tenant, parameters).await,
    }
}

async fn show_one(
    CostViewer(viewer): CostViewer,
    State(state): State<ApiState>,
    id: Result<Id, Problem>,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    let Id(id) = id?;
    match viewer.tenant().cloned() {
        None => line::show(viewer, &state.store, id, parameters).await,
        Some(tenant) => own_line::show(viewer, &state.store, &tenant, id, parameters).await,
    }
}

async fn of_account(
    viewer: Viewer,
    store: &Store,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    let Paged {
        filter: query,
        pages,
    } = Paged::<LinesQuery>::read(parameters.pairs())?;
    let period = match query.period {
        Some(Period(period)) => period,
        None => default_month(store).await?,
    };
    let filter = query.into_filter(period);
    if pages.is_csv() {
        return Ok(csv_of_lines(store, viewer, filter, &pages).await?);
    }
    let list = read_lines(store, &filter, &pages).await?;
    let month_of = store.statements(filter.period).await?;
    let ids = list.data.iter().filter_map(|line| line.resource_id);
    let names = resource_names(store, &ids.collect::<Vec<_>>()).await?;
    let is_first = !viewer.address.contains("cursor=");
    let mut notes = list.meta.page.details();
    notes.extend(frozen::sentence(store, filter.period, filter.period).await?);
    render(&LinesPage {
        frame: viewer.frame("Lines", "/lines"),
        filters: Filters::read(store, &filter).await?,
        month: month_name(filter.period),
        month_link: format!("/months/{}", month(filter.period)),
        is_estimate: list.meta.is_estimate,
        is_mixed: mixed(&month_of).is_some(),
        read_at: read_at(store, &filter, &list, &month_of).await?,
        invoices: month_of.invoices,
        final_invoices: month_of.final_invoices,
        count: list.meta.total_count,
        total: Money(list.meta.total_amount.0),
        costs: costs(&filter, &list),
        next: list
            .meta
            .page
            .next_cursor
            .as_deref()
            .map_or_else(String::new, |cursor| address(&filter, Some(cursor))),
        first: if is_first {
            String::new()
        } else {
            address(&filter, None)
        },
        notes,
        orphans: orphans_link(store, filter.period).await?,
        rows: list
            .data
            .into_iter()
            .map(|line| row(line, &filter, &names))
            .collect(),
    })
}

async fn orphans_link(store: &Store, period: NaiveDate) -> Result<String, Problem> {
    let orphans = store.orphaned_overrides(Some(period), None, 1).await?;
    if orphans.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("{}?period={}", orphans::PATH, month(period)))
}

/// Returns when the amounts were last read: of an estimate, the preview; else the verification of
/// the invoices.
async fn read_at(
    store: &Store,
    filter: &CostLineFilter,
    list: &CostLineList,
    month: &Statements,
) -> Result<Option<Moment>, Problem> {
    if !list.meta.is_estimate {
        return Ok(month.verification.verified_at.map(Moment));
    }
    let after = filter.period.checked_add_months(chrono::Months::new(1));
    let estimates = store.estimates(after, 1).await?;
    let estimate = estimates.first();
    Ok(estimate.map(|estimate| Moment(estimate.estimated_at)))
}

/// Returns the costs of the tenant of the filter, or the unallocated costs.
fn costs(filter: &CostLineFilter, list: &CostLineList) -> Option<Costs> {
    let tenant = filter.tenant_id.as_deref();
    if tenant.is_none() && filter.without != Some(GroupBy::Tenant) {
        return None;
    }
    let statement = list.meta.statement.as_ref();
    Some(Costs {
        tenant: tenant.map(str::to_owned),
        direct: Money(list.meta.attributed_amount.0),
        whole: statement.map(|statement| {
            let (Usd(shared), Usd(total)) = (statement.shared, statement.total);
            (Money(shared), Money(total))
        }),
        link: statement_path(filter.period, tenant),
    })
}

/// Reads the names and kinds of the resources of lines.
async fn resource_names(
    store: &Store,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, ResourceLink>, Problem> {
    let names = store.resource_names(ids).await?;
    Ok(names
        .into_iter()
        .map(|found| {
            let link = ResourceLink {
                id: found.id,
                name: found.name,
                kind: found.kind,
            };
            (found.id, link)
        })
        .collect())
}

/// Returns the parts of a line by tenant, unallocated first; empty for a shared cost.
fn parts(line: &CostLine) -> Vec<(Option<&str>, Decimal)> {
    if line.is_shared {
        return Vec::new();
    }
    match &line.shares {
        Some(shares) => shares
            .iter()
            .map(|share| (share.tenant_id.as_deref(), share.amount))
            .collect(),
        None => vec![(line.tenant_id.as_deref(), line.amount)],
    }
}

fn row(line: CostLine, filter: &CostLineFilter, names: &HashMap<Uuid, ResourceLink>) -> Row {
    let parts = parts(&line);
    let is_of_tenant = filter.tenant_id.is_some() || filter.without == Some(GroupBy::Tenant);
    let own = parts
        .iter()
        .find(|(tenant, _)| *tenant == filter.tenant_id.as_deref());
    let of_rule = CostLineFilter {
        period: filter.period,
        match_rules: vec![line.match_rule.clone()],
        ..CostLineFilter::default()
    };
    let resource = line.resource_id.and_then(|id| names.get(&id));
    Row {
        part: own
            .filter(|_| is_of_tenant)
            .map(|(_, amount)| Money(*amount)),
        is_shared: line.is_shared,
        parts: parts
            .iter()
            .map(|(tenant, amount)| Part {
                tenant: tenant.unwrap_or_default().to_owned(),
                amount: Money(*amount),
            })
            .collect(),
        needs_attention: explanation::needs_attention(&line.match_rule),
        rule_link: address(&of_rule, None),
        resource: resource.cloned(),
        id: line.id,
        product: line.product,
        description: line.description,
        amount: Money(line.amount),
        rule: line.match_rule,
        is_unstored: line.resource_id.is_none() && line.resource_name.is_some(),
        start: line.start_at.map(Moment),
        end: line.end_at.map(Moment),
        project: line.project_name,
        invoice: line.invoice_uuid,
        preview_amount: line.preview_amount.map(Money),
    }
}
