//! A TLS gRPC server in place of Temporal. It records the headers of each request and returns an
//! empty message.

use std::sync::{Arc, Mutex};

use h2::server;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::authority::Identity;
use crate::terminator::{Opening, configuration};

/// The trailer with the gRPC status; 0 is success.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// An uncompressed gRPC message of zero bytes, which is valid for any response type.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// The headers of each request.
type Received = Arc<Mutex<Vec<HeaderMap>>>;

/// The server, which listens until dropped.
pub(crate) struct Listener {
    port: u16,
    received: Received,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    pub(crate) async fn start(identity: &Identity) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(configuration(Opening::Http2, identity, None)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Received::default();
        let recorded = received.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Errors are ignored here, since the client sees them as well.
                tokio::spawn(serve(stream, acceptor.clone(), recorded.clone()));
            }
        });
        Self {
            port,
            received,
            task,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the `authorization` header of each request. Panics if there was no request.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        let received = self.received.lock().unwrap();
        assert!(!received.is_empty(), "no requests");
        let authorizations = received.iter().map(|headers| {
            let authorization = headers.get("authorization");
            authorization.map_or("", |value| value.to_str().unwrap())
        });
        authorizations.map(str::to_owned).collect()
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, received: Received) -> Option<()> {
    let encrypted = acceptor.accept(stream).await.ok()?;
    let handshake = server::Builder::new().handshake::<_, &'static [u8]>(encrypted);
    let mut connection = handshake.await.ok()?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut responder) = accepted.ok()?;
        received.lock().unwrap().push(request.headers().clone());
        let response = Response::builder().header("content-type", "application/grpc");
        let response = response.body(()).ok()?;
        let mut body = responder.send_response(response, false).ok()?;
        body.send_data(EMPTY_MESSAGE, false).ok()?;
        let success = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
        body.send_trailers(success).ok()?;
    }
    Some(())
}
