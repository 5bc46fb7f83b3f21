//! What one attempt at an activity may still ask of DigitalOcean: it waits for requests in bounds, and asks nothing once it is over.

use std::future::Future;
use std::time::Duration;

use digitalocean::RateLimit;
use digitalocean::budget::{RequestBudget, TokenKey, UsedUp};
use futures::future::{BoxFuture, FutureExt as _};
use temporalio_sdk::activities::ActivityInfo;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a request is waited for where the attempt has done its waiting: one that can be had at once is still taken.
const AT_ONCE: Duration = Duration::from_secs(2);

tokio::task_local! {
    static ATTEMPT: Attempt;
}

/// One attempt at an activity.
#[derive(Clone)]
pub(crate) struct Attempt {
    /// Half of the time that it has. Slow for want of requests, it ends as a pause, which is no failure; it would run out of time
    /// otherwise, and that is one.
    waits_until: Option<Instant>,
    over: CancellationToken,
}

impl Attempt {
    /// One that begins now.
    pub(crate) fn of(info: &ActivityInfo) -> Self {
        // Both are the server's times, whose clock may differ from ours.
        let has = info.deadline.zip(info.started_time);
        let has = has.and_then(|(deadline, started)| deadline.duration_since(started).ok());
        Self::lasting(has)
    }

    fn lasting(time: Option<Duration>) -> Self {
        Self {
            waits_until: time.map(|time| Instant::now() + time / 2),
            over: CancellationToken::new(),
        }
    }

    /// Ends the attempt when it is dropped: what the attempt still does then is asked for anew elsewhere, and its requests with it.
    pub(crate) fn until_dropped(&self) -> DropGuard {
        self.over.clone().drop_guard()
    }

    /// Work that is done in this attempt. Spawned tasks are not part of it.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        ATTEMPT.scope(self, work)
    }

    fn patience(&self, wanted: Duration) -> Duration {
        self.waits_until.map_or(wanted, |until| {
            let left = until.saturating_duration_since(Instant::now());
            wanted.min(left.max(AT_ONCE))
        })
    }
}

/// A budget of requests as attempts draw on it. Who asks outside of any draws on it as it is.
pub struct ByAttempts<B>(pub B);

impl<B: RequestBudget> RequestBudget for ByAttempts<B> {
    fn take(&self, token: TokenKey, patience: Duration) -> BoxFuture<'_, Result<(), UsedUp>> {
        let Ok(attempt) = ATTEMPT.try_with(Clone::clone) else {
            return self.0.take(token, patience);
        };
        async move {
            let taking = async { self.0.take(token, attempt.patience(patience)).await };
            tokio::select! {
                biased;
                () = attempt.over.cancelled() => Err(UsedUp {
                    retry_after: Duration::ZERO,
                    reason: "it was cancelled, or ran out of time".to_owned(),
                }),
                outcome = taking => outcome,
            }
        }
        .boxed()
    }

    fn told(&self, token: TokenKey, rate_limit: RateLimit) {
        self.0.told(token, rate_limit);
    }

    fn refused(&self, token: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()> {
        self.0.refused(token, retry_after)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use digitalocean::Client;
    use simulator::{Account, DEMO_TOKEN, Simulator};

    use super::*;

    /// Notes how long each request would be waited for; gives none before it is told to.
    #[derive(Clone, Default)]
    struct Noting {
        asked: Arc<Mutex<Vec<Duration>>>,
        gives: CancellationToken,
    }

    impl RequestBudget for Noting {
        fn take(&self, _: TokenKey, patience: Duration) -> BoxFuture<'_, Result<(), UsedUp>> {
            self.asked.lock().unwrap().push(patience);
            self.gives.clone().cancelled_owned().map(Ok).boxed()
        }

        fn told(&self, _: TokenKey, _: RateLimit) {}

        fn refused(&self, _: TokenKey, _: Duration) -> BoxFuture<'_, ()> {
            async {}.boxed()
        }
    }

    async fn client(budget: &Noting) -> (Client, Simulator) {
        let simulator = Simulator::start(Account::demo()).await.unwrap();
        let client = Client::new(&simulator.url(), DEMO_TOKEN.into()).unwrap();
        let budget = ByAttempts(budget.clone());
        (client.limited_by(Arc::new(budget)), simulator)
    }

    #[tokio::test]
    async fn an_attempt_waits_for_half_of_its_time_and_then_takes_what_can_be_had_at_once() {
        let budget = Noting::default();
        budget.gives.cancel();
        let (client, _simulator) = client(&budget).await;
        // What no piece of work asks for is waited for two seconds at most.
        let usual = {
            client.get_balance().await.unwrap();
            budget.asked.lock().unwrap()[0]
        };
        for (time, expected) in [(None, usual), (Some(Duration::ZERO), AT_ONCE)] {
            let attempt = Attempt::lasting(time);
            assert_eq!(attempt.patience(usual), expected.min(usual));
            attempt.scope(client.get_balance()).await.unwrap();
        }
        let long = Duration::from_mins(1);
        assert_eq!(Attempt::lasting(None).patience(long), long);
        let patience = Attempt::lasting(Some(Duration::from_secs(40))).patience(long);
        let expected = Duration::from_secs(19)..=Duration::from_secs(20);
        assert!(expected.contains(&patience), "{patience:?}");
        assert_eq!(budget.asked.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn an_attempt_that_is_over_waits_no_longer_and_asks_nothing_more() {
        let budget = Noting::default();
        let (client, simulator) = client(&budget).await;
        let attempt = Attempt::lasting(None);
        let over = attempt.until_dropped();
        let waiting = attempt.clone().scope(client.get_balance());
        let ending = async {
            while budget.asked.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            drop(over);
        };
        let (outcome, ()) = tokio::join!(waiting, ending);
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("ran out of time"), "{error}");
        budget.gives.cancel();
        attempt.scope(client.get_balance()).await.unwrap_err();
        assert!(simulator.requests().is_empty());
        assert_eq!(budget.asked.lock().unwrap().len(), 1);
    }
}
