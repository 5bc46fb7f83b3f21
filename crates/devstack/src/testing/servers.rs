//! The servers that all tests of a process share. Since statics are not dropped, their guardians
//! stop them when the process ends.

use std::env;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::log::Log;
use crate::ports::Ports;
use crate::postgres::{Cluster, NAME, Server as PostgresServer, Settings};
use crate::private::random_password;
use crate::temporal::{Server as TemporalServer, Storage};
use crate::tools::temporal::find_or_install;
use crate::users::ServerUser;
use crate::{Error, Progress};

/// Without durability, because the data are temporary; and many tests connect concurrently.
const FAST: [&str; 5] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=300",
    "shared_buffers=64MB",
];

/// Returns the URL of the server on which tests create their databases.
pub(super) async fn postgres_url() -> String {
    static SERVER: OnceCell<PostgresServer> = OnceCell::const_new();
    if let Some(url) = setting("DATABASE_URL") {
        return url;
    }
    let server = SERVER.get_or_try_init(start_postgres).await;
    server
        .unwrap_or_else(|error| panic!("tests need PostgreSQL: {error}"))
        .url("postgres")
}

/// Returns the Temporal server that all tests of this process share: the one of `TEMPORAL_ADDRESS`
/// if that is set, else an in-memory dev server. Each test uses separate task queues and workflow
/// ids.
pub async fn temporal() -> &'static TestTemporal {
    static SERVER: OnceCell<TestTemporal> = OnceCell::const_new();
    let server = SERVER.get_or_try_init(start_temporal).await;
    server.unwrap_or_else(|error| panic!("tests need Temporal: {error}"))
}

/// The Temporal server of this test process.
#[derive(Debug)]
pub struct TestTemporal {
    address: String,
    cli: PathBuf,
    _server: Option<TemporalServer>,
}

impl TestTemporal {
    /// Returns `HOST:PORT` of the gRPC frontend.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the path of the `temporal` CLI.
    pub fn cli(&self) -> &Path {
        &self.cli
    }
}

async fn start_temporal() -> Result<TestTemporal, Error> {
    let cli = find_or_install(&Progress::terminal()).await?;
    if let Some(address) = setting("TEMPORAL_ADDRESS") {
        return Ok(TestTemporal {
            address,
            cli,
            _server: None,
        });
    }
    let logs = temporary_directory(ServerUser::Ourselves)?;
    let log = Log::new(logs.path().join("temporal.log"));
    let storage = Storage::Memory {
        remove_afterwards: logs.path().to_owned(),
    };
    let server = TemporalServer::start(&cli, &storage, &log).await?;
    drop(logs.keep());
    Ok(TestTemporal {
        address: server.address(),
        cli,
        _server: Some(server),
    })
}

async fn start_postgres() -> Result<PostgresServer, Error> {
    let user = ServerUser::choose(Path::new(""))?;
    let directory = temporary_directory(user)?;
    let data = directory.path().join("postgres");
    let cluster = Cluster::find(data, user, &Progress::terminal()).await?;
    let password = random_password();
    cluster
        .create_if_missing(&password, &["--no-sync"], &Progress::quiet())
        .await?;
    let settings = Settings {
        ports: Ports::Prefer(Vec::new()),
        options: &FAST,
        remove_afterwards: Some(directory.path()),
    };
    let log = Log::new(directory.path().join("postgres.log"));
    let server = PostgresServer::start(&cluster, &password, settings, &log).await?;
    // From here on the guardian removes it.
    drop(directory.keep());
    Ok(server)
}

/// Creates a directory that `user` owns and can enter, removed when dropped.
pub(super) fn temporary_directory(user: ServerUser) -> Result<TempDir, Error> {
    let default = env::temp_dir();
    let parent = if user.can_enter(&default) {
        default
    } else {
        PathBuf::from("/tmp")
    };
    let directory = tempfile::Builder::new()
        .prefix(&format!("{NAME}-test-"))
        .tempdir_in(&parent)
        .map_err(Error::io(format!(
            "create a directory in {}",
            parent.display()
        )))?;
    user.take_ownership(directory.path())?;
    Ok(directory)
}

/// Returns the value of a variable, unless it is empty.
pub(super) fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
