//! What becomes of a token that was read while Vault, or what stands before it, answers oddly, late or not at all.

use std::time::{Duration, Instant};

use digitalocean::{Client, Error, Purpose};
use futures::future::join_all;
use serde_json::{Value, json};

use super::server::TestVault;
use super::{NEW, OLD, ROOT, account, failure, pass};

/// How long Vault's word is taken for the present one, and a little.
const A_WHILE: Duration = Duration::from_secs(31);
/// How long Vault has for an answer, and a little.
const NO_ANSWER: Duration = Duration::from_secs(11);
const PAGE: &str = "<!doctype html><html><head><title>Please hold</title></head></html>";

/// Lets everything else go on until the condition holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_odd_answer_does_not_end_a_token_that_was_read_and_may_be_another_soon() {
    let simulator = account(&[OLD]).await;
    for odd in [
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

        vault.change(|state| state.instead = Some(odd));
        pass(A_WHILE).await;
        client
            .get_balance()
            .await
            .unwrap_or_else(|error| panic!("{odd:?}: {error}"));
        assert_eq!(vault.reads(), 2, "{odd:?}: Vault was not asked");
        let without_one = failure(&vault.source(Purpose::CloudBilling, &login)).await;
        assert!(without_one.is_retryable(), "{without_one}");

        vault.change(|state| state.instead = None);
        pass(A_WHILE).await;
        client.get_balance().await.unwrap();
        assert_eq!(vault.reads(), 4, "{odd:?}: Vault is not asked again");
    }
}

#[tokio::test]
async fn a_standby_or_a_page_in_place_of_a_login_is_no_refusal() {
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    for odd in [(307, ""), (403, PAGE), (404, PAGE), (200, PAGE)] {
        vault.change(|state| state.instead = Some(odd));
        let error = failure(&vault.by_role()).await;
        assert!(error.is_retryable(), "{odd:?}: {error}");
    }
}

#[tokio::test]
async fn a_clear_no_ends_a_token_at_once() {
    let simulator = account(&[OLD]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    for no in [Value::Null, json!({ "other": OLD })] {
        vault.change(|state| state.secret = json!({ "shared": OLD }));
        pass(A_WHILE).await;
        client.get_balance().await.unwrap();
        vault.change(|state| state.secret = no);
        pass(A_WHILE).await;
        let asked = simulator.requests().len();
        let error = client.get_balance().await.unwrap_err();
        assert!(
            matches!(error, Error::Token(_)) && !error.is_retryable(),
            "{error:?}"
        );
        assert_eq!(simulator.requests().len(), asked);
    }
}

#[tokio::test]
async fn a_vault_that_never_answers_holds_up_nobody_who_has_a_token() {
    let simulator = account(&[OLD]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    client.get_balance().await.unwrap();

    vault.change(|state| state.is_silent = true);
    pass(A_WHILE).await;
    let begun = Instant::now();
    for _ in 0..20 {
        client.get_balance().await.unwrap();
    }
    // Vault would be waited for ten seconds each time.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(vault.reads(), 2);
    // That look has failed by then, and the next is not made for a while.
    pass(NO_ANSWER).await;
    join_all((0..20).map(|_| client.get_balance())).await;
    assert_eq!(vault.reads(), 2);

    vault.change(|state| state.is_silent = false);
    pass(A_WHILE).await;
    client.get_balance().await.unwrap();
    assert_eq!(vault.reads(), 3);
}

#[tokio::test]
async fn many_refused_requests_wait_together_for_a_vault_that_never_answers() {
    let simulator = account(&[OLD]).await;
    let vault = TestVault::start(json!({ "shared": OLD })).await;
    let client = Client::new(&simulator.url(), vault.by_role()).unwrap();
    client.get_balance().await.unwrap();

    simulator.change(|account| account.revoke_token(OLD));
    vault.change(|state| state.is_silent = true);
    let refused = tokio::spawn(async move {
        let outcomes = join_all((0..20).map(|_| client.get_balance())).await;
        (client, outcomes)
    });
    until("all are refused", || simulator.requests().len() == 21).await;
    until("Vault is asked", || vault.reads() == 2).await;
    pass(NO_ANSWER).await;
    let soon = tokio::time::timeout(Duration::from_secs(5), refused).await;
    let (client, outcomes) = soon.expect("they wait one after the other").unwrap();
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
        state.is_silent = false;
        state.secret = json!({ "shared": NEW });
    });
    pass(Duration::from_secs(2)).await;
    client.get_balance().await.unwrap();
}
