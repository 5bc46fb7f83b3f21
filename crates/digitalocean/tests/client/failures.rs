//! Tests the errors of failed requests, and that they contain no token.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use digitalocean::{Client, Error};
use serde_json::json;
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind};

use crate::scripted::{self, Scripted};
use crate::{client_of, simulated};

fn assert_contains_no_token(error: &Error) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(DEMO_TOKEN), "{text}");
}

/// Returns the error of a balance request under a fault.
async fn balance_under(fault: FaultKind) -> Error {
    let (simulator, client) = simulated(Account::demo()).await;
    simulator.fail(Fault::new(fault, "/v2/customers/my/balance").times(1));
    let error = client.get_balance().await.unwrap_err();
    assert_contains_no_token(&error);
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
        response,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Duration::from_secs(17));
    assert_eq!(response.status, 429);
}

#[tokio::test]
async fn an_outage_with_a_retry_after_delays_the_next_attempt() {
    let server = Scripted::start(|_, _| {
        let headers = [("retry-after", "42")];
        (StatusCode::SERVICE_UNAVAILABLE, headers).into_response()
    })
    .await;
    let error = server.client().get_balance().await.unwrap_err();
    assert!(error.to_string().contains("42 s"), "{error}");
    let Error::Server { retry_after, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(42)));
}

#[tokio::test]
async fn a_refused_token_and_a_missing_scope_are_not_retryable() {
    let error = balance_under(FaultKind::Unauthorized).await;
    assert!(matches!(error, Error::Unauthorized { .. }) && !error.is_retryable());
    assert!(error.to_string().contains("DO_API_TOKEN"), "{error}");
    let error = balance_under(FaultKind::Forbidden).await;
    assert!(matches!(error, Error::Forbidden { .. }) && !error.is_retryable());
}

#[tokio::test]
async fn an_error_has_digitaloceans_text_and_request_id() {
    let error = balance_under(FaultKind::ServerError { status: 503 }).await;
    assert!(error.is_retryable());
    let Error::Server {
        response,
        retry_after,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((response.status, retry_after), (503, None));
    assert!(
        response.detail.as_ref().unwrap().contains(": "),
        "{response}"
    );
    let request_id = response.request_id.as_ref().unwrap();
    assert!(
        response
            .to_string()
            .ends_with(&format!("(request {request_id})"))
    );
}

#[tokio::test]
async fn an_html_page_of_a_gateway_is_an_error_of_one_line() {
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
async fn a_truncated_response_is_retryable() {
    let error = balance_under(FaultKind::CutOff).await;
    assert!(
        matches!(error, Error::Network { .. }) && error.is_retryable(),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_unreachable_server_is_named() {
    let url = "http://127.0.0.1:1";
    let error = client_of(url).get_balance().await.unwrap_err();
    assert!(error.is_retryable());
    assert!(error.to_string().contains(url), "{error}");
    assert_contains_no_token(&error);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Scripted::start(|_, _| scripted::json(&json!({}))).await;
    let target = elsewhere.url.clone();
    let server = Scripted::start(move |_, _| {
        let headers = [("location", format!("{target}/v2/account"))];
        (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
    })
    .await;
    let error = server.client().get_balance().await.unwrap_err();
    let Error::Refused { response } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(response.status, 307);
    assert!(!error.is_retryable() && elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_token_that_the_server_repeats_is_not_in_the_error() {
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
    assert_contains_no_token(&error);
    assert!(error.to_string().contains("[token]"), "{error}");
}

#[tokio::test]
async fn the_debug_text_of_a_client_contains_no_token() {
    let client = client_of("http://127.0.0.1:1/v2/");
    assert_eq!(
        format!("{client:?}"),
        r#"Client { base_url: "http://127.0.0.1:1", .. }"#
    );
}

#[tokio::test]
async fn an_invalid_token_is_refused_at_creation() {
    for token in ["", " \n", "dop_v1_first\ndop_v1_second"] {
        let error = Client::new("https://api.digitalocean.com", token.into()).unwrap_err();
        assert!(matches!(error, Error::InvalidToken), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("dop_v1"));
    }
}

#[tokio::test]
async fn the_token_check_fails_only_for_refused_tokens() {
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
async fn the_latest_rate_limit_is_kept() {
    let (_simulator, client) = simulated(Account::demo()).await;
    assert_eq!(client.rate_limit(), None);
    client.get_balance().await.unwrap();
    let first = client.rate_limit().unwrap();
    client.get_balance().await.unwrap();
    let second = client.clone().rate_limit().unwrap();
    assert_eq!(second.remaining, first.remaining - 1);
    assert!(second.limit > second.remaining);
}
