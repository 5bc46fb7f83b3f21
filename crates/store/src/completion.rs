//! Runs database work to completion even if the caller is cancelled; aborts it when the connection
//! stalls.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::Instant;

use crate::{Store, StoreError};

/// How often running work is checked for a stall.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The time after `statement_timeout` in which the server can report that it cancelled the
/// statement.
pub(crate) const CANCEL_MARGIN: Duration = Duration::from_secs(10);

/// Why work did not complete.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The database did not respond for longer than a statement may run.
    #[error(transparent)]
    Stalled(StoreError),
    #[error(transparent)]
    Panic(JoinError),
}

impl Unfinished {
    /// Returns the stall error; `None` for a panic.
    pub fn stall(self) -> Option<StoreError> {
        match self {
            Self::Stalled(error) => Some(error),
            Self::Panic(_) => None,
        }
    }
}

impl Store {
    /// Runs database work in a separate task, so that it completes even if the caller is cancelled.
    /// Dropping the future would corrupt the pool: a connection in the middle of a COPY or a BEGIN
    /// returns to the pool in that state, and its next user receives responses to the previous
    /// user's queries (sqlx 0.9.0).
    ///
    /// A server on a failed host, or behind a network device that lost the connection, never
    /// responds. So work that is not polled for longer than the server lets a statement run
    /// (`statement_timeout`) is aborted, and its connections are closed.
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

    /// Like [`Store::run_to_completion`], for work that also sends other requests, each of which
    /// may take up to `request_limit` without progress.
    pub fn run_requests_to_completion<T, W>(
        &self,
        request_limit: Duration,
        work: W,
    ) -> impl Future<Output = Result<T, Unfinished>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let work = async move {
            // The receiver is dropped if the caller is cancelled.
            let _ = sender.send(work.await);
        };
        let completed = self.watched(request_limit, Box::pin(work));
        async move {
            completed.await?;
            Ok(receiver.await.expect("completed work has sent its result"))
        }
    }

    /// Runs work in a task, and watches its progress in another. Not generic, so that tasks are
    /// compiled once and not for each type of work.
    fn watched(
        &self,
        request_limit: Duration,
        mut work: BoxFuture<'static, ()>,
    ) -> BoxFuture<'static, Result<(), Unfinished>> {
        let progress_at = Arc::new(Mutex::new(Instant::now()));
        let task_progress_at = Arc::clone(&progress_at);
        let mut working = tokio::spawn(async move {
            poll_fn(|context| {
                let outcome = work.poll_unpin(context);
                *task_progress_at
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Instant::now();
                outcome
            })
            .await;
        });
        let longest = self.stall_after.map(|longest| longest.max(request_limit));
        let stall_signal = self.stall_signal.clone();
        let watching = tokio::spawn(async move {
            let mut checks = tokio::time::interval(CHECK_INTERVAL);
            loop {
                tokio::select! {
                    outcome = &mut working => return outcome.map_err(Unfinished::Panic),
                    _ = checks.tick() => {}
                }
                let progress_at = *progress_at.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(longest) = longest else { continue };
                if progress_at.elapsed() > longest {
                    stall_signal.raise();
                    working.abort();
                    let _ = (&mut working).await;
                    return Err(Unfinished::Stalled(StoreError::Stalled { limit: longest }));
                }
            }
        });
        Box::pin(async move {
            watching
                .await
                .unwrap_or_else(|error| Err(Unfinished::Panic(error)))
        })
    }
}
