//! Being asked to stop: by Ctrl-C, or by SIGTERM as orchestrators do.

use anyhow::{Context as _, bail};
use futures::future::LocalBoxFuture;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears of it from the beginning on, also what comes while nobody looks: the first process of a container is not ended by a signal that
/// it does not handle.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be handled");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Resolves when the process is asked to stop.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// What comes of the work; none where the process is asked to stop before. It is broken off then.
    pub(crate) async fn unless_asked<T>(&mut self, work: LocalBoxFuture<'_, T>) -> Option<T> {
        tokio::select! {
            outcome = work => Some(outcome),
            () = self.asked() => None,
        }
    }

    /// The same for work that is of no use before its end.
    pub(crate) async fn or_break_off<T>(
        mut self,
        work: LocalBoxFuture<'_, anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        match self.unless_asked(work).await {
            Some(outcome) => outcome,
            None => bail!("it was asked to stop before it was done: run it again"),
        }
    }
}
