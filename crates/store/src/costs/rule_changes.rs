//! Changes of the rules by which shared costs are allocated.

use chrono::NaiveDate;
use domain::costs::AllocationRule;
use serde_json::{Map, Value};

use super::effect::{Effect, Measured};
use crate::inventory::Commit;
use crate::{Store, StoreError};

impl Store {
    /// Sets the rule from a month on, until the next stored rule, and returns the costs that this
    /// moves between tenants.
    pub async fn set_allocation_rule(
        &self,
        valid_from: NaiveDate,
        rule: &AllocationRule,
        set_by: &str,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        let (name, weights) = match rule {
            AllocationRule::Proportional => ("proportional", None),
            AllocationRule::Even => ("even", None),
            AllocationRule::Fixed(weights) => {
                let weights: Map<String, Value> = weights
                    .iter()
                    .map(|(tenant, weight)| (tenant.clone(), Value::String(weight.to_string())))
                    .collect();
                ("fixed", Some(Value::Object(weights)))
            }
        };
        let mut tx = self.pool.begin().await?;
        let before = Effect::start(&mut tx).await?;
        sqlx::query!(
            "insert into cloud_allocation_rules (valid_from, rule, weights, set_by, set_at) values ($1, $2, $3, $4, now())
             on conflict (valid_from) do update set
                 rule = excluded.rule, weights = excluded.weights, set_by = excluded.set_by, set_at = excluded.set_at",
            valid_from,
            name,
            weights,
            set_by,
        )
        .execute(&mut *tx)
        .await?;
        let effect = before.until_now(&mut tx).await?;
        match commit {
            Commit::Keep => tx.commit().await?,
            Commit::DryRun => tx.rollback().await?,
        }
        Ok(Measured::of(effect))
    }
}
