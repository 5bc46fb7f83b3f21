//! The tenants of a charge, by the time that it is for.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::split::split;

/// A value that holds for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval<T> {
    pub value: T,
    pub from: DateTime<Utc>,
    /// None while it holds.
    pub to: Option<DateTime<Utc>>,
}

impl<T> Interval<T> {
    fn holds_at(&self, time: DateTime<Utc>) -> bool {
        self.from <= time && self.to.is_none_or(|to| time < to)
    }
}

/// The overrides of one resource by time, the earliest first; those of one list do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    pub tenants: Vec<Interval<String>>,
    pub projects: Vec<Interval<Uuid>>,
}

/// Projects and overrides of a resource by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceHistory {
    /// The projects in which the mirror saw it, the earliest first; they do not overlap.
    pub projects: Vec<Interval<Uuid>>,
    /// Its own overrides, then those of its parent, of the parent's parent, and so on.
    pub overrides: Vec<Overrides>,
}

/// Names and tenants of projects by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projects {
    /// Of each project, the earliest first.
    pub tenants: HashMap<Uuid, Vec<Interval<String>>>,
    /// By the name in lower case: which projects had it.
    pub names: HashMap<String, Vec<Interval<Uuid>>>,
    /// When each project was first known by any name.
    pub known_since: HashMap<Uuid, DateTime<Utc>>,
}

/// A charge, as far as it matters whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// USD.
    pub amount: Decimal,
    /// The time that it is for; a charge for no time is for the moment of its start.
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// The resource that it is for, where one is known.
    pub resource: Option<&'a ResourceHistory>,
    /// The project that the invoice names; empty for none.
    pub project_name: &'a str,
    /// An operator named the resource: the project that the invoice names is no evidence then.
    pub is_matched_by_operator: bool,
}

/// How an owner is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// An override, or the project that the mirror saw the resource in at that time.
    Resource,
    /// The project that the invoice names.
    ProjectName,
    /// The first project that the mirror saw the resource in, for a time before that.
    FirstKnown,
    /// Nobody is known.
    None,
}

impl Basis {
    /// The column's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::ProjectName => "project_name",
            Self::FirstKnown => "first_known",
            Self::None => "none",
        }
    }
}

/// One tenant's part of a charge (USD); none for what is nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub tenant_id: Option<String>,
    pub amount: Decimal,
}

/// The tenants of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// At least one, each of another tenant, in the order of their names; they sum to the charge.
    pub shares: Vec<Share>,
    /// How the owner of the largest part of the time is known.
    pub basis: Basis,
}

/// Splits a charge among the tenants by time. At each moment, the first of these that applies (our rule):
///
/// 1. the override of the resource, or of the nearest parent that has one: its tenant, or the tenant of its project then;
/// 2. the project that the mirror saw the resource in: its tenant then;
/// 3. for a time when the mirror saw it in no project: the project that the invoice names, and its tenant then. Not for a line that
///    an operator matched;
/// 4. for a time before the first project: that project, and its tenant then.
///
/// Overrides and assignments of tenants hold for the time that operators gave them, and for no other.
pub fn owners_of(charge: &Charge<'_>, projects: &Projects) -> Owned {
    let mut cuts = vec![charge.start];
    let mut cut_at = |time: DateTime<Utc>| {
        if charge.start < time && time < charge.end {
            cuts.push(time);
        }
    };
    visit_boundaries(charge, projects, &mut cut_at);
    cuts.sort_unstable();
    cuts.dedup();

    let mut by_tenant: BTreeMap<Option<String>, i64> = BTreeMap::new();
    let mut by_basis: BTreeMap<Basis, i64> = BTreeMap::new();
    for (place, &from) in cuts.iter().enumerate() {
        let to = cuts.get(place + 1).copied().unwrap_or(charge.end);
        let time = (to - from).num_microseconds().unwrap_or(i64::MAX).max(0);
        let (tenant, basis) = owner_at(charge, projects, from);
        *by_tenant.entry(tenant.map(str::to_owned)).or_default() += time;
        *by_basis.entry(basis).or_default() += time;
    }
    if by_tenant.values().all(|time| *time == 0) {
        // For a moment.
        let (first, _) = owner_at(charge, projects, charge.start);
        by_tenant = BTreeMap::from([(first.map(str::to_owned), 1)]);
    }
    let longest = by_tenant.values().copied().max().unwrap_or_default();
    let weights: Vec<Decimal> = by_tenant.values().copied().map(Decimal::from).collect();
    let amounts = split(charge.amount, &weights);
    let mut shares: Vec<(Share, i64)> = by_tenant
        .into_iter()
        .zip(amounts)
        .map(|((tenant_id, time), amount)| (Share { tenant_id, amount }, time))
        .collect();
    // Who owes nothing has no share; of what costs nothing, who had it longest.
    if charge.amount.is_zero() {
        shares.retain(|(_, time)| *time == longest);
        shares.truncate(1);
    } else {
        shares.retain(|(share, _)| !share.amount.is_zero());
    }
    let shares = shares.into_iter().map(|(share, _)| share).collect();
    let basis = by_basis
        .into_iter()
        .rev()
        .max_by_key(|(_, time)| *time)
        .map_or(Basis::None, |(basis, _)| basis);
    Owned { shares, basis }
}

fn visit_boundaries(
    charge: &Charge<'_>,
    projects: &Projects,
    visit: &mut impl FnMut(DateTime<Utc>),
) {
    let mut concerned: Vec<Uuid> = Vec::new();
    if let Some(resource) = charge.resource {
        for overrides in &resource.overrides {
            each_boundary(&overrides.tenants, visit);
            each_boundary(&overrides.projects, visit);
            concerned.extend(overrides.projects.iter().map(|interval| interval.value));
        }
        each_boundary(&resource.projects, visit);
        concerned.extend(resource.projects.iter().map(|interval| interval.value));
    }
    if let Some(named) = projects.names.get(&charge.project_name.to_lowercase()) {
        each_boundary(named, visit);
        for project in named.iter().map(|interval| interval.value) {
            if let Some(since) = projects.known_since.get(&project) {
                visit(*since);
            }
            concerned.push(project);
        }
    }
    for project in concerned {
        if let Some(tenants) = projects.tenants.get(&project) {
            each_boundary(tenants, visit);
        }
    }
}

fn each_boundary<T>(intervals: &[Interval<T>], visit: &mut impl FnMut(DateTime<Utc>)) {
    for interval in intervals {
        visit(interval.from);
        if let Some(to) = interval.to {
            visit(to);
        }
    }
}

fn owner_at<'a>(
    charge: &Charge<'a>,
    projects: &'a Projects,
    time: DateTime<Utc>,
) -> (Option<&'a str>, Basis) {
    if let Some(owner) = overridden_at(charge, projects, time) {
        return owner;
    }
    let memberships: &[Interval<Uuid>] = charge.resource.map_or(&[], |resource| &resource.projects);
    let (tenant, basis) = if let Some(project) = held_at(memberships, time) {
        (projects.tenant_of(*project, time), Basis::Resource)
    } else if let Some(project) = projects.named_by(charge, time) {
        (projects.tenant_of(project, time), Basis::ProjectName)
    } else if let Some(first) = first_after(memberships, time) {
        (projects.tenant_of(*first, time), Basis::FirstKnown)
    } else {
        (None, Basis::None)
    };
    (tenant, tenant.map_or(Basis::None, |_| basis))
}

/// The tenant by the nearest override that holds: none where the override names a project without a tenant.
fn overridden_at<'a>(
    charge: &Charge<'a>,
    projects: &'a Projects,
    time: DateTime<Utc>,
) -> Option<(Option<&'a str>, Basis)> {
    charge.resource?.overrides.iter().find_map(|overrides| {
        if let Some(tenant) = held_at(&overrides.tenants, time) {
            return Some((Some(tenant.as_str()), Basis::Resource));
        }
        let project = held_at(&overrides.projects, time)?;
        let tenant = projects.tenant_of(*project, time);
        Some((tenant, tenant.map_or(Basis::None, |_| Basis::Resource)))
    })
}

fn held_at<T>(intervals: &[Interval<T>], time: DateTime<Utc>) -> Option<&T> {
    intervals
        .iter()
        .find(|interval| interval.holds_at(time))
        .map(|interval| &interval.value)
}

/// What was said first, if that was later.
fn first_after<T>(intervals: &[Interval<T>], time: DateTime<Utc>) -> Option<&T> {
    intervals
        .first()
        .filter(|first| time < first.from)
        .map(|first| &first.value)
}

impl Projects {
    fn tenant_of(&self, project: Uuid, time: DateTime<Utc>) -> Option<&str> {
        held_at(self.tenants.get(&project)?, time).map(String::as_str)
    }

    fn named_by(&self, charge: &Charge<'_>, time: DateTime<Utc>) -> Option<Uuid> {
        if charge.is_matched_by_operator {
            return None;
        }
        self.named(charge.project_name, time)
    }

    /// The project that had the name then; before any name of it was known, the first that is. Two are no answer.
    fn named(&self, name: &str, time: DateTime<Utc>) -> Option<Uuid> {
        let intervals = self.names.get(&name.to_lowercase())?;
        if name.is_empty() {
            return None;
        }
        only(intervals.iter().filter(|interval| interval.holds_at(time))).or_else(|| {
            only(intervals.iter().filter(|interval| {
                time < interval.from
                    && self.known_since.get(&interval.value) == Some(&interval.from)
            }))
        })
    }
}

fn only<'a, T: Copy + Eq + Hash + 'a>(
    mut intervals: impl Iterator<Item = &'a Interval<T>>,
) -> Option<T> {
    let first = intervals.next()?.value;
    intervals
        .all(|interval| interval.value == first)
        .then_some(first)
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
