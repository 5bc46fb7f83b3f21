//! Attributes a charge to tenants, by the time that it covers.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::split::split;
use crate::fold_case;

/// A value and the interval in which it is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval<T> {
    pub value: T,
    pub from: DateTime<Utc>,
    /// None if it is still valid.
    pub to: Option<DateTime<Utc>>,
}

impl<T> Interval<T> {
    fn is_valid_at(&self, time: DateTime<Utc>) -> bool {
        self.from <= time && self.to.is_none_or(|to| time < to)
    }
}

/// The overrides of one resource over time, the earliest first. The intervals of one list do not
/// overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    pub tenants: Vec<Interval<String>>,
    pub projects: Vec<Interval<Uuid>>,
}

/// Projects and overrides of a resource over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceHistory {
    /// The projects that the mirror recorded for it, the earliest first. They do not overlap.
    pub projects: Vec<Interval<Uuid>>,
    /// Its own overrides, then those of its parent, of the parent's parent, and so on.
    pub overrides: Vec<Overrides>,
}

/// Names and tenants of projects over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projects {
    /// The tenants of each project, the earliest first.
    pub tenants: HashMap<Uuid, Vec<Interval<String>>>,
    /// The projects with each name, by the name in lower case.
    pub names: HashMap<String, Vec<Interval<Uuid>>>,
    /// When each project first became known, by any name.
    pub known_since: HashMap<Uuid, DateTime<Utc>>,
}

/// The properties of a charge that decide its tenants.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// USD.
    pub amount: Decimal,
    /// The charged interval. If it is empty, the moment of its start counts.
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// The charged resource, if one is known.
    pub resource: Option<&'a ResourceHistory>,
    /// The project name on the invoice; empty for none.
    pub project_name: &'a str,
    /// Whether an operator matched the resource. If so, the project name on the invoice is not
    /// used.
    pub is_matched_by_operator: bool,
}

/// The evidence for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// An override, or the project that the mirror recorded for the resource at that time.
    Resource,
    /// The project name on the invoice.
    ProjectName,
    /// The first project that the mirror recorded for the resource, for an earlier time.
    FirstKnown,
    /// No tenant is known.
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

/// One tenant's part of a charge (USD); no tenant for the unallocated part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub tenant_id: Option<String>,
    pub amount: Decimal,
}

/// A part of the charged interval with one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'a> {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// None for the unallocated part.
    pub tenant: Option<&'a str>,
    pub basis: Basis,
}

/// The tenants of a charge and the evidence for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// At least one, each with a different tenant, in the order of the tenants' names. They sum to
    /// the charge.
    pub shares: Vec<Share>,
    /// The evidence that covers the largest part of the time.
    pub basis: Basis,
}

/// Splits a charge among tenants by time. At each moment the first rule that applies decides (rule
/// of ours):
///
/// 1. The override of the resource, or of its nearest parent with an override: the tenant of the
///    override, or the tenant of its project at that time.
/// 2. The project that the mirror recorded for the resource: its tenant at that time.
/// 3. If the mirror recorded no project for that time: the project name on the invoice, and the
///    tenant of that project at that time. Not for a line that an operator matched.
/// 4. For a time before the first recorded project: that project, and its tenant at that time.
///
/// Overrides and tenants of projects are valid only in the intervals that operators set.
pub fn attribute(charge: &Charge<'_>, projects: &Projects) -> Attribution {
    let mut by_tenant: BTreeMap<Option<String>, i64> = BTreeMap::new();
    let mut by_basis: BTreeMap<Basis, i64> = BTreeMap::new();
    for span in spans(charge, projects) {
        let time = span.to - span.from;
        let time = time.num_microseconds().unwrap_or(i64::MAX).max(0);
        *by_tenant.entry(span.tenant.map(str::to_owned)).or_default() += time;
        *by_basis.entry(span.basis).or_default() += time;
    }
    if by_tenant.values().all(|time| *time == 0) {
        // The charged interval is empty.
        let (first, _) = tenant_at(charge, projects, charge.start);
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
    // Tenants with an amount of zero get no share. A charge of zero goes to the tenant with the
    // longest time.
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
    Attribution { shares, basis }
}

/// Lists the tenants of a charge over time, by the rules of [`attribute`]; the earliest first.
/// The spans cover the charged interval without gaps, and adjacent ones differ.
pub fn spans<'a>(charge: &Charge<'a>, projects: &'a Projects) -> Vec<Span<'a>> {
    let mut cuts = vec![charge.start];
    let mut cut_at = |time: DateTime<Utc>| {
        if charge.start < time && time < charge.end {
            cuts.push(time);
        }
    };
    visit_boundaries(charge, projects, &mut cut_at);
    cuts.sort_unstable();
    cuts.dedup();

    let mut spans: Vec<Span<'a>> = Vec::new();
    for (place, &from) in cuts.iter().enumerate() {
        let to = cuts.get(place + 1).copied().unwrap_or(charge.end);
        let (tenant, basis) = tenant_at(charge, projects, from);
        match spans.last_mut() {
            Some(last) if (last.tenant, last.basis) == (tenant, basis) => last.to = to,
            _ => spans.push(Span {
                from,
                to,
                tenant,
                basis,
            }),
        }
    }
    spans
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
    if let Some(named) = projects.names.get(&fold_case(charge.project_name)) {
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

fn tenant_at<'a>(
    charge: &Charge<'a>,
    projects: &'a Projects,
    time: DateTime<Utc>,
) -> (Option<&'a str>, Basis) {
    if let Some(overridden) = override_at(charge, projects, time) {
        return overridden;
    }
    let memberships: &[Interval<Uuid>] = charge.resource.map_or(&[], |resource| &resource.projects);
    let (tenant, basis) = if let Some(project) = value_at(memberships, time) {
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

/// The tenant of the nearest valid override; none if the override names a project without a tenant.
fn override_at<'a>(
    charge: &Charge<'a>,
    projects: &'a Projects,
    time: DateTime<Utc>,
) -> Option<(Option<&'a str>, Basis)> {
    charge.resource?.overrides.iter().find_map(|overrides| {
        if let Some(tenant) = value_at(&overrides.tenants, time) {
            return Some((Some(tenant.as_str()), Basis::Resource));
        }
        let project = value_at(&overrides.projects, time)?;
        let tenant = projects.tenant_of(*project, time);
        Some((tenant, tenant.map_or(Basis::None, |_| Basis::Resource)))
    })
}

fn value_at<T>(intervals: &[Interval<T>], time: DateTime<Utc>) -> Option<&T> {
    intervals
        .iter()
        .find(|interval| interval.is_valid_at(time))
        .map(|interval| &interval.value)
}

/// The first value, if it became valid after this time.
fn first_after<T>(intervals: &[Interval<T>], time: DateTime<Utc>) -> Option<&T> {
    intervals
        .first()
        .filter(|first| time < first.from)
        .map(|first| &first.value)
}

impl Projects {
    fn tenant_of(&self, project: Uuid, time: DateTime<Utc>) -> Option<&str> {
        value_at(self.tenants.get(&project)?, time).map(String::as_str)
    }

    fn named_by(&self, charge: &Charge<'_>, time: DateTime<Utc>) -> Option<Uuid> {
        if charge.is_matched_by_operator {
            return None;
        }
        self.named(charge.project_name, time)
    }

    /// The project with this name at that time; before that, the project that first became known by
    /// this name. None if two projects qualify.
    pub fn named(&self, name: &str, time: DateTime<Utc>) -> Option<Uuid> {
        let intervals = self.names.get(&fold_case(name))?;
        if name.is_empty() {
            return None;
        }
        only(
            intervals
                .iter()
                .filter(|interval| interval.is_valid_at(time)),
        )
        .or_else(|| {
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
#[path = "attribution_tests.rs"]
mod tests;
