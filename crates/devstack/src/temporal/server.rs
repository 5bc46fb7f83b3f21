//! The dev server process: started on free ports, waited for, stopped.

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
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// How long closed workflows stay visible. The dev server's own 24 hours would hide last night's
/// run from whoever looks in the morning after.
const RETENTION: &str = "30d";
/// The CLI waits for a server without a limit of its own; a start asks again and again.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// Where the server keeps workflows, and what comes with that.
pub(crate) enum Storage {
    /// In memory, without UI, on any port: for tests.
    Memory {
        /// A directory that is removed once the server has ended.
        remove_afterwards: PathBuf,
    },
    /// In a file that outlives the server, with the UI.
    File {
        /// The `SQLite` file.
        store: PathBuf,
        /// Where the guardian notes the server's process id.
        pid_file: PathBuf,
        /// The ports to try.
        ports: Ports,
        /// The same for the UI.
        ui_ports: Ports,
    },
}

impl Storage {
    /// The ports for gRPC and for the UI, where there is one.
    async fn reserve_ports(&self) -> Result<(Reserved, Option<Reserved>), Error> {
        match self {
            Self::Memory { .. } => Ok((Ports::Prefer(Vec::new()).reserve().await?, None)),
            Self::File {
                ports, ui_ports, ..
            } => Ok((ports.reserve().await?, Some(ui_ports.reserve().await?))),
        }
    }
}

/// A dev server that answers.
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
                // Somebody took a port between our look and the server's.
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

    /// How it ended, if it has.
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
            let answer = set_retention(cli, &self.address()).await;
            // Looked at after the answer, which somebody else on that port may have given.
            if let Some(status) = self.guarded.ended()? {
                let (log, tail) = (log.path().to_owned(), log.tail());
                return Err(Error::Ended {
                    server: SERVER,
                    status,
                    log,
                    tail,
                });
            }
            let Err(reason) = answer else { return Ok(()) };
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
    // With one partition a task queue's rate limit is kept evenly; each of several keeps its own.
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
            // The defaults wait for the disk at every step: 3 to 7 times slower.
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
        patience: STOP_PATIENCE,
        pid_file,
        remove_afterwards,
        log: log.begin()?,
    })?;
    Ok(Server {
        guarded,
        port,
        ui_port,
    })
}

/// Sets how long closed workflows are kept; answered only by a server that is ready.
async fn set_retention(cli: &Path, address: &str) -> Result<(), String> {
    let mut command = Command::new(cli);
    command.args(["operator", "namespace", "update", "--namespace", "default"]);
    command.args(["--retention", RETENTION, "--address", address]);
    for variable in foreign_settings() {
        command.env_remove(variable);
    }
    // An empty file, lest the user's own profile adds its TLS or API key.
    command
        .env("TEMPORAL_CONFIG_FILE", "/dev/null")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(ASK_LIMIT, command.output()).await {
        Err(_) => Err("no answer".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(last_lines(&String::from_utf8_lossy(&output.stderr), 1)),
    }
}

/// The user's variables for other Temporal servers, which the CLI would heed.
fn foreign_settings() -> Vec<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("TEMPORAL_")).collect()
}
