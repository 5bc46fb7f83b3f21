//! Stop signals: SIGINT (Ctrl-C) and SIGTERM (orchestrators).

use anyhow::{Context as _, bail};
use futures::future::LocalBoxFuture;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives stop signals, including those that arrive while no future waits for them.
///
/// Created at the start of the process, because the first process of a container is not ended by a
/// signal that it does not handle.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot handle signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Resolves when the process receives a stop signal.
    pub(crate) async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Runs work to completion, or aborts it and returns None at the first stop signal.
    pub(crate) async fn unless_requested<T>(&mut self, work: LocalBoxFuture<'_, T>) -> Option<T> {
        tokio::select! {
            outcome = work => Some(outcome),
            () = self.requested() => None,
        }
    }

    /// Runs work to completion, or fails at the first stop signal. For work that is useless unless
    /// it completes.
    pub(crate) async fn or_abort<T>(
        mut self,
        work: LocalBoxFuture<'_, anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        match self.unless_requested(work).await {
            Some(outcome) => outcome,
            None => bail!("interrupted by a stop signal before completion: run it again"),
        }
    }
}
