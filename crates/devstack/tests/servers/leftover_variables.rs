//! Variables of an earlier run that a shell has kept.

use std::fs;
use std::net::TcpListener;

use crate::support::{self, host_and_port};
use devstack::leftover_variables::{self, Named};
use devstack::{Postgres, Progress, StateDir, Temporal, testing};

/// A state directory with stopped servers, and the addresses of these servers.
struct Stopped {
    directory: tempfile::TempDir,
    url: String,
    address: String,
}

impl Stopped {
    async fn new() -> Self {
        let directory = support::directory();
        let state = StateDir::open(directory.path()).unwrap();
        let quiet = Progress::quiet();
        let postgres = Postgres::start(&state, &quiet).await.unwrap();
        let temporal = Temporal::start(&state, &quiet).await.unwrap();
        let (url, address) = (postgres.url(), temporal.address());
        temporal.stop().await.unwrap();
        postgres.stop().await.unwrap();
        drop(state);
        Self {
            directory,
            url,
            address,
        }
    }

    fn open(&self) -> StateDir {
        StateDir::open(self.directory.path()).unwrap()
    }
}

#[tokio::test]
async fn a_url_of_the_own_database_is_recognised_by_its_password() {
    let stopped = Stopped::new().await;
    let state = stopped.open();
    let named = async |url: &str| leftover_variables::database(&state, url).await;
    assert_eq!(named(&stopped.url).await, Named::Own);
    let elsewhere = stopped.url.replace("127.0.0.1", "localhost");
    assert_eq!(
        named(&format!("{elsewhere}?sslmode=disable")).await,
        Named::Own
    );

    // Another listener on the port makes no difference.
    let taken = TcpListener::bind(host_and_port(&stopped.url)).unwrap();
    assert_eq!(named(&stopped.url).await, Named::Own);
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    assert_ne!(postgres.url(), stopped.url);
    assert_eq!(named(&stopped.url).await, Named::Own);
    postgres.stop().await.unwrap();
    drop(taken);

    for foreign in [
        "postgres://arcadia:secret@db.example.com/arcadia",
        "postgres://localhost/arcadia",
        "not a URL",
    ] {
        assert_eq!(named(foreign).await, Named::Foreign, "{foreign}");
    }
    // The own password on another machine is that of a copied database.
    let copy = stopped.url.replace("127.0.0.1", "db.example.com");
    assert_eq!(named(&copy).await, Named::Foreign);
}

#[tokio::test]
async fn the_password_of_a_removed_database_is_outdated() {
    let stopped = Stopped::new().await;
    for file in ["postgres", "postgres.password", "postgres.location"] {
        let path = stopped.directory.path().join(file);
        let _ = fs::remove_dir_all(&path);
        let _ = fs::remove_file(&path);
    }
    let state = stopped.open();
    let named = leftover_variables::database(&state, &stopped.url).await;
    assert_eq!(named, Named::OwnOutdated);

    // An unknown password with the own user, database and port, on which no server listens.
    let (before, after) = stopped.url.split_once("arcadia:").unwrap();
    let (_, after) = after.split_once('@').unwrap();
    let unknown = format!("{before}arcadia:unknown@{after}");
    let named = leftover_variables::database(&state, &unknown).await;
    assert_eq!(named, Named::OwnOutdated);
    let named = leftover_variables::database(&state, &format!("{unknown}_test")).await;
    assert_eq!(named, Named::Foreign);
}

#[tokio::test]
async fn variables_of_another_state_directory_are_recognised() {
    let stopped = Stopped::new().await;
    let own = tempfile::tempdir().unwrap();
    let state = StateDir::open(own.path()).unwrap();
    let other = Named::Other(stopped.directory.path().canonicalize().unwrap());
    assert_eq!(
        leftover_variables::database(&state, &stopped.url).await,
        other
    );
    assert_eq!(
        leftover_variables::temporal(&state, &stopped.address).await,
        other
    );

    let shared = testing::database().await;
    let named = leftover_variables::database(&state, &shared.url()).await;
    assert_eq!(named, Named::Foreign);
    let shared = testing::temporal().await;
    let named = leftover_variables::temporal(&state, shared.address()).await;
    assert_eq!(named, Named::Foreign);
}

#[tokio::test]
async fn another_server_on_the_own_temporal_port_is_recognised() {
    let stopped = Stopped::new().await;
    let state = stopped.open();
    let named = async |address: &str| leftover_variables::temporal(&state, address).await;
    assert_eq!(named(&stopped.address).await, Named::Own);
    assert_eq!(
        named(&format!("http://{}", stopped.address)).await,
        Named::Own
    );
    let taken = TcpListener::bind(&stopped.address).unwrap();
    assert_eq!(named(&stopped.address).await, Named::OwnOutdated);
    let temporal = Temporal::start(&state, &Progress::quiet()).await.unwrap();
    assert_ne!(temporal.address(), stopped.address);
    temporal.stop().await.unwrap();
    drop(taken);
}
