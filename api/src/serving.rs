//! Serving the router on a socket.

use std::future::{Future, pending};
use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::{Settings, router};

/// How long requests under way may take once shutdown is asked for: a client that never finishes sending must not keep the
/// process alive.
const GRACE: Duration = Duration::from_secs(10);

/// Answers requests until `shutdown` is done, then finishes those under way, ten seconds at most.
pub async fn serve(
    listener: TcpListener,
    settings: impl Into<Settings>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (has_begun, begun) = oneshot::channel();
    let server = axum::serve(listener, router(settings)).with_graceful_shutdown(async move {
        shutdown.await;
        // Nobody listens only where the server is gone already.
        let _ = has_begun.send(());
    });
    tokio::select! {
        result = server.into_future() => result,
        () = grace_is_over(begun) => Ok(()),
    }
}

async fn grace_is_over(begun: oneshot::Receiver<()>) {
    match begun.await {
        Ok(()) => tokio::time::sleep(GRACE).await,
        Err(_) => pending().await,
    }
}
