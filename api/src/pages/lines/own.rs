//! `/lines` for a tenant: its parts of the lines of a month.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use domain::TenantId;
use store::Store;
use store::costs::{BilledNames, GroupBy};
use store::invoices::{OwnCostLine, OwnLineFilter};
use uuid::Uuid;

use super::filter::{ChosenResource, Filters, Select};
use super::{ResourceLink, default_month, resource_names};
use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::months::frozen;
use crate::pages::months::tenants::statement_path;
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::{self, Parameters};
use crate::pages::session::Viewer;
use crate::paging::Paged;
use crate::routes::my::cost_lines::{MyLinesQuery, csv_of_own_lines, read_own_lines};
use crate::routes::my::read_own_statement;

/// The tenant's part of a line in the table.
struct Row {
    id: Uuid,
    name: String,
    amount: Money,
    /// `whole`, `split` or `shared`.
    share: String,
    resource: Option<ResourceLink>,
    product: String,
    start: Option<Moment>,
    end: Option<Moment>,
    project: String,
}

/// The statement of the month.
struct Statement {
    path: String,
    direct: Money,
    shared: Money,
    /// None without adjustments.
    adjusted: Option<Money>,
    total: Money,
    is_estimate: bool,
    is_final: bool,
    verified_at: Option<Moment>,
    estimated_at: Option<Moment>,
}

#[derive(Template)]
#[template(path = "own_lines.html")]
struct OwnLinesPage {
    frame: Frame,
    tenant: String,
    filters: Filters,
    month: String,
    /// None if the month has no lines.
    statement: Option<Statement>,
    count: i64,
    total: Money,
    rows: Vec<Row>,
    /// The link of the next page; empty on the last page.
    next: String,
    /// The link of the first page; empty on it.
    first: String,
    notes: Vec<String>,
}

pub(super) async fn show(
    viewer: Viewer,
    store: &Store,
    tenant: &TenantId,
    parameters: Parameters,
) -> Result<Response, PageProblem> {
    let mut pairs = parameters.pairs();
    if parameters.get("period").is_empty() {
        let period = default_month(store).await?;
        pairs.push(("period".to_owned(), month(period)));
    }
    let Paged {
        filter: query,
        pages,
    } = Paged::<MyLinesQuery>::read(pairs)?;
    let filter = query.into_filter();
    if pages.is_csv() {
        return Ok(csv_of_own_lines(store, viewer, tenant, filter, &pages).await?);
    }
    let list = read_own_lines(store, tenant, filter.clone(), &pages).await?;
    let ids = list.data.iter().filter_map(|line| line.resource_id);
    let names = resource_names(store, &ids.collect::<Vec<_>>()).await?;
    let is_first = parameters.get("cursor").is_empty();
    let mut notes = list.meta.page.details();
    notes.extend(frozen::sentence(store, filter.period, filter.period).await?);
    let next = list.meta.page.next_cursor.as_deref();
    render(&OwnLinesPage {
        frame: viewer.frame("Lines", "/lines"),
        tenant: tenant.to_string(),
        filters: filters(store, tenant, &filter).await?,
        month: month_name(filter.period),
        statement: statement(store, tenant, &filter).await?,
        count: list.meta.total_count,
        total: Money(list.meta.total_amount.0),
        next: next.map_or_else(String::new, |cursor| address(&filter, Some(cursor))),
        first: if is_first {
            String::new()
        } else {
            address(&filter, None)
        },
        notes,
        rows: list
            .data
            .into_iter()
            .map(|line| row(line, &names))
            .collect(),
    })
}

async fn statement(
    store: &Store,
    tenant: &TenantId,
    filter: &OwnLineFilter,
) -> Result<Option<Statement>, PageProblem> {
    let own = read_own_statement(store, tenant, filter.period).await?;
    Ok(own.map(|own| Statement {
        path: statement_path(filter.period, Some(tenant.as_str())),
        direct: Money(own.direct.0),
        shared: Money(own.shared.0),
        adjusted: Some(Money(own.adjusted.0)).filter(|_| !own.adjusted.0.is_zero()),
        total: Money(own.total.0),
        is_estimate: own.is_estimate,
        is_final: own.is_final,
        verified_at: own.verified_at.map(Moment),
        estimated_at: own.estimated_at.map(Moment),
    }))
}

/// Returns the address of a page of the filtered list.
fn address(filter: &OwnLineFilter, cursor: Option<&str>) -> String {
    let period = month(filter.period);
    let resource = filter.resource_id.map(|id| id.to_string());
    let resource = resource.or_else(|| filter.former_resource.clone());
    let fields = [
        ("period", Some(period.as_str())),
        ("kind", filter.kind.as_deref()),
        ("product", filter.product.as_deref()),
        ("project", filter.project_name.as_deref()),
        ("resource", resource.as_deref()),
        ("without", filter.without.map(GroupBy::name)),
        ("cursor", cursor),
    ];
    let given: Vec<(&str, &str)> = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    parameters::address("/lines", &given)
}

/// Reads the values that the tenant's lines of a month have for each condition.
async fn filters(
    store: &Store,
    tenant: &TenantId,
    filter: &OwnLineFilter,
) -> Result<Filters, PageProblem> {
    let BilledNames {
        products,
        projects,
        kinds,
    } = store.own_names(tenant, filter.period).await?;
    let without = [
        ("product", "product (shared costs)"),
        ("project", "project of yours"),
        ("kind", "kind"),
        ("resource", "resource"),
    ];
    let without = without.map(|(value, name)| (value.to_owned(), name.to_owned()));
    let of_month = OwnLineFilter {
        period: filter.period,
        ..OwnLineFilter::default()
    };
    Ok(Filters {
        period: month(filter.period),
        selects: vec![
            Select::of_names("kind", "Kind", kinds, filter.kind.as_deref()),
            Select::of_names("product", "Product", products, filter.product.as_deref()),
            Select::of_names(
                "project",
                "Project on the bill",
                projects,
                filter.project_name.as_deref(),
            ),
            Select::new(
                "without",
                "Only costs without",
                without,
                filter.without.map(GroupBy::name),
            ),
        ],
        resource: chosen_resource(store, tenant, filter).await?,
        reset: if *filter == of_month {
            String::new()
        } else {
            address(&of_month, None)
        },
    })
}

async fn chosen_resource(
    store: &Store,
    tenant: &TenantId,
    filter: &OwnLineFilter,
) -> Result<Option<ChosenResource>, PageProblem> {
    let without = OwnLineFilter {
        resource_id: None,
        former_resource: None,
        ..filter.clone()
    };
    let remove = address(&without, None);
    if let Some(id) = filter.resource_id {
        // The resource of another tenant is unknown here.
        let found = store.resource(id, Some(tenant.as_str())).await.ok();
        let value = id.to_string();
        return Ok(Some(ChosenResource {
            name: found.as_ref().map_or_else(
                || value.clone(),
                |found| format!("{} ({})", found.name, found.kind),
            ),
            link: found.map_or_else(String::new, |found| format!("/inventory/{}", found.id)),
            value,
            remove,
        }));
    }
    Ok(filter.former_resource.clone().map(|value| ChosenResource {
        name: format!("{value}, which is not yours any more"),
        value,
        link: String::new(),
        remove,
    }))
}

fn row(line: OwnCostLine, names: &HashMap<Uuid, ResourceLink>) -> Row {
    let resource = line.resource_id.and_then(|id| names.get(&id));
    Row {
        id: line.id,
        name: name(&line),
        amount: Money(line.amount),
        share: line.share,
        resource: resource.cloned(),
        product: line.product,
        start: line.start_at.map(Moment),
        end: line.end_at.map(Moment),
        project: line.project_name.unwrap_or_default(),
    }
}

/// Returns the description of a line, or its product if the tenant may not know the description.
pub(super) fn name(line: &OwnCostLine) -> String {
    let description = line.description.as_ref().filter(|text| !text.is_empty());
    description.unwrap_or(&line.product).clone()
}
