//! Servers of a single test, which it can stop, gracefully or not, and restart with their data.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::servers::temporary_directory;
use crate::Progress;
use crate::log::Log;
use crate::ports::{self, Ports};
use crate::postgres::{Cluster, NAME, Server as PostgresServer, Settings};
use crate::private::random_password;
use crate::temporal::{Server as TemporalServer, Storage};
use crate::tools::temporal::find_or_install;
use crate::users::ServerUser;

/// Without fsync: tests kill these servers but not the machine, so committed data survive anyway.
const POSTGRES_OPTIONS: &[&str] = &["fsync=off", "max_connections=200", "shared_buffers=64MB"];
/// PostgreSQL's own defaults for durability: fsync, synchronous commits and full page writes.
/// Autovacuum would write to the log at random moments of a measurement.
const DURABLE_OPTIONS: &[&str] = &["max_connections=200", "autovacuum=off"];

/// The way a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// As an operator stops it. PostgreSQL: a fast shutdown.
    Graceful,
    /// Without a shutdown procedure. PostgreSQL: an immediate shutdown, after which the next start
    /// recovers from the write-ahead log. Temporal: SIGKILL.
    Immediate,
}

/// A PostgreSQL server of a single test.
pub struct OwnPostgres {
    cluster: Cluster,
    password: String,
    port: u16,
    log: Log,
    options: &'static [&'static str],
    server: Option<PostgresServer>,
    _directory: TempDir,
}

impl OwnPostgres {
    /// Starts a server with an empty database.
    pub async fn start() -> Self {
        Self::start_with(POSTGRES_OPTIONS).await
    }

    /// Starts a server with an empty database and the durability of a production server.
    pub async fn start_durable() -> Self {
        Self::start_with(DURABLE_OPTIONS).await
    }

    async fn start_with(options: &'static [&'static str]) -> Self {
        let user = ServerUser::choose(Path::new("")).unwrap_or_else(|error| panic!("{error}"));
        let directory = temporary_directory(user).unwrap_or_else(|error| panic!("{error}"));
        let data = directory.path().join("postgres");
        let cluster = Cluster::find(data, user, &Progress::terminal())
            .await
            .unwrap_or_else(|error| panic!("tests need PostgreSQL: {error}"));
        let password = random_password();
        cluster
            .create_if_missing(&password, &["--no-sync"], &Progress::quiet())
            .await
            .unwrap_or_else(|error| panic!("tests need PostgreSQL: {error}"));
        let mut own = Self {
            cluster,
            password,
            port: ports::free_port().unwrap_or_else(|error| panic!("{error}")),
            log: Log::new(directory.path().join("postgres.log")),
            options,
            server: None,
            _directory: directory,
        };
        own.start_again().await;
        if let Some(server) = &own.server {
            server
                .create_database_if_missing(NAME)
                .await
                .unwrap_or_else(|error| panic!("tests need PostgreSQL: {error}"));
        }
        own
    }

    /// Returns `postgres://USER:PASSWORD@127.0.0.1:PORT/arcadia`, the same after each start.
    pub fn url(&self) -> String {
        format!(
            "postgres://{NAME}:{}@127.0.0.1:{}/{NAME}",
            self.password, self.port
        )
    }

    /// Returns the variables with which PostgreSQL's programs connect to the database, and the
    /// directory of these programs. None if one of them is not installed next to the server.
    pub fn client(&self) -> Option<PostgresClient> {
        let programs = self.cluster.program("pg_dump").parent()?.to_owned();
        let needed = ["pg_dump", "pg_restore", "createdb", "psql"];
        if !needed.iter().all(|name| programs.join(name).is_file()) {
            return None;
        }
        let environment = [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", NAME.to_owned()),
            ("PGPASSWORD", self.password.clone()),
            ("PGDATABASE", NAME.to_owned()),
        ];
        Some(PostgresClient {
            programs,
            environment,
        })
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it and waits until it has ended.
    pub async fn stop(&mut self, how: Stop) {
        let Some(server) = self.server.take() else {
            return;
        };
        if how == Stop::Immediate {
            let pid_file = self.cluster.data.join("postmaster.pid");
            signal(&pid_file, Signal::QUIT);
        }
        server
            .stop()
            .await
            .unwrap_or_else(|error| panic!("PostgreSQL does not stop: {error}"));
    }

    /// Stops it and removes all its files.
    pub async fn end(mut self) {
        self.stop(Stop::Immediate).await;
    }

    /// Restarts it with the same data and port, and waits until it accepts queries.
    pub async fn start_again(&mut self) {
        let settings = Settings {
            ports: Ports::Only(self.port),
            options: self.options,
            remove_afterwards: None,
        };
        let server = PostgresServer::start(&self.cluster, &self.password, settings, &self.log)
            .await
            .unwrap_or_else(|error| panic!("PostgreSQL does not restart: {error}"));
        self.server = Some(server);
    }
}

/// The programs of PostgreSQL and the variables with which they connect to a server.
pub struct PostgresClient {
    /// The directory of `pg_dump`, `pg_restore`, `createdb` and `psql`.
    pub programs: PathBuf,
    /// Names and values, including the password.
    pub environment: [(&'static str, String); 5],
}

/// A Temporal dev server of a single test, with a store that persists across restarts.
pub struct OwnTemporal {
    cli: PathBuf,
    storage: Storage,
    pid_file: PathBuf,
    port: u16,
    log: Log,
    server: Option<TemporalServer>,
    directory: TempDir,
}

impl OwnTemporal {
    /// Starts a server with an empty store.
    pub async fn start() -> Self {
        let cli = find_or_install(&Progress::terminal())
            .await
            .unwrap_or_else(|error| panic!("tests need Temporal: {error}"));
        let directory =
            temporary_directory(ServerUser::Ourselves).unwrap_or_else(|error| panic!("{error}"));
        let port = || ports::free_port().unwrap_or_else(|error| panic!("{error}"));
        let (port, ui_port) = (port(), port());
        let pid_file = directory.path().join("temporal.pid");
        let mut own = Self {
            cli,
            storage: Storage::File {
                store: directory.path().join("temporal.db"),
                pid_file: pid_file.clone(),
                ports: Ports::Only(port),
                ui_ports: Ports::Prefer(vec![ui_port]),
            },
            pid_file,
            port,
            log: Log::new(directory.path().join("temporal.log")),
            server: None,
            directory,
        };
        own.start_again().await;
        own
    }

    /// Returns `HOST:PORT` of the gRPC frontend, the same after each start.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it and waits until it has ended.
    pub async fn stop(&mut self, how: Stop) {
        let Some(server) = self.server.take() else {
            return;
        };
        if how == Stop::Immediate {
            signal(&self.pid_file, Signal::KILL);
        }
        server
            .stop()
            .await
            .unwrap_or_else(|error| panic!("Temporal does not stop: {error}"));
    }

    /// Returns the path of the `temporal` CLI.
    pub fn cli(&self) -> &Path {
        &self.cli
    }

    /// Copies the store of the stopped server to a directory.
    pub fn copy_store(&self, to: &Path) {
        assert!(self.server.is_none(), "stop the server before copying");
        for file in self.store_files().filter(|file| file.exists()) {
            let name = file.file_name().unwrap_or_default();
            fs::copy(&file, to.join(name))
                .unwrap_or_else(|error| panic!("{} cannot be copied: {error}", file.display()));
        }
    }

    /// Replaces the store of the stopped server by a copy, or removes it if there is none.
    pub fn replace_store(&self, copy: Option<&Path>) {
        assert!(self.server.is_none(), "stop the server before replacing");
        for file in self.store_files() {
            if file.exists() {
                fs::remove_file(&file).unwrap_or_else(|error| {
                    panic!("{} cannot be removed: {error}", file.display())
                });
            }
            let name = file.file_name().unwrap_or_default();
            let copied = copy.map(|copy| copy.join(name));
            if let Some(copied) = copied.filter(|copied| copied.exists()) {
                fs::copy(&copied, &file)
                    .unwrap_or_else(|error| panic!("{} cannot be copied: {error}", file.display()));
            }
        }
    }

    /// Returns the paths of the `SQLite` file and its write-ahead log.
    fn store_files(&self) -> impl Iterator<Item = PathBuf> {
        let directory = self.directory.path().to_owned();
        ["temporal.db", "temporal.db-wal", "temporal.db-shm"]
            .into_iter()
            .map(move |name| directory.join(name))
    }

    /// Stops it and removes all its files.
    pub async fn end(mut self) {
        self.stop(Stop::Immediate).await;
    }

    /// Restarts it with the same store and port, and waits until it is ready.
    pub async fn start_again(&mut self) {
        let server = TemporalServer::start(&self.cli, &self.storage, &self.log)
            .await
            .unwrap_or_else(|error| panic!("Temporal does not restart: {error}"));
        self.server = Some(server);
    }
}

/// Sends a signal to the process with the id in the first line of a file.
fn signal(pid_file: &Path, signal: Signal) {
    let text = fs::read_to_string(pid_file).unwrap_or_default();
    let number = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    let process = number.and_then(Pid::from_raw);
    let process = process.unwrap_or_else(|| panic!("no process id in {}", pid_file.display()));
    kill_process(process, signal)
        .unwrap_or_else(|error| panic!("cannot signal process {}: {error}", process.as_raw_pid()));
}
