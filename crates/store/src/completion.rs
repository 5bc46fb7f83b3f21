//! Work that nobody drops half-way, and that ends all the same where the database says nothing more.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::{Store, StoreError};

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// The server ends a statement at its time, and has so long to say so.
pub(crate) const MARGIN: Duration = Duration::from_secs(10);

/// Why work did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// Nothing was heard of the database for longer than a statement may take.
    #[error(transparent)]
    Stalled(StoreError),
    #[error(transparent)]
    Panic(JoinError),
}

impl Unfinished {
    /// The database's silence, if that is what it was.
    pub fn stall(self) -> Option<StoreError> {
        match self {
            Self::Stalled(error) => Some(error),
            Self::Panic(_) => None,
        }
    }
}

impl Store {
    /// Does work on the database in a task of its own, so that it comes to its end also where nobody waits for it any more. To drop
    /// it half-way harms: a connection that is in the midst of a COPY or a BEGIN goes back to the pool as it is then, and gives
    /// the next one who takes it the answers to somebody else's questions (sqlx 0.9.0).
    ///
    /// A server whose machine is gone, or a wire that has forgotten the connection, never answers. So work that nothing has
    /// woken for longer than the server lets a statement take (`statement_timeout`) is given up, with the connections that it
    /// holds.
    pub fn run_to_completion<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Result<T, Unfinished>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        self.run_requests_to_completion(Duration::ZERO, work)
    }

    /// The same for work that asks others as well, who may be silent for so long.
    pub fn run_requests_to_completion<T, W>(
        &self,
        others: Duration,
        work: W,
    ) -> impl Future<Output = Result<T, Unfinished>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let heard_at = Arc::new(Mutex::new(Instant::now()));
        let heard = Arc::clone(&heard_at);
        let mut working = tokio::spawn(async move {
            let mut work = pin!(work);
            poll_fn(|context| {
                let outcome = work.poll_unpin(context);
                *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                outcome
            })
            .await
        });
        let longest = self.stall_after.map(|longest| longest.max(others));
        let stall_signal = self.stall_signal.clone();
        let watching = tokio::spawn(async move {
            let mut looks = tokio::time::interval(LOOK);
            loop {
                tokio::select! {
                    outcome = &mut working => return outcome.map_err(Unfinished::Panic),
                    _ = looks.tick() => {}
                }
                let heard_at = *heard_at.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(longest) = longest else { continue };
                if heard_at.elapsed() > longest {
                    stall_signal.raise();
                    working.abort();
                    let _ = (&mut working).await;
                    return Err(Unfinished::Stalled(StoreError::Stalled { longest }));
                }
            }
        });
        async move {
            watching
                .await
                .unwrap_or_else(|error| Err(Unfinished::Panic(error)))
        }
    }
}
