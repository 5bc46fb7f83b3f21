//! A Temporal dev server of our own.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

pub(crate) use server::{Server, Storage};

use crate::state::make_private_directory;
use crate::tools::temporal::find_or_install;
use crate::{Error, Progress, StateDir, leftover};

/// Temporal's own ports, for gRPC and for the UI.
const DEFAULT_PORTS: (u16, u16) = (7233, 8233);
const PORT_NOTE: &str = "temporal.port";
const UI_PORT_NOTE: &str = "temporal-ui.port";

/// A running Temporal dev server with its UI, whose store is a file in a state directory.
///
/// Listens on 127.0.0.1 only. Dropped without [`Temporal::stop`], it is stopped too, but nobody
/// waits for that.
#[derive(Debug)]
pub struct Temporal {
    server: Server,
    cli: PathBuf,
}

impl Temporal {
    /// Starts the server of this state directory: finds, downloads or builds the Temporal CLI,
    /// stops what a killed run left behind, and waits until workflows can be started.
    pub async fn start(state: &StateDir, progress: &Progress) -> Result<Self, Error> {
        const TERMINATE: (Signal, Duration) = (Signal::TERM, Duration::from_secs(15));
        const AT_ONCE: (Signal, Duration) = (Signal::KILL, Duration::from_secs(10));
        let cli = find_or_install(progress).await?;
        let directory = state.path().join("temporal");
        make_private_directory(&directory).map_err(Error::io(format!(
            "make the directory {}",
            directory.display()
        )))?;
        let store = directory.join("temporal.db");
        let pid_file = directory.join("temporal.pid");
        let pid = fs::read_to_string(&pid_file)
            .ok()
            .and_then(|pid| pid.trim().parse().ok());
        if let Some(pid) = pid {
            leftover::stop("Temporal", pid, &store, &[TERMINATE, AT_ONCE], progress).await?;
        }

        let noted = |name| state.recall(name).and_then(|port| port.parse().ok());
        let wanted = |last: Option<u16>, default| last.into_iter().chain([default]).collect();
        let storage = Storage::File {
            store,
            pid_file,
            ports: wanted(noted(PORT_NOTE), DEFAULT_PORTS.0),
            ui_ports: wanted(noted(UI_PORT_NOTE), DEFAULT_PORTS.1),
        };
        let task = progress.spinner("Starting Temporal");
        let server = Server::start(&cli, &storage, &state.log("temporal")).await?;
        state.remember(PORT_NOTE, &server.port().to_string())?;
        if let Some(port) = server.ui_port() {
            state.remember(UI_PORT_NOTE, &port.to_string())?;
        }
        task.done();
        Ok(Self { server, cli })
    }

    /// `HOST:PORT` of the gRPC front end.
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// The base of the web UI, where one is served.
    pub fn ui_url(&self) -> Option<String> {
        self.server
            .ui_port()
            .map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// The `temporal` program, for whoever wants to talk to the server by hand.
    pub fn cli(&self) -> &Path {
        &self.cli
    }

    /// Stops the server in order and waits for its end.
    pub async fn stop(self) -> Result<(), Error> {
        self.server.stop().await
    }
}
