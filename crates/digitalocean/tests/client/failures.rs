//! What is said when DigitalOcean does not answer as it should, and what is not.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use digitalocean::{Client, Error};
use serde_json::json;
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind};

use crate::scripted::{self, Scripted};
use crate::{client_of, simulated};

fn assert_tells_no_token(error: &Error) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(DEMO_TOKEN), "{text}");
}

/// What asking for the balance comes to under a fault.
async fn balance_under(fault: FaultKind) -> Error {
    let (simulator, client) = simulated(Account::demo()).await;
    simulator.fail(Fault::new(fault, "/v2/customers/my/balance").times(1));
    let error = client.get_balance().await.unwrap_err();
    assert_tells_no_token(&error);
    let text = error.to_string();
    assert!(text.starts_with("GET /v2/customers/my/balance"), "{text}");
    client.get_balance().await.unwrap();
    error
}

#[tokio::test]
async fn a_retry_after_delays_the_next_attempt() {
    let error = balance_under(FaultKind::RateLimited { retry_after: 17 }).await;
    assert!(error.is_retryable());
    assert!(error.to_string().contains("17 s"), "{error}");
    let Error::RateLimited {
        retry_after,
        answer,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Duration::from_secs(17));
    assert_eq!(answer.status, 429);
}

#[tokio::test]
async fn a_server_that_is_down_says_when_to_come_back() {
    let server = Scripted::start(|_, _| {
        let headers = [("retry-after", "42")];
        (StatusCode::SERVICE_UNAVAILABLE, headers).into_response()
    })
    .await;
    let error = server.client().get_balance().await.unwrap_err();
    assert!(error.to_string().ends_with("for 42 s"), "{error}");
    let Error::Server { retry_after, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(42)));
}

#[tokio::test]
async fn a_refused_token_and_a_missing_scope_are_not_tried_again() {
    let error = balance_under(FaultKind::Unauthorized).await;
    assert!(matches!(error, Error::Unauthorized { .. }) && !error.is_retryable());
    assert!(error.to_string().contains("DO_API_TOKEN"), "{error}");
    let error = balance_under(FaultKind::Forbidden).await;
    assert!(matches!(error, Error::Forbidden { .. }) && !error.is_retryable());
}

#[tokio::test]
async fn an_error_carries_digitaloceans_words_and_its_request_id() {
    let error = balance_under(FaultKind::ServerError { status: 503 }).await;
    assert!(error.is_retryable());
    let Error::Server {
        answer,
        retry_after,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((answer.status, retry_after), (503, None));
    assert!(answer.detail.as_ref().unwrap().contains(": "), "{answer}");
    let request_id = answer.request_id.as_ref().unwrap();
    assert!(
        answer
            .to_string()
            .ends_with(&format!("(request {request_id})"))
    );
}

#[tokio::test]
async fn a_gateways_page_is_an_error_of_one_line() {
    let error = balance_under(FaultKind::HtmlError { status: 504 }).await;
    assert!(matches!(error, Error::Server { .. }) && error.is_retryable());
    let text = error.to_string();
    assert!(
        text.contains("504") && text.contains("an HTML page"),
        "{text}"
    );
    assert!(!text.contains('<') && !text.contains('\n'), "{text}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_tried_again() {
    let error = balance_under(FaultKind::CutOff).await;
    assert!(
        matches!(error, Error::Network { .. }) && error.is_retryable(),
        "{error:?}"
    );
    assert!(error.to_string().contains("cut off"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let url = "http://127.0.0.1:1";
    let error = client_of(url).get_balance().await.unwrap_err();
    assert!(error.is_retryable());
    assert!(
        error
            .to_string()
            .contains(&format!("cannot connect to {url}")),
        "{error}"
    );
    assert_tells_no_token(&error);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let elsewhere = Scripted::start(|_, _| scripted::json(&json!({}))).await;
    let target = elsewhere.url.clone();
    let server = Scripted::start(move |_, _| {
        let headers = [("location", format!("{target}/v2/account"))];
        (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
    })
    .await;
    let error = server.client().get_balance().await.unwrap_err();
    assert!(error.to_string().contains("redirects are not followed"));
    assert!(!error.is_retryable() && elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_repeats_the_token_cannot_put_it_into_an_error() {
    let body = json!({ "id": "unauthorized", "message": format!("no such token {DEMO_TOKEN}") });
    let server = Scripted::start(move |_, _| {
        scripted::with_type(
            StatusCode::UNAUTHORIZED,
            "application/json",
            &body.to_string(),
        )
    })
    .await;
    let error = server.client().get_balance().await.unwrap_err();
    assert_tells_no_token(&error);
    assert!(
        error.to_string().contains("no such token [token]"),
        "{error}"
    );
}

#[tokio::test]
async fn no_token_is_in_a_clients_debug_text() {
    let client = client_of("http://127.0.0.1:1/v2/");
    assert_eq!(
        format!("{client:?}"),
        r#"Client { base_url: "http://127.0.0.1:1", .. }"#
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_refused_at_once() {
    for token in ["", " \n", "dop_v1_first\ndop_v1_second"] {
        let error = Client::new("https://api.digitalocean.com", token.into()).unwrap_err();
        assert!(matches!(error, Error::InvalidToken), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("dop_v1"));
    }
}

#[tokio::test]
async fn only_a_refused_token_fails_the_check() {
    let (simulator, client) = simulated(Account::demo()).await;
    client.check_token().await.unwrap();
    simulator.fail(Fault::new(FaultKind::Forbidden, "/v2/account").times(1));
    client.check_token().await.unwrap();
    let stranger = Client::new(&simulator.url(), "dop_v1_stranger".into()).unwrap();
    let error = stranger.check_token().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");

    let server = Scripted::start(|_, _| StatusCode::NOT_FOUND.into_response()).await;
    server.client().check_token().await.unwrap();
}

#[tokio::test]
async fn the_rate_limit_is_remembered_from_the_latest_answer() {
    let (_simulator, client) = simulated(Account::demo()).await;
    assert_eq!(client.rate_limit(), None);
    client.get_balance().await.unwrap();
    let first = client.rate_limit().unwrap();
    client.get_balance().await.unwrap();
    let second = client.clone().rate_limit().unwrap();
    assert_eq!(second.remaining, first.remaining - 1);
    assert!(second.limit > second.remaining);
}
