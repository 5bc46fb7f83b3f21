//! Tests the replacement of tokens in files while they are used.

use std::fs;
use std::path::Path;

use digitalocean::{Client, Error, Purpose, TokenSettingsError, Tokens};
use simulator::{Account, Scopes, Simulator};
use tempfile::TempDir;

const OLD: &str = "dop_v1_0000old";
const NEW: &str = "dop_v1_1111new";

/// Configures token sources from variables.
pub(crate) fn tokens(variables: &[(&str, &str)]) -> Result<Tokens, TokenSettingsError> {
    Tokens::from_variables(&Purpose::ALL, &|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

async fn account(tokens: &[&str]) -> Simulator {
    let mut account = Account::demo();
    for token in tokens {
        account.accept_token(token, Scopes::all());
    }
    Simulator::start(account).await.unwrap()
}

pub(crate) fn client_with_file(simulator: &Simulator, file: &Path) -> Client {
    let file = file.to_str().unwrap();
    let tokens = tokens(&[
        ("DO_API_TOKEN_CLOUD_BILLING_FILE", file),
        ("DO_API_TOKEN", "x"),
    ]);
    let tokens = tokens.unwrap();
    let source = tokens.token(Purpose::CloudBilling).unwrap();
    Client::new(&simulator.url(), source.clone()).unwrap()
}

fn statuses(simulator: &Simulator) -> Vec<u16> {
    let requests = simulator.requests();
    requests.iter().map(|request| request.status).collect()
}

/// Creates a directory with a token file.
pub(crate) fn token_file(token: &str) -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, token).unwrap();
    (directory, file)
}

#[tokio::test]
async fn a_refused_token_is_reread_and_its_replacement_used() {
    let simulator = account(&[OLD, NEW]).await;
    let (_directory, file) = token_file(&format!("{OLD}\n"));
    let client = client_with_file(&simulator, &file);
    client.get_balance().await.unwrap();

    fs::write(&file, format!("{NEW}\n")).unwrap();
    simulator.change(|account| account.revoke_token(OLD));
    client.get_balance().await.unwrap();
    client.get_balance().await.unwrap();
    // One refusal, then the replacement.
    assert_eq!(statuses(&simulator), [200, 401, 200, 200]);
}

#[tokio::test]
async fn a_refused_token_without_replacement_is_reported_with_its_file() {
    let simulator = account(&[]).await;
    let (_directory, file) = token_file(OLD);
    let client = client_with_file(&simulator, &file);
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    let text = format!("{error} {error:?} {client:?}");
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    assert!(text.contains("DO_API_TOKEN_CLOUD_BILLING_FILE"), "{text}");
    assert!(!text.contains(OLD), "{text}");
    assert_eq!(statuses(&simulator), [401]);
}

#[tokio::test]
async fn a_refused_replacement_is_reported_without_a_third_attempt() {
    let simulator = account(&[OLD]).await;
    let (_directory, file) = token_file(OLD);
    let client = client_with_file(&simulator, &file);
    client.get_balance().await.unwrap();
    fs::write(&file, NEW).unwrap();
    simulator.change(|account| account.revoke_token(OLD));
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert_eq!(statuses(&simulator), [200, 401, 401]);
}

#[tokio::test]
async fn a_missing_file_at_a_refusal_is_a_retryable_error() {
    let simulator = account(&[OLD]).await;
    let (_directory, file) = token_file(OLD);
    let client = client_with_file(&simulator, &file);
    client.get_balance().await.unwrap();
    fs::remove_file(&file).unwrap();
    // The cached token is used until it is refused.
    client.get_balance().await.unwrap();
    simulator.change(|account| account.revoke_token(OLD));
    let error = client.get_balance().await.unwrap_err();
    assert!(matches!(error, Error::Token(_)), "{error:?}");
    assert!(error.is_retryable(), "{error}");
    assert!(
        error.to_string().contains(file.to_str().unwrap()),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_without_a_token_is_named() {
    let simulator = account(&[]).await;
    for content in ["", " \n", "dop_v1_first\ndop_v1_second"] {
        let (_directory, file) = token_file(content);
        let error = client_with_file(&simulator, &file).get_balance().await;
        let error = error.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(matches!(error, Error::Token(_)), "{text}");
        assert!(text.contains(file.to_str().unwrap()), "{text}");
        assert!(!text.contains("dop_v1"), "{text}");
    }
    assert_eq!(simulator.requests(), []);
}

#[tokio::test]
async fn concurrent_refused_requests_all_use_the_replacement() {
    let simulator = account(&[OLD, NEW]).await;
    let (_directory, file) = token_file(OLD);
    let client = client_with_file(&simulator, &file);
    client.get_balance().await.unwrap();
    fs::write(&file, NEW).unwrap();
    simulator.change(|account| account.revoke_token(OLD));
    let all = (0..20).map(|_| client.get_balance());
    for outcome in futures::future::join_all(all).await {
        outcome.unwrap();
    }
}
