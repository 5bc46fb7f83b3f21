//! Serving the router on a socket, to clients of whom some are slow, many or hostile.

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

/// How long requests under way may take once shutdown is asked for: a client that never finishes sending must not keep the
/// process alive.
const GRACE: Duration = Duration::from_secs(10);

/// The longest that a client may take to send a request's head, and that a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_mins(1);

/// The longest that a connection is kept: a client that takes in an answer byte by byte must not hold its place for ever. It is
/// ended between requests, and in the midst of one only [`GRACE`] later.
const LIFE: Duration = Duration::from_mins(10);

/// The most connections at a time; more wait until one ends.
const CONNECTIONS: usize = 1024;

/// The same where only the metrics are served, to Prometheus.
const METRICS_CONNECTIONS: usize = 16;

/// The most bytes that are read before a request's head must be whole: all of memory that a client can take without being answered.
/// The routes take less (`layers::PATH_LIMIT`, `layers::HEADER_LIMIT`), and say so in better words.
const HEAD_BUFFER: usize = 64 * 1024;

/// The most header fields; what hyper has room for by itself, said here since it is one of the limits.
const HEADER_FIELDS: usize = 100;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Answers requests until `shutdown` is done, then finishes requests in progress, ten seconds at most.
///
/// Boxed, so that the server is compiled in this crate and not once more in each that calls it.
pub fn serve(
    listener: TcpListener,
    settings: impl Into<Settings>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Boxed<io::Result<()>> {
    Box::pin(serve_until(listener, settings.into(), Box::pin(shutdown)))
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

async fn serve_until(
    listener: TcpListener,
    mut settings: Settings,
    shutdown: Boxed<()>,
) -> io::Result<()> {
    let stopping = CancellationToken::new();
    let metrics_listener = settings.metrics_listener.take();
    let (router, metrics_router) = routers(settings, metrics_listener.is_some());
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

/// Answers the requests that come in there.
async fn accept(
    mut listener: TcpListener,
    router: Router,
    connections: usize,
    stopping: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(connections));
    let connections = TaskTracker::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            // axum's way of accepting: it waits a while where the process has no file descriptor left.
            (place, Listener::accept(&mut listener).await)
        };
        let (place, (stream, peer)) = tokio::select! {
            () = stopping.cancelled() => break,
            next = next => next,
        };
        let connection = answer(stream, peer, router.clone(), stopping.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    // What is not done by then ends with the process.
    let _ = tokio::time::timeout(GRACE, connections.wait()).await;
}

/// Answers the requests of one connection, until it ends, has lived long enough, or all are to stop.
async fn answer(stream: TcpStream, peer: SocketAddr, router: Router, stopping: CancellationToken) {
    // Answers are written whole: there is nothing to wait for that would fill a packet.
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
    let end_asked_for = tokio::time::timeout(LIFE, stopping.cancelled());
    let ended = tokio::select! {
        ended = connection.as_mut() => Ok(ended),
        _ = end_asked_for => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "a connection broke"
        );
    }
}
