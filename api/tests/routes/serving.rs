use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::TestApi;

const LIMIT: Duration = Duration::from_secs(20);

struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn serve(api: &TestApi) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move {
        stopped.await.unwrap();
    };
    let task = tokio::spawn(api::serve(listener, api.store.clone(), shutdown));
    Served {
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
async fn it_answers_over_http_and_stops_when_asked() {
    let api = TestApi::empty().await;
    let served = serve(&api).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut stream = send(served.address, request).await;
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");

    // The connection is still open: only the shutdown ends it.
    served.stop.send(()).unwrap();
    let done = tokio::time::timeout(LIMIT, served.task).await;
    done.expect("it goes on after the shutdown")
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_request_that_is_never_finished_does_not_keep_it_from_stopping() {
    let api = TestApi::empty().await;
    let served = serve(&api).await;
    let _unfinished = send(served.address, "GET /healthz HTTP/1.1\r\nhost: lo").await;
    // One that is answered shows that the one before it has been taken on.
    let mut other = send(
        served.address,
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    other.read_to_end(&mut Vec::new()).await.unwrap();

    served.stop.send(()).unwrap();
    // From here on nothing but the clock can move on, and it is moved on as soon as all wait for
    // it.
    tokio::time::pause();
    let done = tokio::time::timeout(LIMIT, served.task).await;
    done.expect("it waits without an end").unwrap().unwrap();
}
