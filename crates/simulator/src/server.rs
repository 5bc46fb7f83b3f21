//! The running server: the routes, and the gate that every request under `/v2` passes.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{Router, middleware, routing::get};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    Account, Fault, ReceivedRequest, balance, control, domains, droplets, errors::ApiError, gate,
    history, images, invoice_routes, listings, project_routes, reserved_ips, spaces, state::Shared,
    tags, volumes,
};

/// How long a stopping server waits for answers under way.
const PATIENCE: Duration = Duration::from_secs(1);

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

    /// Serves an account on an address; port 0 stands for any free one. Fails when the port is taken.
    pub async fn bind(account: Account, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Shared::new(account);
        let app = routes(&shared);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move {
            // Sent or dropped, both mean stop.
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

    /// The base of the API, without `/v2` and without a slash at the end: `http://127.0.0.1:41234`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where S3's `ListBuckets` is answered for each region: `http://127.0.0.1:41234/spaces/{region}`.
    pub fn spaces_url(&self) -> String {
        format!("{}/spaces/{{region}}", self.url())
    }

    /// Changes the account while it is being served.
    pub fn change<R>(&self, change: impl FnOnce(&mut Account) -> R) -> R {
        change(&mut self.shared.account_mut())
    }

    /// Looks at the account as it is now.
    pub fn read<R>(&self, read: impl FnOnce(&Account) -> R) -> R {
        read(&self.shared.account())
    }

    /// Lets coming requests fail. Of several faults that meet a request, the one asked for first applies.
    pub fn fail(&self, fault: Fault) {
        self.shared.faults().add(fault);
    }

    /// Forgets all faults still to come.
    pub fn clear_faults(&self) {
        self.shared.faults().clear();
    }

    /// The requests under `/v2` so far (the latest 100,000), oldest first.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.requests()
    }

    /// Serves until `stop` is done, for example until Ctrl-C; answers under way get a second to finish.
    pub async fn serve_until_stopped(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let mut server = self.server;
        tokio::select! {
            ended = &mut server => return ended.map_err(io::Error::other)?,
            () = stop => drop(self.stop),
        }
        match tokio::time::timeout(PATIENCE, server).await {
            Ok(ended) => ended.map_err(io::Error::other)?,
            Err(_) => Ok(()),
        }
    }
}

fn routes(shared: &Shared) -> Router {
    let invoice = "/v2/customers/my/invoices/{uuid}";
    let api = Router::new()
        .route("/v2/account", get(balance::account))
        .route(
            "/v2/projects",
            get(project_routes::list).post(project_routes::create),
        )
        .route("/v2/projects/{id}", get(project_routes::get))
        .route(
            "/v2/projects/{id}/resources",
            get(project_routes::resources).post(project_routes::assign),
        )
        .route("/v2/droplets", get(droplets::list))
        .route("/v2/droplets/{id}", get(droplets::get))
        .route("/v2/domains", get(domains::list))
        .route("/v2/domains/{name}", get(domains::get))
        .route("/v2/tags", get(tags::list))
        .route("/v2/volumes", get(volumes::list))
        .route("/v2/volumes/{id}", get(volumes::get))
        .route("/v2/floating_ips", get(reserved_ips::list_floating))
        .route("/v2/floating_ips/{ip}", get(reserved_ips::get_floating))
        .route("/v2/reserved_ips", get(reserved_ips::list_reserved))
        .route("/v2/reserved_ips/{ip}", get(reserved_ips::get_reserved))
        .route("/v2/customers/my/balance", get(balance::get))
        .route("/v2/customers/my/billing_history", get(history::list))
        .route("/v2/customers/my/invoices", get(invoice_routes::list))
        .route(invoice, get(invoice_routes::items))
        .route(&format!("{invoice}/summary"), get(invoice_routes::summary))
        .route(&format!("{invoice}/csv"), get(invoice_routes::csv))
        .merge(listings::routes())
        .merge(images::routes())
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .fallback(|| async { ApiError::not_found() })
        .layer(middleware::from_fn_with_state(shared.clone(), gate::pass));
    control::routes()
        .merge(spaces::routes())
        .merge(api)
        .with_state(shared.clone())
}
