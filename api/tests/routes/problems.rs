//! Tests of problem documents for unknown paths and methods, invalid parameters and bodies.

use axum::body::Body;
use axum::http::Request;
use insta::assert_json_snapshot;

use crate::support::{TestApi, with_token};

#[tokio::test]
async fn a_problem_has_the_error_and_the_fix() {
    let api = TestApi::empty().await;
    let response = api.get(&api.admin, "/api/v1/inventory?state=lost").await;
    response.problem(400);
    assert_json_snapshot!(response.json(), @r#"
    {
      "detail": "state: unknown state \"lost\": expected live, deleted or all",
      "status": 400,
      "title": "invalid parameter",
      "type": "urn:problem-type:arcadia:invalid-parameter"
    }
    "#);
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_document() {
    let api = TestApi::empty().await;
    for path in [
        "/api",
        "/nothing",
        "/api/v1/inventory/",
        "/api/v2/inventory",
    ] {
        let detail = api.get("", path).await.problem(404);
        assert!(detail.contains("openapi.json"), "{detail}");
    }
}

#[tokio::test]
async fn the_problem_for_a_wrong_method_has_the_allowed_ones() {
    let api = TestApi::empty().await;
    for (path, allowed) in [
        ("/api/v1/inventory", "GET,HEAD"),
        ("/api/v1/projects/x", "GET,HEAD,PATCH"),
        ("/api/v1/inventory/unclassified", "GET,HEAD"),
        ("/api/v1/sync", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
    ] {
        let request = Request::delete(path).body(Body::empty());
        let response = api.send(request).await;
        response.problem(405);
        assert_eq!(response.headers["allow"], allowed, "{path}");
    }
}

#[tokio::test]
async fn the_error_for_an_invalid_parameter_has_its_name() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    for (path, expected) in [
        ("inventory?limit=0", "limit"),
        ("inventory?limit=501", "from 1 to 500"),
        ("inventory?limit=ten", "limit"),
        ("inventory?limit=1&limit=2", "limit"),
        ("inventory?state=dead", "live, deleted or all"),
        ("inventory?project=alpha", "project"),
        ("inventory?cursor=", "cursor"),
        ("inventory?cursor=!", "cursor"),
        ("inventory?project=", "project"),
        ("inventory?q=%00", "U+0000"),
        ("inventory?tenant=a%00", "U+0000"),
        ("inventory?tennant=acme", "tennant"),
        ("inventory?as_of=yesterday", "2026-11-23T10:00:00Z"),
        ("inventory?as_of=2026-11-23T10:00:00+01:00", "%2B"),
        ("held-deletions?limit=0", "limit"),
        ("inventory/nonsense", "nonsense"),
        ("inventory/%FF", "UTF-8"),
        ("projects?limit=-1", "limit"),
        ("billing/invoices/nonsense", "nonsense"),
        (&format!("inventory/{id}/events?limit=x"), "limit"),
    ] {
        let detail = api
            .get(&api.admin, &format!("/api/v1/{path}"))
            .await
            .problem(400);
        assert!(detail.contains(expected), "{path}: {detail}");
    }
}

#[tokio::test]
async fn an_unknown_cursor_and_a_future_time_are_not_found() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    for (path, expected) in [
        ("inventory?cursor=nonsense", "cursor"),
        ("billing/invoices?cursor=e30", "cursor"),
        (&*format!("inventory/{id}/relations?cursor=e30"), "cursor"),
        ("inventory?as_of=2999-01-01T00:00:00Z", "as_of"),
        (
            &*format!("inventory/{id}?as_of=2999-01-01T00:00:00Z"),
            "as_of",
        ),
    ] {
        let path = format!("/api/v1/{path}");
        let detail = api.get(&api.admin, &path).await.problem(404);
        assert!(detail.starts_with(expected), "{path}: {detail}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_or_not_json_is_refused() {
    let api = TestApi::with_account().await;
    let path = format!("/api/v1/projects/{}", api.project_id("alpha").await);
    let large = format!(r#"{{"purpose": "{}"}}"#, "x".repeat(64 * 1024));
    api.patch(&api.admin, &path, &large).await.problem(413);

    // Without a content-length, so that the size is known only after reading.
    let chunks = large
        .as_bytes()
        .chunks(1000)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
        .collect::<Vec<_>>();
    let streamed = with_token(&api.admin, Request::patch(&path))
        .header("content-type", "application/json")
        .body(Body::from_stream(futures::stream::iter(chunks)));
    api.send(streamed).await.problem(413);

    let form = with_token(&api.admin, Request::patch(&path))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("purpose=x"));
    api.send(form).await.problem(415);
}

#[tokio::test]
async fn every_response_has_a_request_id_and_is_not_cached() {
    let api = TestApi::empty().await;
    for path in ["/healthz", "/api/v1/inventory", "/nothing"] {
        let headers = api.get(&api.admin, path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(!headers["x-request-id"].is_empty(), "{path}");
    }
}

#[tokio::test]
async fn an_internal_error_does_not_reveal_its_cause() {
    let api = TestApi::empty().await;
    api.break_projects().await;
    let response = api.get(&api.admin, "/api/v1/projects").await;
    response.problem(500);
    assert!(!response.text.contains("cloud_projects"), "{response:?}");
}
