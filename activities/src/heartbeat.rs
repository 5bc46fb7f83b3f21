//! Signs of life, so that Temporal notices within seconds that a worker died.

use std::time::Duration;

use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::failure::Failure;

/// A third of the heartbeat timeout, and less than the share of it by which the SDK throttles.
const INTERVAL: Duration = Duration::from_secs(8);

/// Does the work with a heartbeat beside it; a cancelled activity drops the work, and with it an open transaction.
pub(crate) async fn beating<T>(
    context: &ActivityContext,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, ActivityError> {
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => return outcome.map_err(Failure::report),
            () = context.cancelled() => return Err(ActivityError::cancelled()),
            _ = ticks.tick() => context.record_heartbeat(()).await?,
        }
    }
}
