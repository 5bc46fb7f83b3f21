//! Servers that are started and stopped gracefully.

use std::fs;
use std::net::TcpListener;

use crate::support::{self, connect, notes, serves, write_note};
use devstack::{Error, Postgres, Progress, StateDir, Temporal, testing};

#[tokio::test]
async fn a_restart_keeps_the_data_and_the_port() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    let url = postgres.url();
    write_note(&url, "kept").await;
    postgres.stop().await.unwrap();
    connect(&url).await.unwrap_err();

    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    assert_eq!(postgres.url(), url);
    assert_eq!(notes(&url).await, ["kept"]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_in_use_at_a_restart_is_replaced() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    let first = postgres.url();
    postgres.stop().await.unwrap();
    let taken = TcpListener::bind(support::host_and_port(&first)).unwrap();

    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    assert_ne!(postgres.url(), first);
    connect(&postgres.url()).await.unwrap();
    postgres.stop().await.unwrap();
    drop(taken);
}

#[tokio::test]
async fn two_instances_run_in_parallel() {
    let quiet = Progress::quiet();
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let states = directories
        .each_ref()
        .map(|directory| StateDir::open(directory.path()).unwrap());
    let (first, second) = tokio::join!(
        async {
            tokio::try_join!(
                Postgres::start(&states[0], &quiet),
                Temporal::start(&states[0], &quiet)
            )
        },
        async {
            tokio::try_join!(
                Postgres::start(&states[1], &quiet),
                Temporal::start(&states[1], &quiet)
            )
        },
    );
    for (postgres, temporal) in [first.unwrap(), second.unwrap()] {
        assert_eq!(notes(&postgres.url()).await, Vec::<String>::new());
        write_note(&postgres.url(), "mine").await;
        assert!(serves(&temporal).await);
        let page = get(&temporal.ui_url().unwrap()).await;
        assert!(page.contains("<html"), "{page}");
        temporal.stop().await.unwrap();
        postgres.stop().await.unwrap();
    }
}

#[tokio::test]
async fn closed_workflows_stay_visible_for_thirty_days() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let temporal = Temporal::start(&state, &Progress::quiet()).await.unwrap();
    let described =
        support::cli(&temporal, &["operator", "namespace", "describe", "default"]).await;
    assert!(described.contains("720h"), "{described}");
    temporal.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_ends_while_starting_shows_the_end_of_its_log() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    postgres.stop().await.unwrap();
    let data = support::data_directory(&state);
    fs::write(data.join("postgresql.conf"), "no_such_setting = 1\n").unwrap();

    let error = Postgres::start(&state, &Progress::quiet())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("postgres.log") && message.contains("no_such_setting"),
        "{message}"
    );
}

#[tokio::test]
async fn a_database_with_a_lost_password_is_not_changed() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    postgres.stop().await.unwrap();
    fs::remove_file(state.path().join("postgres.password")).unwrap();

    let error = Postgres::start(&state, &Progress::quiet())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::PasswordLost { .. }), "{error:?}");
    assert!(support::data_directory(&state).join("PG_VERSION").exists());
}

#[tokio::test]
async fn root_in_a_closed_directory_stores_the_database_elsewhere() {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let state = StateDir::open(closed.path().join("state")).unwrap();
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    write_note(&postgres.url(), "kept").await;
    postgres.stop().await.unwrap();
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    assert_eq!(notes(&postgres.url()).await, ["kept"]);
    postgres.stop().await.unwrap();

    let data = support::data_directory(&state);
    assert!(!data.starts_with(closed.path()));
    fs::remove_dir_all(data.parent().unwrap()).unwrap();
    let mode = fs::metadata(closed.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "the parent directory is not changed");
}

#[tokio::test]
async fn each_test_has_an_empty_database_until_it_ends() {
    let first = testing::database().await;
    let second = testing::database().await;
    write_note(&first.url(), "mine").await;
    assert_eq!(notes(&second.url()).await, Vec::<String>::new());
    let still_connected = connect(&first.url()).await.unwrap();
    let url = first.url();
    drop(first);
    connect(&url).await.unwrap_err();
    drop(still_connected);
}

#[test]
fn the_servers_for_tests_outlive_the_runtime_that_started_them() {
    let addresses: Vec<String> = (0..2)
        .map(|_| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                connect(&testing::database().await.url()).await.unwrap();
                let temporal = testing::temporal().await;
                assert!(support::health(temporal.cli(), temporal.address()).await);
                temporal.address().to_owned()
            })
        })
        .collect();
    assert_eq!(addresses[0], addresses[1]);
}

async fn get(url: &str) -> String {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}
