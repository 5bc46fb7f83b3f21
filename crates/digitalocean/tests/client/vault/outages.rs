//! Tests the use of a cached token while Vault, or a proxy in front of it, responds unexpectedly,
//! late or not at all.

use std::time::{Duration, Instant};

use digitalocean::{Client, Error, Purpose};
use futures::future::join_all;
use serde_json::{Value, json};

use super::server::TestVault;
use super::{NEW, OLD, ROOT, account, advance, failure};

/// Longer than the maximum age of a token from Vault.
const TOKEN_EXPIRY: Duration = Duration::from_secs(31);
/// Longer than the timeout of a request to Vault.
const VAULT_TIMEOUT: Duration = Duration::from_secs(11);
const PAGE: &str = "<!doctype html><html><head><title>Please hold</title></head></html>";

/// Yields to the other tasks until the condition is true.
async fn until(event: &str, condition: impl Fn() -> bool) {
    let started_at = Instant::now();
    while !condition() {
        assert!(
            started_at.elapsed() < Duration::from_secs(30),
            "never: {event}"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_unexpected_response_keeps_the_cached_token() {
    let simulator = account(&[OLD]).await;
    for unexpected in [
        (307, ""),
        (
            400,
            r#"{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period."]}"#,
        ),
        (200, PAGE),
        (403, PAGE),
        (404, PAGE),
        (503, PAGE),
    ] {
        let vault = TestVault::start(json!({ "shared": OLD })).await;
        let login = [("VAULT_TOKEN", ROOT)];
        let source = vault.source(Purpose::CloudBilling, &login);
        let client = Client::new(&simulator.url(), source).unwrap();
        client.get_balance().await.unwrap();

        vault.change(|state| state.override_response = Some(unexpected));
        advance(TOKEN_EXPIRY).await;
        client
            .get_balance()
            .await
            .unwrap_or_else(|error| panic!("{unexpected:?}: {error}"));
        assert_eq!(
            vault.reads(),
            2,
            "{unexpected:?}: Vault received no request"
        );
        let without_cache = failure(&vault.source(Purpose::CloudBilling, &login)).await;
        assert!(without_cache.is_retryable(), "{without_cache}");

        vault.change(|state| state.override_response = None);
        advance(TOKEN_EXPIRY).await;
        client.get_balance().await.unwrap();
        assert_eq!(
            vault.reads(),
            4,
            "{unexpected:?}: Vault received no further request"
        );
    }
}

#[tokio::test]
async fn a_standby_or_a_page_for_a_login_is_a_retryable_error() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    for unexpected in [(307, ""), (403, PAGE), (404, PAGE), (200, PAGE)] {
        vault.change(|state| state.override_response = Some(unexpected));
        let error = failure(&vault.by_role()).await;
        assert!(error.is_retryable(), "{unexpected:?}: {error}");
    }
}

#[tokio::test]
async fn a_definite_refusal_drops_the_cached_token() {
    let simulator = account(&[OLD]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    for secret in [Value::Null, json!({ "other": OLD })] {
        vault.change(|state| state.secret = json!({ "shared": OLD }));
        advance(TOKEN_EXPIRY).await;
        client.get_balance().await.unwrap();
        vault.change(|state| state.secret = secret);
        advance(TOKEN_EXPIRY).await;
        let requests = simulator.requests().len();
        let error = client.get_balance().await.unwrap_err();
        assert!(
            matches!(error, Error::Token(_)) && !error.is_retryable(),
            "{error:?}"
        );
        assert_eq!(simulator.requests().len(), requests);
    }
}

#[tokio::test]
async fn an_unresponsive_vault_does_not_delay_cached_tokens() {
    let simulator = account(&[OLD]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    client.get_balance().await.unwrap();

    vault.change(|state| state.is_unresponsive = true);
    advance(TOKEN_EXPIRY).await;
    let started_at = Instant::now();
    for _ in 0..20 {
        client.get_balance().await.unwrap();
    }
    // The timeout of Vault is ten seconds per read.
    assert!(
        started_at.elapsed() < Duration::from_secs(5),
        "{:?}",
        started_at.elapsed()
    );
    assert_eq!(vault.reads(), 2);
    // The pending read has failed by then, and the next one is not due yet.
    advance(VAULT_TIMEOUT).await;
    join_all((0..20).map(|_| client.get_balance())).await;
    assert_eq!(vault.reads(), 2);

    vault.change(|state| state.is_unresponsive = false);
    advance(TOKEN_EXPIRY).await;
    client.get_balance().await.unwrap();
    assert_eq!(vault.reads(), 3);
}

#[tokio::test]
async fn refused_requests_share_one_read_of_an_unresponsive_vault() {
    let simulator = account(&[OLD]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    client.get_balance().await.unwrap();

    simulator.change(|account| account.revoke_token(OLD));
    vault.change(|state| state.is_unresponsive = true);
    let refused = tokio::spawn(async move {
        let outcomes = join_all((0..20).map(|_| client.get_balance())).await;
        (client, outcomes)
    });
    until("all requests are refused", || {
        simulator.requests().len() == 21
    })
    .await;
    until("Vault receives the request", || vault.reads() == 2).await;
    advance(VAULT_TIMEOUT).await;
    let soon = tokio::time::timeout(Duration::from_secs(5), refused).await;
    let (client, outcomes) = soon.expect("the requests wait sequentially").unwrap();
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, Error::Token(_)) && error.is_retryable(),
            "{error:?}"
        );
    }
    assert_eq!(vault.reads(), 2);

    simulator.change(|account| account.accept_token(NEW, simulator::Scopes::all()));
    vault.change(|state| {
        state.is_unresponsive = false;
        state.secret = json!({ "shared": NEW });
    });
    advance(Duration::from_secs(2)).await;
    client.get_balance().await.unwrap();
}
