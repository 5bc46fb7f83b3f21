//! Commands for a running `arcadia dev`, and `dev` in a shell with the variables of an earlier one.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use crate::dev::{Dev, connection, count, dev};
use crate::support::{arcadia, output, refusal};

/// Returns `arcadia COMMAND --state-dir STATE`.
fn at(state: &Path, arguments: &[&str]) -> Command {
    let mut command = arcadia(arguments);
    command.arg("--state-dir").arg(state);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Returns stdout and stderr of a successful command.
fn printed(output: &Output) -> (String, String) {
    assert!(output.status.success(), "{output:?}");
    (text(&output.stdout), text(&output.stderr))
}

/// Returns the variables of a shell that has evaluated the output of `dev --print-env`.
async fn evaluated(state: &Path) -> HashMap<String, String> {
    let (lines, errors) = printed(&output(at(state, &["dev", "--print-env"])).await);
    assert_eq!(errors, "");
    for line in lines.lines() {
        assert!(line.starts_with("export "), "{line}");
    }
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "eval \"$PRINTED\"; env -0"])
        .env_clear()
        .env("PRINTED", &lines)
        .env("PATH", std::env::var_os("PATH").unwrap());
    let environment = text(&output(shell).await.stdout);
    let variables = environment
        .split('\0')
        .filter_map(|line| line.split_once('='));
    variables
        .filter(|(name, _)| *name != "PRINTED")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Keeps only the variables that name servers.
fn names_servers(variables: &HashMap<String, String>) -> HashMap<String, String> {
    let names = ["DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"];
    let mut variables = variables.clone();
    variables.retain(|name, _| names.contains(&name.as_str()));
    variables
}

#[tokio::test]
async fn a_running_instance_is_addressed_by_state_dir_and_by_variables() {
    // This name must be quoted in a shell.
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("it's a state directory");
    fs::create_dir(&state).unwrap();
    // A Temporal server of another installation, with schedules of another database.
    let elsewhere = devstack::testing::temporal().await.address().to_owned();
    let instance = Dev::start(dev(&state), &state).await;
    let address = instance.field("temporal_address").to_owned();
    assert_ne!(address, elsewhere);

    // Both lines can be copied to a shell.
    let stdout = fs::read_to_string(state.join("printed.txt")).unwrap();
    let export = format!("export TEMPORAL_ADDRESS={address}");
    assert!(stdout.lines().any(|line| line == export), "{stdout}");
    let path = state.canonicalize().unwrap();
    let path = path.to_string_lossy().replace('\'', r"'\''");
    let all = format!("eval \"$(arcadia dev --print-env --state-dir '{path}')\"");
    assert!(stdout.contains(&all), "{stdout}");

    let variables = evaluated(&state).await;
    for (name, field) in [
        ("DATABASE_URL", "database_url"),
        ("TEMPORAL_ADDRESS", "temporal_address"),
        ("API", "api_url"),
        ("ADMIN_TOKEN", "admin_token"),
        ("ARCADIA_TEMPORAL_UI_URL", "temporal_ui_url"),
    ] {
        assert_eq!(variables[name], instance.field(field), "{name}");
    }
    assert_eq!(variables["TEMPORAL_NAMESPACE"], "default");
    let canonical = state.canonicalize().unwrap();
    assert_eq!(variables["ARCADIA_STATE_DIR"], canonical.to_string_lossy());

    let mut print = at(&state, &["dev", "--print-env"]);
    print
        .env("TEMPORAL_API_KEY", "secret")
        .env("TEMPORAL_TLS", "true");
    let (stdout, _) = printed(&output(print).await);
    for line in ["unset TEMPORAL_API_KEY\n", "unset TEMPORAL_TLS\n"] {
        assert!(stdout.contains(line), "{stdout}");
    }

    // --state-dir takes precedence over the variables.
    let mut list = at(&state, &["schedules", "list"]);
    list.env("TEMPORAL_ADDRESS", &elsewhere)
        .env("DATABASE_URL", "postgres://127.0.0.1:1/elsewhere");
    let (table, errors) = printed(&output(list).await);
    assert_eq!(table.matches("active, ").count(), 6, "{table}");
    assert!(errors.contains(&address), "{errors}");
    assert_eq!(errors.matches("--state-dir").count(), 2, "{errors}");
    assert!(!errors.contains(&password(&instance)), "{errors}");

    let mut list = arcadia(&["schedules", "list"]);
    list.envs(&variables);
    let (table, errors) = printed(&output(list).await);
    assert_eq!(table.matches("active, ").count(), 6, "{table}");
    assert!(errors.contains("(TEMPORAL_ADDRESS)"), "{errors}");

    // Without other variables, ARCADIA_STATE_DIR selects both servers.
    let mut list = arcadia(&["schedules", "list"]);
    list.env("ARCADIA_STATE_DIR", &state);
    let (_, errors) = printed(&output(list).await);
    assert_eq!(errors.matches("ARCADIA_STATE_DIR").count(), 2, "{errors}");

    let create = ["token", "create", "--role", "platform_admin", "--name", "x"];
    let (token, errors) = printed(&output(at(&state, &create)).await);
    let answer = crate::dev::reqwest_client()
        .get(format!("{}/api/v1/inventory", instance.field("api_url")))
        .bearer_auth(token.trim_end())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{token:?}");
    assert!(errors.contains("database: 127.0.0.1:"), "{errors}");
    assert!(!errors.contains(&password(&instance)), "{errors}");

    let mut evaluated = arcadia(&["doctor"]);
    evaluated.envs(&variables);
    for doctor in [at(&state, &["doctor"]), evaluated] {
        let doctor = output(doctor).await;
        let report = text(&doctor.stdout);
        assert_eq!(doctor.status.code(), Some(0), "{report}");
        for line in report.lines() {
            assert!(line.starts_with("ok    "), "{line}");
        }
        for check in [
            "database: connected to 127.0.0.1:",
            "temporal: connected to 127.0.0.1:",
            "digitalocean: ",
            "api: ",
        ] {
            assert!(report.contains(check), "{report}");
        }
        assert!(report.contains(&address), "{report}");
        assert!(!report.contains(&password(&instance)), "{report}");
    }

    for file in ["instance.json", "admin-token", "ready.json"] {
        let mode = fs::metadata(state.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    instance.stop().await;
    assert!(!state.join("instance.json").exists());
}

fn password(instance: &Dev) -> String {
    let url = instance.field("database_url");
    let (_, rest) = url.split_once("arcadia:").unwrap();
    rest.split_once('@').unwrap().0.to_owned()
}

#[tokio::test]
async fn a_stopped_instance_is_named_with_the_command_that_starts_it() {
    let state = tempfile::tempdir().unwrap();
    // The files that a killed `dev` leaves.
    fs::write(state.path().join("instance.json"), "{}").unwrap();
    fs::write(state.path().join("lock"), "1\n").unwrap();
    for arguments in [
        &["dev", "--print-env"][..],
        &["token", "list"],
        &["schedules", "list"],
        &["schedules", "apply"],
        &["migrate"],
    ] {
        let command = output(at(state.path(), arguments)).await;
        assert_eq!(command.status.code(), Some(1), "{arguments:?}");
        assert_eq!(text(&command.stdout), "", "{arguments:?}");
        let refusal = text(&command.stderr);
        let fix = format!("arcadia dev --state-dir {}", state.path().display());
        assert!(refusal.contains(&fix), "{arguments:?}: {refusal}");
    }
    let doctor = output(at(state.path(), &["doctor"])).await;
    let report = text(&doctor.stdout);
    for line in [
        "FAIL  database: no `arcadia dev` runs",
        "FAIL  temporal: no `arcadia dev` runs",
    ] {
        assert!(report.contains(line), "{report}");
    }
    let missing = state.path().join("missing");
    let refused = refusal(at(&missing, &["dev", "--print-env"])).await;
    assert!(refused.contains("no `arcadia dev` runs"), "{refused}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn without_variables_the_default_temporal_server_is_named() {
    let listed = output(arcadia(&["schedules", "list"])).await;
    let errors = text(&listed.stderr);
    for part in ["TEMPORAL_ADDRESS", "localhost:7233"] {
        assert!(errors.contains(part), "{errors}");
    }
}

#[tokio::test]
async fn a_shell_with_the_variables_of_a_stopped_dev_restarts_it() {
    let state = tempfile::tempdir().unwrap();
    let first = Dev::start(dev(state.path()), state.path()).await;
    let kept = names_servers(&evaluated(state.path()).await);
    first.stop().await;

    let mut again = dev(state.path());
    again.envs(&kept);
    let again = Dev::start(again, state.path()).await;
    assert_eq!(again.field("database_url"), kept["DATABASE_URL"]);
    assert_eq!(again.field("temporal_address"), kept["TEMPORAL_ADDRESS"]);
    let schedules = output(at(state.path(), &["schedules", "list"])).await;
    assert_eq!(printed(&schedules).0.matches("active, ").count(), 6);
    again.stop().await;

    // Other processes on both ports are not mistaken for the own servers.
    let database = kept["DATABASE_URL"].split_once('@').unwrap().1;
    let database = database.split_once('/').unwrap().0;
    let taken =
        [database, &kept["TEMPORAL_ADDRESS"]].map(|address| TcpListener::bind(address).unwrap());
    let mut moved = dev(state.path());
    moved.envs(&kept);
    let moved = Dev::start(moved, state.path()).await;
    assert_ne!(moved.field("database_url"), kept["DATABASE_URL"]);
    assert_ne!(moved.field("temporal_address"), kept["TEMPORAL_ADDRESS"]);
    let mut database = connection(moved.field("database_url")).await;
    assert_eq!(
        count(&mut database, "select count(*) from cloud_teams").await,
        1
    );
    drop(database);
    moved.stop().await;
    drop(taken);
    let errors = fs::read_to_string(state.path().join("stderr.log")).unwrap();
    for part in ["PostgreSQL: DATABASE_URL", "Temporal: TEMPORAL_ADDRESS"] {
        assert!(errors.contains(part), "{errors}");
    }
}

#[tokio::test]
async fn variables_of_another_state_directory_are_refused() {
    let others = tempfile::tempdir().unwrap();
    let instance = Dev::start(dev(others.path()), others.path()).await;
    let kept = names_servers(&evaluated(others.path()).await);

    let state = tempfile::tempdir().unwrap();
    let path = others.path().canonicalize().unwrap();
    let path = path.to_string_lossy();
    // While it runs, its schedules identify its installation.
    let mut command = dev(state.path());
    command.env("TEMPORAL_ADDRESS", &kept["TEMPORAL_ADDRESS"]);
    let refused = refusal(command).await;
    for part in [
        "belong to another installation",
        "TEMPORAL_NAMESPACE",
        "--take-over",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    let refused_with = async |variable: &str| {
        let mut command = dev(state.path());
        command.env(variable, &kept[variable]);
        let refused = refusal(command).await;
        let fix = format!("unset {variable}");
        assert!(
            refused.contains(&*path) && refused.contains(&fix),
            "{refused}"
        );
        assert!(!refused.contains(&kept["DATABASE_URL"]), "{refused}");
    };
    refused_with("DATABASE_URL").await;
    instance.stop().await;
    refused_with("DATABASE_URL").await;
    refused_with("TEMPORAL_ADDRESS").await;
}
