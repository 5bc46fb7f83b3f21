//! The rules by which shared costs are allocated, each from a month on.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::costs::AllocationRule;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::PgConnection;

use crate::{Store, StoreError};

/// A stored allocation rule.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAllocationRule {
    /// The first of the month from which the rule applies, until the next rule.
    pub valid_from: NaiveDate,
    pub rule: AllocationRule,
    pub set_by: String,
    pub set_at: DateTime<Utc>,
}

impl Store {
    /// Lists the rules, latest month first.
    pub async fn allocation_rules(&self) -> Result<Vec<StoredAllocationRule>, StoreError> {
        read(&mut *self.pool.acquire().await?).await
    }

    /// Returns the rule of a month.
    pub async fn allocation_rule(&self, period: NaiveDate) -> Result<AllocationRule, StoreError> {
        Ok(rule_for(&self.allocation_rules().await?, period))
    }
}

/// Returns the rule of a month. `rules` must be sorted latest first.
pub(super) fn rule_for(rules: &[StoredAllocationRule], period: NaiveDate) -> AllocationRule {
    rules
        .iter()
        .find(|rule| rule.valid_from <= period)
        .map(|rule| rule.rule.clone())
        .unwrap_or_default()
}

fn read_weights(weights: Option<Value>) -> Result<BTreeMap<String, Decimal>, StoreError> {
    let invalid = |problem: String| StoreError::Database(sqlx::Error::Decode(problem.into()));
    let Some(Value::Object(weights)) = weights else {
        return Err(invalid(
            "invalid weights of an allocation rule: not an object".to_owned(),
        ));
    };
    weights
        .into_iter()
        .map(|(tenant, weight)| {
            let text = match weight {
                Value::String(text) => text,
                other => other.to_string(),
            };
            text.parse()
                .map(|weight| (tenant, weight))
                .map_err(|_| invalid(format!("invalid weight of an allocation rule: {text:?}")))
        })
        .collect()
}

/// Encodes a rule as its columns `rule` and `weights`.
pub(crate) fn rule_columns(rule: &AllocationRule) -> (&'static str, Option<Value>) {
    match rule {
        AllocationRule::Proportional => ("proportional", None),
        AllocationRule::Even => ("even", None),
        AllocationRule::Fixed(weights) => {
            let weights = weights
                .iter()
                .map(|(tenant, weight)| (tenant.clone(), Value::String(weight.to_string())));
            ("fixed", Some(Value::Object(weights.collect())))
        }
    }
}

/// Decodes a stored rule.
pub(super) fn rule_of(name: &str, weights: Option<Value>) -> Result<AllocationRule, StoreError> {
    Ok(match name {
        "even" => AllocationRule::Even,
        "fixed" => AllocationRule::Fixed(read_weights(weights)?),
        _ => AllocationRule::Proportional,
    })
}

/// Reads the rules, latest month first.
pub(super) async fn read(
    connection: &mut PgConnection,
) -> Result<Vec<StoredAllocationRule>, StoreError> {
    let rows = sqlx::query!(
        "select valid_from, rule, weights, set_by, set_at from cloud_allocation_rules order by valid_from desc"
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StoredAllocationRule {
                valid_from: row.valid_from,
                rule: rule_of(&row.rule, row.weights)?,
                set_by: row.set_by,
                set_at: row.set_at,
            })
        })
        .collect()
}
