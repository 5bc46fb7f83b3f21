//! Replaces the worker of a task queue from time to time, inside the process, to free memory.
//!
//! Temporal's SDK (1.1.1) keeps a cancellation handle of every activity that a worker starts and
//! never drops it: 200 to 300 bytes each, scattered so that the allocator returns little other
//! memory. Dropping the worker frees them.

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
use crate::{CANCEL_GRACE, GRACE};

/// Default number of activities between two renewals: about half a megabyte of leaked handles, and
/// a few hours of activities on the fast lane.
pub const RENEW_AFTER: u64 = 2_000;

/// Time without a running activity before a worker is renewed. The next activity of a run usually
/// starts at once; on a worker that is shutting down it would have only [`GRACE`] to complete
/// before it is retried. A task that arrives within about 15 ms of the shutdown is lost (measured):
/// Temporal repeats a workflow task after 10 s, and an activity after its heartbeat timeout.
const IDLE_TIME: Duration = Duration::from_millis(200);

/// Pause before a failed start of a worker is retried.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Activity counts of one worker.
#[derive(Debug, Clone, Copy, Default)]
struct Activities {
    started: u64,
    running: u64,
}

/// Counts the activities of one worker.
struct ActivityCounter(Arc<watch::Sender<Activities>>);

impl ActivityInboundInterceptor for ActivityCounter {
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

/// A guard that counts one activity as running until dropped.
struct Running(Arc<watch::Sender<Activities>>);

impl Running {
    fn begin(activities: &Arc<watch::Sender<Activities>>) -> Self {
        activities.send_modify(|activities| {
            activities.started += 1;
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

/// Waits until `after` activities have started and none has run for [`IDLE_TIME`].
async fn due(activities: &watch::Sender<Activities>, after: u64) {
    let mut counts = activities.subscribe();
    loop {
        let is_idle =
            |activities: &Activities| activities.started >= after && activities.running == 0;
        let _ = counts.wait_for(is_idle).await;
        tokio::select! {
            biased;
            _ = counts.changed() => {}
            () = tokio::time::sleep(IDLE_TIME) => return,
        }
    }
}

/// The renewal options of a worker.
pub(crate) struct Renewal<'a> {
    /// Number of activities after which the worker is renewed.
    pub(crate) after: u64,
    pub(crate) metrics: Option<&'a Metrics>,
}

/// Runs workers on a purpose's task queue, one after the other, until `stop` is cancelled. Running
/// activities then have 20 seconds to complete.
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
        options.activity_inbound_interceptor(ActivityCounter(Arc::clone(&activities)));
        let mut worker = Worker::new(runtime, client.clone(), options)?;
        let (end, key) = (worker.shutdown_handle(), worker.worker_instance_key());
        let overdue = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = due(&activities, renewal.after) => {}
            }
            end();
            tokio::time::sleep(GRACE + CANCEL_GRACE).await;
        };
        let ended = tokio::select! {
            ended = worker.run() => ended,
            () = overdue => {
                tracing::warn!(%purpose, "activities did not return after cancellation: stopping the worker, Temporal retries them");
                Ok(())
            }
        };
        // The connection keeps each worker until it is unregistered.
        if let Err(error) = client.connection().workers().finalize_unregister(key) {
            tracing::debug!(%purpose, "{error}");
        }
        match ended {
            Ok(()) if stop.is_cancelled() => {}
            Ok(()) => {
                tracing::info!(%purpose, "worker renewed");
                renewals.iter().for_each(Renewals::count);
            }
            // The first worker validated the namespace, so Temporal is only unavailable for now.
            Err(WorkerRunError::Validation(error)) if !is_first => {
                tracing::warn!(%purpose, "could not validate the Temporal namespace, retrying: {error}");
                stop.run_until_cancelled(tokio::time::sleep(RETRY_DELAY))
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

    const BELOW_IDLE_TIME: Duration = Duration::from_millis(190);
    const ABOVE_IDLE_TIME: Duration = Duration::from_millis(210);

    async fn is_due(activities: &watch::Sender<Activities>, within: Duration) -> bool {
        tokio::time::timeout(within, due(activities, 2))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_renewed_once_idle_after_the_configured_activities() {
        let activities = Arc::new(watch::Sender::default());
        let long = IDLE_TIME * 1000;
        drop(Running::begin(&activities));
        assert!(!is_due(&activities, long).await, "one of two");
        let second = Running::begin(&activities);
        assert!(!is_due(&activities, long).await, "one still runs");
        drop(second);
        assert!(!is_due(&activities, BELOW_IDLE_TIME).await, "one just ran");
        assert!(is_due(&activities, ABOVE_IDLE_TIME).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_activity_that_starts_within_the_idle_time_delays_renewal() {
        let activities = Arc::new(watch::Sender::default());
        for _ in 0..2 {
            drop(Running::begin(&activities));
        }
        let work = async {
            for _ in 0..5 {
                tokio::time::sleep(IDLE_TIME / 2).await;
                drop(Running::begin(&activities));
            }
        };
        tokio::select! {
            biased;
            () = due(&activities, 2) => panic!("due although activities kept starting"),
            () = work => {}
        }
        assert!(is_due(&activities, ABOVE_IDLE_TIME).await);
    }
}
