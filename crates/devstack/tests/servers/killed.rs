//! Servers of a killed owner are stopped, at the latest by the next start.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    self, host_and_port, is_running, kill, notes, parent, process, serves, write_note,
};
use devstack::{Postgres, Progress, StateDir, Temporal};

const STATE: &str = "DEVSTACK_TEST_STATE";
const LIMIT: Duration = Duration::from_secs(30);

/// An owner in a separate process, with both servers running.
struct Owner {
    process: Child,
    database_url: String,
    temporal_address: String,
}

impl Owner {
    fn start(state: &Path) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "--nocapture",
                "killed::an_owner_that_waits_to_be_killed",
            ])
            .env(STATE, state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let ready = lines
            .into_iter()
            .find_map(|line| Some(line.split_once("ready ")?.1.to_owned()));
        let ready = ready.expect("the owner's servers did not start");
        let (database_url, temporal_address) = ready.split_once(' ').unwrap();
        Self {
            process,
            database_url: database_url.to_owned(),
            temporal_address: temporal_address.to_owned(),
        }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The process that the other tests start and kill; not a test itself.
#[tokio::test]
#[ignore = "run by the other tests, as a process to be killed"]
async fn an_owner_that_waits_to_be_killed() {
    let Some(directory) = env::var_os(STATE) else {
        return;
    };
    let state = StateDir::open(directory).unwrap();
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    let temporal = Temporal::start(&state, &Progress::quiet()).await.unwrap();
    println!("ready {} {}", postgres.url(), temporal.address());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn the_servers_of_a_killed_owner_stop() {
    let directory = support::directory();
    let owner = Owner::start(directory.path());
    let addresses = [
        host_and_port(&owner.database_url),
        owner.temporal_address.clone(),
    ];
    assert!(
        addresses
            .iter()
            .all(|address| TcpStream::connect(address).is_ok())
    );
    owner.kill();
    wait_until("no server accepts connections", || {
        addresses
            .iter()
            .all(|address| TcpStream::connect(address).is_err())
    })
    .await;
}

#[tokio::test]
async fn servers_without_owner_and_guardian_are_replaced_at_the_next_start() {
    let directory = support::directory();
    let owner = Owner::start(directory.path());
    write_note(&owner.database_url, "before").await;
    let servers = server_processes(directory.path());
    for server in &servers {
        kill(parent(*server));
    }
    owner.kill();
    assert!(
        servers.iter().all(|server| is_running(*server)),
        "the guardians stopped their servers"
    );
    restarts_with_its_data(directory.path()).await;
    assert!(!servers.iter().any(|server| is_running(*server)));
}

#[tokio::test]
async fn an_instance_recovers_after_all_its_processes_were_killed() {
    let directory = support::directory();
    let owner = Owner::start(directory.path());
    write_note(&owner.database_url, "before").await;
    for server in server_processes(directory.path()) {
        kill(parent(server));
        kill(server);
    }
    owner.kill();
    restarts_with_its_data(directory.path()).await;
}

#[tokio::test]
async fn a_process_with_a_reused_process_id_is_not_signalled() {
    let directory = support::directory();
    let owner = Owner::start(directory.path());
    write_note(&owner.database_url, "before").await;
    for server in server_processes(directory.path()) {
        kill(parent(server));
        kill(server);
    }
    owner.kill();
    let mut unrelated = Command::new("sleep").arg("600").spawn().unwrap();
    let pid_file = directory.path().join("postgres/postmaster.pid");
    let old = fs::read_to_string(&pid_file).unwrap();
    let (_, rest) = old.split_once('\n').unwrap();
    fs::write(&pid_file, format!("{}\n{rest}", unrelated.id())).unwrap();
    fs::write(
        directory.path().join("temporal/temporal.pid"),
        unrelated.id().to_string(),
    )
    .unwrap();

    restarts_with_its_data(directory.path()).await;
    assert!(
        unrelated.try_wait().unwrap().is_none(),
        "the unrelated process was killed"
    );
    unrelated.kill().unwrap();
    unrelated.wait().unwrap();
}

async fn restarts_with_its_data(directory: &Path) {
    let state = StateDir::open(directory).unwrap();
    let postgres = Postgres::start(&state, &Progress::quiet()).await.unwrap();
    let temporal = Temporal::start(&state, &Progress::quiet()).await.unwrap();
    assert_eq!(notes(&postgres.url()).await, ["before"]);
    assert!(serves(&temporal).await);
    temporal.stop().await.unwrap();
    postgres.stop().await.unwrap();
}

/// Returns the process ids of PostgreSQL and Temporal.
fn server_processes(directory: &Path) -> [i32; 2] {
    ["postgres/postmaster.pid", "temporal/temporal.pid"].map(|file| process(directory, file))
}

async fn wait_until(name: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "not within {} s: {name}",
            LIMIT.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
