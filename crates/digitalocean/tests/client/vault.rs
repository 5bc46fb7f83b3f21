//! Tests tokens in Vault, with a server like the documented HTTP API
//! (developer.hashicorp.com/vault/api-docs: KV v2, `AppRole`, Kubernetes).

mod outages;
mod server;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use digitalocean::{Client, Error, Purpose, TokenError, TokenSource, VaultError};
use serde_json::{Value, json};
use simulator::{Account, Scopes, Simulator};

use crate::tokens::tokens;
use server::TestVault;

const OLD: &str = "dop_v1_0000old";
const NEW: &str = "dop_v1_1111new";
const ROLE_ID: &str = "7d1f0c52-role";
const SECRET_ID: &str = "b6a94e3f-secret";
const JWT: &str = "eyJhbGciOi.service.account";
const ROOT: &str = "hvs.given";

async fn account(tokens: &[&str]) -> Simulator {
    let mut account = Account::demo();
    for token in tokens {
        account.accept_token(token, Scopes::all());
    }
    Simulator::start(account).await.unwrap()
}

/// Advances the clock.
async fn advance(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Asserts that a text contains no secret of either server.
fn assert_hidden(text: &str) {
    for secret in [OLD, NEW, SECRET_ID, JWT, ROOT, "hvs.login"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Returns the error of a token source, without a secret in its texts.
async fn failure(source: &TokenSource) -> TokenError {
    let error = source.check().await.unwrap_err();
    assert_hidden(&format!("{error} {error:?} {source:?}"));
    error
}

#[tokio::test]
async fn each_purpose_uses_its_key_or_the_shared_one() {
    let vault = TestVault::start(json!({ "cloud-billing": NEW, "shared": OLD })).await;
    for (purpose, token) in [(Purpose::CloudBilling, NEW), (Purpose::CloudSyncFast, OLD)] {
        let simulator = account(&[token]).await;
        let source = vault.source(purpose, &[("VAULT_TOKEN", ROOT)]);
        let client = Client::new(&simulator.url(), source).unwrap();
        client.get_balance().await.unwrap();
    }
}

#[tokio::test]
async fn every_login_method_reads_the_secret() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, format!("{content}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (root, secret_id, jwt) = (
        file("root", ROOT),
        file("secret-id", SECRET_ID),
        file("jwt", JWT),
    );
    for login in [
        &[("VAULT_TOKEN", ROOT)][..],
        &[("VAULT_TOKEN_FILE", &root)],
        &[("VAULT_ROLE_ID", ROLE_ID), ("VAULT_SECRET_ID", SECRET_ID)],
        &[
            ("VAULT_ROLE_ID", ROLE_ID),
            ("VAULT_SECRET_ID_FILE", &secret_id),
        ],
        &[
            ("VAULT_KUBERNETES_ROLE", "arcadia"),
            ("VAULT_KUBERNETES_MOUNT", "cluster"),
            ("VAULT_KUBERNETES_JWT_FILE", &jwt),
        ],
    ] {
        let source = vault.source(Purpose::CloudSyncFull, login);
        source.check().await.unwrap();
    }
}

#[tokio::test]
async fn an_empty_credential_file_is_a_retryable_error() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty");
    let file = path.to_str().unwrap();
    for (variable, other) in [
        ("VAULT_TOKEN_FILE", None),
        ("VAULT_SECRET_ID_FILE", Some(("VAULT_ROLE_ID", ROLE_ID))),
        (
            "VAULT_KUBERNETES_JWT_FILE",
            Some(("VAULT_KUBERNETES_ROLE", "arcadia")),
        ),
    ] {
        fs::write(&path, "\n").unwrap();
        let login: Vec<_> = other.into_iter().chain([(variable, file)]).collect();
        let source = vault.source(Purpose::CloudSyncFull, &login);
        let error = failure(&source).await;
        let text = error.to_string();
        for part in [variable, file, "empty"] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        assert!(error.is_retryable(), "{text}");
    }
    assert_eq!(vault.change(|state| state.logins), 0);
    assert_eq!(vault.reads(), 0);
}

#[tokio::test]
async fn a_secret_is_read_once_for_many_requests() {
    let simulator = account(&[OLD]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    let all = (0..20).map(|_| client.get_balance());
    for outcome in futures::future::join_all(all).await {
        outcome.unwrap();
    }
    assert_eq!((vault.reads(), vault.change(|state| state.logins)), (1, 1));
}

#[tokio::test]
async fn a_rotated_secret_is_used_after_a_refusal() {
    let simulator = account(&[OLD, NEW]).await;
    let vault = TestVault::start(json!({ "cloud-billing": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    client.get_balance().await.unwrap();

    vault.change(|state| state.secret = json!({ "cloud-billing": NEW }));
    simulator.change(|account| account.revoke_token(OLD));
    client.get_balance().await.unwrap();
    let requests = simulator.requests();
    let statuses: Vec<u16> = requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 401, 200]);
    assert_eq!((vault.reads(), vault.change(|state| state.logins)), (2, 1));
}

#[tokio::test]
async fn an_expired_login_is_renewed() {
    let simulator = account(&[OLD, NEW]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    client.get_balance().await.unwrap();

    vault.change(|state| {
        state.tokens.clear();
        state.secret = json!({ "shared": NEW });
    });
    simulator.change(|account| account.revoke_token(OLD));
    client.get_balance().await.unwrap();
    // One read refused with 403, and one after the second login.
    assert_eq!((vault.reads(), vault.change(|state| state.logins)), (3, 2));
}

#[tokio::test]
async fn a_login_is_renewed_before_it_expires() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let source = vault.by_role();
    // A login is valid for twenty minutes and renewed after two thirds, at minute 13:20.
    for (at, minutes, logins) in [
        (0, 0, 1),
        (7, 7, 1),
        (13, 6, 1),
        (14, 1, 2),
        (27, 13, 2),
        (28, 1, 3),
    ] {
        advance(Duration::from_mins(minutes)).await;
        source.check().await.unwrap();
        assert_eq!(vault.change(|state| state.logins), logins, "minute {at}");
    }
    // No read was refused.
    assert_eq!(vault.reads(), 6);
}

#[tokio::test]
async fn every_request_has_the_namespace_and_mounts_may_have_slashes() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let variables = [
        ("VAULT_ROLE_ID", ROLE_ID),
        ("VAULT_SECRET_ID", SECRET_ID),
        ("VAULT_NAMESPACE", "admin/team"),
        ("ARCADIA_VAULT_MOUNT", "secret/team"),
    ];
    let source = vault.source(Purpose::CloudBilling, &variables);
    source.check().await.unwrap();
    let (requests, namespaces) =
        vault.change(|state| (state.requests.clone(), state.namespaces.clone()));
    assert_eq!(
        requests,
        [
            "POST /v1/auth/approle/login",
            "GET /v1/secret/team/data/arcadia"
        ]
    );
    let namespace = Some("admin/team".to_owned());
    assert_eq!(namespaces, [namespace.clone(), namespace]);

    vault.by_role().check().await.unwrap();
    let last = vault.change(|state| state.namespaces.last().cloned());
    assert_eq!(last, Some(None));
}

#[tokio::test]
async fn a_denied_read_is_reported_after_a_second_login() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    vault.change(|state| state.may_read = false);
    let error = failure(&vault.by_role()).await;
    assert!(
        matches!(&error, TokenError::Vault(VaultError::Denied { path, .. }) if path.ends_with("/v1/secret/data/team/arcadia")),
        "{error:?}"
    );
    assert!(
        !error.is_retryable() && error.to_string().contains("policy"),
        "{error}"
    );
    assert_eq!((vault.reads(), vault.change(|state| state.logins)), (2, 2));
}

#[tokio::test]
async fn an_unreachable_vault_is_a_retryable_error() {
    let address = "http://127.0.0.1:1";
    let variables = [
        ("VAULT_ADDR", address),
        ("ARCADIA_VAULT_PATH", "secret/arcadia"),
        ("VAULT_TOKEN", ROOT),
    ];
    let source = tokens(&variables).unwrap();
    let source = source.token(Purpose::CloudSyncFull).unwrap();
    let error = failure(source).await;
    assert!(
        error.is_retryable() && error.may_be_an_outage(),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains(address) && text.contains("VAULT_ADDR"),
        "{text}"
    );

    // The error of the client is also retryable.
    let simulator = account(&[]).await;
    let client = Client::new(&simulator.url(), source.clone()).unwrap();
    let error = client.get_balance().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(simulator.requests(), []);
}

#[tokio::test]
async fn a_sealed_vault_is_a_retryable_error() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    vault.change(|state| state.is_sealed = true);
    let error = failure(&vault.by_role()).await;
    assert!(
        matches!(
            error,
            TokenError::Vault(VaultError::Unavailable { status: 503, .. })
        ),
        "{error:?}"
    );
    assert!(error.is_retryable());
    vault.change(|state| state.is_sealed = false);
    vault.by_role().check().await.unwrap();
}

#[tokio::test]
async fn a_missing_secret_or_key_is_named() {
    let vault = TestVault::start(json!({ "other": OLD })).await;
    let error = failure(&vault.by_role()).await;
    assert!(
        matches!(&error, TokenError::Vault(VaultError::NoKey { keys, .. }) if keys.contains("cloud-billing") && keys.contains("shared")),
        "{error:?}"
    );

    vault.change(|state| state.secret = Value::Null);
    let error = failure(&vault.by_role()).await;
    assert!(
        matches!(&error, TokenError::Vault(VaultError::NoSecret { location }) if location.contains("secret/team/arcadia")),
        "{error:?}"
    );

    vault.change(|state| state.secret = json!({ "shared": { "token": OLD } }));
    let text = failure(&vault.by_role()).await.to_string();
    assert!(text.contains("key shared of secret/team/arcadia"), "{text}");
}

#[tokio::test]
async fn a_refused_login_names_its_variables() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let wrong = [("VAULT_ROLE_ID", ROLE_ID), ("VAULT_SECRET_ID", OLD)];
    let error = failure(&vault.source(Purpose::CloudBilling, &wrong)).await;
    let text = error.to_string();
    assert!(
        text.contains("VAULT_SECRET_ID") && text.contains("invalid role"),
        "{text}"
    );
    assert!(!error.is_retryable(), "{text}");

    let nowhere = [
        ("VAULT_ROLE_ID", ROLE_ID),
        ("VAULT_SECRET_ID", SECRET_ID),
        ("VAULT_APPROLE_MOUNT", "nowhere"),
    ];
    let text = failure(&vault.source(Purpose::CloudBilling, &nowhere)).await;
    assert!(text.to_string().contains("VAULT_APPROLE_MOUNT"), "{text}");
}

#[tokio::test]
async fn another_server_at_vaults_address_is_an_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(|| async { (StatusCode::OK, ROOT).into_response() });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let variables = [
        ("VAULT_ADDR", address.as_str()),
        ("ARCADIA_VAULT_PATH", "secret/arcadia"),
        ("VAULT_TOKEN", ROOT),
    ];
    let source = tokens(&variables).unwrap();
    let error = failure(source.token(Purpose::CloudSyncFull).unwrap()).await;
    assert!(error.to_string().contains("VAULT_ADDR"), "{error}");
    let client = Client::new(
        "http://127.0.0.1:1",
        source.token(Purpose::CloudBilling).unwrap().clone(),
    );
    let error = client.unwrap().get_balance().await.unwrap_err();
    assert!(matches!(error, Error::Token(_)), "{error:?}");
}

/// Collects all log output.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    // With a single subscriber, callsites first used in the threads of other tests would be
    // disabled for this test too.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    // Everything here runs on this thread, including the servers.
    let _logging = tracing::subscriber::set_default(
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish(),
    );
    let simulator = account(&[OLD, NEW]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    client.get_balance().await.unwrap();
    vault.change(|state| {
        state.secret = json!({ "shared": NEW });
        state.tokens.clear();
    });
    simulator.change(|account| account.revoke_token(OLD));
    client.get_balance().await.unwrap();
    vault.change(|state| state.may_read = false);
    simulator.change(|account| account.revoke_token(NEW));
    client.get_balance().await.unwrap_err();

    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    for expected in [
        "the DigitalOcean token was replaced",
        "cannot read the DigitalOcean token",
        "hyper_util",
    ] {
        assert!(log.contains(expected), "no {expected:?} in the log");
    }
    assert_hidden(&log);
}
