//! A task queue's worker is built anew from time to time, inside the process.
//!
//! Temporal's SDK (1.1.1) notes of every activity that a worker starts how to cancel it, and forgets none of them: 200 to 300 bytes each,
//! scattered so that the allocator gives little else back either. They go with the worker.

use std::sync::Arc;
use std::time::Duration;

use digitalocean::Purpose;
use futures::FutureExt as _;
use temporalio_client::Client;
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use temporalio_sdk::{Runtime, Worker, WorkerOptions, WorkerRunError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Metrics, Renewals};
use crate::{GRACE, LAST_GRACE};

/// Some half a megabyte of what is not forgotten; at the usual pace a few hours of the fast lane.
pub const RENEW_AFTER: u64 = 2_000;

/// How long no activity has run when a worker is renewed. What follows upon an activity comes at once, and is not to meet a worker that is
/// about to go: an activity that begins then has [`GRACE`] to end, or is tried again.
const QUIET: Duration = Duration::from_millis(200);

const BEFORE_ASKING_AGAIN: Duration = Duration::from_secs(2);

/// The activities of one worker.
#[derive(Debug, Clone, Copy, Default)]
struct Activities {
    begun: u64,
    running: u64,
}

/// Counts the activities of one worker.
struct Count(Arc<watch::Sender<Activities>>);

impl ActivityInboundInterceptor for Count {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let running = Running::begin(&self.0);
        async move {
            let output = next.run(input).await;
            drop(running);
            output
        }
        .boxed()
    }
}

/// An activity that runs; however it ends, it is dropped.
struct Running(Arc<watch::Sender<Activities>>);

impl Running {
    fn begin(activities: &Arc<watch::Sender<Activities>>) -> Self {
        activities.send_modify(|activities| {
            activities.begun += 1;
            activities.running += 1;
        });
        Self(Arc::clone(activities))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|activities| activities.running -= 1);
    }
}

/// Until so many activities have begun, and none has run for a while.
async fn due(activities: &watch::Sender<Activities>, after: u64) {
    let mut seen = activities.subscribe();
    loop {
        let is_idle =
            |activities: &Activities| activities.begun >= after && activities.running == 0;
        let _ = seen.wait_for(is_idle).await;
        tokio::select! {
            biased;
            _ = seen.changed() => {}
            () = tokio::time::sleep(QUIET) => return,
        }
    }
}

/// When a worker is renewed, and who counts it.
pub(crate) struct Renewal<'a> {
    /// So many activities.
    pub(crate) after: u64,
    pub(crate) metrics: Option<&'a Metrics>,
}

/// Runs one worker after the other on a purpose's task queue until `stop` is cancelled; activities then have 20 seconds to end.
pub(crate) async fn run(
    runtime: &Runtime,
    client: &Client,
    purpose: Purpose,
    options: impl Fn() -> anyhow::Result<WorkerOptions>,
    renewal: Renewal<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let renewals = renewal.metrics.map(|metrics| metrics.renewals(purpose));
    let mut is_first = true;
    while !stop.is_cancelled() {
        let activities = Arc::new(watch::Sender::default());
        let mut options = options()?;
        options.activity_inbound_interceptor(Count(Arc::clone(&activities)));
        let mut worker = Worker::new(runtime, client.clone(), options)?;
        let (end, key) = (worker.shutdown_handle(), worker.worker_instance_key());
        let overdue = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = due(&activities, renewal.after) => {}
            }
            end();
            tokio::time::sleep(GRACE + LAST_GRACE).await;
        };
        let ended = tokio::select! {
            ended = worker.run() => ended,
            () = overdue => {
                tracing::warn!(%purpose, "something does not end: the worker ends without it, and it is tried again elsewhere");
                Ok(())
            }
        };
        // The connection holds each worker until it is told.
        if let Err(error) = client.connection().workers().finalize_unregister(key) {
            tracing::debug!(%purpose, "{error}");
        }
        match ended {
            Ok(()) if stop.is_cancelled() => {}
            Ok(()) => {
                tracing::info!(%purpose, "the worker is built anew");
                renewals.iter().for_each(Renewals::count);
            }
            // The first one's namespace was there: it is Temporal that is away, as it may be at any time.
            Err(WorkerRunError::Validation(error)) if !is_first => {
                tracing::warn!(%purpose, "Temporal does not tell of its namespace: asking again ({error})");
                stop.run_until_cancelled(tokio::time::sleep(BEFORE_ASKING_AGAIN))
                    .await;
            }
            Err(error) => return Err(error.into()),
        }
        is_first = false;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LESS: Duration = Duration::from_millis(190);
    const MORE: Duration = Duration::from_millis(210);

    async fn is_due(activities: &watch::Sender<Activities>, within: Duration) -> bool {
        tokio::time::timeout(within, due(activities, 2))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_renewed_after_so_many_activities_when_none_has_run_for_a_while() {
        let activities = Arc::new(watch::Sender::default());
        let long = QUIET * 1000;
        drop(Running::begin(&activities));
        assert!(!is_due(&activities, long).await, "one of two");
        let second = Running::begin(&activities);
        assert!(!is_due(&activities, long).await, "one still runs");
        drop(second);
        assert!(!is_due(&activities, LESS).await, "one just ran");
        assert!(is_due(&activities, MORE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_activity_that_begins_before_the_while_is_over_puts_it_off() {
        let activities = Arc::new(watch::Sender::default());
        for _ in 0..2 {
            drop(Running::begin(&activities));
        }
        let work = async {
            for _ in 0..5 {
                tokio::time::sleep(QUIET / 2).await;
                drop(Running::begin(&activities));
            }
        };
        tokio::select! {
            biased;
            () = due(&activities, 2) => panic!("activities followed one upon the other"),
            () = work => {}
        }
        assert!(is_due(&activities, MORE).await);
    }
}
