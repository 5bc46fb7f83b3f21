//! The effect of an operator's change on the statements, measured in the transaction of the change.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Cost;
use super::by_tenant::costs_after;
use crate::StoreError;
use crate::invoices::line_attribution::Moves;

/// The amounts that a change moves between tenants, by month. Months without a move are omitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// Ordered by month.
    pub months: Vec<MonthEffect>,
}

/// The amounts that a change moves in one month; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthEffect {
    /// The first of the month.
    pub period: NaiveDate,
    /// True if every invoice of the month is final.
    pub is_final: bool,
    /// True if the month's lines are an estimate.
    pub is_estimate: bool,
    /// Tenants with a changed total, unallocated costs first.
    pub tenants: Vec<TenantEffect>,
}

/// The total of a tenant in a month before and after a change; USD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantEffect {
    /// `None` for unallocated costs.
    pub tenant_id: Option<String>,
    pub before: Decimal,
    pub after: Decimal,
}

/// The effect of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    pub effect: Effect,
    /// For a dry run of a value without `since`: the start of the earliest affected charge, and the
    /// effect with that time as `since`.
    pub with_since: Option<(DateTime<Utc>, Effect)>,
    /// The reallocation that the change leaves to the workflow `Reallocate`, because it affects
    /// many lines. The effect is then unknown, and empty.
    pub reallocation: Option<Uuid>,
}

impl Measured {
    pub(crate) fn of(effect: Effect) -> Self {
        Self {
            effect,
            ..Self::default()
        }
    }

    pub(crate) fn left(reallocation: Uuid) -> Self {
        Self {
            reallocation: Some(reallocation),
            ..Self::default()
        }
    }
}

impl MonthEffect {
    /// Returns the amount that moves to other tenants; USD.
    pub fn moved(&self) -> Decimal {
        let gains = self
            .tenants
            .iter()
            .map(|tenant| tenant.after - tenant.before);
        gains.filter(Decimal::is_sign_positive).sum()
    }
}

impl Effect {
    /// Returns the amount that moves in all months; USD.
    pub fn moved(&self) -> Decimal {
        self.months.iter().map(MonthEffect::moved).sum()
    }

    /// Reads the totals of all tenants and months before a change in the same transaction.
    pub(crate) async fn start(tx: &mut PgConnection) -> Result<Before, StoreError> {
        Ok(Before {
            totals: totals(tx, &Moves::new()).await?,
        })
    }
}

/// The totals before a change.
pub(crate) struct Before {
    totals: Totals,
}

type Totals = BTreeMap<(NaiveDate, Option<String>), (Decimal, bool)>;

async fn totals(tx: &mut PgConnection, moves: &Moves) -> Result<Totals, StoreError> {
    let all = NaiveDate::from_ymd_opt(1, 1, 1).zip(NaiveDate::from_ymd_opt(9999, 12, 1));
    let (from, to) = all.unwrap_or_default();
    let costs = costs_after(tx, from, to, moves).await?;
    Ok(costs
        .into_iter()
        .map(|cost| {
            let (total, is_estimate) = (Cost::total(&cost), cost.is_estimate);
            ((cost.period, cost.group), (total, is_estimate))
        })
        .collect())
}

impl Before {
    /// Compares the totals before the change to the current totals in the same transaction.
    pub(crate) async fn until_now(&self, tx: &mut PgConnection) -> Result<Effect, StoreError> {
        self.with(tx, &Moves::new()).await
    }

    /// Same as [`Self::until_now`], after the moves of a reallocation that is only measured.
    pub(crate) async fn with(
        &self,
        tx: &mut PgConnection,
        moves: &Moves,
    ) -> Result<Effect, StoreError> {
        let after = totals(tx, moves).await?;
        let keys: BTreeSet<_> = self.totals.keys().chain(after.keys()).collect();
        let mut months: BTreeMap<NaiveDate, MonthEffect> = BTreeMap::new();
        for key in keys {
            let of = |totals: &Totals| totals.get(key).map_or(Decimal::ZERO, |(total, _)| *total);
            let (before, now) = (of(&self.totals), of(&after));
            if before == now {
                continue;
            }
            let (period, tenant_id) = key;
            let month = months.entry(*period).or_insert_with(|| MonthEffect {
                period: *period,
                is_final: false,
                is_estimate: false,
                tenants: Vec::new(),
            });
            month.is_estimate |= after
                .get(key)
                .or(self.totals.get(key))
                .is_some_and(|(_, is)| *is);
            month.tenants.push(TenantEffect {
                tenant_id: tenant_id.clone(),
                before,
                after: now,
            });
        }
        let periods: Vec<NaiveDate> = months.keys().copied().collect();
        let finals = sqlx::query_scalar!(
            "select period from cloud_invoices where period = any($1) group by period having bool_and(is_final)",
            &periods
        )
        .fetch_all(tx)
        .await?;
        for period in finals {
            if let Some(month) = months.get_mut(&period) {
                month.is_final = true;
            }
        }
        Ok(Effect {
            months: months.into_values().collect(),
        })
    }
}
