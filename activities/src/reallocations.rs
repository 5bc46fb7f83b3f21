//! The activity that updates resources and cost lines after changes that affect many of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::Store;
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::reallocations::{PortionsExecuted, definitions};

use crate::failure::Failure;
use crate::heartbeat::heartbeating;

pub struct ReallocationActivities {
    pub store: Store,
}

/// The time after which an activity ends, so that a worker that stops has at most this left. Each
/// activity is two actions of Temporal's, so that one activity executes many portions.
const LONGEST: Duration = Duration::from_secs(15);

#[activities]
impl ReallocationActivities {
    #[activity(definition = definitions::Execute)]
    pub async fn execute(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<PortionsExecuted, ActivityError> {
        let store = self.store.clone();
        heartbeating(
            &context,
            &store,
            async move { self.execute_for(LONGEST).await },
        )
        .await
    }
}

impl ReallocationActivities {
    /// Executes portions until none is left, or for this time.
    pub async fn execute_for(&self, longest: Duration) -> Result<PortionsExecuted, Failure> {
        let started = Instant::now();
        let mut executed = PortionsExecuted::default();
        loop {
            let portion = self.store.reallocate_portion().await?;
            executed.resources += portion.resources;
            executed.lines += portion.lines;
            executed.finished += usize::from(portion.is_last);
            executed.is_more = portion.is_more;
            if !portion.is_more || started.elapsed() >= longest {
                return Ok(executed);
            }
        }
    }
}
