//! Faults, tokens and rate limits from the view of a client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Invoice, InvoiceLine, RateLimit, Scopes};
use support::{TestClient, answered};
use uuid::Uuid;

fn ids(list: &[Value]) -> BTreeSet<u64> {
    list.iter()
        .map(|droplet| droplet["id"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_rate_limited_request_has_retry_after_and_the_next_one_succeeds() {
    let client = TestClient::of(Account::empty()).await;
    let kind = FaultKind::RateLimited { retry_after: 7 };
    client
        .simulator
        .fail(Fault::new(kind, "/v2/droplets").times(1));
    let response = client.get("/v2/droplets").await;
    assert_eq!(response.headers()["retry-after"], "7");
    let (status, body) = answered(response).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(body["id"], "too_many_requests");
    client.ok("/v2/droplets").await;
}

#[tokio::test]
async fn a_server_error_is_json_or_an_html_page() {
    let client = TestClient::of(Account::empty()).await;
    client
        .simulator
        .fail("server_error:/v2/account:status=503".parse().unwrap());
    let (status, body) = client.json("/v2/account").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["message"], "Service is currently unavailable.");
    client.simulator.clear_faults();
    client
        .simulator
        .fail("html_error:/v2/account:status=524".parse().unwrap());
    let response = client.get("/v2/account").await;
    assert_eq!(response.status().as_u16(), 524);
    assert_eq!(
        response.headers()["content-type"],
        "text/html; charset=UTF-8"
    );
    assert!(
        response
            .text()
            .await
            .unwrap()
            .starts_with("<!DOCTYPE html>")
    );
}

#[tokio::test]
async fn one_invoice_can_always_time_out_and_another_twice() {
    let mut account = Account::empty();
    let [broken, shaky, sound] =
        [1, 2, 3].map(|month| account.add_invoice(Invoice::for_month(2026, month, Vec::new())));
    let client = TestClient::of(account).await;
    let invoices = "/v2/customers/my/invoices";
    for fault in [
        format!("html_error:{invoices}/{broken}*"),
        format!("html_error:{invoices}/{shaky}/csv:times=2"),
    ] {
        client.simulator.fail(fault.parse().unwrap());
    }
    for attempt in 1..=4 {
        for part in ["", "/summary", "/csv"] {
            let status = async |uuid: Uuid| {
                let response = client.get(&format!("{invoices}/{uuid}{part}")).await;
                response.status().as_u16()
            };
            assert_eq!(status(broken).await, 504, "{part}");
            let fails = part == "/csv" && attempt <= 2;
            assert_eq!(status(shaky).await, if fails { 504 } else { 200 }, "{part}");
            assert_eq!(status(sound).await, 200, "{part}");
        }
    }
    let page = client.get(&format!("{invoices}/{broken}")).await;
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    client.ok(invoices).await;
}

#[tokio::test]
async fn a_csv_can_have_another_column_lack_a_line_or_be_a_page() {
    let mut account = Account::empty();
    let line = |name: &str| InvoiceLine::new("Droplets", name, Decimal::ONE);
    let lines = vec![line("web-1"), line("web-2")];
    let uuid = account.add_invoice(Invoice::for_month(2026, 1, lines));
    let client = TestClient::of(account).await;
    let path = format!("/v2/customers/my/invoices/{uuid}/csv");
    let text = async || client.get(&path).await.text().await.unwrap();
    let right = text().await;
    for (fault, expected) in [
        ("renamed_column", right.replacen(",USD,", ",EUR,", 1)),
        (
            "last_line_missing",
            right.split_inclusive('\n').take(2).collect(),
        ),
    ] {
        client
            .simulator
            .fail(format!("{fault}:{path}:times=1").parse().unwrap());
        assert_eq!(text().await, expected, "{fault}");
        assert_ne!(expected, right);
    }
    client.simulator.fail(
        format!("html_error:{path}:times=1:status=200")
            .parse()
            .unwrap(),
    );
    let page = client.get(&path).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(text().await, right);
}

#[tokio::test]
async fn a_cut_off_response_has_its_full_content_length_and_ends_early() {
    let client = TestClient::of(Account::with_droplets(50)).await;
    let whole = client.get("/v2/droplets").await.content_length().unwrap();
    client
        .simulator
        .fail(Fault::new(FaultKind::CutOff, "/v2/droplets").times(1));
    let mut response = client.get("/v2/droplets").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.content_length(), Some(whole));
    let mut received = 0;
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received += chunk.len() as u64,
            Ok(None) => panic!("the body ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert!(received > 0 && received < whole, "{received} of {whole}");
    client.ok("/v2/droplets").await;
}

#[tokio::test]
async fn a_reset_connection_sends_no_response() {
    let client = TestClient::of(Account::with_droplets(50)).await;
    client
        .simulator
        .fail(Fault::new(FaultKind::Reset, "/v2/droplets").times(1));
    let request = client.request(Method::GET, "/v2/droplets");
    let error = request.bearer_auth(DEMO_TOKEN).send().await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert_eq!(client.simulator.requests().len(), 1);
    client.ok("/v2/droplets").await;
}

#[tokio::test]
async fn a_drip_response_starts_immediately_and_is_complete() {
    let client = TestClient::of(Account::with_droplets(50)).await;
    let delay = Duration::from_millis(500);
    client
        .simulator
        .fail(Fault::new(FaultKind::Drip { delay }, "/v2/droplets").times(1));
    let started = Instant::now();
    let (status, body) = answered(client.get("/v2/droplets").await).await;
    assert!(started.elapsed() >= delay);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["meta"]["total"], 50);
}

#[tokio::test]
async fn a_slow_response_is_delayed_and_complete() {
    let client = TestClient::of(Account::empty()).await;
    let delay = Duration::from_millis(300);
    client
        .simulator
        .fail(Fault::new(FaultKind::Slow { delay }, "/v2/account"));
    let started = Instant::now();
    assert_eq!(
        client.ok("/v2/account").await["account"]["status"],
        "active"
    );
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn an_empty_list_has_a_total_of_zero() {
    let client = TestClient::of(Account::demo()).await;
    client
        .simulator
        .fail(Fault::new(FaultKind::EmptyList, "/v2/droplets").times(1));
    let expected = json!({ "droplets": [], "links": {}, "meta": { "total": 0 } });
    assert_eq!(client.ok("/v2/droplets").await, expected);
    assert_eq!(client.ok("/v2/droplets").await["meta"]["total"], 5);
}

#[tokio::test]
async fn an_item_that_moves_is_listed_twice_and_another_is_missed() {
    let client = TestClient::of(Account::with_droplets(450)).await;
    let fault = Fault::new(FaultKind::ItemMovesBetweenPages, "/v2/droplets").times(1);
    client.simulator.fail(fault);
    let seen = client.all("/v2/droplets", "droplets").await;
    assert_eq!(seen.len(), 450);
    assert_eq!(ids(&seen).len(), 449);
    assert_eq!(seen[199]["id"], seen[200]["id"]);
    let again = client.all("/v2/droplets", "droplets").await;
    assert_eq!(ids(&again).len(), 450);
    assert_eq!(ids(&again).difference(&ids(&seen)).count(), 1);
}

#[tokio::test]
async fn faults_can_be_added_and_requests_read_over_http() {
    let client = TestClient::of(Account::empty()).await;
    let faults = "forbidden:/v2/volumes:times=1\n\nunauthorized:/v2/domains\n";
    let post = |text: &'static str| client.request(Method::POST, "/simulator/faults").body(text);
    let added = post(faults).send().await.unwrap();
    assert_eq!(added.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        client.json("/v2/volumes?page=1").await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(client.json("/v2/domains").await.0, StatusCode::UNAUTHORIZED);
    let left = client
        .request(Method::GET, "/simulator/faults")
        .send()
        .await
        .unwrap();
    assert_eq!(left.text().await.unwrap(), "unauthorized:/v2/domains");
    client
        .request(Method::DELETE, "/simulator/faults")
        .send()
        .await
        .unwrap();
    client.ok("/v2/domains").await;
    let refused = post("explode:/v2").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(refused.text().await.unwrap().contains("rate_limited"));
    let log = client
        .request(Method::GET, "/simulator/requests")
        .send()
        .await
        .unwrap();
    assert_eq!(
        answered(log).await.1[0],
        json!({ "method": "GET", "path": "/v2/volumes", "query": "page=1", "status": 403 })
    );
    assert_eq!(client.simulator.requests().len(), 3);
}

#[tokio::test]
async fn a_missing_or_unknown_token_is_unauthorized() {
    let client = TestClient::of(Account::empty()).await;
    let without = client
        .request(Method::GET, "/v2/account")
        .send()
        .await
        .unwrap();
    for response in [
        without,
        client.get_with("/v2/account", "dop_v1_wrong").await,
    ] {
        assert!(response.headers().contains_key("ratelimit-reset"));
        let (status, body) = answered(response).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(body["id"], "unauthorized");
        assert_eq!(body["message"], "Unable to authenticate you.");
        assert_eq!(body["request_id"].as_str().unwrap().len(), 36);
    }
}

#[tokio::test]
async fn a_token_reads_only_lists_and_members_of_its_scopes() {
    let mut account = Account::demo();
    account.accept_token(
        "dop_v1_narrow",
        Scopes::only(["project:read", "domain:read"]),
    );
    let client = TestClient::of(account).await;
    let get = async |path: &str| answered(client.get_with(path, "dop_v1_narrow").await).await;
    assert_eq!(get("/v2/domains").await.0, StatusCode::OK);
    assert_eq!(get("/v2/droplets").await.0, StatusCode::FORBIDDEN);
    let projects = client.all("/v2/projects", "projects").await;
    let mut urns = Vec::new();
    for project in projects {
        let path = format!("/v2/projects/{}/resources", project["id"].as_str().unwrap());
        let (_, body) = get(&path).await;
        let members = body["resources"].as_array().unwrap().clone();
        urns.extend(
            members
                .iter()
                .map(|member| member["urn"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(urns.len(), 7);
    assert!(
        urns.iter().all(|urn| urn.starts_with("do:domain:")),
        "{urns:?}"
    );
}

#[tokio::test]
async fn requests_count_against_the_rate_limit_until_it_is_exceeded() {
    let mut account = Account::empty();
    account.set_rate_limit(RateLimit {
        per_hour: 100,
        per_minute: 2,
        times_faster: 1,
    });
    let client = TestClient::of(account).await;
    for left in ["99", "98"] {
        let response = client.get("/v2/account").await;
        assert_eq!(response.headers()["ratelimit-limit"], "100");
        assert_eq!(response.headers()["ratelimit-remaining"], left);
    }
    let refused = client.get("/v2/account").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["ratelimit-remaining"], "0");
    let seconds: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_dropped_simulator_closes_its_port_and_a_used_port_is_an_error() {
    let client = TestClient::of(Account::empty()).await;
    client.ok("/v2/account").await;
    let url = client.simulator.url();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let again = simulator::Simulator::bind(Account::empty(), address.parse().unwrap()).await;
    assert!(again.is_err());
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(5);
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        assert!(Instant::now() < deadline, "the port is still open");
        tokio::task::yield_now().await;
    }
    assert!(DEMO_TOKEN.starts_with("dop_v1_"));
}
