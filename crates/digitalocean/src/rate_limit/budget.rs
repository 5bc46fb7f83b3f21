//! The trait of the budget that permits each request, and the time that a request waits for it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use super::headers::RateLimit;

/// The wait of the first request of a unit of work. It is short: work that has not started can wait
/// in Temporal, where it holds no slot of a worker.
const FIRST_REQUEST_MAX_WAIT: Duration = Duration::from_secs(2);
/// The wait of each further request. It is long, since to stop would waste the requests sent so
/// far: at the steady rate of a used-up hour, a list of a hundred pages would never complete.
const FURTHER_REQUEST_MAX_WAIT: Duration = Duration::from_mins(1);

/// Identifies a token without revealing it: the SHA-256 of a fixed text and the token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    pub(crate) fn of(token: &SecretString) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"arcadia request budget of ");
        hash.update(token.expose_secret());
        Self(hash.finalize().into())
    }

    /// The hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0;
        write!(formatter, "TokenKey({first:02x}{second:02x}…)")
    }
}

/// The budget permits no request within the maximum wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetExhausted {
    pub retry_after: Duration,
    /// For logs and errors.
    pub reason: String,
}

/// Permits requests, for all clients that use the same token.
pub trait RequestBudget: Send + Sync {
    /// Resolves when a request may be sent with the token. Fails if none may within `max_wait`.
    fn take(
        &self,
        token: TokenKey,
        max_wait: Duration,
    ) -> BoxFuture<'_, Result<(), BudgetExhausted>>;

    /// Records the limit in the headers of a response. Must not block.
    fn record_reported(&self, token: TokenKey, rate_limit: RateLimit);

    /// Closes the budget after a 429: no client sends a request for `retry_after`.
    fn close(&self, token: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()>;
}

/// The requests of one unit of work, e.g. of an activity.
#[derive(Default)]
struct WorkUnit {
    /// Set when the first request is permitted.
    first_request: OnceCell<()>,
    /// Set when a request is refused: the unit fails, so its further requests would be wasted.
    refusal: Mutex<Option<BudgetExhausted>>,
}

impl WorkUnit {
    fn refusal(&self) -> MutexGuard<'_, Option<BudgetExhausted>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request from the budget. Fails at once if the unit was refused one before.
    async fn take(
        &self,
        budget: &dyn RequestBudget,
        token: TokenKey,
        max_wait: Duration,
    ) -> Result<(), BudgetExhausted> {
        let earlier = self.refusal().clone();
        if let Some(refusal) = earlier {
            return Err(refusal);
        }
        let outcome = budget.take(token, max_wait).await;
        if let Err(refusal) = &outcome {
            *self.refusal() = Some(refusal.clone());
        }
        outcome
    }
}

tokio::task_local! {
    static WORK_UNIT: Arc<WorkUnit>;
}

/// Runs work as one unit: its first request waits for two seconds, each further one for a minute,
/// and after a refusal it gets no more. Spawned tasks are not part of it.
pub fn as_one_unit_of_work<F: Future>(work: F) -> impl Future<Output = F::Output> {
    WORK_UNIT.scope(Arc::default(), work)
}

/// Waits until the budget permits a request of the current unit of work. A request outside of any
/// unit waits like a first one.
pub(crate) async fn take(
    budget: &dyn RequestBudget,
    token: TokenKey,
) -> Result<(), BudgetExhausted> {
    let Ok(unit) = WORK_UNIT.try_with(Arc::clone) else {
        return budget.take(token, FIRST_REQUEST_MAX_WAIT).await;
    };
    let mut is_first = false;
    // Of concurrent first requests one calls the budget; the others wait for its result.
    unit.first_request
        .get_or_try_init(async || {
            is_first = true;
            unit.take(budget, token, FIRST_REQUEST_MAX_WAIT).await
        })
        .await?;
    if is_first {
        return Ok(());
    }
    unit.take(budget, token, FURTHER_REQUEST_MAX_WAIT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(token: &str) -> TokenKey {
        TokenKey::of(&token.into())
    }

    /// Permits `remaining` requests, and records the maximum wait of each call.
    #[derive(Default)]
    struct RecordingBudget {
        remaining: Mutex<u32>,
        max_waits: Mutex<Vec<Duration>>,
    }

    impl RequestBudget for RecordingBudget {
        fn take(
            &self,
            _: TokenKey,
            max_wait: Duration,
        ) -> BoxFuture<'_, Result<(), BudgetExhausted>> {
            self.max_waits.lock().unwrap().push(max_wait);
            let mut remaining = self.remaining.lock().unwrap();
            let outcome = remaining.checked_sub(1).ok_or_else(|| BudgetExhausted {
                retry_after: Duration::from_secs(9),
                reason: "a test".to_owned(),
            });
            let outcome = outcome.map(|rest| *remaining = rest);
            Box::pin(async move {
                tokio::task::yield_now().await;
                outcome
            })
        }

        fn record_reported(&self, _: TokenKey, _: RateLimit) {}

        fn close(&self, _: TokenKey, _: Duration) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn only_the_first_request_of_a_unit_of_work_has_the_short_wait() {
        let budget = RecordingBudget::default();
        *budget.remaining.lock().unwrap() = 5;
        as_one_unit_of_work(async {
            let concurrent = [(); 3].map(|()| take(&budget, key("a")));
            for taken in futures::future::join_all(concurrent).await {
                taken.unwrap();
            }
        })
        .await;
        take(&budget, key("a")).await.unwrap();
        let max_waits = budget.max_waits.lock().unwrap().clone();
        let (short, long) = (FIRST_REQUEST_MAX_WAIT, FURTHER_REQUEST_MAX_WAIT);
        assert_eq!(max_waits, [short, long, long, short]);
    }

    #[tokio::test]
    async fn a_refused_unit_of_work_does_not_call_the_budget_again() {
        let budget = RecordingBudget::default();
        as_one_unit_of_work(async {
            let refusal = take(&budget, key("a")).await.unwrap_err();
            *budget.remaining.lock().unwrap() = 1;
            assert_eq!(take(&budget, key("a")).await, Err(refusal));
        })
        .await;
        as_one_unit_of_work(take(&budget, key("a"))).await.unwrap();
        let max_waits = budget.max_waits.lock().unwrap().clone();
        assert_eq!(max_waits, [FIRST_REQUEST_MAX_WAIT; 2]);
    }

    #[test]
    fn a_key_distinguishes_tokens_and_reveals_none() {
        assert_eq!(key("dop_v1_a"), key("dop_v1_a"));
        assert_ne!(key("dop_v1_a"), key("dop_v1_b"));
        let bare: [u8; 32] = Sha256::digest("dop_v1_a").into();
        assert_ne!(key("dop_v1_a").as_bytes(), &bare);
        assert!(format!("{:?}", key("dop_v1_a")).len() < 20);
    }
}
