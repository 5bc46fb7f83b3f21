//! Whoever configures it wrongly is told so in one line.

use std::net::TcpListener;

use devstack::testing::unused_address;
use simulator::{Account, Simulator};
use store::Store;
use tokio::process::Command;

use crate::support::{arcadia, output, refusal};

const SECRET: &str = "s3cr3t-that-nobody-may-see";

fn with(mut command: Command, variables: &[(&str, &str)]) -> Command {
    command.envs(variables.iter().copied());
    command
}

#[tokio::test]
async fn without_a_database_every_command_that_needs_one_names_its_variable() {
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
async fn a_database_that_does_not_answer_is_named_without_its_password() {
    let address = unused_address().to_string();
    let url = format!("postgres://arcadia:{SECRET}@{address}/arcadia");
    let refusal = refusal(with(arcadia(&["migrate"]), &[("DATABASE_URL", &url)])).await;
    assert!(refusal.contains(&address), "{refusal}");
    assert!(!refusal.contains(SECRET), "{refusal}");
}

#[tokio::test]
async fn a_database_url_that_is_none_is_not_repeated() {
    let url = format!("arcadia:{SECRET}@localhost");
    let refusal = refusal(with(arcadia(&["migrate"]), &[("DATABASE_URL", &url)])).await;
    assert!(refusal.contains("DATABASE_URL"), "{refusal}");
    assert!(!refusal.contains(SECRET), "{refusal}");
}

#[tokio::test]
async fn a_database_without_the_schema_asks_for_migrate() {
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
async fn a_worker_for_some_queues_needs_their_tokens_alone() {
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
            refusal.contains("DO_API_TOKEN_CLOUD_SYNC_FAST;"),
            "{refusal}"
        );
        assert!(!refusal.contains("CLOUD_SYNC_FULL"), "{refusal}");
    }
    // What it asks for next.
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
async fn a_variable_that_is_set_to_nothing_is_not_set_as_compose_files_leave_it() {
    let all = include_str!("../../../../.env.example");
    let names = all.lines().filter_map(|line| line.strip_prefix('#'));
    let names = names.filter_map(|line| Some(line.split_once('=')?.0));
    let names: Vec<_> = names.filter(|name| name.starts_with("ARCADIA_")).collect();
    assert!(names.contains(&"ARCADIA_RENEW_AFTER"), "{names:?}");
    for nothing in ["", " "] {
        let empty: Vec<_> = names.iter().map(|name| (*name, nothing)).collect();
        for (command, next) in [
            // All queues' tokens.
            ("worker", "set DO_API_TOKEN"),
            ("api", "set DATABASE_URL"),
        ] {
            let refusal = refusal(with(arcadia(&[command]), &empty)).await;
            assert!(refusal.contains(next), "{command}: {refusal}");
        }
        let said = output(with(arcadia(&["doctor"]), &empty)).await;
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(
            said.lines().any(|line| line.starts_with("ok    settings:")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_told_with_those_that_do() {
    let wrong = output(arcadia(&["worker", "--queue", "cloud-billing,cloud-sync"])).await;
    assert_eq!(wrong.status.code(), Some(2));
    let told = String::from_utf8(wrong.stderr).unwrap();
    let line = told.lines().next().unwrap_or_default();
    assert!(
        line.ends_with(
            "no task queue is called cloud-sync: there are cloud-sync-full, cloud-sync-fast, cloud-billing"
        ),
        "{told}"
    );
}

#[tokio::test]
async fn half_a_spaces_key_and_an_endpoint_for_no_region_are_refused_and_not_shown() {
    let half = [("SPACES_SECRET_ACCESS_KEY", SECRET)];
    let whole = [
        ("SPACES_ACCESS_KEY_ID", "DO00KEY"),
        ("SPACES_SECRET_ACCESS_KEY", SECRET),
        ("SPACES_ENDPOINT_URL", "https://digitaloceanspaces.com"),
    ];
    for (variables, named) in [
        (&half[..], "SPACES_ACCESS_KEY_ID is not"),
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
async fn a_temporal_that_does_not_answer_is_named() {
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
