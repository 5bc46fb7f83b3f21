//! The running server.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{Router, middleware};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    Account, Fault, Hold, ReceivedRequest, Suspension, gate, holds::Suspended, routes,
    state::Shared,
};

/// How long a stopping server waits for answers in progress.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// A running server. Dropping it closes the port.
pub struct Simulator {
    shared: Shared,
    address: SocketAddr,
    /// Dropping it stops the server.
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Simulator {
    /// Serves an account on a free port of 127.0.0.1.
    pub async fn start(account: Account) -> io::Result<Self> {
        Self::bind(account, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Serves an account on an address; port 0 selects a free port. Fails if the port is taken.
    pub async fn bind(account: Account, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Shared::new(account);
        let app = router(&shared);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            // A sent message and a dropped sender both stop the server.
            let _ = stopped.await;
        };
        let serve = axum::serve(listener, app).with_graceful_shutdown(stopped);
        let server = tokio::spawn(async move { serve.await });
        Ok(Self {
            shared,
            address,
            stop,
            server,
        })
    }

    /// The base URL of the API, without `/v2` and a final slash: `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL template of S3's `ListBuckets`: `http://127.0.0.1:41234/spaces/{region}`.
    pub fn spaces_url(&self) -> String {
        format!("{}/spaces/{{region}}", self.url())
    }

    /// Changes the account while it is being served.
    pub fn change<R>(&self, change: impl FnOnce(&mut Account) -> R) -> R {
        change(&mut self.shared.account_mut())
    }

    /// Reads the current account.
    pub fn read<R>(&self, read: impl FnOnce(&Account) -> R) -> R {
        read(&self.shared.account())
    }

    /// Adds a fault. If several faults match a request, the oldest applies.
    pub fn fail(&self, fault: Fault) {
        self.shared.faults().add(fault);
    }

    /// Holds the response to the next request to `target`, a path and parameters as in
    /// [`Fault::new`].
    pub fn hold(&self, target: &str) -> Hold {
        self.shared.holds().add(target)
    }

    /// Makes all later requests wait until the suspension is dropped.
    pub fn suspend(&self) -> Suspension {
        let (suspension, suspended) = Suspended::begin();
        self.shared.suspend(suspended);
        suspension
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.faults().clear();
    }

    /// The requests under `/v2` so far (the latest 100,000), oldest first.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.requests()
    }

    /// Serves until `stop` is done, for example until Ctrl-C. Answers in progress have a second to
    /// finish.
    pub async fn serve_until_stopped(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let mut server = self.server;
        tokio::select! {
            ended = &mut server => return ended.map_err(io::Error::other)?,
            () = stop => drop(self.stop),
        }
        match tokio::time::timeout(SHUTDOWN_TIMEOUT, server).await {
            Ok(ended) => ended.map_err(io::Error::other)?,
            Err(_) => Ok(()),
        }
    }
}

fn router(shared: &Shared) -> Router {
    let api = routes::api().layer(middleware::from_fn_with_state(shared.clone(), gate::pass));
    routes::control()
        .merge(routes::spaces())
        .merge(api)
        .with_state(shared.clone())
}
