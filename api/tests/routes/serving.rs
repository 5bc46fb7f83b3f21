//! Tests of the HTTP server: it responds, and it stops.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::TestApi;

const LIMIT: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn serve(api: &TestApi) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        stopped.await.unwrap();
    };
    let task = tokio::spawn(api::serve(listener, api.store.clone(), shutdown));
    Server {
        address,
        stop,
        task,
    }
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn the_server_responds_over_http_and_stops_on_shutdown() {
    let api = TestApi::empty().await;
    let server = serve(&api).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut stream = send(server.address, request).await;
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");

    // The connection is still open: only the shutdown ends it.
    server.stop.send(()).unwrap();
    let done = tokio::time::timeout(LIMIT, server.task).await;
    done.expect("the server runs after the shutdown")
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn an_unfinished_request_does_not_block_the_shutdown() {
    let api = TestApi::empty().await;
    let server = serve(&api).await;
    let _unfinished = send(server.address, "GET /healthz HTTP/1.1\r\nhost: lo").await;
    // The response to a later connection shows that the first one is accepted.
    let mut other = send(
        server.address,
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    other.read_to_end(&mut Vec::new()).await.unwrap();

    server.stop.send(()).unwrap();
    // From here on all tasks wait for timers only, so that Tokio advances the paused clock at once.
    tokio::time::pause();
    let done = tokio::time::timeout(LIMIT, server.task).await;
    done.expect("the server does not stop").unwrap().unwrap();
}
