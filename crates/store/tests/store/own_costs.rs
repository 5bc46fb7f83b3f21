//! Checks of the costs that each tenant sees: they total its statement, in every form.

use chrono::NaiveDate;
use domain::TenantId;
use rust_decimal::Decimal;
use store::Store;
use store::costs::{GroupBy, OwnCost, Statement};
use store::invoices::{OwnCostLine, OwnLineFilter};

const GROUPINGS: [GroupBy; 5] = [
    GroupBy::Tenant,
    GroupBy::Project,
    GroupBy::Kind,
    GroupBy::Product,
    GroupBy::Resource,
];

/// Checks that the own costs of the tenants are those of the statements, and that they total the
/// month with the unallocated costs. `tenants` are all tenants of the account.
pub(crate) async fn check_own_costs(store: &Store, tenants: &[&str], period: NaiveDate) {
    let statements = store.statements(period).await.unwrap();
    let mut unallocated = statements.line_total;
    for name in tenants {
        let tenant: TenantId = name.parse().unwrap();
        let row = statements
            .rows
            .iter()
            .find(|row| row.tenant_id.as_deref() == Some(name));
        let expected = row.map_or(Decimal::ZERO, Statement::total);
        let own = store.own_statement(&tenant, period).await.unwrap();
        let total = own.map_or(Decimal::ZERO, |own| own.direct + own.shared);
        assert_eq!(total, expected, "statement of {name}, {period}");
        unallocated -= total;

        let whole_month = OwnLineFilter {
            period,
            ..OwnLineFilter::default()
        };
        let lines = own_lines(store, &tenant, &whole_month, 2).await;
        let sum: Decimal = lines.iter().map(|line| line.amount).sum();
        assert_eq!(sum, expected, "lines of {name}, {period}: {lines:?}");
        for by in GROUPINGS {
            let costs = store.own_costs(&tenant, by, period, period).await.unwrap();
            let sum: Decimal = costs.iter().map(|cost| cost.direct + cost.shared).sum();
            assert_eq!(sum, expected, "costs of {name}, {period}: {costs:?}");
            for cost in costs {
                let filter = filter_of(by, &cost);
                let lines = own_lines(store, &tenant, &filter, 1000).await;
                let sum: Decimal = lines.iter().map(|line| line.amount).sum();
                assert_eq!(sum, cost.direct + cost.shared, "{cost:?}: {lines:?}");
            }
        }
    }
    let rows = statements.rows.iter();
    let none = rows.filter(|row| row.tenant_id.is_none());
    let none: Decimal = none.map(Statement::total).sum();
    assert_eq!(unallocated, none, "unallocated costs of {period}");
}

/// Returns the filter of the lines of a group.
fn filter_of(by: GroupBy, cost: &OwnCost) -> OwnLineFilter {
    let filter = OwnLineFilter {
        period: cost.period,
        ..OwnLineFilter::default()
    };
    let Some(group) = cost.group.clone() else {
        return OwnLineFilter {
            without: Some(by),
            ..filter
        };
    };
    match by {
        GroupBy::Tenant => filter,
        GroupBy::Kind => OwnLineFilter {
            kind: Some(group),
            ..filter
        },
        GroupBy::Product => OwnLineFilter {
            product: Some(group),
            ..filter
        },
        GroupBy::Project => OwnLineFilter {
            project_name: Some(group),
            ..filter
        },
        GroupBy::Resource => match group.parse() {
            Ok(id) => OwnLineFilter {
                resource_id: Some(id),
                ..filter
            },
            Err(_) => OwnLineFilter {
                former_resource: Some(group),
                ..filter
            },
        },
    }
}

/// Reads the lines of a tenant by pages, and checks their totals.
async fn own_lines(
    store: &Store,
    tenant: &TenantId,
    filter: &OwnLineFilter,
    rows: i64,
) -> Vec<OwnCostLine> {
    let shared = store.own_shared_parts(tenant, filter.period).await.unwrap();
    let mut lines: Vec<OwnCostLine> = Vec::new();
    loop {
        let after = lines.last().map(|line| line.id);
        let page = store.own_cost_lines(tenant, filter, &shared, after, rows);
        let page = page.await.unwrap();
        let is_last = page.len() < usize::try_from(rows).unwrap();
        lines.extend(page);
        if is_last {
            break;
        }
    }
    let total = store.own_cost_line_total(tenant, filter, &shared);
    let total = total.await.unwrap();
    let sum: Decimal = lines.iter().map(|line| line.amount).sum();
    assert_eq!(usize::try_from(total.count).unwrap(), lines.len());
    assert_eq!(total.amount, sum);
    lines
}
