//! The activities that read a held deletion and carry out an operator's decision on it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use store::inventory::{Decision, HeldDeletion};
use store::{Actor, Run, Store, StoreError};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use uuid::Uuid;
use workflows::held_deletions::{Held, HoldDecision, HoldState, definitions};

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
            self.carry_out(decision, run).await
        })
        .await
    }
}

impl HeldDeletionActivities {
    async fn carry_out(&self, requested: HoldDecision, run: Run) -> Result<HoldState, Failure> {
        let id = id(&requested.hold)?;
        let actor = Actor::of_update(&requested.decision.by, run);
        let actor = actor.because(requested.decision.reason);
        let decision = if requested.decision.approve {
            Decision::Approve
        } else {
            Decision::Reject
        };
        match self.store.decide_held_deletion(id, decision, &actor).await {
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

/// After a hold, and once a day after that, every sync within this time starts the run that waits
/// for the decision: at least two of the syncs that are furthest apart. A start is an action of
/// Temporal's, and that run waits for weeks.
const START_WINDOW: TimeDelta = TimeDelta::minutes(16);

/// Whether a sync starts the run that waits for the decision on a deletion that is held since then.
fn starts_run(held_at: DateTime<Utc>, listed_at: DateTime<Utc>) -> bool {
    let age = listed_at - held_at;
    age - TimeDelta::days(age.num_days()) < START_WINDOW
}

/// Returns a held deletion as held by this listing, or as held by an earlier one. The run of this
/// listing starts the run that waits for the decision.
pub(crate) fn reported(
    hold: Option<HeldDeletion>,
    listed_at: DateTime<Utc>,
) -> (Option<Held>, Option<Held>) {
    let Some(hold) = hold else {
        return (None, None);
    };
    let report = Held {
        hold: hold.id.to_string(),
        would_delete: hold.would_delete,
        live: hold.live,
    };
    if starts_run(hold.held_at, listed_at) {
        (Some(report), None)
    } else {
        (None, Some(report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_starts_the_run_of_a_hold_at_first_and_once_a_day() {
        let held_at = DateTime::UNIX_EPOCH;
        let starts = |minutes| starts_run(held_at, held_at + TimeDelta::minutes(minutes));
        // The listing starts before the deletion is held.
        for minutes in [-5, 0, 1, 15, 24 * 60, 24 * 60 + 15, 30 * 24 * 60] {
            assert!(starts(minutes), "{minutes}");
        }
        for minutes in [16, 30, 120, 24 * 60 - 1, 24 * 60 + 16] {
            assert!(!starts(minutes), "{minutes}");
        }
        let started = (0..24 * 60).filter(|minute| starts(*minute)).count();
        assert_eq!(started, 16, "starts per day by a sync every minute");
    }
}
