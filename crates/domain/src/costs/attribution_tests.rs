//! Tests of the attribution of charges to tenants.

use chrono::TimeZone as _;
use proptest::prelude::*;

use super::*;

fn april(day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 4, day, 0, 0, 0).unwrap()
}

fn project(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn interval<T>(value: T, from: u32, to: Option<u32>) -> Interval<T> {
    Interval {
        value,
        from: april(from),
        to: to.map(april),
    }
}

/// Project 1, named "Web", has the tenant acme; project 2, named "Data", has beta; project 3, named
/// "Free", has none.
fn projects() -> Projects {
    let named = |number, from| vec![interval(project(number), from, None)];
    Projects {
        tenants: HashMap::from([
            (project(1), vec![interval("acme".to_owned(), 1, None)]),
            (project(2), vec![interval("beta".to_owned(), 1, None)]),
        ]),
        names: HashMap::from([
            ("web".to_owned(), named(1, 5)),
            ("data".to_owned(), named(2, 5)),
            ("free".to_owned(), named(3, 5)),
        ]),
        known_since: (1..=3).map(|number| (project(number), april(5))).collect(),
    }
}

fn in_projects(intervals: Vec<Interval<Uuid>>) -> ResourceHistory {
    ResourceHistory {
        projects: intervals,
        overrides: Vec::new(),
    }
}

/// Ten dollars for ten days, the 11th to the 20th.
fn attributed(
    resource: Option<&ResourceHistory>,
    project_name: &str,
    projects: &Projects,
) -> Attribution {
    let charge = Charge {
        amount: Decimal::from(10),
        start: april(11),
        end: april(21),
        resource,
        project_name,
        is_matched_by_operator: false,
    };
    attribute(&charge, projects)
}

fn shares(attributed: &Attribution) -> Vec<(Option<&str>, Decimal)> {
    attributed
        .shares
        .iter()
        .map(|share| (share.tenant_id.as_deref(), share.amount))
        .collect()
}

fn dollars(dollars: i64) -> Decimal {
    Decimal::new(dollars * 100, 2)
}

#[test]
fn a_charge_goes_to_the_tenant_of_the_recorded_project() {
    let resource = in_projects(vec![interval(project(1), 6, None)]);
    let attributed = attributed(Some(&resource), "Data", &projects());
    assert_eq!(shares(&attributed), [(Some("acme"), dollars(10))]);
    assert_eq!(attributed.basis, Basis::Resource);
}

#[test]
fn a_charge_is_split_by_time_if_the_resource_moved() {
    let resource = in_projects(vec![
        interval(project(1), 6, Some(14)),
        interval(project(2), 14, Some(19)),
        interval(project(3), 19, None),
    ]);
    let attributed = attributed(Some(&resource), "", &projects());
    assert_eq!(
        shares(&attributed),
        [
            (None, dollars(2)),
            (Some("acme"), dollars(3)),
            (Some("beta"), dollars(5))
        ]
    );
}

#[test]
fn a_charge_is_split_by_time_if_the_tenant_changed() {
    let mut projects = projects();
    projects.tenants.insert(
        project(1),
        vec![
            interval("acme".to_owned(), 1, Some(12)),
            interval("beta".to_owned(), 13, None),
        ],
    );
    let resource = in_projects(vec![interval(project(1), 1, None)]);
    assert_eq!(
        shares(&attributed(Some(&resource), "", &projects)),
        [
            (None, dollars(1)),
            (Some("acme"), dollars(1)),
            (Some("beta"), dollars(8))
        ]
    );
}

#[test]
fn before_the_first_record_the_invoices_project_takes_precedence() {
    let resource = in_projects(vec![interval(project(2), 25, None)]);
    let by_invoice = attributed(Some(&resource), "WEB", &projects());
    assert_eq!(shares(&by_invoice), [(Some("acme"), dollars(10))]);
    assert_eq!(by_invoice.basis, Basis::ProjectName);

    let unnamed = attributed(Some(&resource), "", &projects());
    assert_eq!(shares(&unnamed), [(Some("beta"), dollars(10))]);
    assert_eq!(unnamed.basis, Basis::FirstKnown);
}

#[test]
fn a_tenant_pays_from_the_time_of_its_assignment_on() {
    let mut projects = projects();
    projects
        .tenants
        .insert(project(1), vec![interval("acme".to_owned(), 16, None)]);
    let resource = in_projects(vec![interval(project(1), 1, None)]);
    assert_eq!(
        shares(&attributed(Some(&resource), "", &projects)),
        [(None, dollars(5)), (Some("acme"), dollars(5))]
    );
}

fn override_tenant(tenant: &str, from: u32, to: Option<u32>) -> Overrides {
    Overrides {
        tenants: vec![interval(tenant.to_owned(), from, to)],
        projects: Vec::new(),
    }
}

#[test]
fn an_override_is_valid_in_its_interval_only() {
    let mut resource = in_projects(vec![interval(project(1), 1, None)]);
    resource.overrides = vec![override_tenant("gamma", 16, Some(18))];
    assert_eq!(
        shares(&attributed(Some(&resource), "", &projects())),
        [(Some("acme"), dollars(8)), (Some("gamma"), dollars(2))]
    );
}

#[test]
fn an_override_of_the_project_follows_the_tenants_of_that_project() {
    let mut resource = in_projects(vec![interval(project(1), 1, None)]);
    resource.overrides = vec![Overrides {
        tenants: Vec::new(),
        projects: vec![
            interval(project(2), 13, Some(16)),
            interval(project(3), 16, None),
        ],
    }];
    assert_eq!(
        shares(&attributed(Some(&resource), "Data", &projects())),
        [
            (None, dollars(5)),
            (Some("acme"), dollars(2)),
            (Some("beta"), dollars(3))
        ]
    );
}

#[test]
fn the_nearest_override_of_a_resource_and_its_parents_applies() {
    let mut resource = in_projects(vec![interval(project(1), 1, None)]);
    resource.overrides = vec![
        override_tenant("own", 19, None),
        override_tenant("cluster", 15, None),
    ];
    assert_eq!(
        shares(&attributed(Some(&resource), "", &projects())),
        [
            (Some("acme"), dollars(4)),
            (Some("cluster"), dollars(4)),
            (Some("own"), dollars(2))
        ]
    );
}

#[test]
fn a_line_matched_by_an_operator_ignores_the_invoices_project() {
    let projects = projects();
    let known_later = in_projects(vec![interval(project(1), 25, None)]);
    let never_in_a_project = ResourceHistory::default();
    for (resource, tenant) in [(&known_later, Some("acme")), (&never_in_a_project, None)] {
        let charge = Charge {
            amount: dollars(10),
            start: april(11),
            end: april(21),
            resource: Some(resource),
            project_name: "data",
            is_matched_by_operator: true,
        };
        assert_eq!(
            shares(&attribute(&charge, &projects)),
            [(tenant, dollars(10))]
        );
    }
}

#[test]
fn without_a_resource_the_project_name_decides() {
    let by_name = attributed(None, "data", &projects());
    assert_eq!(shares(&by_name), [(Some("beta"), dollars(10))]);
    for name in ["", "free", "unknown"] {
        let unallocated = attributed(None, name, &projects());
        assert_eq!(shares(&unallocated), [(None, dollars(10))], "{name}");
        assert_eq!(unallocated.basis, Basis::None);
    }
}

#[test]
fn a_reused_project_name_is_resolved_by_date_and_an_ambiguous_one_is_not() {
    let mut projects = projects();
    projects.names.insert(
        "web".to_owned(),
        vec![
            interval(project(2), 1, Some(16)),
            interval(project(1), 16, None),
        ],
    );
    projects.known_since.insert(project(2), april(1));
    assert_eq!(
        shares(&attributed(None, "web", &projects)),
        [(Some("acme"), dollars(5)), (Some("beta"), dollars(5))]
    );
    projects.names.insert(
        "web".to_owned(),
        vec![interval(project(2), 1, None), interval(project(1), 1, None)],
    );
    assert_eq!(
        shares(&attributed(None, "web", &projects)),
        [(None, dollars(10))]
    );
}

#[test]
fn an_empty_interval_is_attributed_by_its_moment() {
    let resource = in_projects(vec![
        interval(project(1), 1, Some(11)),
        interval(project(2), 11, None),
    ]);
    let projects = projects();
    let charge = Charge {
        amount: dollars(1),
        start: april(11),
        end: april(11),
        resource: Some(&resource),
        project_name: "",
        is_matched_by_operator: false,
    };
    assert_eq!(
        shares(&attribute(&charge, &projects)),
        [(Some("beta"), dollars(1))]
    );
}

/// Intervals of one resource or project: one after the other, with gaps.
fn intervals(values: u128) -> impl Strategy<Value = Vec<Interval<u128>>> {
    prop::collection::vec((0..values, 1_u32..8, 0_u32..4), 0..4).prop_map(|parts| {
        let mut day = 1;
        let mut intervals = Vec::new();
        for (value, length, gap) in parts {
            let from = day + gap;
            if from + length > 29 {
                break;
            }
            intervals.push(interval(value, from, Some(from + length)));
            day = from + length;
        }
        intervals
    })
}

fn with_values<T>(intervals: Vec<Interval<u128>>, value: impl Fn(u128) -> T) -> Vec<Interval<T>> {
    intervals
        .into_iter()
        .map(|interval| Interval {
            value: value(interval.value),
            from: interval.from,
            to: interval.to,
        })
        .collect()
}

proptest! {
    #[test]
    fn the_shares_sum_to_the_charge_and_each_tenant_has_one_share(
        cents in any::<i32>(),
        memberships in intervals(3),
        overridden_tenants in intervals(2),
        overridden_projects in intervals(3),
        is_matched_by_operator in any::<bool>(),
        tenants in prop::collection::vec(intervals(3), 3),
        start in 1_u32..28, days in 0_u32..10,
        project_name in prop::sample::select(vec!["", "web", "data", "unknown"]),
    ) {
        let mut projects = projects();
        for (number, intervals) in (1..).zip(tenants) {
            projects.tenants.insert(project(number), with_values(intervals, |tenant| format!("tenant-{tenant}")));
        }
        let resource = ResourceHistory {
            projects: with_values(memberships, |number| project(number + 1)),
            overrides: vec![Overrides {
                tenants: with_values(overridden_tenants, |tenant| format!("override-{tenant}")),
                projects: with_values(overridden_projects, |number| project(number + 1)),
            }],
        };
        let charge = Charge {
            amount: Decimal::new(i64::from(cents), 2),
            start: april(start),
            end: april(start) + chrono::TimeDelta::days(i64::from(days)),
            resource: Some(&resource),
            project_name,
            is_matched_by_operator,
        };
        let attributed = attribute(&charge, &projects);
        prop_assert_eq!(attributed.shares.iter().map(|share| share.amount).sum::<Decimal>(), charge.amount);
        let tenants: Vec<_> = attributed.shares.iter().map(|share| &share.tenant_id).collect();
        prop_assert!(!tenants.is_empty() && tenants.windows(2).all(|pair| pair[0] < pair[1]));

        let spans = spans(&charge, &projects);
        prop_assert_eq!(spans[0].from, charge.start);
        prop_assert_eq!(spans[spans.len() - 1].to, charge.end);
        for pair in spans.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
            prop_assert_ne!((pair[0].tenant, pair[0].basis), (pair[1].tenant, pair[1].basis));
        }
        for share in attributed.shares {
            prop_assert!(spans.iter().any(|span| span.tenant == share.tenant_id.as_deref()));
        }
    }
}
