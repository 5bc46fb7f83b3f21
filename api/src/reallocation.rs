//! The reallocation of cost lines after a change: started in Temporal, and described in the `meta`
//! of the response.

use std::time::Duration;

use serde::Serialize;
use store::costs::Measured;
use store::reallocations::ReallocationState;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::ApiState;

/// Time limit for Temporal: the change is stored already.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The update of the cost lines that a change affects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ChangeReallocation {
    /// `done` if every line has the tenants after the change; `pending` if the change affects so
    /// many lines that the workflow `Reallocate` updates them in portions. Until it is done,
    /// figures mix tenants of before and after the change, and no affected month is final.
    pub(crate) state: ReallocationState,
    /// `id` of the reallocation; null if it is done.
    pub(crate) id: Option<Uuid>,
    /// Path of the reallocation with its progress, as in the header `location`; null if it is done.
    pub(crate) path: Option<String>,
    /// Reason why the workflow was not started at once; a sync then starts it within 15 minutes.
    /// Null if it was started, and if it is not needed.
    pub(crate) delayed: Option<String>,
}

impl ChangeReallocation {
    const DONE: Self = Self {
        state: ReallocationState::Done,
        id: None,
        path: None,
        delayed: None,
    };

    /// Describes a change, and starts the workflow if it left lines to it.
    pub(crate) async fn of(state: &ApiState, measured: &Measured) -> Self {
        let Some(id) = measured.reallocation else {
            return Self::DONE;
        };
        Self {
            state: ReallocationState::Pending,
            id: Some(id),
            path: Some(path(id)),
            delayed: start(state).await.err(),
        }
    }
}

/// Returns the path of a reallocation.
pub(crate) fn path(id: Uuid) -> String {
    format!("/api/v1/billing/reallocations/{id}")
}

/// Starts the workflow `Reallocate`, or returns the reason why it is not started.
async fn start(state: &ApiState) -> Result<(), String> {
    let Some(workflows) = &state.workflows else {
        return Err("this API was started without a connection to Temporal".to_owned());
    };
    let started = tokio::time::timeout(TIMEOUT, workflows.reallocate()).await;
    let problem = match started {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no response from Temporal within {} s", TIMEOUT.as_secs()),
    };
    tracing::warn!(
        problem,
        "the workflow Reallocate was not started: the next sync starts it"
    );
    Err(problem)
}
