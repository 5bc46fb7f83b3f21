//! Backs up and restores a run's own servers. For PostgreSQL it runs the commands in
//! `docs/backup-and-restore.md`, read from that page, which tests the page.

use std::path::{Path, PathBuf};
use std::process::Output;

use devstack::testing::Stop;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use super::site::Site;
use crate::support::namespaces::register;
use crate::support::waiting::eventually;

const PAGE: &str = include_str!("../../docs/backup-and-restore.md");

/// A backup of a site's database.
pub(crate) struct DatabaseBackup {
    directory: TempDir,
}

impl DatabaseBackup {
    /// Backs up the database while the workers run. Without `pg_dump`, stops the workers and copies
    /// the database instead.
    pub(crate) async fn of(site: &mut Site) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if run_block(site, "back up", directory.path()).await.is_none() {
            eprintln!(
                "SKIPPED: the commands of docs/backup-and-restore.md; pg_dump is not installed with the server"
            );
            site.stop_workers().await;
            copy_database(site, "arcadia", "arcadia_dump").await;
            site.add_worker(None);
        }
        Self { directory }
    }

    /// Replaces the current database with the backup. The workers must be stopped, and may be
    /// started again afterwards.
    pub(crate) async fn restore(&self, site: &Site) {
        wait_for_last_connection(site).await;
        if run_block(site, "restore", self.directory.path())
            .await
            .is_some()
        {
            let checked = run_block(site, "check", self.directory.path()).await;
            assert!(checked.unwrap().contains("(0 rows)"), "discrepancies");
            return;
        }
        let mut database = maintenance(site).await;
        let rename = "alter database arcadia rename to arcadia_before_restore";
        execute(&mut database, rename.to_owned()).await;
        copy_database(site, "arcadia_dump", "arcadia").await;
    }
}

/// Runs the page's commands that are marked `<!-- tested: NAME -->`, and returns their output; none
/// without the programs.
async fn run_block(site: &Site, name: &str, directory: &Path) -> Option<String> {
    let own = site.own.as_ref().unwrap();
    let client = own.postgres.lock().await.client()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::iter::once(client.programs).chain(std::env::split_paths(&path));
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("sh")
        .args(["-eu", "-c", &block(PAGE, name)])
        .current_dir(directory)
        .env("PATH", std::env::join_paths(programs).unwrap())
        .envs(client.environment)
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{name}: {status}: {stderr}");
    Some(String::from_utf8_lossy(&stdout).into_owned())
}

/// Returns the lines of the code block after the mark, without the indentation of its fence.
fn block(page: &str, name: &str) -> String {
    let mark = format!("<!-- tested: {name} -->");
    let mut lines = page.lines().skip_while(|line| line.trim() != mark).skip(1);
    let fence = lines.next().unwrap_or_default();
    let indentation = fence.len() - fence.trim_start().len();
    assert_eq!(fence.trim(), "```sh", "no commands after {mark}");
    let commands: Vec<&str> = lines
        .take_while(|line| line.trim() != "```")
        .map(|line| line.get(indentation..).unwrap_or_default())
        .collect();
    assert!(!commands.is_empty(), "no commands after {mark}");
    commands.join("\n")
}

/// Connects to the server's maintenance database.
async fn maintenance(site: &Site) -> PgConnection {
    let options: PgConnectOptions = site.database_url.parse().unwrap();
    options.database("postgres").connect().await.unwrap()
}

async fn execute(database: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(database)
        .await
        .unwrap();
}

async fn copy_database(site: &Site, from: &str, to: &str) {
    wait_for_last_connection(site).await;
    let mut database = maintenance(site).await;
    execute(
        &mut database,
        format!("create database {to} template {from}"),
    )
    .await;
}

/// Waits until the database has no connections, since PostgreSQL neither renames nor copies a
/// database in use.
async fn wait_for_last_connection(site: &Site) {
    let mut database = maintenance(site).await;
    eventually("the database has no connections", async || {
        let left: i64 =
            sqlx::query_scalar("select count(*) from pg_stat_activity where datname = 'arcadia'")
                .fetch_one(&mut database)
                .await
                .unwrap();
        (left == 0).then_some(())
    })
    .await;
}

/// Copies the store of the site's Temporal server, which is restarted for it.
pub(crate) async fn copy_temporal(site: &Site) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut temporal = site.own.as_ref().unwrap().temporal.lock().await;
    temporal.stop(Stop::Graceful).await;
    temporal.copy_store(copy.path());
    temporal.start_again().await;
    copy
}

/// Restarts the site's Temporal server with an earlier copy of its store, or an empty one.
pub(crate) async fn restore_temporal(site: &Site, copy: Option<&TempDir>) {
    let mut temporal = site.own.as_ref().unwrap().temporal.lock().await;
    temporal.stop(Stop::Graceful).await;
    temporal.replace_store(copy.map(TempDir::path));
    temporal.start_again().await;
    if copy.is_none() {
        register(&site.client, &site.namespace).await;
    }
}

/// Runs the `temporal` program against the site's server, and returns its output or its errors.
pub(crate) async fn temporal_cli(site: &Site, arguments: &[&str]) -> Result<String, String> {
    let (program, address): (PathBuf, String) = {
        let temporal = site.own.as_ref().unwrap().temporal.lock().await;
        (temporal.cli().to_owned(), temporal.address())
    };
    let output = Command::new(program)
        .args(arguments)
        .args(["--address", &address, "--namespace", &site.namespace])
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr) + &text(&output.stdout))
    }
}
