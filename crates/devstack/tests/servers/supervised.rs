//! Servers that end unexpectedly are restarted.

use std::fs;
use std::net::TcpListener;

use crate::support::{self, host_and_port, kill, notes, parent, process, serves, write_note};
use devstack::{Error, Postgres, Progress, StateDir, Temporal};

const POSTGRES: &str = "postgres/postmaster.pid";
const TEMPORAL: &str = "temporal/temporal.pid";

#[tokio::test]
async fn a_killed_postgresql_is_restarted_with_its_data() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let quiet = Progress::quiet();
    let mut postgres = Postgres::start(&state, &quiet).await.unwrap();
    let url = postgres.url();
    write_note(&url, "kept").await;
    // The guardian ends with its server; it may also be killed alone.
    for is_guardian in [false, true] {
        let server = process(directory.path(), POSTGRES);
        kill(if is_guardian { parent(server) } else { server });
        postgres.restarted(&quiet).await.unwrap();
        assert_eq!(postgres.url(), url);
        assert_eq!(notes(&url).await, ["kept"]);
    }
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_temporal_is_restarted_with_its_schedules() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let quiet = Progress::quiet();
    let mut temporal = Temporal::start(&state, &quiet).await.unwrap();
    let (address, ui) = (temporal.address(), temporal.ui_url());
    let create = "schedule create --schedule-id kept --interval 1h --type Any --task-queue any --workflow-id any";
    let create: Vec<_> = create.split(' ').collect();
    support::cli(&temporal, &create).await;
    kill(process(directory.path(), TEMPORAL));

    temporal.restarted(&quiet).await.unwrap();
    assert_eq!((temporal.address(), temporal.ui_url()), (address, ui));
    assert!(serves(&temporal).await);
    let describe = ["schedule", "describe", "--schedule-id", "kept"];
    assert!(support::cli(&temporal, &describe).await.contains("kept"));
    temporal.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_fails_five_times_in_a_row_is_not_restarted() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let quiet = Progress::quiet();
    let mut postgres = Postgres::start(&state, &quiet).await.unwrap();
    let url = postgres.url();
    kill(process(directory.path(), POSTGRES));
    postgres.restarted(&quiet).await.unwrap();
    fs::write(
        support::data_directory(&state).join("postgresql.conf"),
        "no_such_setting = 1\n",
    )
    .unwrap();
    kill(process(directory.path(), POSTGRES));

    let error = postgres.restarted(&quiet).await.unwrap_err();
    let Error::RestartsExhausted { times, log, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*times, 5);
    assert!(fs::read_to_string(log).unwrap().contains("no_such_setting"));
    let message = error.to_string();
    assert!(
        message.contains("postgres.log") && !message.contains('\n'),
        "{message}"
    );
    support::connect(&url).await.unwrap_err();
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_killed_five_times_within_a_minute_is_not_restarted() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let quiet = Progress::quiet();
    let mut temporal = Temporal::start(&state, &quiet).await.unwrap();
    let mut kills = 0;
    let error = loop {
        kill(process(directory.path(), TEMPORAL));
        kills += 1;
        if let Err(error) = temporal.restarted(&quiet).await {
            break error;
        }
    };
    // Failed starts, which happen on a busy machine, count too.
    assert!((2..=5).contains(&kills), "{kills}");
    assert!(
        matches!(error, Error::RestartsExhausted { times: 5, .. }),
        "{error:?}"
    );
    temporal.stop().await.unwrap();
}

#[tokio::test]
async fn a_restarted_server_keeps_its_port() {
    let directory = support::directory();
    let state = StateDir::open(directory.path()).unwrap();
    let quiet = Progress::quiet();
    let mut postgres = Postgres::start(&state, &quiet).await.unwrap();
    let url = postgres.url();
    kill(process(directory.path(), POSTGRES));
    let address = host_and_port(&url);
    let taken = support::eventually(|| TcpListener::bind(&address).ok()).await;
    taken.set_nonblocking(true).unwrap();
    let releasing = async {
        // Each start first checks whether another process listens on the port.
        support::eventually(|| taken.accept().ok()).await;
        drop(taken);
    };
    let (restarted, ()) = tokio::join!(postgres.restarted(&quiet), releasing);
    restarted.unwrap();
    assert_eq!(postgres.url(), url);
    assert_eq!(notes(&url).await, Vec::<String>::new());
    postgres.stop().await.unwrap();
}
