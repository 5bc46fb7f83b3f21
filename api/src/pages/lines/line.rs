//! `/lines/{id}`: one line with the evidence of its match, its tenants over time and its changes.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use store::costs::Override;
use store::inventory::{Resource, ResourceFilter};
use store::invoices::{CostLine, CostLineFilter, Invoice, LineChange};
use store::{Store, StoreError};
use uuid::Uuid;

use super::filter::address;
use super::strip::Strip;
use super::{ResourceLink, explanation, parts};
use crate::csv::{self, FileName};
use crate::extract::{Text, optional_field};
use crate::pages::format::{Moment, Money, month, month_name};
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::parameters::{Parameters, unknown_table};
use crate::pages::session::Viewer;
use crate::problem::Problem;
use crate::routes::cost_lines::filter::UNMATCHED;
use crate::routes::cost_lines::matching::{CostLineDetail, read_line};

/// The most resources that the page offers.
const CANDIDATES: i64 = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineQuery {
    /// A part of the name of a resource to choose.
    #[serde(default, deserialize_with = "optional_field")]
    q: Option<Text>,
}

/// A resource that the line can be matched to.
struct Candidate {
    id: Uuid,
    name: String,
    kind: String,
    provider_id: String,
    region: String,
    /// The tenant now; empty if the resource is unassigned.
    tenant: String,
    first_seen_at: Moment,
    deleted_at: Option<Moment>,
    is_current: bool,
}

/// A change of the line.
struct Change {
    at: Moment,
    by: String,
    cause: String,
    fields: Vec<String>,
}

/// The invoice of the line.
struct Bill {
    uuid: Uuid,
    name: String,
    version: i32,
    is_final: bool,
    verified_at: Option<Moment>,
}

/// The override of the line.
struct Chosen {
    by: String,
    at: Moment,
    /// When a correction moved it from an earlier line.
    moved_at: Option<Moment>,
    reason: Option<String>,
}

#[derive(Template)]
#[template(path = "line.html")]
struct LinePage {
    frame: Frame,
    line: CostLine,
    month: String,
    month_link: String,
    amount: Money,
    /// The amount in the preview, if a part of it is invoiced already.
    preview_amount: Option<Money>,
    /// The invoiced part of the amount in the preview.
    invoiced: Money,
    start: Option<Moment>,
    end: Option<Moment>,
    bill: Option<Bill>,
    estimated_at: Option<Moment>,
    rule_link: String,
    needs_attention: bool,
    of_match: String,
    of_tenant: String,
    /// Empty for a shared cost.
    tenants: Vec<Option<String>>,
    resource: Option<ResourceLink>,
    chosen: Option<Chosen>,
    strip: Option<Strip>,
    /// The searched text.
    q: String,
    candidates: Vec<Candidate>,
    has_more: bool,
    changes: Vec<Change>,
}

pub(super) async fn show(
    viewer: Viewer,
    store: &Store,
    id: Uuid,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    let table = parameters.take_table()?;
    let query: LineQuery = parameters.read()?;
    let detail = read_line(store, id).await?;
    if let Some(table) = table {
        return csv(viewer, &table, detail);
    }
    let line = detail.line;
    let q = query.q.map(String::from).unwrap_or_default();
    let mut candidates = candidates(store, &line, &q).await?;
    let limit = usize::try_from(CANDIDATES).unwrap_or_default();
    let has_more = candidates.len() > limit;
    candidates.truncate(limit);
    let of_rule = CostLineFilter {
        period: line.period,
        match_rules: vec![line.match_rule.clone()],
        ..CostLineFilter::default()
    };
    let resource = match line.resource_id {
        Some(id) => store.resource_names(&[id]).await?.pop(),
        None => None,
    };
    let estimated_at = if line.is_estimate {
        let after = line.period.checked_add_months(chrono::Months::new(1));
        let estimates = store.estimates(after, 1).await?;
        estimates.first().map(|estimate| estimate.estimated_at)
    } else {
        None
    };
    let bill = match line.invoice_uuid {
        Some(uuid) => Some(bill(store.invoice(uuid).await?)),
        None => None,
    };
    render(&LinePage {
        frame: viewer.frame(&title(&line), "/lines"),
        month: month_name(line.period),
        month_link: format!("/lines?period={}", month(line.period)),
        amount: Money(line.amount),
        preview_amount: line.preview_amount.map(Money),
        invoiced: Money(line.preview_amount.unwrap_or(line.amount) - line.amount),
        start: line.start_at.map(Moment),
        end: line.end_at.map(Moment),
        bill,
        estimated_at: estimated_at.map(Moment),
        rule_link: address(&of_rule, None),
        needs_attention: explanation::needs_attention(&line.match_rule),
        of_match: explanation::of_match(&line),
        of_tenant: explanation::of_tenant(&line),
        tenants: parts(&line)
            .iter()
            .map(|(tenant, _)| tenant.map(str::to_owned))
            .collect(),
        resource: resource.map(|found| ResourceLink {
            id: found.id,
            name: found.name,
            kind: found.kind,
        }),
        chosen: detail.r#override.map(chosen),
        strip: Strip::new(&line, &detail.intervals),
        q,
        candidates: candidates
            .into_iter()
            .map(|resource| candidate(&line, resource))
            .collect(),
        has_more,
        changes: changes(store, detail.changes).await?,
        line,
    })
}

/// The names of tables in the addresses of their CSV.
const INTERVALS: &str = "intervals";
const CHANGES: &str = "changes";

/// Returns a table of the page as CSV.
fn csv(viewer: Viewer, table: &str, detail: CostLineDetail) -> Result<Response, PageProblem> {
    let file = |name: &str| {
        let file = FileName::new(name).month(detail.line.period);
        file.with(Some(&detail.line.id.to_string()))
    };
    Ok(match table {
        INTERVALS => csv::whole(viewer, file("line-tenants"), detail.intervals)?,
        CHANGES => csv::whole(viewer, file("line-changes"), detail.changes)?,
        _ => return Err(unknown_table(table, &[INTERVALS, CHANGES])),
    })
}

/// Returns the title of a line: its description, or its product without one.
pub(super) fn title(line: &CostLine) -> String {
    let text = if line.description.is_empty() {
        &line.product
    } else {
        &line.description
    };
    text.clone()
}

fn bill(invoice: Invoice) -> Bill {
    Bill {
        uuid: invoice.invoice_uuid,
        name: invoice
            .invoice_id
            .unwrap_or_else(|| invoice.invoice_uuid.to_string()),
        version: invoice.version,
        is_final: invoice.is_final,
        verified_at: invoice.verified_at.map(Moment),
    }
}

fn chosen(word: Override) -> Chosen {
    Chosen {
        by: word.set_by,
        at: Moment(word.set_at),
        moved_at: word.moved_at.map(Moment),
        reason: word.reason,
    }
}

/// Returns the resources that the page offers: those that a search finds; without a search, the
/// resource and the candidates of the line, or those of its name, or some of its kind.
async fn candidates(store: &Store, line: &CostLine, q: &str) -> Result<Vec<Resource>, Problem> {
    let search = async |kind: Option<&String>, text: Option<&str>| {
        let filter = ResourceFilter {
            kind: kind.cloned(),
            project: None,
            tenant: None,
            region: None,
            tag: None,
            state: store::inventory::State::All,
            text: text.map(str::to_owned),
        };
        store.resources(&filter, None, CANDIDATES + 1).await
    };
    if !q.is_empty() {
        return Ok(search(None, Some(q)).await?);
    }
    let mut ids: Vec<Uuid> = line.resource_id.into_iter().collect();
    let others = line.match_candidates.iter().flatten();
    ids.extend(others.filter(|id| line.resource_id != Some(**id)));
    let mut found = Vec::new();
    for id in ids {
        match store.resource(id, None).await {
            Ok(resource) => found.push(resource),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !found.is_empty() || line.match_rule != UNMATCHED {
        return Ok(found);
    }
    if let Some(name) = &line.resource_name {
        found = search(None, Some(name)).await?;
    }
    if found.is_empty() && line.kind.is_some() {
        found = search(line.kind.as_ref(), None).await?;
    }
    Ok(found)
}

fn candidate(line: &CostLine, resource: Resource) -> Candidate {
    Candidate {
        is_current: line.resource_id == Some(resource.id),
        id: resource.id,
        name: resource.name,
        kind: resource.kind,
        provider_id: resource.provider_id,
        region: resource.region.unwrap_or_default(),
        tenant: resource.tenant_id.unwrap_or_default(),
        first_seen_at: Moment(resource.first_seen_at),
        deleted_at: resource.deleted_at.map(Moment),
    }
}

/// Returns the changes in words, with the names of resources.
async fn changes(store: &Store, changes: Vec<LineChange>) -> Result<Vec<Change>, Problem> {
    let values = changes
        .iter()
        .filter_map(|change| change.changes.get("resource_id"));
    let ids: Vec<Uuid> = values
        .flat_map(|value| [value.get("before"), value.get("after")])
        .filter_map(|id| id?.as_str()?.parse().ok())
        .collect();
    let names = store.resource_names(&ids).await?;
    let names: HashMap<String, String> = names
        .into_iter()
        .map(|found| (found.id.to_string(), found.name))
        .collect();
    let changes = changes.into_iter().map(|change| Change {
        at: Moment(change.changed_at),
        by: change
            .changed_by
            .or(change.workflow_id)
            .unwrap_or_else(|| "a sync".to_owned()),
        cause: explanation::cause(&change.cause).to_owned(),
        fields: fields(&change.changes, &names),
    });
    Ok(changes.collect())
}

/// Returns `FIELD: BEFORE → AFTER` for each changed field.
fn fields(changes: &Value, names: &HashMap<String, String>) -> Vec<String> {
    let text = |field: &str, value: Option<&Value>| match value {
        Some(Value::String(text)) => names.get(text).unwrap_or(text).clone(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        _ if field == "tenant_id" => "unallocated".to_owned(),
        _ => "none".to_owned(),
    };
    let fields = changes.as_object().into_iter().flatten();
    fields
        .map(|(field, change)| {
            let name = match field.as_str() {
                "match_rule" => "matched by",
                "resource_id" => "resource",
                "tenant_id" => "tenant",
                "is_shared" => "shared cost",
                "override_of" => "override moved from line",
                other => other,
            };
            let before = text(field, change.get("before"));
            let after = text(field, change.get("after"));
            format!("{name}: {before} → {after}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_written_with_the_names_of_resources() {
        let names = [("a".to_owned(), "web-1".to_owned())].into();
        let changes = json!({
            "resource_id": { "before": null, "after": "a" },
            "tenant_id": { "before": "acme", "after": null },
            "is_shared": { "before": true, "after": false },
        });
        assert_eq!(
            fields(&changes, &names),
            [
                "shared cost: yes → no",
                "resource: none → web-1",
                "tenant: acme → unallocated",
            ]
        );
    }
}
