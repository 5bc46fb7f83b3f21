//! Limits the requests of an activity attempt to DigitalOcean: the attempt waits for the rate limit
//! for half of its time, and sends no request after its end.

use std::future::Future;
use std::time::Duration;

use digitalocean::RateLimit;
use digitalocean::rate_limit::{BudgetExhausted, RequestBudget, TokenKey};
use futures::future::{BoxFuture, FutureExt as _};
use temporalio_sdk::activities::ActivityInfo;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The wait of a request once the attempt has used its waiting time: enough for a request that is
/// available immediately.
const SHORT_WAIT: Duration = Duration::from_secs(2);

tokio::task_local! {
    static ATTEMPT: Attempt;
}

/// One attempt of an activity.
#[derive(Clone)]
pub(crate) struct Attempt {
    /// The time at which half of the attempt's time has passed. A rate limited attempt ends as a
    /// pause then, which is not a failure; otherwise it would time out, which is one.
    waiting_ends_at: Option<Instant>,
    ended: CancellationToken,
}

impl Attempt {
    /// The attempt of an activity that starts now.
    pub(crate) fn of(info: &ActivityInfo) -> Self {
        // Both times are the server's: its clock can differ from this one.
        let times = info.deadline.zip(info.started_time);
        let time = times.and_then(|(deadline, started)| deadline.duration_since(started).ok());
        Self::lasting(time)
    }

    fn lasting(time: Option<Duration>) -> Self {
        Self {
            waiting_ends_at: time.map(|time| Instant::now() + time / 2),
            ended: CancellationToken::new(),
        }
    }

    /// Ends the attempt when the guard is dropped. Work that continues after that is repeated by
    /// the next attempt, including its requests.
    pub(crate) fn end_on_drop(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// Runs work as part of this attempt. Spawned tasks are not part of it.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        ATTEMPT.scope(self, work)
    }

    /// Shortens a wait for the rate limit to the time that the attempt has left for waiting.
    fn limit_wait(&self, wait: Duration) -> Duration {
        self.waiting_ends_at.map_or(wait, |until| {
            let left = until.saturating_duration_since(Instant::now());
            wait.min(left.max(SHORT_WAIT))
        })
    }
}

/// A request budget that limits the waits of the current attempt. Requests outside of an attempt
/// use the inner budget directly.
pub struct AttemptBudget<B>(pub B);

impl<B: RequestBudget> RequestBudget for AttemptBudget<B> {
    fn take(&self, token: TokenKey, wait: Duration) -> BoxFuture<'_, Result<(), BudgetExhausted>> {
        let Ok(attempt) = ATTEMPT.try_with(Clone::clone) else {
            return self.0.take(token, wait);
        };
        async move {
            let taking = async { self.0.take(token, attempt.limit_wait(wait)).await };
            tokio::select! {
                biased;
                () = attempt.ended.cancelled() => Err(BudgetExhausted {
                    retry_after: Duration::ZERO,
                    reason: "the attempt was cancelled or timed out".to_owned(),
                }),
                outcome = taking => outcome,
            }
        }
        .boxed()
    }

    fn record_reported(&self, token: TokenKey, rate_limit: RateLimit) {
        self.0.record_reported(token, rate_limit);
    }

    fn close(&self, token: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()> {
        self.0.close(token, retry_after)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use digitalocean::Client;
    use simulator::{Account, DEMO_TOKEN, Simulator};

    use super::*;

    /// Records the maximum wait of each request, and grants requests once `granting` is cancelled.
    #[derive(Clone, Default)]
    struct RecordingBudget {
        waits: Arc<Mutex<Vec<Duration>>>,
        granting: CancellationToken,
    }

    impl RequestBudget for RecordingBudget {
        fn take(&self, _: TokenKey, wait: Duration) -> BoxFuture<'_, Result<(), BudgetExhausted>> {
            self.waits.lock().unwrap().push(wait);
            self.granting.clone().cancelled_owned().map(Ok).boxed()
        }

        fn record_reported(&self, _: TokenKey, _: RateLimit) {}

        fn close(&self, _: TokenKey, _: Duration) -> BoxFuture<'_, ()> {
            async {}.boxed()
        }
    }

    async fn client(budget: &RecordingBudget) -> (Client, Simulator) {
        let simulator = Simulator::start(Account::demo()).await.unwrap();
        let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
        let budget = AttemptBudget(budget.clone());
        (client.limited_by(Arc::new(budget)), simulator)
    }

    #[tokio::test]
    async fn an_attempt_waits_for_half_of_its_time_and_then_only_briefly() {
        let budget = RecordingBudget::default();
        budget.granting.cancel();
        let (client, _simulator) = client(&budget).await;
        // Requests outside of a unit of work wait two seconds at most.
        let usual = {
            client.get_balance().await.unwrap();
            budget.waits.lock().unwrap()[0]
        };
        for (time, expected) in [(None, usual), (Some(Duration::ZERO), SHORT_WAIT)] {
            let attempt = Attempt::lasting(time);
            assert_eq!(attempt.limit_wait(usual), expected.min(usual));
            attempt.scope(client.get_balance()).await.unwrap();
        }
        let long = Duration::from_mins(1);
        assert_eq!(Attempt::lasting(None).limit_wait(long), long);
        let wait = Attempt::lasting(Some(Duration::from_secs(40))).limit_wait(long);
        let expected = Duration::from_secs(19)..=Duration::from_secs(20);
        assert!(expected.contains(&wait), "{wait:?}");
        assert_eq!(budget.waits.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn an_ended_attempt_stops_waiting_and_sends_no_request() {
        let budget = RecordingBudget::default();
        let (client, simulator) = client(&budget).await;
        let attempt = Attempt::lasting(None);
        let ended = attempt.end_on_drop();
        let waiting = attempt.clone().scope(client.get_balance());
        let ending = async {
            while budget.waits.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            drop(ended);
        };
        let (outcome, ()) = tokio::join!(waiting, ending);
        let error = outcome.unwrap_err();
        assert!(crate::failure::is_pause(&error), "{error}");
        budget.granting.cancel();
        attempt.scope(client.get_balance()).await.unwrap_err();
        assert!(simulator.requests().is_empty());
        assert_eq!(budget.waits.lock().unwrap().len(), 1);
    }
}
