//! The activities that read a held deletion and carry out an operator's decision on it.

use std::sync::Arc;

use store::inventory::{Decision, HeldDeletion};
use store::{Run, Store, StoreError};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use uuid::Uuid;
use workflows::held_deletions::{HoldDecision, HoldState, definitions};

use crate::failure::Failure;
use crate::heartbeat::heartbeating;
use crate::run_of;

pub struct HeldDeletionActivities {
    pub store: Store,
}

#[activities]
impl HeldDeletionActivities {
    #[activity(definition = definitions::State)]
    pub async fn state(
        self: Arc<Self>,
        context: ActivityContext,
        hold: String,
    ) -> Result<HoldState, ActivityError> {
        let store = self.store.clone();
        heartbeating(&context, &store, async move {
            let hold = self.store.held_deletion(id(&hold)?).await?;
            Ok(state_of(hold))
        })
        .await
    }

    #[activity(definition = definitions::Decide)]
    pub async fn decide(
        self: Arc<Self>,
        context: ActivityContext,
        decision: HoldDecision,
    ) -> Result<HoldState, ActivityError> {
        let run = run_of(&context);
        let store = self.store.clone();
        heartbeating(&context, &store, async move {
            self.carry_out(decision, &run).await
        })
        .await
    }
}

impl HeldDeletionActivities {
    async fn carry_out(&self, requested: HoldDecision, run: &Run) -> Result<HoldState, Failure> {
        let id = id(&requested.hold)?;
        let decision = if requested.decision.approve {
            Decision::Approve
        } else {
            Decision::Reject
        };
        let decided = self
            .store
            .decide_held_deletion(id, decision, &requested.decision.by, Some(run))
            .await;
        match decided {
            Ok(hold) => Ok(state_of(hold)),
            // Another operator decided first: return that decision.
            Err(StoreError::Decided { .. }) => Ok(state_of(self.store.held_deletion(id).await?)),
            Err(error) => Err(error.into()),
        }
    }
}

fn id(hold: &str) -> Result<Uuid, Failure> {
    hold.parse().map_err(|_| {
        Failure::InvalidInput(format!(
            "invalid id of a held deletion {hold:?}: expected a uuid"
        ))
    })
}

fn state_of(hold: HeldDeletion) -> HoldState {
    HoldState {
        hold: hold.id.to_string(),
        kind: hold.kind,
        state: hold.state,
        would_delete: hold.would_delete,
        live: hold.live,
        decided_by: hold.decided_by,
        deleted: hold.deleted,
    }
}
