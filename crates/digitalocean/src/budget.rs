//! Who says when a request may be sent: one budget for all that use the same token.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use crate::rate_limit::RateLimit;

/// How long work that has not begun waits for its first request: it is as well off waiting outside, where it holds up nothing.
pub(crate) const BEFORE_IT_BEGINS: Duration = Duration::from_secs(2);
/// How long work that has begun waits for each further request. To break it off would waste what it has asked so far: at the steady
/// pace of an hour that is used up, a list of a hundred pages would never come to its end.
pub(crate) const UNDER_WAY: Duration = Duration::from_mins(1);

/// Tells a token from others, and leads back to none: SHA-256 of a fixed text and the token.
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

/// There is no request to be had within the time that its asker would wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedUp {
    /// After which asking again makes sense.
    pub retry_after: Duration,
    /// As people are told.
    pub reason: String,
}

/// Says when a request may be sent, for all who use the same token.
pub trait RequestBudget: Send + Sync {
    /// Resolves when a request may be sent with this token, or when it is clear that none may within `patience`.
    fn take(&self, token: TokenKey, patience: Duration) -> BoxFuture<'_, Result<(), UsedUp>>;

    /// Is told what an answer's headers said of the token; must not wait.
    fn told(&self, token: TokenKey, rate_limit: RateLimit);

    /// A request was refused with a 429: nobody sends another before so long.
    fn refused(&self, token: TokenKey, retry_after: Duration) -> BoxFuture<'_, ()>;
}

/// A piece of work.
#[derive(Default)]
struct Piece {
    /// Set once it has been given its first request.
    begun: OnceCell<()>,
    /// Set once it has been refused one: what it is for comes to nothing this time.
    refused: Mutex<Option<UsedUp>>,
}

impl Piece {
    fn refused(&self) -> MutexGuard<'_, Option<UsedUp>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request, unless the piece has been refused one before.
    async fn take(
        &self,
        budget: &dyn RequestBudget,
        token: TokenKey,
        patience: Duration,
    ) -> Result<(), UsedUp> {
        let before = self.refused().clone();
        if let Some(refused) = before {
            return Err(refused);
        }
        let outcome = budget.take(token, patience).await;
        if let Err(refused) = &outcome {
            *self.refused() = Some(refused.clone());
        }
        outcome
    }
}

tokio::task_local! {
    static PIECE: Arc<Piece>;
}

/// The same work, of which the budget knows that it is one: only its first request is refused soon, the others are waited for; once
/// refused it gets no more. Spawned tasks are not part of it.
pub fn one_piece<F: Future>(work: F) -> impl Future<Output = F::Output> {
    PIECE.scope(Arc::default(), work)
}

/// Waits for a request, with the patience that its work deserves.
pub(crate) async fn take(budget: &dyn RequestBudget, token: TokenKey) -> Result<(), UsedUp> {
    let Ok(piece) = PIECE.try_with(Arc::clone) else {
        return budget.take(token, BEFORE_IT_BEGINS).await;
    };
    let mut is_first = false;
    // Of requests that begin the work side by side, one asks; the others wait for its answer.
    piece
        .begun
        .get_or_try_init(async || {
            is_first = true;
            piece.take(budget, token, BEFORE_IT_BEGINS).await
        })
        .await?;
    if is_first {
        return Ok(());
    }
    piece.take(budget, token, UNDER_WAY).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(token: &str) -> TokenKey {
        TokenKey::of(&token.into())
    }

    /// Gives as many requests as it holds, and notes how long each was asked to be waited for.
    #[derive(Default)]
    struct Noting {
        left: Mutex<u32>,
        asked: Mutex<Vec<Duration>>,
    }

    impl RequestBudget for Noting {
        fn take(&self, _: TokenKey, patience: Duration) -> BoxFuture<'_, Result<(), UsedUp>> {
            self.asked.lock().unwrap().push(patience);
            let mut left = self.left.lock().unwrap();
            let given = left.checked_sub(1).ok_or_else(|| UsedUp {
                retry_after: Duration::from_secs(9),
                reason: "a test".to_owned(),
            });
            let given = given.map(|rest| *left = rest);
            Box::pin(async move {
                tokio::task::yield_now().await;
                given
            })
        }

        fn told(&self, _: TokenKey, _: RateLimit) {}

        fn refused(&self, _: TokenKey, _: Duration) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn only_the_first_request_of_a_piece_of_work_is_refused_soon() {
        let budget = Noting::default();
        *budget.left.lock().unwrap() = 5;
        one_piece(async {
            let side_by_side = [(); 3].map(|()| take(&budget, key("a")));
            for taken in futures::future::join_all(side_by_side).await {
                taken.unwrap();
            }
        })
        .await;
        take(&budget, key("a")).await.unwrap();
        let asked = budget.asked.lock().unwrap().clone();
        let (soon, late) = (BEFORE_IT_BEGINS, UNDER_WAY);
        assert_eq!(asked, [soon, late, late, soon]);
    }

    #[tokio::test]
    async fn a_piece_of_work_that_was_refused_asks_no_more() {
        let budget = Noting::default();
        one_piece(async {
            let refused = take(&budget, key("a")).await.unwrap_err();
            *budget.left.lock().unwrap() = 1;
            assert_eq!(take(&budget, key("a")).await, Err(refused));
        })
        .await;
        one_piece(take(&budget, key("a"))).await.unwrap();
        let asked = budget.asked.lock().unwrap().clone();
        assert_eq!(asked, [BEFORE_IT_BEGINS; 2]);
    }

    #[test]
    fn a_key_tells_tokens_apart_and_shows_none() {
        assert_eq!(key("dop_v1_a"), key("dop_v1_a"));
        assert_ne!(key("dop_v1_a"), key("dop_v1_b"));
        let bare: [u8; 32] = Sha256::digest("dop_v1_a").into();
        assert_ne!(key("dop_v1_a").as_bytes(), &bare);
        assert!(format!("{:?}", key("dop_v1_a")).len() < 20);
    }
}
