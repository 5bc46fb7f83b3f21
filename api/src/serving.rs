//! Serves the router over HTTP/1.1, with limits on connections, request heads and durations that
//! protect against slow, numerous or hostile clients.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::serve::Listener;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Layer as _, ServiceExt as _};

use crate::{Settings, routers};

/// Time limit for requests in progress during shutdown: a client that never finishes its request
/// must not keep the process alive.
const GRACE: Duration = Duration::from_secs(10);

/// Maximum time for a client to send the head of a request, and maximum idle time of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);

/// Maximum lifetime of a connection: a client that reads a response byte by byte must not occupy a
/// connection for ever. A connection is closed between requests; one with a request in progress is
/// closed [`GRACE`] later.
const MAX_LIFETIME: Duration = Duration::from_mins(10);

/// Maximum number of concurrent connections; further ones wait until one ends.
const CONNECTIONS: usize = 1024;

/// Maximum number of concurrent connections to the separate metrics listener.
const METRICS_CONNECTIONS: usize = 16;

/// Maximum number of bytes read before the head of a request is complete: the memory that a client
/// can occupy without a response. The limits of the routes are lower (`layers::PATH_LIMIT`,
/// `layers::HEADER_LIMIT`) and return problem documents.
const HEAD_BUFFER: usize = 64 * 1024;

/// Maximum number of header fields. Equals hyper's default, and is set explicitly because it is one
/// of the limits.
const HEADER_FIELDS: usize = 100;

/// The IP address of the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Serves requests until `shutdown` completes, then waits up to ten seconds for requests in
/// progress.
pub fn serve(
    listener: TcpListener,
    settings: impl Into<Settings>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Boxed<io::Result<()>> {
    serve_boxed(listener, settings.into(), Box::pin(shutdown))
}

/// Not generic, so that the server is compiled in this crate and not in each caller.
fn serve_boxed(
    listener: TcpListener,
    settings: Settings,
    shutdown: Boxed<()>,
) -> Boxed<io::Result<()>> {
    Box::pin(serve_until(listener, settings, shutdown))
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

async fn serve_until(
    listener: TcpListener,
    mut settings: Settings,
    shutdown: Boxed<()>,
) -> io::Result<()> {
    let stopping = CancellationToken::new();
    let metrics_listener = settings.metrics_listener.take();
    let (router, metrics_router) = routers(settings);
    let metrics = async {
        if let Some(listener) = metrics_listener {
            accept(listener, metrics_router, METRICS_CONNECTIONS, &stopping).await;
        }
    };
    let all = accept(listener, router, CONNECTIONS, &stopping);
    let stop = async {
        shutdown.await;
        stopping.cancel();
    };
    tokio::join!(all, metrics, stop);
    Ok(())
}

/// Accepts connections of one listener until `stopping`, then waits for them up to [`GRACE`].
async fn accept(
    mut listener: TcpListener,
    router: Router,
    connections: usize,
    stopping: &CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(connections));
    let connections = TaskTracker::new();
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            // axum's `accept` retries after a pause when the process has no file descriptor left.
            (permit, Listener::accept(&mut listener).await)
        };
        let (permit, (stream, peer)) = tokio::select! {
            () = stopping.cancelled() => break,
            next = next => next,
        };
        let connection = serve_connection(stream, peer, router.clone(), stopping.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    // Connections that are still open end with the process.
    let _ = tokio::time::timeout(GRACE, connections.wait()).await;
}

/// Serves the requests of one connection until the client closes it, [`MAX_LIFETIME`] ends, or
/// `stopping` is cancelled.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stopping: CancellationToken,
) {
    // Responses are written at once, so that Nagle's algorithm would only delay the last packet.
    let _ = stream.set_nodelay(true);
    let service = Extension(Peer(peer.ip()))
        .layer(router)
        .map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BUFFER)
        .max_headers(HEADER_FIELDS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let close_requested = tokio::time::timeout(MAX_LIFETIME, stopping.cancelled());
    let ended = tokio::select! {
        ended = connection.as_mut() => Ok(ended),
        _ = close_requested => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "connection failed"
        );
    }
}
