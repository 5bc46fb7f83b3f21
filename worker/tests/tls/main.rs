//! Tests TLS connections to Temporal and PostgreSQL, through a TLS terminator with test
//! certificates in front of the real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod authority;
mod listener;
mod terminator;

use std::process::Output;

use devstack::testing::{database, temporal};
use store::Store;
use temporalio_client::envconfig::{DataSource, LoadClientConfigProfileOptions};
use tokio::process::Command;

use crate::authority::{Authority, Identity};
use crate::listener::Listener;
use crate::terminator::{Opening, Terminator};

/// Returns settings in the SDK's profile format, isolated from the environment.
fn profile(settings: &str) -> LoadClientConfigProfileOptions {
    LoadClientConfigProfileOptions::builder()
        .config_source(DataSource::Data(
            format!("[profile.default]\n{settings}").into_bytes(),
        ))
        .disable_env(true)
        .build()
}

/// Returns the TLS table of a profile.
fn tls(server: &Authority, client: Option<&Identity>) -> String {
    let client = client.map_or_else(String::new, |client| {
        format!(
            "client_cert_data = '''{}'''\nclient_key_data = '''{}'''\n",
            client.certificate, client.key
        )
    });
    format!(
        "[profile.default.tls]\nserver_ca_cert_data = '''{}'''\n{client}",
        server.certificate()
    )
}

async fn connect_to_temporal(settings: &str) -> Result<(), String> {
    let connected = worker::temporal::connect_as(profile(settings)).await;
    connected.map(drop).map_err(|error| format!("{error:#}"))
}

async fn temporal_terminator(identity: &Identity, clients: Option<&Authority>) -> Terminator {
    Terminator::start(
        temporal().await.address(),
        Opening::Http2,
        identity,
        clients,
    )
    .await
}

#[tokio::test]
async fn temporals_tls_certificate_is_verified() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = temporal_terminator(&authority.identity("localhost"), None).await;
    let address = format!("address = \"localhost:{}\"\n", server.port());
    connect_to_temporal(&format!("{address}{}", tls(&authority, None)))
        .await
        .unwrap();

    let untrusted = connect_to_temporal(&format!("{address}{}", tls(&other, None))).await;
    let untrusted = untrusted.unwrap_err();
    assert!(untrusted.contains("UnknownIssuer"), "{untrusted}");
    let unencrypted = connect_to_temporal(&address).await;
    assert!(unencrypted.is_err());

    let renamed = temporal_terminator(&authority.identity("temporal.example"), None).await;
    let address = format!("address = \"localhost:{}\"\n", renamed.port());
    let settings = format!("{address}{}", tls(&authority, None));
    let misnamed = connect_to_temporal(&settings).await.unwrap_err();
    assert!(misnamed.contains("not valid for name"), "{misnamed}");
    connect_to_temporal(&format!("{settings}server_name = \"temporal.example\"\n"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_client_certificate_is_presented_to_temporal() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = temporal_terminator(&authority.identity("localhost"), Some(&clients)).await;
    let address = format!("address = \"localhost:{}\"\n", server.port());
    let client = clients.identity("worker");
    connect_to_temporal(&format!("{address}{}", tls(&authority, Some(&client))))
        .await
        .unwrap();
    let without_certificate =
        connect_to_temporal(&format!("{address}{}", tls(&authority, None))).await;
    assert!(without_certificate.is_err());
}

const KEY: &str = "key-of-a-namespace";

#[tokio::test]
async fn the_api_key_is_sent_with_every_request() {
    let authority = Authority::new();
    let server = Listener::start(&authority.identity("localhost")).await;
    let settings = format!(
        "address = \"localhost:{}\"\napi_key = \"{KEY}\"\n{}",
        server.port(),
        tls(&authority, None)
    );
    connect_to_temporal(&settings).await.unwrap();
    for authorization in server.authorizations() {
        assert_eq!(authorization, format!("Bearer {KEY}"));
    }
}

/// Not a test by itself. Other tests run it in a separate process with different environment
/// variables.
#[tokio::test]
#[ignore = "run by other tests with environment variables"]
async fn connects_with_environment_variables() {
    worker::temporal::connect().await.unwrap();
}

async fn connected_with(variables: &[(&str, &str)]) -> Output {
    let mut test = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TEMPORAL_") {
            test.env_remove(name);
        }
    }
    test.args([
        "--ignored",
        "--exact",
        "connects_with_environment_variables",
    ])
    .env("TEMPORAL_CONFIG_FILE", "/dev/null")
    .envs(variables.iter().copied())
    .kill_on_drop(true);
    let output = test.output().await.unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("running 1 test"), "{stdout}");
    output
}

#[tokio::test]
async fn certificates_and_api_key_are_read_from_the_environment() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = temporal_terminator(&authority.identity("localhost"), Some(&clients)).await;
    let (trusted, client) = (authority.certificate(), clients.identity("worker"));
    let address = format!("localhost:{}", server.port());
    let variables = [
        ("TEMPORAL_ADDRESS", address.as_str()),
        ("TEMPORAL_TLS_SERVER_CA_CERT_DATA", &trusted),
        ("TEMPORAL_TLS_CLIENT_CERT_DATA", &client.certificate),
        ("TEMPORAL_TLS_CLIENT_KEY_DATA", &client.key),
    ];
    let connected = connected_with(&variables).await;
    assert!(connected.status.success(), "{connected:?}");
    let (without_a_certificate, _) = variables.split_at(2);
    let refused = connected_with(without_a_certificate).await;
    assert!(!refused.status.success(), "{refused:?}");

    let server = Listener::start(&authority.identity("localhost")).await;
    let address = format!("localhost:{}", server.port());
    let connected = connected_with(&[
        ("TEMPORAL_ADDRESS", &address),
        ("TEMPORAL_TLS_SERVER_CA_CERT_DATA", &trusted),
        ("TEMPORAL_API_KEY", KEY),
    ])
    .await;
    assert!(connected.status.success(), "{connected:?}");
    for authorization in server.authorizations() {
        assert_eq!(authorization, format!("Bearer {KEY}"));
    }
}

#[tokio::test]
async fn settings_that_would_send_a_secret_without_tls_are_rejected() {
    for (settings, setting) in [
        (
            "address = \"http://localhost:1\"\napi_key = \"key\"\n",
            "TEMPORAL_ADDRESS",
        ),
        (
            "address = \"localhost:1\"\napi_key = \"key\"\n[profile.default.tls]\ndisabled = true\n",
            "TEMPORAL_TLS",
        ),
        (
            "address = \"http://localhost:1\"\n[profile.default.tls]\ndisabled = false\n",
            "TEMPORAL_ADDRESS",
        ),
        (
            "address = \"localhost:1\"\napi_key = \"\"\n",
            "TEMPORAL_API_KEY",
        ),
    ] {
        let refused = connect_to_temporal(settings).await.unwrap_err();
        assert!(refused.contains(setting), "{settings}: {refused}");
        assert!(!refused.contains("could not connect"), "{settings}");
    }
}

/// Returns a `DATABASE_URL` that reaches the database of `url` through the terminator.
fn behind(url: &str, host: &str, port: u16, parameters: &str) -> String {
    let (_, login_and_place) = url.split_once("://").unwrap();
    let (login, place) = login_and_place.split_once('@').unwrap();
    let (_, name) = place.split_once('/').unwrap();
    let separator = if name.contains('?') { '&' } else { '?' };
    format!("postgres://{login}@{host}:{port}/{name}{separator}{parameters}")
}

#[tokio::test]
async fn postgresqls_tls_certificate_is_verified() {
    let database = database().await;
    let url = database.url();
    let (_, place) = url.split_once('@').unwrap();
    let (address, _) = place.split_once('/').unwrap();
    let (authority, other) = (Authority::new(), Authority::new());
    let identity = authority.identity("localhost");
    let server = Terminator::start(address, Opening::PostgreSql, &identity, None).await;
    let folder = tempfile::tempdir().unwrap();
    let root = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        std::fs::write(&path, authority.certificate()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, bad) = (root("good.crt", &authority), root("bad.crt", &other));

    for (host, root, problem) in [
        ("localhost", &good, None),
        ("localhost", &bad, Some("UnknownIssuer")),
        ("127.0.0.1", &good, Some("not valid for name")),
    ] {
        let parameters = format!("sslmode=verify-full&sslrootcert={root}");
        let url = behind(&url, host, server.port(), &parameters);
        let connected = Store::connect(&url, 1).await;
        match (connected, problem) {
            (Ok(store), None) => drop(store.now().await.unwrap()),
            (Err(error), Some(problem)) => {
                let text = error.to_string();
                assert!(text.contains(problem), "{host} {root}: {text}");
            }
            (connected, _) => panic!("{host} {root}: {connected:?}"),
        }
    }
}

#[tokio::test]
async fn postgresql_without_tls_is_refused_if_the_url_requires_tls() {
    let database = database().await;
    let separator = if database.url().contains('?') {
        '&'
    } else {
        '?'
    };
    let url = format!("{}{separator}sslmode=verify-full", database.url());
    let error = Store::connect(&url, 1).await.unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
}
