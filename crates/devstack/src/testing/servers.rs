//! The process-wide servers. A static is never dropped: their guardians stop them.

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

/// Nothing in it is worth a wait for the disk, and many tests connect at once.
const FAST: [&str; 5] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=300",
    "shared_buffers=64MB",
];

/// The URL of the server that tests make their databases on.
pub(super) async fn postgres_url() -> String {
    static SERVER: OnceCell<PostgresServer> = OnceCell::const_new();
    if let Some(given) = setting("DATABASE_URL") {
        return given;
    }
    let server = SERVER.get_or_try_init(start_postgres).await;
    server
        .unwrap_or_else(|error| panic!("tests need PostgreSQL: {error}"))
        .url("postgres")
}

/// A Temporal dev server in memory, shared by all tests of this process: the one of
/// `TEMPORAL_ADDRESS` where that is set. Each test uses task queues and workflow ids of its own.
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
    /// `HOST:PORT` of the gRPC front end.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The `temporal` program.
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
    let home = temporary_directory(user)?;
    let data = home.path().join("postgres");
    let cluster = Cluster::find(data, user, &Progress::terminal()).await?;
    let password = random_password();
    cluster
        .make_if_missing(&password, &["--no-sync"], &Progress::quiet())
        .await?;
    let settings = Settings {
        ports: Ports::Prefer(Vec::new()),
        options: &FAST,
        remove_afterwards: Some(home.path()),
    };
    let log = Log::new(home.path().join("postgres.log"));
    let server = PostgresServer::start(&cluster, &password, settings, &log).await?;
    // From here on the guardian removes it.
    drop(home.keep());
    Ok(server)
}

/// A directory that `user` owns and can reach, removed when dropped.
pub(super) fn temporary_directory(user: ServerUser) -> Result<TempDir, Error> {
    let usual = env::temp_dir();
    let parent = if user.can_enter(&usual) {
        usual
    } else {
        PathBuf::from("/tmp")
    };
    let directory = tempfile::Builder::new()
        .prefix(&format!("{NAME}-test-"))
        .tempdir_in(&parent)
        .map_err(Error::io(format!(
            "make a directory in {}",
            parent.display()
        )))?;
    user.take_over(directory.path())?;
    Ok(directory)
}

/// A variable that is set to something.
fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
