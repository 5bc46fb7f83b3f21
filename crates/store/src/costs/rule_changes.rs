//! Changes of the rules by which shared costs are allocated.

use chrono::{DateTime, NaiveDate, Utc};
use domain::costs::AllocationRule;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::effect::{Effect, Measured};
use super::rules::rule_columns;
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::inventory::Commit;
use crate::locks::{self, Lock};
use crate::{Actor, Store, StoreError};

impl Store {
    /// Sets the rule from a month on, until the next stored rule, and returns the costs that this
    /// moves between tenants.
    pub async fn set_allocation_rule(
        &self,
        valid_from: NaiveDate,
        rule: &AllocationRule,
        actor: &Actor,
        commit: Commit,
    ) -> Result<Measured, StoreError> {
        let (name, weights) = rule_columns(rule);
        let mut tx = self.pool.begin().await?;
        locks::acquire(&mut tx, Lock::AllocationRules).await?;
        let state_before = audited(&mut tx, valid_from).await?;
        let before = Effect::start(&mut tx).await?;
        sqlx::query!(
            "insert into cloud_allocation_rules (valid_from, rule, weights, set_by, set_at) values ($1, $2, $3, $4, now())
             on conflict (valid_from) do update set
                 rule = excluded.rule, weights = excluded.weights, set_by = excluded.set_by, set_at = excluded.set_at",
            valid_from,
            name,
            weights,
            actor.name(),
        )
        .execute(&mut *tx)
        .await?;
        let effect = before.until_now(&mut tx).await?;
        match commit {
            Commit::Keep => {
                let object = Object::new(ObjectType::AllocationRule, &valid_from.format("%Y-%m"));
                let mut act = Act::new(Action::AllocationRuleSet, object);
                if let Some(state) = state_before {
                    act = act.before(state);
                }
                if let Some(state) = audited(&mut tx, valid_from).await? {
                    act = act.after(state);
                }
                audit::commit(tx, actor, act).await?;
            }
            Commit::DryRun => tx.rollback().await?,
        }
        Ok(Measured::of(effect))
    }
}

/// Returns the stored rule that begins in a month, for the audit.
async fn audited(
    tx: &mut PgConnection,
    valid_from: NaiveDate,
) -> Result<Option<Value>, StoreError> {
    #[derive(Serialize)]
    struct Stored {
        rule: String,
        weights: Option<Value>,
        set_by: String,
        set_at: DateTime<Utc>,
    }
    let found = sqlx::query_as!(
        Stored,
        "select rule, weights, set_by, set_at from cloud_allocation_rules where valid_from = $1",
        valid_from,
    )
    .fetch_optional(tx)
    .await?;
    found.as_ref().map(audit::state).transpose()
}
