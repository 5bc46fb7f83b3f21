//! Totals and groups of cost lines, compared with the lines themselves.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use store::costs::{AfterGroup, GroupBy};
use store::invoices::{CostLine, CostLineFilter, CostLineTotal};

use super::support::Fixture;

/// Checks the list of each filter, and its total, against all lines of a month.
pub(crate) async fn check_filters(fixture: &Fixture, period: NaiveDate) {
    let all = CostLineFilter {
        period,
        ..CostLineFilter::default()
    };
    let lines = fixture.cost_lines(&all, None, 10_000).await.unwrap();
    let stored: i64 =
        sqlx::query_scalar("select count(*) from cloud_cost_lines where bill_period = $1")
            .bind(period)
            .fetch_one(&fixture.pool)
            .await
            .unwrap();
    assert_eq!(i64::try_from(lines.len()).unwrap(), stored);
    for filter in filters(&all, &lines) {
        let expected: Vec<&CostLine> = lines.iter().filter(|line| selects(&filter, line)).collect();
        let listed = fixture.cost_lines(&filter, None, 10_000).await.unwrap();
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        let total = CostLineTotal {
            count: i64::try_from(expected.len()).unwrap(),
            amount: expected.iter().map(|line| line.amount).sum(),
            attributed: expected.iter().map(|line| attributed(&filter, line)).sum(),
        };
        let found = fixture.cost_line_total(&filter).await.unwrap();
        assert_eq!(found, total, "{filter:?}");
    }
}

fn filters(all: &CostLineFilter, lines: &[CostLine]) -> Vec<CostLineFilter> {
    let mut filters = vec![all.clone()];
    let mut add = |change: &dyn Fn(&mut CostLineFilter)| {
        let mut filter = all.clone();
        change(&mut filter);
        filters.push(filter);
    };
    for by in [
        GroupBy::Tenant,
        GroupBy::Project,
        GroupBy::Kind,
        GroupBy::Resource,
    ] {
        add(&|filter| filter.without = Some(by));
    }
    add(&|filter| filter.kind = Some("droplet".to_owned()));
    add(&|filter| filter.product = Some("Taxes".to_owned()));
    add(&|filter| filter.match_rules = vec!["unmatched".to_owned(), "ambiguous".to_owned()]);
    add(&|filter| filter.match_rules = vec!["historic".to_owned()]);
    for tenant in ["acme", "beta", "nobody"] {
        add(&|filter| filter.tenant_id = Some(tenant.to_owned()));
        add(&|filter| {
            filter.tenant_id = Some(tenant.to_owned());
            filter.project_name = Some("Shop".to_owned());
            filter.match_rules = vec!["id".to_owned(), "name".to_owned()];
        });
    }
    for line in lines.iter().take(3) {
        add(&|filter| filter.resource_id = line.resource_id);
    }
    filters
}

fn selects(filter: &CostLineFilter, line: &CostLine) -> bool {
    fn is(wanted: Option<&str>, found: Option<&str>) -> bool {
        wanted.is_none() || wanted == found
    }
    let shares = line.shares.as_ref().map_or(&[][..], |shares| &shares.0);
    let has_share = |tenant: Option<&str>| {
        let mut shares = shares.iter();
        shares.any(|share| share.tenant_id.as_deref() == tenant)
    };
    let tenant = filter.tenant_id.as_deref();
    is(filter.kind.as_deref(), line.kind.as_deref())
        && is(filter.product.as_deref(), Some(&line.product))
        && is(filter.project_name.as_deref(), Some(&line.project_name))
        && (is(tenant, line.tenant_id.as_deref()) || has_share(tenant))
        && (filter.match_rules.is_empty() || filter.match_rules.contains(&line.match_rule))
        && (filter.resource_id.is_none() || filter.resource_id == line.resource_id)
        && match filter.without {
            None => true,
            Some(GroupBy::Tenant) => {
                line.tenant_id.is_none()
                    && !line.is_shared
                    && (line.shares.is_none() || has_share(None))
            }
            Some(GroupBy::Project) => line.project_name.is_empty(),
            Some(GroupBy::Kind) => line.kind.is_none(),
            Some(GroupBy::Resource) => line.resource_id.is_none() && line.match_rule != "historic",
            Some(GroupBy::Product) => false,
        }
}

fn attributed(filter: &CostLineFilter, line: &CostLine) -> Decimal {
    let is_of_tenant = filter.tenant_id.is_some() || filter.without == Some(GroupBy::Tenant);
    match &line.shares {
        Some(shares) if is_of_tenant => {
            let mut shares = shares.iter();
            let share = shares.find(|share| share.tenant_id == filter.tenant_id);
            share.map_or(Decimal::ZERO, |share| share.amount)
        }
        _ => line.amount,
    }
}

type Group = (NaiveDate, Option<String>, Decimal, bool, Option<String>);

/// Checks the pages of costs by resource, and their total, against all lines of a range of months.
pub(crate) async fn check_groups(fixture: &Fixture, from: NaiveDate, to: NaiveDate) {
    let expected: Vec<Group> = sqlx::query_as(
        r#"select bill_period, coalesce(resource_id::text, case when match_rule = 'historic'
                   then coalesce(identified_kind, 'resource') || ':' || coalesce(item_resource_uuid, item_resource_id) end) as "group",
               sum(amount), bool_or(estimate_id is not null),
               max(resource_name) filter (where resource_id is null and match_rule = 'historic')
           from cloud_cost_lines where bill_period between $1 and $2
           group by 1, 2 order by 1, 2 nulls first"#,
    )
    .bind(from)
    .bind(to)
    .fetch_all(&fixture.pool)
    .await
    .unwrap();
    for limit in [2, 1000] {
        let (mut groups, mut after): (Vec<Group>, Option<AfterGroup>) = (Vec::new(), None);
        loop {
            let page = fixture.costs_by_resource(from, to, after.as_ref(), limit);
            let page = page.await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(AfterGroup {
                period: last.period,
                group: last.group.clone(),
            });
            groups.extend(page.into_iter().map(|cost| {
                let name = cost.billed.and_then(|billed| billed.name);
                (cost.period, cost.group, cost.direct, cost.is_estimate, name)
            }));
        }
        assert_eq!(groups, expected, "pages of {limit}");
    }
    let largest = fixture
        .largest_costs_by_resource(from, to, 3)
        .await
        .unwrap();
    let names: BTreeSet<&Option<String>> = expected.iter().map(|group| &group.1).collect();
    assert_eq!(largest.groups, names.len());
    let mut sums: Vec<(Decimal, &Option<String>)> = names
        .into_iter()
        .map(|name| {
            let groups = expected.iter().filter(|group| group.1 == *name);
            (groups.map(|group| group.2).sum(), name)
        })
        .collect();
    sums.sort_by_key(|(amount, _)| Reverse(*amount));
    sums.truncate(3);
    let shown: Vec<_> = expected
        .iter()
        .filter(|group| sums.iter().any(|(_, name)| **name == group.1))
        .map(|group| (group.0, &group.1, group.2))
        .collect();
    let costs = largest.costs.iter();
    let costs: Vec<_> = costs
        .map(|cost| (cost.period, &cost.group, cost.direct))
        .collect();
    assert_eq!(costs, shown);
    let totals: Decimal = largest.months.iter().map(|month| month.amount).sum();
    assert_eq!(totals, expected.iter().map(|group| group.2).sum());
    let total = fixture.cost_total(from, to).await.unwrap();
    assert_eq!(total, expected.iter().map(|group| group.2).sum());
    let compared = fixture.month_comparison(to, 1000).await.unwrap();
    let amount = |of: NaiveDate, group: &Option<String>| -> Decimal {
        let groups = expected.iter().filter(|one| one.0 == of && one.1 == *group);
        groups.map(|group| group.2).sum()
    };
    let before = to - chrono::Months::new(1);
    for change in &compared.largest {
        assert_eq!(change.after, amount(to, &change.group), "{change:?}");
        assert_eq!(change.before, amount(before, &change.group), "{change:?}");
        assert_ne!(change.before, change.after);
    }
    let changes: Decimal = compared
        .largest
        .iter()
        .map(|one| one.after - one.before)
        .sum();
    assert_eq!(compared.after - compared.before, changes);
}
