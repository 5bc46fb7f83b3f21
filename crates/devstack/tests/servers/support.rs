//! What the tests ask of the servers.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use devstack::{StateDir, Temporal};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use tokio::process::Command;

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

/// The stored lines, none in an empty database.
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

/// `HOST:PORT` of a database URL.
pub(crate) fn host_and_port(url: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

/// Where the state directory's database is.
pub(crate) fn data_directory(state: &StateDir) -> PathBuf {
    std::fs::read_to_string(state.path().join("postgres.location")).map_or_else(
        |_| state.path().join("postgres"),
        |path| PathBuf::from(path.trim()),
    )
}

/// Whether the server says that it serves.
pub(crate) async fn serves(temporal: &Temporal) -> bool {
    health(temporal.cli(), &temporal.address()).await
}

/// Whether the Temporal server at `address` says that it serves.
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

/// What the Temporal CLI answers.
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
