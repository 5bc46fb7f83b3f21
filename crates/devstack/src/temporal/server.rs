//! The Temporal dev server process: starts it on free ports, waits until it is ready, stops it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::Error;
use crate::guardian::{Guarded, Service};
use crate::log::{Log, last_lines};
use crate::ports::{Ports, Reserved};
use crate::users::ServerUser;

const SERVER: &str = "Temporal";
const READY_LIMIT: Duration = Duration::from_mins(2);
const GRACE_PERIOD: Duration = Duration::from_secs(15);
/// Retention of closed workflows. With the dev server's default of 24 hours, a daily run would be
/// deleted before the next one.
const RETENTION: &str = "30d";
/// Limit of one readiness check, because the CLI waits for a server without a limit.
const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// The server's storage, and the options that depend on it.
pub(crate) enum Storage {
    /// In memory, without UI, on any port: for tests.
    Memory {
        /// A directory that is removed after the server has stopped.
        remove_afterwards: PathBuf,
    },
    /// In a file that outlives the server, with the UI.
    File {
        /// The `SQLite` file.
        store: PathBuf,
        /// The file to which the guardian writes the server's process id.
        pid_file: PathBuf,
        /// The ports to try.
        ports: Ports,
        /// The ports to try for the UI.
        ui_ports: Ports,
    },
}

impl Storage {
    /// Reserves the ports for gRPC and for the UI, if there is one.
    async fn reserve_ports(&self) -> Result<(Reserved, Option<Reserved>), Error> {
        match self {
            Self::Memory { .. } => Ok((Ports::Prefer(Vec::new()).reserve().await?, None)),
            Self::File {
                ports, ui_ports, ..
            } => Ok((ports.reserve().await?, Some(ui_ports.reserve().await?))),
        }
    }
}

/// A dev server that is ready.
#[derive(Debug)]
pub(crate) struct Server {
    guarded: Guarded,
    port: u16,
    ui_port: Option<u16>,
}

impl Server {
    /// Starts the server and waits until it serves the `default` namespace.
    pub(crate) async fn start(cli: &Path, storage: &Storage, log: &Log) -> Result<Self, Error> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let (port, ui_port) = storage.reserve_ports().await?;
            let mut server = launch(
                cli,
                storage,
                port.port,
                ui_port.as_ref().map(|ui| ui.port),
                log,
            )?;
            match server.wait_until_ready(cli, deadline, log).await {
                Ok(()) => return Ok(server),
                // Another process took a port between the check and the server's bind.
                Err(Error::Ended { tail, .. })
                    if tail.contains("address already in use") && Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn ui_port(&self) -> Option<u16> {
        self.ui_port
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.guarded.stop().await
    }

    /// Returns the exit status if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.guarded.ended()
    }

    async fn wait_until_ready(
        &mut self,
        cli: &Path,
        deadline: Instant,
        log: &Log,
    ) -> Result<(), Error> {
        loop {
            let outcome = set_retention(cli, &self.address()).await;
            // Checked afterwards, because another server on that port may have responded.
            if let Some(status) = self.guarded.ended()? {
                let (log, tail) = (log.path().to_owned(), log.tail());
                return Err(Error::Ended {
                    server: SERVER,
                    status,
                    log,
                    tail,
                });
            }
            let Err(reason) = outcome else { return Ok(()) };
            if Instant::now() > deadline {
                let (log, tail) = (log.path().to_owned(), log.tail());
                return Err(Error::NotReady {
                    server: SERVER,
                    limit: READY_LIMIT,
                    reason,
                    log,
                    tail,
                });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn launch(
    cli: &Path,
    storage: &Storage,
    port: u16,
    ui_port: Option<u16>,
    log: &Log,
) -> Result<Server, Error> {
    let mut command: Vec<OsString> = vec![cli.into()];
    let mut arguments = |arguments: &[&str]| command.extend(arguments.iter().map(OsString::from));
    arguments(&[
        "server",
        "start-dev",
        "--ip",
        "127.0.0.1",
        "--log-level",
        "warn",
    ]);
    arguments(&["--port", &port.to_string()]);
    match ui_port {
        Some(ui_port) => arguments(&["--ui-port", &ui_port.to_string()]),
        None => arguments(&["--headless"]),
    }
    // With one partition a task queue's rate limit is exact; several partitions divide it.
    arguments(&[
        "--dynamic-config-value",
        "matching.numTaskqueueReadPartitions=1",
    ]);
    arguments(&[
        "--dynamic-config-value",
        "matching.numTaskqueueWritePartitions=1",
    ]);
    let (pid_file, remove_afterwards) = match storage {
        Storage::Memory { remove_afterwards } => (None, Some(remove_afterwards.as_path())),
        Storage::File {
            store, pid_file, ..
        } => {
            // The defaults synchronise the disk at every step, which is 3 to 7 times slower.
            arguments(&["--sqlite-pragma", "journal_mode=wal"]);
            arguments(&["--sqlite-pragma", "synchronous=1"]);
            command.extend(["--db-filename".into(), store.into()]);
            (Some(pid_file.as_path()), None)
        }
    };
    let guarded = Guarded::start(Service {
        command,
        user: ServerUser::Ourselves,
        hidden_variables: foreign_settings(),
        stop_signal: "TERM",
        force_signal: "KILL",
        grace_period: GRACE_PERIOD,
        pid_file,
        remove_afterwards,
        log: log.create()?,
    })?;
    Ok(Server {
        guarded,
        port,
        ui_port,
    })
}

/// Sets the retention of closed workflows. Succeeds only if the server is ready.
async fn set_retention(cli: &Path, address: &str) -> Result<(), String> {
    let mut command = Command::new(cli);
    command.args(["operator", "namespace", "update", "--namespace", "default"]);
    command.args(["--retention", RETENTION, "--address", address]);
    for variable in foreign_settings() {
        command.env_remove(variable);
    }
    // An empty file, so that TLS and API key of the user's profile are not used.
    command
        .env("TEMPORAL_CONFIG_FILE", "/dev/null")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(CHECK_LIMIT, command.output()).await {
        Err(_) => Err("no response".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(last_lines(&String::from_utf8_lossy(&output.stderr), 1)),
    }
}

/// Returns the names of the user's variables for other Temporal servers, which the CLI would use.
fn foreign_settings() -> Vec<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("TEMPORAL_")).collect()
}
