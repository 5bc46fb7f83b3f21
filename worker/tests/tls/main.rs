//! Connections to Temporal and to PostgreSQL through TLS: a terminator with certificates of the tests' own stands before the real servers.

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

/// Settings of the SDK's own form, with nothing else from the environment.
fn profile(settings: &str) -> LoadClientConfigProfileOptions {
    LoadClientConfigProfileOptions::builder()
        .config_source(DataSource::Data(
            format!("[profile.default]\n{settings}").into_bytes(),
        ))
        .disable_env(true)
        .build()
}

/// The settings for a server behind TLS, as a table of the profile.
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

async fn before_temporal(identity: &Identity, clients: Option<&Authority>) -> Terminator {
    Terminator::start(
        temporal().await.address(),
        Opening::Http2,
        identity,
        clients,
    )
    .await
}

#[tokio::test]
async fn temporal_is_reached_through_tls_and_only_as_the_server_that_it_says_it_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = before_temporal(&authority.identity("localhost"), None).await;
    let address = format!("address = \"localhost:{}\"\n", server.port());
    connect_to_temporal(&format!("{address}{}", tls(&authority, None)))
        .await
        .unwrap();

    let stranger = connect_to_temporal(&format!("{address}{}", tls(&other, None))).await;
    let stranger = stranger.unwrap_err();
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    let unencrypted = connect_to_temporal(&address).await;
    assert!(unencrypted.is_err());

    let elsewhere = before_temporal(&authority.identity("temporal.example"), None).await;
    let address = format!("address = \"localhost:{}\"\n", elsewhere.port());
    let settings = format!("{address}{}", tls(&authority, None));
    let misnamed = connect_to_temporal(&settings).await.unwrap_err();
    assert!(misnamed.contains("not valid for name"), "{misnamed}");
    connect_to_temporal(&format!("{settings}server_name = \"temporal.example\"\n"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_temporal() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = before_temporal(&authority.identity("localhost"), Some(&clients)).await;
    let address = format!("address = \"localhost:{}\"\n", server.port());
    let client = clients.identity("worker");
    connect_to_temporal(&format!("{address}{}", tls(&authority, Some(&client))))
        .await
        .unwrap();
    let nobody = connect_to_temporal(&format!("{address}{}", tls(&authority, None))).await;
    assert!(nobody.is_err());
}

const KEY: &str = "key-of-a-namespace";

#[tokio::test]
async fn an_api_key_goes_through_tls_with_every_request() {
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

/// Not a test by itself: variables are a process's, and the next test gives some to this one.
#[tokio::test]
#[ignore = "the next test runs it, with variables"]
async fn connects_as_the_variables_say() {
    worker::temporal::connect().await.unwrap();
}

async fn connected_with(variables: &[(&str, &str)]) -> Output {
    let mut test = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TEMPORAL_") {
            test.env_remove(name);
        }
    }
    test.args(["--ignored", "--exact", "connects_as_the_variables_say"])
        .env("TEMPORAL_CONFIG_FILE", "/dev/null")
        .envs(variables.iter().copied())
        .kill_on_drop(true);
    let output = test.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "{said}");
    output
}

#[tokio::test]
async fn certificates_and_a_key_in_variables_lead_to_temporal() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = before_temporal(&authority.identity("localhost"), Some(&clients)).await;
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
async fn an_api_key_and_tls_that_is_asked_for_are_never_given_up() {
    for (settings, cure) in [
        (
            "address = \"http://localhost:1\"\napi_key = \"key\"\n",
            "leave http:// out",
        ),
        (
            "address = \"localhost:1\"\napi_key = \"key\"\n[profile.default.tls]\ndisabled = true\n",
            "do not set TEMPORAL_TLS=false",
        ),
        (
            "address = \"http://localhost:1\"\n[profile.default.tls]\ndisabled = false\n",
            "begins with http://",
        ),
        (
            "address = \"localhost:1\"\napi_key = \"\"\n",
            "TEMPORAL_API_KEY is empty",
        ),
    ] {
        let refused = connect_to_temporal(settings).await.unwrap_err();
        assert!(refused.contains(cure), "{settings}: {refused}");
        assert!(!refused.contains("cannot be reached"), "{settings}");
    }
}

/// `DATABASE_URL` for the database of `url` behind the terminator.
fn behind(url: &str, host: &str, port: u16, parameters: &str) -> String {
    let (_, login_and_place) = url.split_once("://").unwrap();
    let (login, place) = login_and_place.split_once('@').unwrap();
    let (_, name) = place.split_once('/').unwrap();
    let separator = if name.contains('?') { '&' } else { '?' };
    format!("postgres://{login}@{host}:{port}/{name}{separator}{parameters}")
}

#[tokio::test]
async fn postgresql_is_reached_through_tls_and_only_as_the_server_that_it_says_it_is() {
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
async fn a_postgresql_without_tls_is_refused_where_tls_is_asked_for() {
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
