//! Costs by tenant: the totals of tenants, and their parts of the shared costs.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::costs::{AllocationRule, allocate};
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{Cost, Statement, rules};
use crate::StoreError;
use crate::invoices::line_attribution::{Move, Moves};

type DirectCosts = BTreeMap<Option<String>, Decimal>;

/// The totals of a month before the allocation of shared costs.
#[derive(Debug, Default)]
pub(super) struct Month {
    pub(super) direct: DirectCosts,
    /// The number of lines and shares of each tenant in `direct`.
    lines_and_shares: BTreeMap<Option<String>, i64>,
    pub(super) shared: Decimal,
    pub(super) is_estimate: bool,
    pub(super) estimated: Decimal,
}

impl Month {
    /// Applies the moves of a reallocation that is only measured.
    fn apply(&mut self, tenant: Option<String>, by: &Move) {
        let count = self.lines_and_shares.entry(tenant.clone()).or_default();
        *count += by.lines_and_shares;
        if *count == 0 {
            // The tenant has no costs in the month, and gets no part of the shared costs.
            self.lines_and_shares.remove(&tenant);
            self.direct.remove(&tenant);
        } else {
            *self.direct.entry(tenant).or_default() += by.amount;
        }
    }
}

/// Reads the totals of months before the allocation of shared costs.
pub(super) async fn months(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<BTreeMap<NaiveDate, Month>, StoreError> {
    let totals = sqlx::query!(
        r#"select period, is_shared, tenant_id, sum(amount) as "amount!", bool_or(is_estimate) as "is_estimate!",
               coalesce(sum(amount) filter (where is_estimate), 0) as "estimated!", sum(line_and_share_count)::bigint as "count!"
           from cloud_cost_totals where period between $1 and $2 group by period, is_shared, tenant_id"#,
        from,
        to,
    )
    .fetch_all(connection)
    .await?;
    let mut months: BTreeMap<NaiveDate, Month> = BTreeMap::new();
    for total in totals {
        let month = months.entry(total.period).or_default();
        month.is_estimate |= total.is_estimate;
        month.estimated += total.estimated;
        if total.is_shared {
            month.shared += total.amount;
        } else {
            let tenant = total.tenant_id;
            *month.lines_and_shares.entry(tenant.clone()).or_default() += total.count;
            *month.direct.entry(tenant).or_default() += total.amount;
        }
    }
    Ok(months)
}

/// Returns the totals of tenants by month, with shared costs allocated by the month's rule.
pub(super) async fn costs_by_tenant(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<Cost>, StoreError> {
    costs_after(connection, from, to, &Moves::new()).await
}

/// Same as [`costs_by_tenant`], after the moves of a reallocation that is only measured.
pub(super) async fn costs_after(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
    moves: &Moves,
) -> Result<Vec<Cost>, StoreError> {
    let mut months = months(&mut *connection, from, to).await?;
    for ((period, tenant), by) in moves {
        if let Some(month) = months.get_mut(period) {
            month.apply(tenant.clone(), by);
        }
    }
    let rules = rules::read(connection).await?;
    let mut costs = Vec::new();
    for (period, month) in months {
        let rule = rules::rule_for(&rules, period);
        costs.extend(allocate_month(&month, &rule).into_iter().map(|row| Cost {
            period,
            group: row.tenant_id,
            direct: row.direct,
            shared: row.shared,
            is_estimate: month.is_estimate,
            billed: None,
        }));
    }
    Ok(costs)
}

/// Allocates the shared costs of a month to its tenants.
pub(super) fn allocate_month(month: &Month, rule: &AllocationRule) -> Vec<Statement> {
    let mut rows: BTreeMap<Option<String>, Statement> = BTreeMap::new();
    let mut row_of = |tenant: &Option<String>, direct: Decimal, shared: Decimal| {
        let row = rows.entry(tenant.clone()).or_insert_with(|| Statement {
            tenant_id: tenant.clone(),
            direct: Decimal::ZERO,
            shared: Decimal::ZERO,
            adjusted: Decimal::ZERO,
        });
        row.direct += direct;
        row.shared += shared;
    };
    for (tenant, direct) in &month.direct {
        row_of(tenant, *direct, Decimal::ZERO);
    }
    for (tenant, shared) in allocate(month.shared, &month.direct, rule) {
        row_of(&tenant, Decimal::ZERO, shared);
    }
    rows.into_values().collect()
}
