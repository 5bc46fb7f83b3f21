//! Signs of life, so that Temporal notices within seconds that a worker died, and people see how far it is.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use digitalocean::budget::one_piece;
use opentelemetry::trace::FutureExt as _;
use serde::Serialize;
use store::{Store, Unfinished};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::attempt::Attempt;
use crate::failure::Failure;

/// A third of the heartbeat timeout, and less than the share of it by which the SDK throttles.
const INTERVAL: Duration = Duration::from_secs(8);
/// DigitalOcean answers within a minute, and a request is waited for for as long (`digitalocean`).
const LONGEST_REQUEST: Duration = Duration::from_secs(90);

/// How far work has come, for the Temporal UI. What the next attempt goes on with is in the database, not here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<Option<AtPage>>>);

/// The page that was read last.
#[derive(Debug, Clone, Serialize)]
struct AtPage {
    list: String,
    page: u64,
    of: u64,
}

impl Progress {
    pub(crate) fn at_page(&self, list: &str, page: u64, of: u64) {
        let list = list.to_owned();
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(AtPage { list, page, of });
    }

    fn now(&self) -> Option<AtPage> {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.clone()
    }
}

/// Does the work with a heartbeat beside it.
///
/// To the token's budget it is one piece of work: begun, it is not broken off for want of a request that comes within a minute.
///
/// A cancelled activity ends at once, and its work goes on to its own end ([`Store::run_to_completion`]), which harms nothing: it may be done
/// twice anyway. It asks DigitalOcean for nothing more (`attempt.rs`).
pub(crate) async fn heartbeating<T: Send + 'static>(
    context: &ActivityContext,
    store: &Store,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, ActivityError> {
    beating_with(context, store, &Progress::default(), work).await
}

/// The same for work that says how far it has come.
pub(crate) async fn beating_with<T: Send + 'static>(
    context: &ActivityContext,
    store: &Store,
    progress: &Progress,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, ActivityError> {
    // Work that is done sooner needs no sign of life, and Temporal Cloud counts each.
    let mut ticks = tokio::time::interval_at(Instant::now() + INTERVAL, INTERVAL);
    let attempt = Attempt::of(context.info());
    let _over = attempt.until_dropped();
    let work = attempt.scope(one_piece(work));
    let work = work.with_current_context().in_current_span();
    let mut work = pin!(store.run_requests_to_completion(LONGEST_REQUEST, work));
    loop {
        tokio::select! {
            done = &mut work => {
                let outcome = match done {
                    Ok(outcome) => outcome,
                    Err(Unfinished::Stalled(error)) => Err(error.into()),
                    Err(Unfinished::Panic(panic)) => return Err(anyhow::Error::from(panic).into()),
                };
                return outcome.map_err(Failure::report);
            }
            () = context.cancelled() => return Err(ActivityError::cancelled()),
            _ = ticks.tick() => context.record_heartbeat(progress.now()).await?,
        }
    }
}
