//! Sends heartbeats of activities: Temporal detects a dead worker within seconds, and the Temporal
//! UI shows the progress.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use digitalocean::rate_limit::as_one_unit_of_work;
use opentelemetry::trace::FutureExt as _;
use serde::Serialize;
use store::{Store, Unfinished};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::attempt::Attempt;
use crate::failure::Failure;

/// A third of the heartbeat timeout, and less than the part of it after which the SDK throttles.
const INTERVAL: Duration = Duration::from_secs(8);
/// DigitalOcean responds within a minute, and a request waits for the rate limit for as long
/// (`digitalocean`).
const LONGEST_REQUEST: Duration = Duration::from_secs(90);

/// The progress of an activity, for the Temporal UI. The state from which the next attempt resumes
/// is in the database, not here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<Option<PageProgress>>>);

/// The page that was read last.
#[derive(Debug, Clone, Serialize)]
struct PageProgress {
    list: String,
    page: u64,
    of: u64,
}

impl Progress {
    pub(crate) fn at_page(&self, list: &str, page: u64, of: u64) {
        let list = list.to_owned();
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(PageProgress { list, page, of });
    }

    fn now(&self) -> Option<PageProgress> {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.clone()
    }
}

/// Runs the work, and sends heartbeats until it ends.
///
/// The work is one unit for the token's budget: once started, it is not interrupted if the next
/// request becomes available within a minute.
///
/// A cancelled activity ends at once, and its work runs to completion
/// ([`Store::run_to_completion`]). That is safe, since work can run twice anyway. It sends no
/// further requests to DigitalOcean (`attempt.rs`).
pub(crate) async fn heartbeating<T: Send + 'static>(
    context: &ActivityContext,
    store: &Store,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, ActivityError> {
    heartbeating_with(context, store, &Progress::default(), work).await
}

/// Same as [`heartbeating`], with the progress of the work in the heartbeats.
pub(crate) async fn heartbeating_with<T: Send + 'static>(
    context: &ActivityContext,
    store: &Store,
    progress: &Progress,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, ActivityError> {
    // Work that ends sooner needs no heartbeat, and Temporal Cloud counts each one.
    let mut ticks = tokio::time::interval_at(Instant::now() + INTERVAL, INTERVAL);
    let attempt = Attempt::of(context.info());
    let _ends = attempt.end_on_drop();
    let work = attempt.scope(as_one_unit_of_work(work));
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
