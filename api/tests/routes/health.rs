//! Tests of the health checks and of the request metrics.

use axum::body::Body;
use axum::http::Request;
use store::Store;

use crate::support::{TestApi, respond};

#[tokio::test]
async fn a_migrated_database_is_ready() {
    let api = TestApi::empty().await;
    let ready = api.get("", "/readyz").await.ok();
    assert_eq!(ready["data"]["status"], "ready");
    let alive = api.get("", "/healthz").await.ok();
    assert_eq!(alive["data"]["status"], "alive");
}

#[tokio::test]
async fn a_database_without_the_schema_is_not_ready() {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 1).await.unwrap();
    let router = api::router(store);
    let get = |path: &str| {
        respond(
            router.clone(),
            Request::get(path).body(Body::empty()).unwrap(),
        )
    };
    let detail = get("/readyz").await.problem(503);
    assert!(detail.contains("arcadia migrate"), "{detail}");
    get("/healthz").await.ok();
}

#[tokio::test]
async fn requests_are_counted_by_method_route_and_status() {
    let api = TestApi::empty().await;
    api.get(&api.admin, "/api/v1/inventory").await.ok();
    for id in ["a", "b"] {
        api.get(&api.admin, &format!("/api/v1/inventory/{id}"))
            .await
            .problem(400);
    }
    api.get("", "/wp-login.php").await.problem(404);
    let made_up = Request::builder()
        .method("BREW")
        .uri("/api/v1/inventory")
        .body(Body::empty());
    api.send(made_up).await.problem(405);

    let metrics = api.get(&api.admin, "/metrics").await;
    assert_eq!(metrics.status, 200);
    for line in [
        r#"arcadia_http_requests_total{method="GET",route="/api/v1/inventory",status="200"} 1"#,
        r#"arcadia_http_requests_total{method="GET",route="/api/v1/inventory/{id}",status="400"} 2"#,
        r#"arcadia_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
        r#"arcadia_http_requests_total{method="OTHER",route="/api/v1/inventory",status="405"} 1"#,
        r#"arcadia_http_request_duration_seconds_count{method="GET",route="/api/v1/inventory",status="200"} 1"#,
        concat!(
            r#"arcadia_build_info{version=""#,
            env!("CARGO_PKG_VERSION"),
            r#""} 1"#
        ),
    ] {
        assert!(
            metrics.text.lines().any(|shown| shown == line),
            "{line} is not in\n{}",
            metrics.text
        );
    }
}
