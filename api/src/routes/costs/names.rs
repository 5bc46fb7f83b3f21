//! Adds names to the ids of groups: of resources, from the mirror or the invoice, and of projects.

use std::collections::HashMap;

use chrono::{DateTime, Months, NaiveTime, Utc};
use domain::fold_case;
use store::Store;
use store::costs::{BilledResource, ProjectName};
use uuid::Uuid;

use super::{Cost, Grouping};
use crate::problem::Problem;

/// Returns, by group, the name and kind on the latest invoice of each resource that the mirror does
/// not have.
pub(super) fn billed(costs: &[store::costs::Cost]) -> HashMap<String, BilledResource> {
    let mut latest = HashMap::new();
    // Costs are ordered by month, so that the latest month remains.
    for cost in costs {
        if let (Some(group), Some(billed)) = (&cost.group, &cost.billed) {
            latest.insert(group.clone(), billed.clone());
        }
    }
    latest
}

/// Adds the names of the groups; groups of tenants, kinds and products have none.
pub(super) async fn add(
    store: &Store,
    grouping: Grouping,
    billed: &HashMap<String, BilledResource>,
    costs: &mut [Cost],
) -> Result<(), Problem> {
    match grouping {
        Grouping::Resource => add_resources(store, billed, costs).await,
        Grouping::Project => add_projects(store, costs).await,
        Grouping::Tenant | Grouping::Kind | Grouping::Product => Ok(()),
    }
}

/// Sets the name and the kind of each resource.
async fn add_resources(
    store: &Store,
    billed: &HashMap<String, BilledResource>,
    costs: &mut [Cost],
) -> Result<(), Problem> {
    let id_of = |cost: &Cost| cost.group.as_ref()?.parse::<Uuid>().ok();
    let ids: Vec<Uuid> = costs.iter().filter_map(id_of).collect();
    let known = store.resource_names(&ids).await?;
    let known: HashMap<_, _> = known.into_iter().map(|known| (known.id, known)).collect();
    for cost in costs {
        if let Some(known) = id_of(cost).and_then(|id| known.get(&id)) {
            cost.resource_name = Some(known.name.clone());
            cost.kind = Some(known.kind.clone());
        } else if let Some(billed) = cost.group.as_ref().and_then(|group| billed.get(group)) {
            cost.resource_name.clone_from(&billed.name);
            cost.kind.clone_from(&billed.kind);
        }
    }
    Ok(())
}

/// Sets the id and the latest name of each project.
async fn add_projects(store: &Store, costs: &mut [Cost]) -> Result<(), Problem> {
    let names: Vec<String> = costs.iter().filter_map(|cost| cost.group.clone()).collect();
    let mut by_name: HashMap<String, Vec<ProjectName>> = HashMap::new();
    for project in store.projects_named(&names).await? {
        by_name
            .entry(project.queried.clone())
            .or_default()
            .push(project);
    }
    for cost in costs {
        let Some(group) = &cost.group else { continue };
        let projects = by_name.get(&fold_case(group)).map(Vec::as_slice);
        let month_start = cost.period.and_time(NaiveTime::MIN).and_utc();
        let project = projects.and_then(|projects| named_in_month(projects, month_start));
        cost.project_id = project.map(|project| project.id);
        cost.project_name =
            Some(project.map_or_else(|| group.clone(), |project| project.name.clone()));
    }
    Ok(())
}

/// Returns the only project that had the name in a month; if none had it in that month, the only
/// project that ever had it.
fn named_in_month(names: &[ProjectName], start: DateTime<Utc>) -> Option<&ProjectName> {
    let end = start.checked_add_months(Months::new(1)).unwrap_or(start);
    let overlaps = |name: &&ProjectName| {
        name.valid_from < end && name.valid_to.is_none_or(|valid_to| valid_to > start)
    };
    let in_month: Vec<&ProjectName> = names.iter().filter(overlaps).collect();
    // Invoices can be older than the mirror, which knows names from its first listing on.
    let candidates = if in_month.is_empty() {
        names.iter().collect()
    } else {
        in_month
    };
    let first = *candidates.first()?;
    candidates
        .iter()
        .all(|candidate| candidate.id == first.id)
        .then_some(first)
}
