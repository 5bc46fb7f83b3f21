//! `arcadia worker` as a process: rejected tokens, and stop signals.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::dev::{connection, count};
use crate::doctor::schedules::Namespace;
use crate::doctor::{Healthy, SECRET};
use crate::support::{LIMIT, eventually, output, refusal, stop, terminate};

const REVOKED: &str = "dop_v1_revoked";

#[tokio::test]
async fn a_worker_with_one_rejected_token_polls_and_warns() {
    let namespace = Namespace::create("worker-refused").await;
    let healthy = &namespace.healthy;
    let in_namespace = ("TEMPORAL_NAMESPACE", namespace.name.as_str());
    let mut all_refused = vec![in_namespace];
    all_refused.push(("DO_API_TOKEN", REVOKED));
    let refusal = refusal(healthy.run("worker", &all_refused)).await;
    assert!(refusal.contains("rejected the token of"), "{refusal}");

    namespace.apply(&[]).await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let one_refused = [in_namespace, ("DO_API_TOKEN_CLOUD_BILLING", REVOKED)];
    let mut worker = healthy.run("worker", &one_refused);
    worker
        .env("NO_COLOR", "1")
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap());
    let worker = worker.spawn().unwrap();
    let mut database = connection(&healthy.database.url()).await;
    namespace
        .cli("schedule trigger --schedule-id sync-droplets")
        .await;
    eventually("droplets are mirrored", async || {
        let droplets = "select count(*) from cloud_resources where kind = 'droplet'";
        (count(&mut database, droplets).await > 0).then_some(())
    })
    .await;
    assert_eq!(pollers(&namespace.name).await, [identity_of(&worker)]);
    stop(worker).await;
    let log = fs::read_to_string(log).unwrap();
    let warnings: Vec<_> = log
        .lines()
        .filter(|line| line.contains("rejected the token of"))
        .collect();
    let [warning] = &warnings[..] else {
        panic!("{log}");
    };
    for part in ["WARN", "cloud-billing", "DO_API_TOKEN_CLOUD_BILLING"] {
        assert!(warning.contains(part), "no {part:?} in {warning}");
    }
    assert!(!log.contains(SECRET) && !log.contains(REVOKED), "{log}");
}

#[tokio::test]
async fn a_worker_with_only_tokens_of_another_team_does_not_start() {
    let healthy = Healthy::start().await;
    healthy.mirror_the_team("0f9e", "Merlin").await;
    let refusal = refusal(healthy.run("worker", &[])).await;
    for part in ["cloud-sync-full", "Kestrel", "Merlin", "0f9e"] {
        assert!(refusal.contains(part), "no {part:?} in {refusal}");
    }
}

/// Returns the identity under which a process polls Temporal.
fn identity_of(process: &Child) -> String {
    let name = std::process::Command::new("uname").arg("-n").output();
    let name = String::from_utf8(name.unwrap().stdout).unwrap();
    format!("arcadia:{}@{}", process.id().unwrap(), name.trim())
}

/// Returns the identities of the pollers of `cloud-sync-fast`, as reported by Temporal.
async fn pollers(namespace: &str) -> Vec<String> {
    let temporal = devstack::testing::temporal().await;
    let mut describe = Command::new(temporal.cli());
    describe
        .args(["task-queue", "describe", "--task-queue", "cloud-sync-fast"])
        .args(["--output", "json", "--address", temporal.address()])
        .args(["--namespace", namespace])
        .env("TEMPORAL_CONFIG_FILE", "/dev/null");
    let described = output(describe).await;
    let described: Value = serde_json::from_slice(&described.stdout).unwrap();
    let pollers = described["pollers"].as_array().unwrap().iter();
    let identities = pollers.map(|poller| poller["identity"].as_str().unwrap().to_owned());
    identities.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Wraps a command so that, as for the first process of a container, SIGTERM has no effect unless
/// the program handles it.
fn as_first_process(command: &Command) -> Command {
    let command = command.as_std();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' TERM; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Starts a process that connects to a server that never responds, stops it, and returns its exit
/// code and stderr. Fails unless the process ends soon.
async fn stopped_while_it_waits(command: &Command, server: &TcpListener) -> (Option<i32>, String) {
    let mut command = as_first_process(command);
    let process = command.stderr(Stdio::piped()).spawn().unwrap();
    let connection = tokio::time::timeout(LIMIT, server.accept()).await;
    let _connection = connection.expect("the process did not connect").unwrap();
    terminate(&process);
    let soon = Duration::from_secs(8);
    let ended = tokio::time::timeout(soon, process.wait_with_output()).await;
    let ended = ended.expect("the process did not stop").unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    (ended.status.code(), errors)
}

#[tokio::test]
async fn a_command_that_waits_for_a_server_stops_on_a_signal() {
    let unresponsive = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unresponsive.local_addr().unwrap().to_string();
    let healthy = Healthy::start().await;
    let temporal = [("TEMPORAL_ADDRESS", address.as_str())];
    let url = format!("postgres://arcadia@{address}/arcadia");
    let database = [("DATABASE_URL", url.as_str())];

    for command in [
        healthy.run("worker", &temporal),
        healthy.run("worker", &database),
        healthy.run("api", &database),
    ] {
        let (code, errors) = stopped_while_it_waits(&command, &unresponsive).await;
        assert_eq!(code, Some(0), "{errors}");
    }

    let mut schedules = healthy.run("schedules", &temporal);
    schedules.arg("apply");
    for command in [healthy.run("migrate", &database), schedules] {
        let (code, errors) = stopped_while_it_waits(&command, &unresponsive).await;
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("stop signal"), "{errors}");
    }
}
