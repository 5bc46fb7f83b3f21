//! Servers that one test has for itself: it stops them, in order or not, and starts them again where they were.

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

/// The disk is not waited for: these servers die, the machine under them does not. What is committed is written all the same.
const POSTGRES_OPTIONS: [&str; 3] = ["fsync=off", "max_connections=200", "shared_buffers=64MB"];

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// As an operator stops it. PostgreSQL: a fast shutdown.
    InOrder,
    /// With nothing put away. PostgreSQL: an immediate shutdown, so that the next start recovers from the log. Temporal: SIGKILL.
    AtOnce,
}

/// A PostgreSQL of one test's own.
pub struct OwnPostgres {
    cluster: Cluster,
    password: String,
    port: u16,
    log: Log,
    server: Option<PostgresServer>,
    _home: TempDir,
}

impl OwnPostgres {
    /// A new server with nothing in it.
    pub async fn start() -> Self {
        let user = ServerUser::choose(Path::new("")).unwrap_or_else(|error| panic!("{error}"));
        let home = temporary_directory(user).unwrap_or_else(|error| panic!("{error}"));
        let data = home.path().join("postgres");
        let cluster = Cluster::find(data, user, &Progress::terminal())
            .await
            .unwrap_or_else(|error| panic!("tests need PostgreSQL: {error}"));
        let password = random_password();
        cluster
            .make_if_missing(&password, &["--no-sync"], &Progress::quiet())
            .await
            .unwrap_or_else(|error| panic!("tests need PostgreSQL: {error}"));
        let mut own = Self {
            cluster,
            password,
            port: ports::free_port().unwrap_or_else(|error| panic!("{error}")),
            log: Log::new(home.path().join("postgres.log")),
            server: None,
            _home: home,
        };
        own.start_again().await;
        if let Some(server) = &own.server {
            server
                .make_database_if_missing(NAME)
                .await
                .unwrap_or_else(|error| panic!("tests need PostgreSQL: {error}"));
        }
        own
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/arcadia`, the same after each start.
    pub fn url(&self) -> String {
        format!(
            "postgres://{NAME}:{}@127.0.0.1:{}/{NAME}",
            self.password, self.port
        )
    }

    /// The variables by which PostgreSQL's own programs reach the database, and the directory of
    /// those programs. None where `pg_dump` is not installed beside the server.
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

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it, and waits for its end.
    pub async fn stop(&mut self, how: Stop) {
        let Some(server) = self.server.take() else {
            return;
        };
        if how == Stop::AtOnce {
            let noted = self.cluster.data.join("postmaster.pid");
            signal(&noted, Signal::QUIT);
        }
        server
            .stop()
            .await
            .unwrap_or_else(|error| panic!("PostgreSQL does not stop: {error}"));
    }

    /// Stops it for good, and leaves nothing behind.
    pub async fn end(mut self) {
        self.stop(Stop::AtOnce).await;
    }

    /// Starts it again with all it had, on the same port, and waits until it answers.
    pub async fn start_again(&mut self) {
        let settings = Settings {
            ports: Ports::Only(self.port),
            options: &POSTGRES_OPTIONS,
            remove_afterwards: None,
        };
        let server = PostgresServer::start(&self.cluster, &self.password, settings, &self.log)
            .await
            .unwrap_or_else(|error| panic!("PostgreSQL does not start again: {error}"));
        self.server = Some(server);
    }
}

/// How PostgreSQL's own programs reach a server.
pub struct PostgresClient {
    /// The directory of `pg_dump`, `pg_restore`, `createdb` and `psql`.
    pub programs: PathBuf,
    /// Names and values, the password among them.
    pub environment: [(&'static str, String); 5],
}

/// A Temporal dev server of one test's own, whose store outlives it.
pub struct OwnTemporal {
    cli: PathBuf,
    storage: Storage,
    pid_file: PathBuf,
    port: u16,
    log: Log,
    server: Option<TemporalServer>,
    home: TempDir,
}

impl OwnTemporal {
    /// A new server with nothing in its store.
    pub async fn start() -> Self {
        let cli = find_or_install(&Progress::terminal())
            .await
            .unwrap_or_else(|error| panic!("tests need Temporal: {error}"));
        let home =
            temporary_directory(ServerUser::Ourselves).unwrap_or_else(|error| panic!("{error}"));
        let port = || ports::free_port().unwrap_or_else(|error| panic!("{error}"));
        let (port, ui_port) = (port(), port());
        let pid_file = home.path().join("temporal.pid");
        let mut own = Self {
            cli,
            storage: Storage::File {
                store: home.path().join("temporal.db"),
                pid_file: pid_file.clone(),
                ports: Ports::Only(port),
                ui_ports: Ports::Prefer(vec![ui_port]),
            },
            pid_file,
            port,
            log: Log::new(home.path().join("temporal.log")),
            server: None,
            home,
        };
        own.start_again().await;
        own
    }

    /// `HOST:PORT` of the gRPC front end, the same after each start.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it, and waits for its end.
    pub async fn stop(&mut self, how: Stop) {
        let Some(server) = self.server.take() else {
            return;
        };
        if how == Stop::AtOnce {
            signal(&self.pid_file, Signal::KILL);
        }
        server
            .stop()
            .await
            .unwrap_or_else(|error| panic!("Temporal does not stop: {error}"));
    }

    /// The `temporal` program.
    pub fn cli(&self) -> &Path {
        &self.cli
    }

    /// Copies the store of the stopped server into a directory.
    pub fn copy_store(&self, to: &Path) {
        assert!(self.server.is_none(), "stop the server before copying");
        for file in self.store_files().filter(|file| file.exists()) {
            let name = file.file_name().unwrap_or_default();
            fs::copy(&file, to.join(name))
                .unwrap_or_else(|error| panic!("{} cannot be copied: {error}", file.display()));
        }
    }

    /// Replaces the store of the stopped server by an earlier copy, or by nothing: an empty server.
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

    /// The `SQLite` file with its write-ahead log.
    fn store_files(&self) -> impl Iterator<Item = PathBuf> {
        let home = self.home.path().to_owned();
        ["temporal.db", "temporal.db-wal", "temporal.db-shm"]
            .into_iter()
            .map(move |name| home.join(name))
    }

    /// Stops it for good, and leaves nothing behind.
    pub async fn end(mut self) {
        self.stop(Stop::AtOnce).await;
    }

    /// Starts it again with all it had, on the same port, and waits until it serves.
    pub async fn start_again(&mut self) {
        let server = TemporalServer::start(&self.cli, &self.storage, &self.log)
            .await
            .unwrap_or_else(|error| panic!("Temporal does not start again: {error}"));
        self.server = Some(server);
    }
}

/// Signals the process whose number a file begins with.
fn signal(noted: &Path, signal: Signal) {
    let text = fs::read_to_string(noted).unwrap_or_default();
    let number = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    let process = number.and_then(Pid::from_raw);
    let process = process.unwrap_or_else(|| panic!("no process number in {}", noted.display()));
    kill_process(process, signal).unwrap_or_else(|error| {
        panic!(
            "process {} cannot be stopped: {error}",
            process.as_raw_pid()
        )
    });
}
