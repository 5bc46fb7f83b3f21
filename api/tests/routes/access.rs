//! Access by role: every route with a token is tested for an admin, a tenant and invalid tokens.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use store::Role;

use crate::support::{APRIL, TestApi, UNKNOWN, operator, token, with_token};

/// Every route that requires a token, with the status for an admin and for the tenant `acme`.
/// `{MINE}` is the id of a resource of acme, `{THEIRS}` of globex.
const MATRIX: [(&str, &str, u16, u16); 69] = [
    // For a tenant with a token that permits costs: see `my.rs`.
    ("GET", "/api/v1/my/statements?period=2026-04", 403, 403),
    ("GET", "/api/v1/my/statement?period=2026-04", 403, 403),
    ("GET", "/api/v1/my/cost-lines?period=2026-04", 403, 403),
    ("GET", "/api/v1/my/cost-lines/{UNKNOWN}", 403, 403),
    (
        "GET",
        "/api/v1/my/costs?group_by=kind&from=2026-04&to=2026-04",
        403,
        403,
    ),
    ("GET", "/api/v1/audit", 200, 403),
    ("GET", "/api/v1/audit/chain", 200, 403),
    ("GET", "/api/v1/billing/balance", 404, 403),
    (
        "GET",
        "/api/v1/billing/cost-lines?period=2026-04-01",
        200,
        403,
    ),
    (
        "GET",
        "/api/v1/billing/cost-lines?period=nonsense",
        400,
        403,
    ),
    ("GET", "/api/v1/billing/invoices", 200, 403),
    ("GET", "/api/v1/billing/invoices/{APRIL}", 200, 403),
    (
        "GET",
        "/api/v1/billing/invoices/{APRIL}/versions/{VERSION}/cost-lines",
        404,
        403,
    ),
    ("GET", "/api/v1/billing/cost-lines/{UNKNOWN}", 404, 403),
    (
        "PUT",
        "/api/v1/billing/cost-lines/{UNKNOWN}/match",
        400,
        403,
    ),
    (
        "DELETE",
        "/api/v1/billing/cost-lines/{UNKNOWN}/match",
        404,
        403,
    ),
    (
        "GET",
        "/api/v1/billing/unmatched?period=2026-04-01",
        200,
        403,
    ),
    (
        "GET",
        "/api/v1/billing/statements?period=2026-04-01",
        200,
        403,
    ),
    (
        "GET",
        "/api/v1/billing/statements/{TENANT}?period=2026-04-01",
        200,
        403,
    ),
    (
        "GET",
        "/api/v1/billing/statements?period=nonsense",
        400,
        403,
    ),
    (
        "GET",
        "/api/v1/billing/costs?group_by=kind&from=2026-04-01&to=2026-04-01",
        200,
        403,
    ),
    ("GET", "/api/v1/billing/orphaned-overrides", 200, 403),
    (
        "POST",
        "/api/v1/billing/orphaned-overrides/{UNKNOWN}/apply",
        400,
        403,
    ),
    (
        "DELETE",
        "/api/v1/billing/orphaned-overrides/{UNKNOWN}",
        404,
        403,
    ),
    ("GET", "/api/v1/billing/reallocations", 200, 403),
    ("GET", "/api/v1/billing/reallocations/{UNKNOWN}", 404, 403),
    ("GET", "/api/v1/billing/spread-rules", 200, 403),
    ("PUT", "/api/v1/billing/spread-rules/{PERIOD}", 400, 403),
    ("PUT", "/api/v1/billing/spread-rules/nonsense", 400, 403),
    ("GET", "/api/v1/billing/estimates", 200, 403),
    ("GET", "/api/v1/billing/focus?period=2026-04", 200, 403),
    (
        "GET",
        "/api/v1/billing/focus/metadata?period=2026-04",
        200,
        403,
    ),
    (
        "GET",
        "/api/v1/billing/estimates/{PERIOD}/variance",
        404,
        403,
    ),
    ("GET", "/api/v1/billing/months", 200, 403),
    ("GET", "/api/v1/billing/months/{PERIOD}", 200, 403),
    (
        "GET",
        "/api/v1/billing/months/{PERIOD}/files/{UNKNOWN}",
        404,
        403,
    ),
    ("POST", "/api/v1/billing/months/{PERIOD}/close", 503, 403),
    ("POST", "/api/v1/billing/months/{PERIOD}/reopen", 400, 403),
    (
        "POST",
        "/api/v1/billing/months/{PERIOD}/correction",
        400,
        403,
    ),
    ("GET", "/api/v1/billing/checks", 200, 403),
    ("GET", "/api/v1/billing/entries", 200, 403),
    ("GET", "/api/v1/billing/entries?limit=0", 400, 403),
    ("GET", "/api/v1/inventory", 200, 200),
    ("GET", "/api/v1/inventory/{MINE}", 200, 200),
    ("GET", "/api/v1/inventory/{THEIRS}", 200, 404),
    ("GET", "/api/v1/inventory/{MINE}/events", 200, 200),
    ("GET", "/api/v1/inventory/{THEIRS}/events", 200, 404),
    (
        "GET",
        "/api/v1/inventory?as_of=2013-01-01T00:00:00Z",
        200,
        200,
    ),
    ("GET", "/api/v1/inventory/{MINE}/timeline", 200, 200),
    ("GET", "/api/v1/inventory/{THEIRS}/timeline", 200, 404),
    ("GET", "/api/v1/inventory/{MINE}/relations", 200, 200),
    ("GET", "/api/v1/inventory/{THEIRS}/relations", 200, 404),
    ("GET", "/api/v1/inventory/{MINE}/memberships", 200, 200),
    ("GET", "/api/v1/inventory/{THEIRS}/memberships", 200, 404),
    ("PATCH", "/api/v1/inventory/{MINE}", 200, 403),
    ("GET", "/api/v1/inventory/counts", 200, 200),
    ("GET", "/api/v1/inventory/unclassified", 200, 403),
    ("GET", "/api/v1/sync", 200, 403),
    ("GET", "/metrics", 200, 403),
    ("GET", "/api/v1/tenants", 200, 403),
    ("GET", "/api/v1/held-deletions", 200, 403),
    ("GET", "/api/v1/held-deletions/{UNKNOWN}", 404, 403),
    ("PATCH", "/api/v1/held-deletions/{UNKNOWN}", 400, 403),
    ("GET", "/api/v1/projects", 200, 200),
    ("GET", "/api/v1/projects/{PROJECT}", 200, 200),
    ("GET", "/api/v1/projects/{PROJECT}/tenants", 200, 200),
    ("GET", "/api/v1/projects/{PROJECT}/events", 200, 403),
    ("PATCH", "/api/v1/projects/{PROJECT}", 200, 403),
    ("PATCH", "/api/v1/projects/nonsense", 400, 403),
];

fn request(method: &str, path: &str, token: Option<&str>) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    let request = match token {
        Some(token) => with_token(token, request),
        None => request,
    };
    request.body(Body::from("{}")).unwrap()
}

async fn matrix(api: &TestApi) -> Vec<(&'static str, String, u16, u16)> {
    let ids = [
        ("{APRIL}", APRIL.to_owned()),
        ("{MINE}", api.resource_id("web-1").await),
        ("{THEIRS}", api.resource_id("db-1").await),
        ("{PROJECT}", api.project_id("alpha").await),
        ("{UNKNOWN}", UNKNOWN.to_owned()),
        ("{VERSION}", "1".to_owned()),
        ("{PERIOD}", "2026-04-01".to_owned()),
        ("{TENANT}", "acme".to_owned()),
    ];
    MATRIX
        .into_iter()
        .map(|(method, path, admin, tenant)| {
            let path = ids
                .iter()
                .fold(path.to_owned(), |path, (name, id)| path.replace(name, id));
            (method, path, admin, tenant)
        })
        .collect()
}

#[tokio::test]
async fn each_role_has_access_to_its_routes_only() {
    let api = TestApi::with_account().await;
    for (method, path, admin, tenant) in matrix(&api).await {
        for (token, expected) in [(&api.admin, admin), (&api.acme, tenant)] {
            let response = api.send(Ok(request(method, &path, Some(token)))).await;
            assert_eq!(response.status, expected, "{method} {path}: {response:?}");
            if expected >= 400 {
                response.problem(expected);
            }
        }
    }
}

#[tokio::test]
async fn the_matrix_covers_every_route_that_requires_a_token() {
    let api = TestApi::empty().await;
    let openapi = api.get("", "/api/v1/openapi.json").await.ok();
    let mut protected = BTreeSet::new();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"].is_array() {
                protected.insert((method.to_uppercase(), shape(path)));
            }
        }
    }
    let covered: BTreeSet<_> = MATRIX
        .iter()
        .map(|(method, path, ..)| ((*method).to_owned(), shape(path)))
        .filter(|(_, path)| !path.ends_with("nonsense"))
        .collect();
    assert_eq!(protected, covered);
}

/// Returns a path without its query, and with `{}` for each id.
fn shape(path: &str) -> String {
    let parts = path.split('?').next().unwrap().split('/');
    let parts: Vec<_> = parts
        .map(|part| if part.starts_with('{') { "{}" } else { part })
        .collect();
    parts.join("/")
}

#[tokio::test]
async fn no_route_with_access_control_accepts_an_invalid_token() {
    let api = TestApi::with_account().await;
    let (revoked_id, revoked) = token(&api.store, &Role::PlatformAdmin).await;
    api.store
        .revoke_token(revoked_id, &operator())
        .await
        .unwrap();
    let truncated = &api.admin[..api.admin.len() - 1];
    for (method, path, ..) in matrix(&api).await {
        for token in [None, Some("arc_unknown"), Some(&*revoked), Some(truncated)] {
            let response = api.send(Ok(request(method, &path, token))).await;
            response.problem(401);
            assert_eq!(response.headers["www-authenticate"], "Bearer", "{path}");
        }
    }
}

#[tokio::test]
async fn exactly_one_bearer_header_is_accepted() {
    let api = TestApi::empty().await;
    let good = format!("Bearer {}", api.admin);
    for (headers, expected) in [
        (vec![good.clone()], 200),
        (vec![format!("bearer  {}", api.admin)], 200),
        (vec![api.admin.clone()], 401),
        (vec![format!("Basic {}", api.admin)], 401),
        (vec!["Bearer ".to_owned()], 401),
        (vec!["Bearer".to_owned()], 401),
        (vec![good.clone(), good.clone()], 401),
    ] {
        let request = headers
            .iter()
            .fold(Request::get("/api/v1/inventory"), |request, header| {
                request.header("authorization", header)
            });
        let response = api.send(request.body(Body::empty())).await;
        assert_eq!(response.status, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_not_accepted() {
    let api = TestApi::empty().await;
    let path = format!("/api/v1/inventory?access_token={}", api.admin);
    let request = Request::get(path).body(Body::empty());
    let response = api.send(request).await;
    response.problem(401);
    assert!(!response.text.contains(&api.admin), "{response:?}");
}
