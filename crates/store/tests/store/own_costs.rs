//! Checks of the costs that each tenant sees: they total its statement, in every form.

use chrono::NaiveDate;
use domain::TenantId;
use rust_decimal::Decimal;
use store::Store;
use store::costs::{GroupBy, Statement};
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

        let lines = own_lines(store, &tenant, period).await;
        let sum: Decimal = lines.iter().map(|line| line.amount).sum();
        assert_eq!(sum, expected, "lines of {name}, {period}: {lines:?}");
        for by in GROUPINGS {
            let costs = store.own_costs(&tenant, by, period, period).await.unwrap();
            let sum: Decimal = costs.iter().map(|cost| cost.direct + cost.shared).sum();
            assert_eq!(sum, expected, "costs of {name}, {period}: {costs:?}");
        }
    }
    let rows = statements.rows.iter();
    let none = rows.filter(|row| row.tenant_id.is_none());
    let none: Decimal = none.map(Statement::total).sum();
    assert_eq!(unallocated, none, "unallocated costs of {period}");
}

/// Reads the lines of a tenant by pages of two, and checks their totals.
async fn own_lines(store: &Store, tenant: &TenantId, period: NaiveDate) -> Vec<OwnCostLine> {
    let shared = store.own_shared_parts(tenant, period).await.unwrap();
    let filter = OwnLineFilter { period, kind: None };
    let mut lines: Vec<OwnCostLine> = Vec::new();
    loop {
        let after = lines.last().map(|line| line.id);
        let page = store.own_cost_lines(tenant, &filter, &shared, after, 2);
        let page = page.await.unwrap();
        if page.is_empty() {
            break;
        }
        lines.extend(page);
    }
    let total = store.own_cost_line_total(tenant, &filter, &shared);
    let total = total.await.unwrap();
    let sum: Decimal = lines.iter().map(|line| line.amount).sum();
    assert_eq!(usize::try_from(total.count).unwrap(), lines.len());
    assert_eq!(total.amount, sum);
    lines
}
