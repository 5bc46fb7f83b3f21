//! The activities that keep every table within its bound.

use std::sync::Arc;

use domain::maintenance::Rule;
use store::Store;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::maintenance::{Maintained, RuleApplied, definitions};

use crate::heartbeat::heartbeating;

pub struct MaintenanceActivities {
    pub store: Store,
}

#[activities]
impl MaintenanceActivities {
    #[activity(definition = definitions::Apply)]
    pub async fn apply(
        self: Arc<Self>,
        context: ActivityContext,
        rule: Rule,
    ) -> Result<RuleApplied, ActivityError> {
        let store = self.store.clone();
        heartbeating(&context, &self.store, async move {
            let mut count = 0;
            loop {
                let portion = store.maintain(rule).await?;
                count += portion.count;
                if portion.is_last {
                    return Ok(RuleApplied { rule, count });
                }
            }
        })
        .await
    }

    #[activity(definition = definitions::Record)]
    pub async fn record(
        self: Arc<Self>,
        context: ActivityContext,
        done: Maintained,
    ) -> Result<(), ActivityError> {
        let store = self.store.clone();
        heartbeating(&context, &self.store, async move {
            let applied = done.applied.iter();
            let counts: Vec<_> = applied.map(|one| (one.rule, one.count)).collect();
            Ok(store.record_maintenance(&counts).await?)
        })
        .await
    }
}
