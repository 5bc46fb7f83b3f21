//! `arcadia worker` as a process, from its start to its end.

use std::fs::{self, File};
use std::process::Stdio;

use crate::dev::{connection, count};
use crate::doctor::SECRET;
use crate::doctor::schedules::Namespace;
use crate::support::{eventually, refusal, stop};

const REVOKED: &str = "dop_v1_revoked";

#[tokio::test]
async fn a_worker_serves_the_purposes_whose_tokens_are_accepted_and_names_the_one_whose_is_not() {
    let namespace = Namespace::create("worker-refused").await;
    let healthy = &namespace.healthy;
    let in_namespace = ("TEMPORAL_NAMESPACE", namespace.name.as_str());
    let mut all_refused = vec![in_namespace];
    all_refused.push(("DO_API_TOKEN", REVOKED));
    let refusal = refusal(healthy.run("worker", &all_refused)).await;
    assert!(
        refusal.contains("does not accept the token of"),
        "{refusal}"
    );

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
    stop(worker).await;
    let log = fs::read_to_string(log).unwrap();
    let told: Vec<_> = log
        .lines()
        .filter(|line| line.contains("does not accept the token of"))
        .collect();
    let [told] = &told[..] else {
        panic!("{log}");
    };
    for part in [
        "WARN",
        "token of cloud-billing",
        "DO_API_TOKEN_CLOUD_BILLING is wrong",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    assert!(!log.contains(SECRET) && !log.contains(REVOKED), "{log}");
}
