//! The Temporal dev server of a state directory.

mod server;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use std::{fs, io};

use rustix::process::Signal;

pub(crate) use server::{Server, Storage};

use crate::log::Log;
use crate::ports::Ports;
use crate::private::make_private_directory;
use crate::supervision::{self, Failures, Supervised};
use crate::tools::temporal::find_or_install;
use crate::{Error, Progress, StateDir, leftover, registry};

/// Temporal's default ports for gRPC and the UI.
const DEFAULT_PORTS: (u16, u16) = (7233, 8233);
pub(crate) const PORT_NOTE: &str = "temporal.port";
const UI_PORT_NOTE: &str = "temporal-ui.port";

/// A running Temporal dev server with its UI, and with its store in a state directory.
///
/// Listens on 127.0.0.1 only. Dropping it stops the server too, but does not wait until it has
/// ended, as [`Temporal::stop`] does.
#[derive(Debug)]
pub struct Temporal {
    parts: Parts,
    failures: Failures,
}

#[derive(Debug)]
struct Parts {
    server: Server,
    cli: PathBuf,
    files: Files,
    log: Log,
}

/// The files of a state directory with the server's store and process id.
#[derive(Debug)]
struct Files {
    store: PathBuf,
    pid_file: PathBuf,
}

impl Files {
    fn of(state: &StateDir) -> Self {
        let directory = state.path().join("temporal");
        Self {
            store: directory.join("temporal.db"),
            pid_file: directory.join("temporal.pid"),
        }
    }

    /// Returns the last recorded process id.
    fn pid(&self) -> Option<i32> {
        let text = fs::read_to_string(&self.pid_file).ok()?;
        text.trim().parse().ok()
    }

    async fn stop_leftover(&self, progress: &Progress) -> Result<(), Error> {
        const TERMINATE: (Signal, Duration) = (Signal::TERM, Duration::from_secs(15));
        const KILL: (Signal, Duration) = (Signal::KILL, Duration::from_secs(10));
        if let Some(pid) = self.pid() {
            let signals = [TERMINATE, KILL];
            leftover::stop("Temporal", pid, &self.store, &signals, progress).await?;
        }
        Ok(())
    }

    fn storage(&self, ports: Ports, ui_ports: Ports) -> Storage {
        Storage::File {
            store: self.store.clone(),
            pid_file: self.pid_file.clone(),
            ports,
            ui_ports,
        }
    }
}

/// Returns the port of the state directory's last server.
pub(crate) fn last_port(state: &StateDir) -> Option<u16> {
    state
        .read_note(PORT_NOTE)
        .and_then(|port| port.parse().ok())
}

/// Returns true if the server of a killed run still runs.
pub(crate) fn is_left_over(state: &StateDir) -> bool {
    let files = Files::of(state);
    files
        .pid()
        .is_some_and(|pid| leftover::runs(pid, &files.store))
}

impl Temporal {
    /// Starts the server of this state directory and waits until workflows can be started.
    ///
    /// Finds, downloads or builds the Temporal CLI, and stops the server of a killed run.
    pub async fn start(state: &StateDir, progress: &Progress) -> Result<Self, Error> {
        let cli = find_or_install(progress).await?;
        let files = Files::of(state);
        let directory = files.store.parent().unwrap_or(state.path());
        make_private_directory(directory).map_err(Error::io(format!(
            "create the directory {}",
            directory.display()
        )))?;
        files.stop_leftover(progress).await?;
        registry::note_temporal(state);

        let ui_port = state
            .read_note(UI_PORT_NOTE)
            .and_then(|port| port.parse().ok());
        let preferred =
            |last: Option<u16>, default| Ports::Prefer(last.into_iter().chain([default]).collect());
        let storage = files.storage(
            preferred(last_port(state), DEFAULT_PORTS.0),
            preferred(ui_port, DEFAULT_PORTS.1),
        );
        let task = progress.spinner("Starting Temporal");
        let log = state.log("temporal");
        let server = Server::start(&cli, &storage, &log).await?;
        state.write_note(PORT_NOTE, &server.port().to_string())?;
        if let Some(port) = server.ui_port() {
            state.write_note(UI_PORT_NOTE, &port.to_string())?;
        }
        task.done();
        let parts = Parts {
            server,
            cli,
            files,
            log,
        };
        Ok(Self {
            parts,
            failures: Failures::none(),
        })
    }

    /// Removes the store of this state directory, after stopping the server of a killed run.
    pub async fn remove_data(state: &StateDir, progress: &Progress) -> Result<(), Error> {
        let files = Files::of(state);
        files.stop_leftover(progress).await?;
        match fs::remove_file(&files.store) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let action = format!("remove Temporal's store {}", files.store.display());
                Err(Error::io(action)(error))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the server ends unexpectedly, and restarts it on the same port with the same
    /// store. Prints one line to `progress` and returns when workflows can be started. Fails if the
    /// server has failed too often in a row.
    pub async fn restarted(&mut self, progress: &Progress) -> Result<(), Error> {
        supervision::restarted(&mut self.parts, &mut self.failures, progress).await
    }

    /// Returns `HOST:PORT` of the gRPC frontend.
    pub fn address(&self) -> String {
        self.parts.server.address()
    }

    /// Returns the base URL of the web UI, if one is served.
    pub fn ui_url(&self) -> Option<String> {
        let port = self.parts.server.ui_port();
        port.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// Returns the path of the `temporal` CLI.
    pub fn cli(&self) -> &Path {
        &self.parts.cli
    }

    /// Stops the server gracefully and waits until it has ended.
    pub async fn stop(self) -> Result<(), Error> {
        self.parts.server.stop().await
    }
}

impl Supervised for Parts {
    const NAME: &'static str = "Temporal";

    fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.server.ended()
    }

    async fn start_again(&mut self) -> Result<(), Error> {
        // If the guardian was killed, its server still runs.
        self.files.stop_leftover(&Progress::quiet()).await?;
        let ui_port = self.server.ui_port().into_iter().collect();
        let port = Ports::Only(self.server.port());
        let storage = self.files.storage(port, Ports::Prefer(ui_port));
        self.server = Server::start(&self.cli, &storage, &self.log).await?;
        Ok(())
    }

    fn port(&self) -> u16 {
        self.server.port()
    }

    fn log(&self) -> &Log {
        &self.log
    }
}
