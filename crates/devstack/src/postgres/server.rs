//! The PostgreSQL server process: starts it on a free port, waits until it is ready, stops it.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use super::{Cluster, NAME};
use crate::Error;
use crate::guardian::{Guarded, Service};
use crate::log::Log;
use crate::ports::Ports;

const SERVER: &str = "PostgreSQL";
/// Includes the time of a recovery after a crash.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// Time for a fast shutdown, which writes a checkpoint.
const GRACE_PERIOD: Duration = Duration::from_secs(30);
/// Log messages after which the start is retried: the port was taken between the check and the
/// server's bind, or some processes of a killed server have not ended yet.
const TRANSIENT_ERRORS: [&str; 2] = ["Address already in use", "pre-existing shared memory block"];

/// The parameters of a server.
pub(crate) struct Settings<'a> {
    /// The ports to try.
    pub(crate) ports: Ports,
    /// Further `NAME=VALUE` configuration.
    pub(crate) options: &'a [&'a str],
    /// A directory that is removed after the server has stopped.
    pub(crate) remove_afterwards: Option<&'a Path>,
}

/// A server that accepts queries.
pub(crate) struct Server {
    guarded: Guarded,
    port: u16,
    password: String,
}

impl Server {
    /// Starts the server and waits until it accepts queries.
    pub(crate) async fn start(
        cluster: &Cluster,
        password: &str,
        settings: Settings<'_>,
        log: &Log,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let reserved = settings.ports.reserve().await?;
            let port = reserved.port;
            let guarded = launch(cluster, port, &settings, log)?;
            let mut server = Self {
                guarded,
                port,
                password: password.to_owned(),
            };
            match server.wait_until_ready(deadline, log).await {
                Ok(()) => return Ok(server),
                Err(Error::Ended { tail, .. })
                    if TRANSIENT_ERRORS.iter().any(|error| tail.contains(error))
                        && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://{NAME}:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    pub(crate) async fn create_database_if_missing(&self, name: &str) -> Result<(), Error> {
        let refused = |cause| Error::Sql {
            action: "creating the database",
            cause,
        };
        let mut connection = self.connect().await.map_err(refused)?;
        let exists = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await
            .map_err(refused)?
            .is_some();
        if !exists {
            let statement = AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
            sqlx::raw_sql(statement)
                .execute(&mut connection)
                .await
                .map_err(refused)?;
        }
        connection.close().await.map_err(refused)
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.guarded.stop().await
    }

    /// Returns the exit status if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.guarded.ended()
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(NAME)
            .password(&self.password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
            .connect()
            .await
    }

    async fn wait_until_ready(&mut self, deadline: Instant, log: &Log) -> Result<(), Error> {
        loop {
            if let Some(status) = self.guarded.ended()? {
                let (log, tail) = (log.path().to_owned(), log.tail());
                return Err(Error::Ended {
                    server: SERVER,
                    status,
                    log,
                    tail,
                });
            }
            let reason = match self.connect().await {
                Ok(connection) => {
                    drop(connection.close().await);
                    return Ok(());
                }
                Err(error) => error.to_string(),
            };
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
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn launch(
    cluster: &Cluster,
    port: u16,
    settings: &Settings<'_>,
    log: &Log,
) -> Result<Guarded, Error> {
    let port = format!("port={port}");
    let fixed = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        &port,
    ];
    let mut command: Vec<OsString> = vec![
        cluster.binaries.program("postgres").into(),
        "-D".into(),
        cluster.data.clone().into(),
    ];
    for option in fixed.iter().chain(settings.options) {
        command.extend(["-c".into(), option.into()]);
    }
    Guarded::start(Service {
        command,
        user: cluster.user,
        hidden_variables: Vec::new(),
        // In PostgreSQL's terms a fast and an immediate shutdown.
        stop_signal: "INT",
        force_signal: "QUIT",
        grace_period: GRACE_PERIOD,
        pid_file: None,
        remove_afterwards: settings.remove_afterwards,
        log: log.create()?,
    })
}
