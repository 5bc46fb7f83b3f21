//! The evidence of a line's match and tenant in words.

use store::invoices::CostLine;

use crate::routes::cost_lines::filter::{AMBIGUOUS, HISTORIC, UNMATCHED};

/// Returns true if an operator should choose the resource of a line with this rule.
pub(super) fn needs_attention(rule: &str) -> bool {
    matches!(rule, UNMATCHED | AMBIGUOUS)
}

/// Explains the match of a line.
pub(super) fn of_match(line: &CostLine) -> String {
    let kind = line.kind.as_deref().unwrap_or("resource");
    let name = line.resource_name.as_deref().unwrap_or("no name");
    let mut also: Vec<String> = Vec::new();
    also.extend(
        line.region
            .as_ref()
            .map(|region| format!("region {region}")),
    );
    also.extend(line.size.as_ref().map(|size| format!("size {size}")));
    let also = if also.is_empty() {
        String::new()
    } else {
        format!(" with {}", also.join(" and "))
    };
    let id = |id: &Option<String>| id.clone().unwrap_or_default();
    match line.match_rule.as_str() {
        "operator" if line.is_shared => {
            "An operator marked the line as a shared cost. The match rules do not apply.".to_owned()
        }
        "operator" => "An operator chose the resource. The match rules do not apply.".to_owned(),
        "uuid" => format!(
            "DigitalOcean's item of the line has the UUID {} of the resource.",
            id(&line.provider_resource_uuid)
        ),
        "id" => format!(
            "DigitalOcean's item of the line has the id {} of the resource.",
            id(&line.provider_resource_id)
        ),
        "group" => format!(
            "The group of the line is named {:?}. One resource of that name{also} existed in the \
             charged time.",
            line.group_description
        ),
        "name" => format!(
            "The description names {name:?}. One {kind} of that name{also} existed in the charged \
             time."
        ),
        "project" => format!(
            "The description names {name:?}, and several resources have that name. The project \
             {:?} on the invoice decides.",
            line.project_name
        ),
        HISTORIC => "DigitalOcean's item of the line has the id of a resource that the mirror has \
                     not observed. Usually it was deleted before the first sync."
            .to_owned(),
        "account" => "The product has no resource: a tax, a credit, a subscription or a similar \
                      charge. Shared costs are allocated to all tenants by the rule of the month."
            .to_owned(),
        AMBIGUOUS => format!(
            "The description names {name:?}, and several resources of that name{also} existed in \
             the charged time. Choose one below."
        ),
        _ => "No resource fits. Choose one below, or mark the line as a shared cost.".to_owned(),
    }
}

/// Explains the source of the tenant.
pub(super) fn of_tenant(line: &CostLine) -> String {
    match line.attributed_by.as_deref() {
        Some("resource") => {
            "The tenant of the resource in the charged time: by an override, or by the project \
             that the mirror recorded for the resource."
        }
        Some("project_name") if line.resource_id.is_some() => {
            "The tenant of the project that the invoice names: the mirror recorded no project of \
             the resource for the charged time."
        }
        Some("project_name") => {
            "The tenant of the project that the invoice names: the line has no stored resource."
        }
        Some("first_known") => {
            "The tenant of the first project that the mirror recorded for the resource, which was \
             after the charged time."
        }
        Some("shared") => "A shared cost has no single tenant: it is allocated to all of them.",
        _ => {
            "Unallocated: no tenant is known. Assign a tenant to the project of the resource, or \
             override the tenant of the resource."
        }
    }
    .to_owned()
}

/// Names the source of the tenant of an interval.
pub(super) fn basis(attributed_by: &str) -> &'static str {
    match attributed_by {
        "resource" => "the resource's project or override",
        "project_name" => "the project on the invoice",
        "first_known" => "the resource's first known project",
        _ => "no known tenant",
    }
}

/// Names the source of the tenant of an interval, for the tenant.
pub(super) fn own_basis(attributed_by: &str) -> &'static str {
    match attributed_by {
        "project_name" => "the project on the bill",
        "first_known" => "the first known project of the resource",
        _ => "the project of the resource, or the decision of an administrator",
    }
}

/// Names the cause of a change.
pub(super) fn cause(cause: &str) -> &str {
    match cause {
        "operator" => "operator",
        "inventory" => "change of the inventory",
        "ingest" => "ingest of the invoice",
        other => other,
    }
}
