//! The deployment files have no default passwords.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Variables with a password.
const PASSWORDS: [&str; 3] = [
    "POSTGRES_PASSWORD",
    "ARCADIA_DATABASE_PASSWORD",
    "TEMPORAL_DATABASE_PASSWORD",
];

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap()
}

/// Returns the value of a key with the name of a password.
fn password(line: &str) -> Option<&str> {
    let (key, value) = line.trim().split_once(": ")?;
    let is_password = key.ends_with("PASSWORD") || key.ends_with("PWD");
    is_password.then(|| value.trim())
}

/// Returns the passwords of the database URLs in a file.
fn url_passwords(text: &str) -> Vec<&str> {
    let urls = text.split("postgres://").skip(1);
    urls.map(|url| {
        // The message of a required variable may have any character but the brace.
        let user = url.find(':').unwrap();
        let rest = &url[user + 1..];
        let end = match rest.find('}') {
            Some(brace) if rest.starts_with("${") => brace + 1,
            _ => rest.find('@').unwrap(),
        };
        &rest[..end]
    })
    .collect()
}

/// Returns true if the value is one required variable and nothing else.
fn is_required_variable(value: &str) -> bool {
    let variable = value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    variable.is_some_and(|variable| {
        let (name, _) = variable.split_once(":?").unwrap_or_default();
        PASSWORDS.contains(&name)
    })
}

#[test]
fn every_password_of_the_compose_file_is_a_required_variable() {
    let compose = read("docker-compose.temporal.yml");
    let keys = compose.lines().filter_map(password);
    let urls = url_passwords(&compose);
    let passwords: Vec<&str> = keys.chain(urls).collect();
    assert!(passwords.len() >= 6, "{passwords:?}");
    for value in passwords {
        assert!(is_required_variable(value), "{value}");
    }
    // Every other use of a password must be required as well.
    for name in PASSWORDS {
        let uses = compose.matches(&format!("${{{name}")).count();
        let required = compose.matches(&format!("${{{name}:?")).count();
        assert!(uses > 0 && uses == required, "{name}: {required} of {uses}");
    }
}

#[test]
fn the_examples_of_variables_and_secrets_have_no_passwords() {
    let variables = read(".env.example");
    let secrets = read("deploy/kubernetes/secrets.example.yaml");
    for name in PASSWORDS {
        assert!(
            variables.lines().any(|line| line == format!("#{name}=")),
            "{name}"
        );
    }
    let urls = [url_passwords(&variables), url_passwords(&secrets)].concat();
    assert!(urls.len() >= 3, "{urls:?}");
    assert!(urls.iter().all(|value| *value == "PASSWORD"), "{urls:?}");
}

/// Runs `databases.sh` with a `psql` that creates a file instead, and returns whether it was
/// called.
fn create_databases(passwords: &[(&str, &str)]) -> (Output, bool) {
    let directory = tempfile::tempdir().unwrap();
    let called = directory.path().join("called");
    let psql = directory.path().join("psql");
    fs::write(
        &psql,
        format!("#!/bin/sh\n: > '{}'\n", called.to_string_lossy()),
    )
    .unwrap();
    fs::set_permissions(&psql, fs::Permissions::from_mode(0o755)).unwrap();
    let search = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .arg(path("deploy/postgresql/databases.sh"))
        .env_clear()
        .env("PATH", format!("{}:{search}", directory.path().display()))
        .envs(passwords.iter().copied())
        .output()
        .unwrap();
    (output, called.exists())
}

#[test]
fn no_database_is_created_with_an_empty_password() {
    let [_, arcadia, temporal] = PASSWORDS;
    for (missing, passwords) in [
        (arcadia, &[(temporal, "x")][..]),
        (arcadia, &[(arcadia, ""), (temporal, "x")]),
        (temporal, &[(arcadia, "x")]),
        (temporal, &[(arcadia, "x"), (temporal, "")]),
    ] {
        let (output, is_called) = create_databases(passwords);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && !is_called, "{passwords:?}");
        assert!(errors.contains(missing), "{errors}");
    }
    let (output, is_called) = create_databases(&[(arcadia, "x"), (temporal, "y")]);
    assert!(output.status.success() && is_called, "{output:?}");
}
