//! Commands that address a running `arcadia dev`, and `dev` in a shell that has kept the variables of an earlier one.

use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use tokio::process::Command;

use crate::dev::{Dev, connection, count, dev};
use crate::support::{arcadia, output, refusal};

/// `arcadia COMMAND --state-dir STATE`.
fn at(state: &Path, arguments: &[&str]) -> Command {
    let mut command = arcadia(arguments);
    command.arg("--state-dir").arg(state);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn told(output: &Output) -> (String, String) {
    assert!(output.status.success(), "{output:?}");
    (text(&output.stdout), text(&output.stderr))
}

/// The environment of a shell that evaluates what `dev --print-env` prints, as far as it is ours.
async fn evaluated(state: &Path) -> HashMap<String, String> {
    let (printed, errors) = told(&output(at(state, &["dev", "--print-env"])).await);
    assert_eq!(errors, "");
    for line in printed.lines() {
        assert!(line.starts_with("export "), "{line}");
    }
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "eval \"$PRINTED\"; env -0"])
        .env_clear()
        .env("PRINTED", &printed)
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

/// The variables of an instance in a shell, without those that do not name servers.
fn names_servers(variables: &HashMap<String, String>) -> HashMap<String, String> {
    let names = ["DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"];
    let mut variables = variables.clone();
    variables.retain(|name, _| names.contains(&name.as_str()));
    variables
}

#[tokio::test]
async fn a_running_instance_is_addressed_by_state_dir_and_by_variables() {
    // The name has to be quoted in a shell.
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("it's a state directory");
    fs::create_dir(&state).unwrap();
    // A Temporal that somebody else runs, with schedules of another database.
    let elsewhere = devstack::testing::temporal().await.address().to_owned();
    let instance = Dev::start(dev(&state), &state).await;
    let address = instance.says("temporal_address").to_owned();
    assert_ne!(address, elsewhere);

    // Both lines can be copied to a shell.
    let printed = fs::read_to_string(state.join("printed.txt")).unwrap();
    let export = format!("export TEMPORAL_ADDRESS={address}");
    assert!(printed.lines().any(|line| line == export), "{printed}");
    let path = state.canonicalize().unwrap();
    let path = path.to_string_lossy().replace('\'', r"'\''");
    let all = format!("eval \"$(arcadia dev --print-env --state-dir '{path}')\"");
    assert!(printed.contains(&all), "{printed}");

    let variables = evaluated(&state).await;
    for (name, field) in [
        ("DATABASE_URL", "database_url"),
        ("TEMPORAL_ADDRESS", "temporal_address"),
        ("API", "api_url"),
        ("ADMIN_TOKEN", "admin_token"),
        ("ARCADIA_TEMPORAL_UI_URL", "temporal_ui_url"),
    ] {
        assert_eq!(variables[name], instance.says(field), "{name}");
    }
    assert_eq!(variables["TEMPORAL_NAMESPACE"], "default");
    let canonical = state.canonicalize().unwrap();
    assert_eq!(variables["ARCADIA_STATE_DIR"], canonical.to_string_lossy());

    let mut print = at(&state, &["dev", "--print-env"]);
    print
        .env("TEMPORAL_API_KEY", "secret")
        .env("TEMPORAL_TLS", "true");
    let (printed, _) = told(&output(print).await);
    for line in ["unset TEMPORAL_API_KEY\n", "unset TEMPORAL_TLS\n"] {
        assert!(printed.contains(line), "{printed}");
    }

    // Whatever other servers the variables name.
    let mut list = at(&state, &["schedules", "list"]);
    list.env("TEMPORAL_ADDRESS", &elsewhere)
        .env("DATABASE_URL", "postgres://127.0.0.1:1/elsewhere");
    let (table, errors) = told(&output(list).await);
    assert_eq!(table.matches("active, ").count(), 5, "{table}");
    assert!(errors.contains(&address), "{errors}");
    assert_eq!(errors.matches("--state-dir").count(), 2, "{errors}");
    assert!(!errors.contains(&password(&instance)), "{errors}");

    let mut list = arcadia(&["schedules", "list"]);
    list.envs(&variables);
    let (table, errors) = told(&output(list).await);
    assert_eq!(table.matches("active, ").count(), 5, "{table}");
    assert!(errors.contains("(TEMPORAL_ADDRESS)"), "{errors}");

    // Only the database is named by it; what is not named otherwise is the instance's.
    let mut list = arcadia(&["schedules", "list"]);
    list.env("ARCADIA_STATE_DIR", &state);
    let (_, errors) = told(&output(list).await);
    assert_eq!(errors.matches("ARCADIA_STATE_DIR").count(), 2, "{errors}");

    let create = ["token", "create", "--role", "platform_admin", "--name", "x"];
    let (token, errors) = told(&output(at(&state, &create)).await);
    let answer = crate::dev::reqwest_client()
        .get(format!("{}/api/v1/inventory", instance.says("api_url")))
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
        let said = text(&doctor.stdout);
        assert_eq!(doctor.status.code(), Some(0), "{said}");
        for line in said.lines() {
            assert!(line.starts_with("ok    "), "{line}");
        }
        for what in [
            "database: 127.0.0.1:",
            "temporal: 127.0.0.1:",
            "digitalocean: ",
            "api: ",
        ] {
            assert!(said.contains(what), "{said}");
        }
        assert!(said.contains(&address), "{said}");
        assert!(!said.contains(&password(&instance)), "{said}");
    }

    for file in ["instance.json", "admin-token", "ready.json"] {
        let mode = fs::metadata(state.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    instance.stop().await;
    assert!(!state.join("instance.json").exists());
}

fn password(instance: &Dev) -> String {
    let url = instance.says("database_url");
    let (_, rest) = url.split_once("arcadia:").unwrap();
    rest.split_once('@').unwrap().0.to_owned()
}

#[tokio::test]
async fn an_instance_that_does_not_run_is_named_with_the_remedy() {
    let state = tempfile::tempdir().unwrap();
    // As a `dev` that was killed leaves it.
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
        let remedy = format!("arcadia dev --state-dir {}", state.path().display());
        assert!(refusal.contains(&remedy), "{arguments:?}: {refusal}");
    }
    let doctor = output(at(state.path(), &["doctor"])).await;
    let said = text(&doctor.stdout);
    for what in [
        "FAIL  database: no `arcadia dev` runs",
        "FAIL  temporal: no `arcadia dev` runs",
    ] {
        assert!(said.contains(what), "{said}");
    }
    let missing = state.path().join("missing");
    let refused = refusal(at(&missing, &["dev", "--print-env"])).await;
    assert!(refused.contains("no `arcadia dev` runs"), "{refused}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn without_variables_the_default_temporal_is_named_as_such() {
    let listed = output(arcadia(&["schedules", "list"])).await;
    let said = text(&listed.stderr);
    let is_told =
        said.contains("TEMPORAL_ADDRESS is not set") || said.contains("set TEMPORAL_ADDRESS");
    assert!(is_told && said.contains("localhost:7233"), "{said}");
}

#[tokio::test]
async fn a_shell_that_kept_the_variables_of_a_stopped_dev_starts_it_again() {
    let state = tempfile::tempdir().unwrap();
    let first = Dev::start(dev(state.path()), state.path()).await;
    let kept = names_servers(&evaluated(state.path()).await);
    first.stop().await;

    let mut again = dev(state.path());
    again.envs(&kept);
    let again = Dev::start(again, state.path()).await;
    assert_eq!(again.says("database_url"), kept["DATABASE_URL"]);
    assert_eq!(again.says("temporal_address"), kept["TEMPORAL_ADDRESS"]);
    let schedules = output(at(state.path(), &["schedules", "list"])).await;
    assert_eq!(told(&schedules).0.matches("active, ").count(), 5);
    again.stop().await;

    // Both ports are somebody else's meanwhile, who is not taken for the own servers.
    let database = kept["DATABASE_URL"].split_once('@').unwrap().1;
    let database = database.split_once('/').unwrap().0;
    let taken =
        [database, &kept["TEMPORAL_ADDRESS"]].map(|address| TcpListener::bind(address).unwrap());
    let mut moved = dev(state.path());
    moved.envs(&kept);
    let moved = Dev::start(moved, state.path()).await;
    assert_ne!(moved.says("database_url"), kept["DATABASE_URL"]);
    assert_ne!(moved.says("temporal_address"), kept["TEMPORAL_ADDRESS"]);
    let mut database = connection(moved.says("database_url")).await;
    assert_eq!(
        count(&mut database, "select count(*) from cloud_teams").await,
        1
    );
    drop(database);
    moved.stop().await;
    drop(taken);
    let said = fs::read_to_string(state.path().join("said.log")).unwrap();
    for line in [
        "PostgreSQL: DATABASE_URL names",
        "Temporal: TEMPORAL_ADDRESS names",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

#[tokio::test]
async fn variables_of_another_state_directory_are_refused_with_its_name() {
    let others = tempfile::tempdir().unwrap();
    let instance = Dev::start(dev(others.path()), others.path()).await;
    let kept = names_servers(&evaluated(others.path()).await);

    let state = tempfile::tempdir().unwrap();
    let path = others.path().canonicalize().unwrap();
    let path = path.to_string_lossy();
    // While it runs, its schedules show whose they are.
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
        let remedy = format!("unset {variable}");
        assert!(
            refused.contains(&*path) && refused.contains(&remedy),
            "{refused}"
        );
        assert!(!refused.contains(&kept["DATABASE_URL"]), "{refused}");
    };
    refused_with("DATABASE_URL").await;
    instance.stop().await;
    refused_with("DATABASE_URL").await;
    refused_with("TEMPORAL_ADDRESS").await;
}
