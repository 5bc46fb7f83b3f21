//! Whose a charge is, and was when it fell due.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::split::split;

/// What held for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spell<T> {
    pub value: T,
    pub from: DateTime<Utc>,
    /// None while it holds.
    pub to: Option<DateTime<Utc>>,
}

impl<T> Spell<T> {
    fn holds_at(&self, time: DateTime<Utc>) -> bool {
        self.from <= time && self.to.is_none_or(|to| time < to)
    }
}

/// Where a resource was, by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceHistory {
    /// The projects it was in, the earliest first; they do not overlap.
    pub projects: Vec<Spell<Uuid>>,
    /// The tenants it was pinned to whatever its project, the earliest first; they do not overlap.
    pub tenants: Vec<Spell<String>>,
}

/// What projects were called and whose they were, by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projects {
    /// Of each project, the earliest first.
    pub tenants: HashMap<Uuid, Vec<Spell<String>>>,
    /// Projects whose first tenant was assigned as of a date: before that they were nobody's.
    pub dated: HashSet<Uuid>,
    /// By the name in lower case: which projects had it.
    pub names: HashMap<String, Vec<Spell<Uuid>>>,
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
}

/// How an owner is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// A pin on the resource, or the project that the mirror saw it in at that time.
    Resource,
    /// The project that the invoice names.
    ProjectName,
    /// What was first said of the resource or its project, for a time before that.
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

/// Whose a charge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// At least one, each of another tenant, in the order of their names; they sum to the charge.
    pub shares: Vec<Share>,
    /// How the owner of the largest part of the time is known.
    pub basis: Basis,
}

/// Whose a charge is: split by time where that changed within the time that it is for. At each moment, the first
/// of these that says something (rule of ours):
///
/// 1. the tenant that the resource was pinned to;
/// 2. the project that the mirror saw the resource in: its tenant then;
/// 3. for a time when the mirror saw it in no project: the project that the invoice names, and its tenant then;
/// 4. for a time before the first pin, that pin; before the first project, that project.
///
/// A project's first tenant counts for the time before it was assigned as well, unless it was assigned as of a date: until then nobody
/// had said whose the project is. All later dates are taken at their word.
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
        each_boundary(&resource.tenants, visit);
        each_boundary(&resource.projects, visit);
        concerned.extend(resource.projects.iter().map(|spell| spell.value));
    }
    if let Some(named) = projects.names.get(&charge.project_name.to_lowercase()) {
        each_boundary(named, visit);
        for project in named.iter().map(|spell| spell.value) {
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

fn each_boundary<T>(spells: &[Spell<T>], visit: &mut impl FnMut(DateTime<Utc>)) {
    for spell in spells {
        visit(spell.from);
        if let Some(to) = spell.to {
            visit(to);
        }
    }
}

fn owner_at<'a>(
    charge: &Charge<'a>,
    projects: &'a Projects,
    time: DateTime<Utc>,
) -> (Option<&'a str>, Basis) {
    let (pins, memberships): (&[Spell<String>], &[Spell<Uuid>]) =
        charge.resource.map_or((&[], &[]), |resource| {
            (&resource.tenants, &resource.projects)
        });
    if let Some(pin) = held_at(pins, time) {
        return (Some(pin), Basis::Resource);
    }
    let by_project = if let Some(project) = held_at(memberships, time) {
        (projects.tenant_of(*project, time), Basis::Resource)
    } else if let Some(project) = projects.named(charge.project_name, time) {
        (projects.tenant_of(project, time), Basis::ProjectName)
    } else if let Some(first) = first_after(memberships, time) {
        (projects.tenant_of(*first, time), Basis::FirstKnown)
    } else {
        (None, Basis::None)
    };
    match (by_project, first_after(pins, time)) {
        ((Some(tenant), basis), _) => (Some(tenant), basis),
        ((None, _), Some(pin)) => (Some(pin), Basis::FirstKnown),
        ((None, _), None) => (None, Basis::None),
    }
}

fn held_at<T>(spells: &[Spell<T>], time: DateTime<Utc>) -> Option<&T> {
    spells
        .iter()
        .find(|spell| spell.holds_at(time))
        .map(|spell| &spell.value)
}

/// What was said first, if that was later.
fn first_after<T>(spells: &[Spell<T>], time: DateTime<Utc>) -> Option<&T> {
    spells
        .first()
        .filter(|first| time < first.from)
        .map(|first| &first.value)
}

impl Projects {
    fn tenant_of(&self, project: Uuid, time: DateTime<Utc>) -> Option<&str> {
        let spells = self.tenants.get(&project)?;
        held_at(spells, time)
            .or_else(|| first_after(spells, time).filter(|_| !self.dated.contains(&project)))
            .map(String::as_str)
    }

    /// The project that had the name then; before any name of it was known, the first that is. Two are no answer.
    fn named(&self, name: &str, time: DateTime<Utc>) -> Option<Uuid> {
        let spells = self.names.get(&name.to_lowercase())?;
        if name.is_empty() {
            return None;
        }
        only(spells.iter().filter(|spell| spell.holds_at(time))).or_else(|| {
            only(spells.iter().filter(|spell| {
                time < spell.from && self.known_since.get(&spell.value) == Some(&spell.from)
            }))
        })
    }
}

fn only<'a, T: Copy + Eq + Hash + 'a>(mut spells: impl Iterator<Item = &'a Spell<T>>) -> Option<T> {
    let first = spells.next()?.value;
    spells.all(|spell| spell.value == first).then_some(first)
}

#[cfg(test)]
#[path = "owners_tests.rs"]
mod tests;
