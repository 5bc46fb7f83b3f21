//! A wire between the worker and a server that can be slow, be cut, or fall silent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Listens for as long as it lives, and hands everything on to one port of this machine.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    /// Dropped with it, and all connections with them.
    _serving: JoinSet<()>,
}

struct Shared {
    /// Microseconds that each piece waits on its way.
    delay: AtomicU64,
    /// Counts the cuts: a connection ends when it changes.
    cuts: watch::Sender<u64>,
    /// Counts the silences: a connection carries nothing any more when it changes.
    silences: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            delay: AtomicU64::new(0),
            cuts: watch::channel(0).0,
            silences: watch::channel(0).0,
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

    /// From now on each piece, of up to 16 KiB either way, is so late.
    pub(crate) fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.shared.delay.store(micros, Ordering::Relaxed);
    }

    /// Breaks all connections as they are, in the middle of whatever they carry. New ones can be made at once.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Swallows from now on what all connections carry, both ways, and tells neither side, not even that the other is gone: as where
    /// a machine lost its power, or a firewall forgot them. New ones can be made at once. Until the next cut.
    pub(crate) fn black_hole(&self) {
        self.shared.silences.send_modify(|silences| *silences += 1);
    }
}

async fn serve(listener: TcpListener, port: u16, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let mut cuts = shared.cuts.subscribe();
            let mut silences = shared.silences.subscribe();
            // A server that is not there is told by closing: the worker's driver sees a connection that ends at once.
            let far = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let Ok(far) = far.await else { return };
            for stream in [&near, &far] {
                let _ = stream.set_nodelay(true);
            }
            let (mut near_in, mut near_out) = near.into_split();
            let (mut far_in, mut far_out) = far.into_split();
            tokio::select! {
                () = hand_on(&mut near_in, &mut far_out, &shared) => return,
                () = hand_on(&mut far_in, &mut near_out, &shared) => return,
                _ = cuts.changed() => return,
                _ = silences.changed() => {}
            }
            let swallow = async {
                tokio::join!(swallow(&mut near_in), swallow(&mut far_in));
                // An end is swallowed as well.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = swallow => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// Until either side ends; then the connection is over, as it is for the worker's drivers.
async fn hand_on(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, shared: &Shared) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else {
            return;
        };
        let delay = shared.delay.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_micros(delay)).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}

async fn swallow(from: &mut OwnedReadHalf) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(1..) = from.read(&mut piece).await {}
}
