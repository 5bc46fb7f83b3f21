//! Signs of life, so that Temporal notices within seconds that a worker died.

use std::time::Duration;

use digitalocean::budget::one_piece;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tracing::Instrument as _;

use crate::failure::Failure;

/// A third of the heartbeat timeout, and less than the share of it by which the SDK throttles.
const INTERVAL: Duration = Duration::from_secs(8);

/// Does the work with a heartbeat beside it.
///
/// To the token's budget it is one piece of work: begun, it is not broken off for want of a request that comes within a minute.
///
/// A cancelled activity ends at once, and its work goes on to its own end, which harms nothing: it may be done twice anyway. To
/// drop it half-way would: a connection that is in the midst of a COPY or a BEGIN goes back to the pool as it is then, and gives
/// the next one who takes it the answers to somebody else's questions (sqlx 0.9.0).
pub(crate) async fn beating<T: Send + 'static>(
    context: &ActivityContext,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, ActivityError> {
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut work = tokio::spawn(one_piece(work).in_current_span());
    loop {
        tokio::select! {
            done = &mut work => {
                let outcome = done.map_err(|panic| ActivityError::from(anyhow::Error::from(panic)))?;
                return outcome.map_err(Failure::report);
            }
            () = context.cancelled() => return Err(ActivityError::cancelled()),
            _ = ticks.tick() => context.record_heartbeat(()).await?,
        }
    }
}
