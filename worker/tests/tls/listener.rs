//! A server that is asked what Temporal is asked, through TLS, hears by whom, and has nothing to say.

use std::sync::{Arc, Mutex};

use h2::server;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::authority::Identity;
use crate::terminator::{Opening, configuration};

/// gRPC's outcome of a call; 0 is a success.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Of no compression and no bytes: any answer with nothing in it.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// What came with each request.
type Heard = Arc<Mutex<Vec<HeaderMap>>>;

/// Listens as long as it lives.
pub(crate) struct Listener {
    port: u16,
    heard: Heard,
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
        let heard = Heard::default();
        let hearing = heard.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // What goes wrong shows at the client.
                tokio::spawn(hear(stream, acceptor.clone(), hearing.clone()));
            }
        });
        Self { port, heard, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// By what each request was authorized; there must have been one.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        assert!(!heard.is_empty(), "nothing was asked");
        let authorizations = heard.iter().map(|headers| {
            let authorization = headers.get("authorization");
            authorization.map_or("", |value| value.to_str().unwrap())
        });
        authorizations.map(str::to_owned).collect()
    }
}

async fn hear(stream: TcpStream, acceptor: TlsAcceptor, heard: Heard) -> Option<()> {
    let encrypted = acceptor.accept(stream).await.ok()?;
    let handshake = server::Builder::new().handshake::<_, &'static [u8]>(encrypted);
    let mut connection = handshake.await.ok()?;
    while let Some(asked) = connection.accept().await {
        let (request, mut answer) = asked.ok()?;
        heard.lock().unwrap().push(request.headers().clone());
        let response = Response::builder().header("content-type", "application/grpc");
        let mut body = answer.send_response(response.body(()).ok()?, false).ok()?;
        body.send_data(EMPTY_MESSAGE, false).ok()?;
        let well = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
        body.send_trailers(well).ok()?;
    }
    Some(())
}
