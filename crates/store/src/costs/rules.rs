//! By what rule what all bear is spread, from which month on.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::costs::SpreadRule;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use sqlx::PgConnection;

use crate::{Store, StoreError};

/// A rule as it was set.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSpreadRule {
    /// The first of the month from which on it holds, until the next one's.
    pub valid_from: NaiveDate,
    pub rule: SpreadRule,
    pub set_by: String,
    pub set_at: DateTime<Utc>,
}

impl Store {
    /// The rules, the latest month first.
    pub async fn spread_rules(&self) -> Result<Vec<StoredSpreadRule>, StoreError> {
        read(&mut *self.pool.acquire().await?).await
    }

    /// The rule that holds in a month.
    pub async fn spread_rule(&self, period: NaiveDate) -> Result<SpreadRule, StoreError> {
        Ok(rule_for(&self.spread_rules().await?, period))
    }

    /// Sets the rule from a month on, until the next one that was set.
    pub async fn set_spread_rule(
        &self,
        valid_from: NaiveDate,
        rule: &SpreadRule,
        set_by: &str,
    ) -> Result<(), StoreError> {
        let (word, weights) = match rule {
            SpreadRule::Proportional => ("proportional", None),
            SpreadRule::Even => ("even", None),
            SpreadRule::Fixed(weights) => {
                let weights: Map<String, Value> = weights
                    .iter()
                    .map(|(tenant, weight)| (tenant.clone(), Value::String(weight.to_string())))
                    .collect();
                ("fixed", Some(Value::Object(weights)))
            }
        };
        sqlx::query!(
            "insert into cloud_allocation_rules (valid_from, rule, weights, set_by, set_at) values ($1, $2, $3, $4, now())
             on conflict (valid_from) do update set
                 rule = excluded.rule, weights = excluded.weights, set_by = excluded.set_by, set_at = excluded.set_at",
            valid_from,
            word,
            weights,
            set_by,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// `rules` are the latest first.
pub(super) fn rule_for(rules: &[StoredSpreadRule], period: NaiveDate) -> SpreadRule {
    rules
        .iter()
        .find(|rule| rule.valid_from <= period)
        .map(|rule| rule.rule.clone())
        .unwrap_or_default()
}

fn read_weights(weights: Option<Value>) -> Result<BTreeMap<String, Decimal>, StoreError> {
    let unreadable = |problem: String| StoreError::Database(sqlx::Error::Decode(problem.into()));
    let Some(Value::Object(weights)) = weights else {
        return Err(unreadable(
            "the weights of a spread rule are no object".to_owned(),
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
                .map_err(|_| unreadable(format!("{text:?} is no weight of a spread rule")))
        })
        .collect()
}

/// The rules, the latest month first.
pub(super) async fn read(
    connection: &mut PgConnection,
) -> Result<Vec<StoredSpreadRule>, StoreError> {
    let rows = sqlx::query!(
        "select valid_from, rule, weights, set_by, set_at from cloud_allocation_rules order by valid_from desc"
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let rule = match row.rule.as_str() {
                "even" => SpreadRule::Even,
                "fixed" => SpreadRule::Fixed(read_weights(row.weights)?),
                _ => SpreadRule::Proportional,
            };
            Ok(StoredSpreadRule {
                valid_from: row.valid_from,
                rule,
                set_by: row.set_by,
                set_at: row.set_at,
            })
        })
        .collect()
}
