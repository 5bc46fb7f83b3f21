//! The shared costs of a month, with the rule that allocates them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use domain::costs::AllocationRule;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::by_tenant::{Month, months};
use super::rules;
use crate::StoreError;

/// The figures by which the shared costs of a month are allocated; USD.
#[derive(Debug)]
pub(crate) struct SharedCosts {
    /// The total of the shared lines.
    pub(crate) total: Decimal,
    pub(crate) direct: BTreeMap<Option<String>, Decimal>,
    pub(crate) rule: AllocationRule,
}

impl SharedCosts {
    pub(crate) async fn read(
        connection: &mut PgConnection,
        period: NaiveDate,
    ) -> Result<Self, StoreError> {
        let Month { direct, shared, .. } = months(&mut *connection, period, period)
            .await?
            .remove(&period)
            .unwrap_or_default();
        Ok(Self {
            total: shared,
            direct,
            rule: rules::rule_for(&rules::read(connection).await?, period),
        })
    }
}
