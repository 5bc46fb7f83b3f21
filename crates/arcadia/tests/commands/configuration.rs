//! Configuration errors are reported in one line that names the setting.

use std::net::TcpListener;

use devstack::testing::unused_address;
use simulator::{Account, Simulator};
use store::Store;
use tokio::process::Command;

use crate::support::{arcadia, output, refusal};

const SECRET: &str = "s3cr3t-never-shown";

fn with(mut command: Command, variables: &[(&str, &str)]) -> Command {
    command.envs(variables.iter().copied());
    command
}

#[tokio::test]
async fn commands_without_a_database_name_its_variable() {
    for arguments in [
        &["migrate"][..],
        &["api"],
        &["token", "list"],
        &["token", "create", "--role", "platform_admin", "--name", "x"],
    ] {
        let refusal = refusal(arcadia(arguments)).await;
        assert!(
            refusal.contains("set DATABASE_URL"),
            "{arguments:?}: {refusal}"
        );
    }
}

#[tokio::test]
async fn an_unreachable_database_is_named_without_its_password() {
    let address = unused_address().to_string();
    let url = format!("postgres://arcadia:{SECRET}@{address}/arcadia");
    let refusal = refusal(with(arcadia(&["migrate"]), &[("DATABASE_URL", &url)])).await;
    assert!(refusal.contains(&address), "{refusal}");
    assert!(!refusal.contains(SECRET), "{refusal}");
}

#[tokio::test]
async fn an_invalid_database_url_is_not_repeated() {
    let url = format!("arcadia:{SECRET}@localhost");
    let refusal = refusal(with(arcadia(&["migrate"]), &[("DATABASE_URL", &url)])).await;
    assert!(refusal.contains("DATABASE_URL"), "{refusal}");
    assert!(!refusal.contains(SECRET), "{refusal}");
}

#[tokio::test]
async fn a_database_without_the_schema_requires_migrate() {
    let database = devstack::testing::database().await;
    let url = database.url();
    let refusal = refusal(with(arcadia(&["api"]), &[("DATABASE_URL", &url)])).await;
    assert!(refusal.contains("arcadia migrate"), "{refusal}");
}

#[tokio::test]
async fn a_worker_without_a_token_names_the_variables() {
    let refusal = refusal(arcadia(&["worker"])).await;
    assert!(refusal.contains("set DO_API_TOKEN"), "{refusal}");
}

#[tokio::test]
async fn an_invalid_signing_key_is_refused_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, SECRET).unwrap();
    let path = path.to_str().unwrap();
    let variable = [("ARCADIA_SIGNING_KEY_FILE", path)];
    for command in [
        with(arcadia(&["worker"]), &variable),
        arcadia(&["worker", "--signing-key-file", path]),
    ] {
        let refusal = refusal(command).await;
        assert!(
            refusal.contains(path) && refusal.contains("ed25519"),
            "{refusal}"
        );
        assert!(!refusal.contains(SECRET), "{refusal}");
    }
    let missing = arcadia(&["worker", "--signing-key-file", "/nonexistent/key.pem"]);
    let missing = refusal(missing).await;
    assert!(missing.contains("ARCADIA_SIGNING_KEY_FILE"), "{missing}");
}

#[tokio::test]
async fn a_worker_of_some_queues_needs_only_their_tokens() {
    let billing = [("DO_API_TOKEN_CLOUD_BILLING", SECRET)];
    for arguments in [
        &["worker", "--queue", "cloud-billing,cloud-sync-fast"][..],
        &[
            "worker",
            "--queue",
            "cloud-billing",
            "--queue",
            "cloud-sync-fast",
        ],
    ] {
        let refusal = refusal(with(arcadia(arguments), &billing)).await;
        assert!(
            refusal.contains("DO_API_TOKEN_CLOUD_SYNC_FAST"),
            "{refusal}"
        );
        assert!(!refusal.contains("CLOUD_SYNC_FULL"), "{refusal}");
    }
    // With the tokens, the error is the next missing setting.
    let by_variable = [billing[0], ("ARCADIA_QUEUE", "cloud-billing")];
    for command in [
        with(arcadia(&["worker", "--queue", "cloud-billing"]), &billing),
        with(arcadia(&["worker"]), &by_variable),
    ] {
        let refusal = refusal(command).await;
        assert!(refusal.contains("set DATABASE_URL"), "{refusal}");
    }
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let all = include_str!("../../../../.env.example");
    let names = all.lines().filter_map(|line| line.strip_prefix('#'));
    let names = names.filter_map(|line| Some(line.split_once('=')?.0));
    let names: Vec<_> = names.filter(|name| name.starts_with("ARCADIA_")).collect();
    assert!(names.contains(&"ARCADIA_RENEW_AFTER"), "{names:?}");
    for value in ["", " "] {
        let empty: Vec<_> = names.iter().map(|name| (*name, value)).collect();
        for (command, next) in [
            // All queues, so all tokens are needed.
            ("worker", "set DO_API_TOKEN"),
            ("api", "set DATABASE_URL"),
        ] {
            let refusal = refusal(with(arcadia(&[command]), &empty)).await;
            assert!(refusal.contains(next), "{command}: {refusal}");
        }
        let doctor = output(with(arcadia(&["doctor"]), &empty)).await;
        let report = String::from_utf8(doctor.stdout).unwrap();
        let is_ok = |line: &str| line.starts_with("ok    settings:");
        assert!(report.lines().any(is_ok), "{report}");
    }
}

#[tokio::test]
async fn an_unknown_queue_is_named_with_the_known_ones() {
    let invalid = output(arcadia(&["worker", "--queue", "cloud-billing,cloud-sync"])).await;
    assert_eq!(invalid.status.code(), Some(2));
    let errors = String::from_utf8(invalid.stderr).unwrap();
    let line = errors.lines().next().unwrap_or_default();
    for part in [
        "queue cloud-sync:",
        "cloud-sync-full, cloud-sync-fast, cloud-billing",
    ] {
        assert!(line.contains(part), "no {part:?} in {errors}");
    }
}

#[tokio::test]
async fn invalid_spaces_settings_are_refused_and_not_shown() {
    let half = [("SPACES_SECRET_ACCESS_KEY", SECRET)];
    let whole = [
        ("SPACES_ACCESS_KEY_ID", "DO00KEY"),
        ("SPACES_SECRET_ACCESS_KEY", SECRET),
        ("SPACES_ENDPOINT_URL", "https://digitaloceanspaces.com"),
    ];
    for (variables, named) in [
        (&half[..], "SPACES_ACCESS_KEY_ID"),
        (&whole, "SPACES_ENDPOINT_URL"),
    ] {
        let mut command = with(arcadia(&["worker"]), variables);
        command.env("DO_API_TOKEN", SECRET);
        let refusal = refusal(command).await;
        assert!(refusal.contains(named), "{refusal}");
        assert!(!refusal.contains(SECRET), "{refusal}");
    }
}

#[tokio::test]
async fn a_token_that_digitalocean_refuses_is_not_shown() {
    let simulator = Simulator::start(Account::demo()).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut command = arcadia(&["dev", "--api-bind", "127.0.0.1:0", "--state-dir"]);
    command.arg(state.path());
    let variables = [
        ("DIGITALOCEAN_API_URL", simulator.url()),
        ("DO_API_TOKEN", SECRET.to_owned()),
    ];
    command.envs(variables);
    let refusal = refusal(command).await;
    assert!(
        refusal.contains("DO_API_TOKEN") && refusal.contains("401"),
        "{refusal}"
    );
    assert!(!refusal.contains(SECRET), "{refusal}");
}

#[tokio::test]
async fn an_unreachable_temporal_server_is_named() {
    let address = unused_address().to_string();
    let variables = [("TEMPORAL_ADDRESS", address.as_str())];
    let refusal = refusal(with(arcadia(&["schedules", "list"]), &variables)).await;
    assert!(
        refusal.contains(&address) && refusal.contains("TEMPORAL_ADDRESS"),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let database = devstack::testing::database().await;
    let url = database.url();
    let store = Store::connect(&url, 1).await.unwrap();
    store.migrate().await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let state = tempfile::tempdir().unwrap();
    let mut dev = arcadia(&["dev", "--state-dir"]);
    dev.arg(state.path());
    for command in [arcadia(&["api"]), dev] {
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("ARCADIA_API_BIND", &address),
        ];
        let refusal = refusal(with(command, &variables)).await;
        assert!(
            refusal.contains(&address) && refusal.contains("ARCADIA_API_BIND"),
            "{refusal}"
        );
    }
}
