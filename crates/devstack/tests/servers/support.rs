//! Helpers that query and kill servers.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use devstack::{StateDir, Temporal};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

/// Returns a state directory for servers on free ports: a concurrent test may use the default ports
/// while the servers are stopped.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for note in ["postgres.port", "temporal.port"] {
        let port = devstack::free_port().unwrap();
        std::fs::write(directory.path().join(note), port.to_string()).unwrap();
    }
    directory
}

/// Connects to a database, once.
pub(crate) async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::from_str(url)?.connect().await
}

/// Stores a line of text.
pub(crate) async fn write_note(url: &str, text: &str) {
    let mut connection = connect(url).await.unwrap();
    let make = "CREATE TABLE IF NOT EXISTS note (text text NOT NULL)";
    sqlx::raw_sql(make).execute(&mut connection).await.unwrap();
    let insert = sqlx::query("INSERT INTO note (text) VALUES ($1)").bind(text);
    insert.execute(&mut connection).await.unwrap();
}

/// Returns the stored lines; none for an empty database.
pub(crate) async fn notes(url: &str) -> Vec<String> {
    let mut connection = connect(url).await.unwrap();
    let exists = sqlx::query_scalar::<_, bool>("SELECT to_regclass('note') IS NOT NULL");
    if !exists.fetch_one(&mut connection).await.unwrap() {
        return Vec::new();
    }
    sqlx::query_scalar("SELECT text FROM note")
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

/// Returns `HOST:PORT` of a database URL.
pub(crate) fn host_and_port(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

/// Returns the data directory of the state directory's database.
pub(crate) fn data_directory(state: &StateDir) -> PathBuf {
    std::fs::read_to_string(state.path().join("postgres.location")).map_or_else(
        |_| state.path().join("postgres"),
        |path| PathBuf::from(path.trim()),
    )
}

/// Returns true if the server reports that it serves.
pub(crate) async fn serves(temporal: &Temporal) -> bool {
    health(temporal.cli(), &temporal.address()).await
}

/// Returns true if the Temporal server at `address` reports that it serves.
pub(crate) async fn health(cli: &Path, address: &str) -> bool {
    let mut command = Command::new(cli);
    command.args(["operator", "cluster", "health", "--address", address]);
    command
        .output()
        .await
        .unwrap()
        .stdout
        .starts_with(b"SERVING")
}

/// Runs the Temporal CLI and returns its output.
pub(crate) async fn cli(temporal: &Temporal, arguments: &[&str]) -> String {
    let mut command = Command::new(temporal.cli());
    command
        .args(arguments)
        .args(["--address", &temporal.address()]);
    let output = command.output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the process id in the first line of a file of a state directory.
pub(crate) fn process(directory: &Path, file: &str) -> i32 {
    let text = std::fs::read_to_string(directory.join(file)).unwrap();
    text.lines().next().unwrap().trim().parse().unwrap()
}

/// Polls a condition until it returns a value.
pub(crate) async fn eventually<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ps(column: &str, pid: i32) -> String {
    let output = std::process::Command::new("ps")
        .args(["-o", column, "-p", &pid.to_string()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) fn parent(pid: i32) -> i32 {
    ps("ppid=", pid).parse().unwrap()
}

/// Returns true if a process runs, and false for a zombie process.
pub(crate) fn is_running(pid: i32) -> bool {
    let state = ps("stat=", pid);
    !state.is_empty() && !state.starts_with('Z')
}

pub(crate) fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}
