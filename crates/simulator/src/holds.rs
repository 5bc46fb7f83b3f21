//! Holds: responses that are computed at once and sent later, and suspensions of all requests.

use std::convert::Infallible;

use tokio::sync::{oneshot, watch};

use crate::faults::Target;

/// The response to one future request. It is computed from the account when the request arrives,
/// and sent when this is dropped: like the response to a client that is suspended before it reads
/// it.
#[derive(Debug)]
pub struct Hold {
    reached: oneshot::Receiver<()>,
    /// Never sends; dropping it releases the response.
    _release: oneshot::Sender<Infallible>,
}

impl Hold {
    /// Waits until the response is computed.
    pub async fn reached(&mut self) {
        // An error means that the server stopped.
        let _ = (&mut self.reached).await;
    }
}

/// The server's side of a [`Hold`].
pub(crate) struct Held {
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<Infallible>,
}

impl Held {
    /// Reports that the response is computed, and waits until it may be sent.
    pub(crate) async fn wait(self) {
        // An error means that the hold was dropped.
        let _ = self.reached.send(());
        let _ = self.released.await;
    }
}

/// While this exists, requests wait before they read the account.
#[derive(Debug)]
pub struct Suspension {
    /// Never sends; dropping it continues the requests.
    _resume: watch::Sender<()>,
}

/// The server's side of a [`Suspension`].
#[derive(Clone)]
pub(crate) struct Suspended(watch::Receiver<()>);

impl Suspended {
    pub(crate) fn begin() -> (Suspension, Self) {
        let (resume, resumed) = watch::channel(());
        (Suspension { _resume: resume }, Self(resumed))
    }

    pub(crate) async fn wait(mut self) {
        // An error means that the suspension was dropped.
        let _ = self.0.changed().await;
    }
}

/// The holds of future requests, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Holds(Vec<(Target, Held)>);

impl Holds {
    pub(crate) fn add(&mut self, target: &str) -> Hold {
        let (reached, is_reached) = oneshot::channel();
        let (release, released) = oneshot::channel();
        self.0
            .push((Target::parse(target), Held { reached, released }));
        Hold {
            reached: is_reached,
            _release: release,
        }
    }

    /// Removes the first hold that applies to this request.
    pub(crate) fn take(&mut self, path: &str, query: &str) -> Option<Held> {
        let position = self
            .0
            .iter()
            .position(|(target, _)| target.matches(path, query))?;
        Some(self.0.remove(position).1)
    }
}
