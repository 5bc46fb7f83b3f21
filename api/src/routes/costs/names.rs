//! Names beside the ids of groups.

use std::collections::HashMap;

use chrono::{DateTime, Months, NaiveTime, Utc};
use store::Store;
use store::costs::{BilledResource, ProjectName};
use uuid::Uuid;

use super::Cost;
use crate::problem::Problem;

/// By group, what the latest bill says of resources that this mirror does not have.
pub(super) fn billed(costs: &[store::costs::Cost]) -> HashMap<String, BilledResource> {
    let mut latest = HashMap::new();
    // In the order of the months.
    for cost in costs {
        if let (Some(group), Some(billed)) = (&cost.group, &cost.billed) {
            latest.insert(group.clone(), billed.clone());
        }
    }
    latest
}

/// Adds the name and the kind of each resource.
pub(super) async fn add_resources(
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

/// Adds the id and the latest name of each project.
pub(super) async fn add_projects(store: &Store, costs: &mut [Cost]) -> Result<(), Problem> {
    let names: Vec<String> = costs.iter().filter_map(|cost| cost.group.clone()).collect();
    let mut by_name: HashMap<String, Vec<ProjectName>> = HashMap::new();
    for project in store.projects_named(&names).await? {
        by_name
            .entry(project.asked.clone())
            .or_default()
            .push(project);
    }
    for cost in costs {
        let Some(group) = &cost.group else { continue };
        let had = by_name.get(&group.to_lowercase()).map(Vec::as_slice);
        let begins = cost.period.and_time(NaiveTime::MIN).and_utc();
        let project = had.and_then(|had| named_in_month(had, begins));
        cost.project_id = project.map(|project| project.id);
        cost.project_name =
            Some(project.map_or_else(|| group.clone(), |project| project.name.clone()));
    }
    Ok(())
}

/// The one project that had a name in a month; of a month in which none had it, the one that ever had.
fn named_in_month(had: &[ProjectName], begins: DateTime<Utc>) -> Option<&ProjectName> {
    let ends = begins.checked_add_months(Months::new(1)).unwrap_or(begins);
    let overlaps = |name: &&ProjectName| {
        name.valid_from < ends && name.valid_to.is_none_or(|valid_to| valid_to > begins)
    };
    let in_month: Vec<&ProjectName> = had.iter().filter(overlaps).collect();
    // Bills are older than the mirror.
    let candidates = if in_month.is_empty() {
        had.iter().collect()
    } else {
        in_month
    };
    let first = *candidates.first()?;
    candidates
        .iter()
        .all(|candidate| candidate.id == first.id)
        .then_some(first)
}
