//! A TCP proxy between the worker and a server that can delay, cut, or drop traffic.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards connections to one local port until dropped.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    /// The running tasks; dropping them closes all connections.
    _serving: JoinSet<()>,
}

struct Shared {
    /// Microseconds by which each chunk is delayed.
    delay: AtomicU64,
    /// The number of cuts. Each change closes all connections.
    cuts: watch::Sender<u64>,
    /// The number of black holes. Each change stops the traffic of all connections.
    black_holes: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            delay: AtomicU64::new(0),
            cuts: watch::channel(0).0,
            black_holes: watch::channel(0).0,
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, port, Arc::clone(&shared)));
        Self {
            port: own_port,
            shared,
            _serving: serving,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Delays each chunk of up to 16 KiB, in both directions, from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.shared.delay.store(micros, Ordering::Relaxed);
    }

    /// Closes all connections at once, even within a message. New connections are accepted.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Drops the traffic of all connections in both directions, without closing them: like a
    /// machine without power, or a firewall that lost its state. New connections are accepted.
    /// Lasts until the next cut.
    pub(crate) fn black_hole(&self) {
        self.shared
            .black_holes
            .send_modify(|black_holes| *black_holes += 1);
    }
}

async fn serve(listener: TcpListener, port: u16, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let mut cuts = shared.cuts.subscribe();
            let mut black_holes = shared.black_holes.subscribe();
            // If the server is down, close the connection, so that the worker's driver sees an
            // immediate end.
            let far = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let Ok(far) = far.await else { return };
            for stream in [&near, &far] {
                let _ = stream.set_nodelay(true);
            }
            let (mut near_in, mut near_out) = near.into_split();
            let (mut far_in, mut far_out) = far.into_split();
            tokio::select! {
                () = forward(&mut near_in, &mut far_out, &shared) => return,
                () = forward(&mut far_in, &mut near_out, &shared) => return,
                _ = cuts.changed() => return,
                _ = black_holes.changed() => {}
            }
            let discarding = async {
                tokio::join!(discard(&mut near_in), discard(&mut far_in));
                // The end of a stream is not forwarded either.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = discarding => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// Forwards data in one direction until either side closes, which ends the whole connection.
async fn forward(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, shared: &Shared) {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut chunk).await else {
            return;
        };
        let delay = shared.delay.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_micros(delay)).await;
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
}

async fn discard(from: &mut OwnedReadHalf) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(1..) = from.read(&mut chunk).await {}
}
