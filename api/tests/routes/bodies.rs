//! Tests of invalid request bodies: each error has the field and the fix.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{APRIL, TestApi, UNKNOWN, column, rows, with_token};

const PATCH: &str = "PATCH";
const POST: &str = "POST";
const PUT: &str = "PUT";

/// Returns every route that requires a body, each with a valid body.
async fn routes(api: &TestApi) -> Vec<(&'static str, String, Value)> {
    let routes = routes_with_examples(api).await;
    let document = api.get("", "/api/v1/openapi.json").await.ok();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|item| item.as_object().unwrap().values());
    let with_body = operations.filter(|operation| operation["requestBody"]["required"] == true);
    assert_eq!(routes.len(), with_body.count(), "a route has no example");
    routes
}

async fn routes_with_examples(api: &TestApi) -> Vec<(&'static str, String, Value)> {
    let project = api.project_id("alpha").await;
    let resource = api.resource_id("web-1").await;
    let lines = "/api/v1/billing/cost-lines?period=2026-04";
    let lines = api.get(&api.admin, lines).await.ok();
    let line = rows(&lines)[0]["id"].as_str().unwrap().to_owned();
    vec![
        (
            PATCH,
            format!("/api/v1/projects/{project}"),
            json!({ "tenant_id": "acme", "tenant_since": "2026-04-01", "purpose": "shop" }),
        ),
        (
            PATCH,
            format!("/api/v1/inventory/{resource}"),
            json!({ "tenant_id": "acme", "cloud_project_id": project }),
        ),
        (
            PUT,
            format!("/api/v1/billing/cost-lines/{line}/match"),
            json!({ "resource_id": resource, "reason": "it is" }),
        ),
        (
            PUT,
            "/api/v1/billing/spread-rules/2026-04-01".to_owned(),
            json!({ "rule": "fixed", "weights": { "acme": "1" } }),
        ),
        (
            PATCH,
            format!("/api/v1/held-deletions/{UNKNOWN}"),
            json!({ "decision": "approve" }),
        ),
        (
            POST,
            format!("/api/v1/billing/orphaned-overrides/{UNKNOWN}/apply"),
            json!({ "line_id": line, "reason": "it moved" }),
        ),
        (
            POST,
            "/api/v1/billing/months/2026-04/reopen".to_owned(),
            json!({ "reason": "a wrong tenant" }),
        ),
        (
            POST,
            "/api/v1/billing/months/2026-04/correction".to_owned(),
            json!({ "accept": true, "after": "1.00", "reason": "a late charge" }),
        ),
    ]
}

async fn send(
    api: &TestApi,
    (method, path): (&str, &str),
    content_type: Option<&str>,
    body: impl Into<Body>,
) -> (u16, String) {
    let request = with_token(&api.admin, Request::builder().method(method).uri(path));
    let request = match content_type {
        Some(content_type) => request.header("content-type", content_type),
        None => request,
    };
    let response = api.send(request.body(body.into())).await;
    let status = response.status.as_u16();
    let detail = if status < 400 {
        String::new()
    } else {
        response.problem(status)
    };
    (status, detail)
}

const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn the_error_for_invalid_json_has_its_place() {
    let api = TestApi::with_account().await;
    for (method, path, _) in routes(&api).await {
        for (body, expected) in [
            ("", "empty"),
            ("  ", "empty"),
            ("{\n  \"x\": }", "line 2, column 8"),
            ("{\"x\": 1", "line 1, column 7"),
            ("{} {}", "trailing characters"),
            ("\u{feff}{}", "line 1, column 1"),
            ("[]", "found an array"),
            ("null", "found null"),
            ("\"x\"", "found a string"),
        ] {
            let (status, detail) = send(&api, (method, &path), JSON, body).await;
            assert_eq!(status, 400, "{path} {body}: {detail}");
            assert!(detail.contains(expected), "{path} {body}: {detail}");
        }
        let (status, detail) = send(&api, (method, &path), JSON, vec![b'{', 0xff]).await;
        assert_eq!(status, 400, "{path}: {detail}");
        for content_type in [None, Some("text/plain"), Some("application/xml")] {
            let (status, detail) = send(&api, (method, &path), content_type, "{}").await;
            assert_eq!(status, 415, "{path}: {detail}");
            assert!(detail.contains("application/json"), "{path}: {detail}");
        }
    }
}

/// Replaces one field at a time by a value of each wrong type.
#[tokio::test]
async fn the_error_for_a_wrong_type_has_the_field_and_the_expected_type() {
    let api = TestApi::with_account().await;
    for (method, path, body) in routes(&api).await {
        for field in body.as_object().unwrap().keys() {
            for wrong in [json!(5), json!(true), json!([1]), json!(-0.5)] {
                let mut body = body.clone();
                if body[field].is_boolean() && wrong.is_boolean() {
                    continue;
                }
                body[field] = wrong.clone();
                let sent = body.to_string();
                let (status, detail) = send(&api, (method, &path), JSON, sent).await;
                assert_eq!(status, 400, "{path} {body}: {detail}");
                assert!(
                    detail.starts_with(&format!("{field}: ")) && detail.contains("expected"),
                    "{path} {body}: {detail}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_error_for_an_unknown_or_duplicate_field_has_its_name() {
    let api = TestApi::with_account().await;
    for (method, path, body) in routes(&api).await {
        let names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        for name in names {
            let typo = format!("{}x", &name[..name.len() - 1]);
            let mut mistyped = body.clone();
            let value = mistyped.as_object_mut().unwrap().remove(&name).unwrap();
            mistyped[&typo] = value.clone();
            let sent = mistyped.to_string();
            let (status, detail) = send(&api, (method, &path), JSON, sent).await;
            assert_eq!(status, 400, "{path} {mistyped}: {detail}");
            assert!(
                detail.contains(&format!("{typo:?}"))
                    && detail.contains(&format!("did you mean {name}?")),
                "{path} {mistyped}: {detail}"
            );

            let twice = format!("{{\"{name}\": {value}, \"{name}\": {value}}}");
            let (status, detail) = send(&api, (method, &path), JSON, twice).await;
            assert_eq!(status, 400, "{path} {name}: {detail}");
            assert!(detail.contains(&format!("{name:?}")), "{detail}");
        }
    }
}

/// Asserts that the route with this index refuses the body, with all of these parts in the error.
async fn assert_refused(bodies: &[(usize, Value, &[&str])]) {
    let api = TestApi::with_account().await;
    let routes = routes(&api).await;
    for (route, body, expected) in bodies {
        let (method, path, _) = &routes[*route];
        let (status, detail) = send(&api, (method, path), JSON, body.to_string()).await;
        assert_eq!(status, 400, "{path} {body}: {detail}");
        for part in *expected {
            assert!(detail.contains(part), "no {part:?} in {detail} of {body}");
        }
    }
}

#[tokio::test]
async fn the_error_for_a_value_out_of_range_has_the_fix() {
    let long = "x".repeat(501);
    assert_refused(&[
        (
            0,
            json!({ "tenant_id": "" }),
            &["tenant_id: ", "1 to 100 characters"][..],
        ),
        (
            0,
            json!({ "tenant_id": " acme" }),
            &["tenant_id: ", "white space"],
        ),
        (
            0,
            json!({ "purpose": "" }),
            &["purpose: ", "1 to 500 characters"],
        ),
        (
            0,
            json!({ "purpose": long }),
            &["purpose: ", "1 to 500 characters"],
        ),
        (
            0,
            json!({ "tenant_id": "acme", "tenant_since": "tomorrow" }),
            &[
                "tenant_since: ",
                "\"tomorrow\"",
                "2026-11-23T10:00:00Z",
                "2026-11-23 ",
            ],
        ),
        (
            0,
            json!({ "tenant_id": "acme", "tenant_since": "2026-02-30" }),
            &["tenant_since: ", "\"2026-02-30\""],
        ),
        (
            0,
            json!({ "tenant_id": "acme", "tenant_since": "2026-04-01T10:00:00" }),
            &["tenant_since: ", "add Z"],
        ),
        (
            0,
            json!({ "tenant_id": "acme", "tenant_since": "" }),
            &["tenant_since: ", "a date like"],
        ),
        (
            1,
            json!({ "cloud_project_id": "alpha" }),
            &[
                "cloud_project_id: ",
                "invalid UUID \"alpha\"",
                "expected a form like",
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_error_for_an_invalid_decision_has_the_fix() {
    assert_refused(&[
        (2, json!({}), &["missing field \"resource_id\"", "add it"]),
        (
            2,
            json!({ "resource_id": "web-1" }),
            &["resource_id: ", "invalid UUID \"web-1\""],
        ),
        (
            2,
            json!({ "resource_id": null, "reason": "" }),
            &["reason: ", "1 to 500 characters"],
        ),
        (3, json!({}), &["missing field \"rule\"", "add it"]),
        (
            3,
            json!({ "rule": "Even" }),
            &[
                "rule: ",
                "proportional, even or fixed",
                "did you mean even?",
            ],
        ),
        (
            3,
            json!({ "rule": "fixed", "weights": { "acme": "-1" } }),
            &["weights.acme: ", "\"-1\"", "above 0"],
        ),
        (
            3,
            json!({ "rule": "fixed", "weights": { "acme": 1 } }),
            &["weights.acme: ", "expected a string"],
        ),
        (
            3,
            json!({ "rule": "fixed", "weights": { "": "1" } }),
            &["weights[\"\"]: ", "tenant id"],
        ),
        (4, json!({}), &["missing field \"decision\"", "add it"]),
        (
            4,
            json!({ "decision": "approved" }),
            &["decision: ", "approve or reject", "did you mean approve?"],
        ),
        (
            4,
            json!({ "decision": null }),
            &["decision: ", "expected a string"],
        ),
        (
            4,
            json!({ "decision": { "approve": null } }),
            &["decision: "],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_date_is_midnight_utc_and_is_echoed() {
    let api = TestApi::with_account().await;
    let path = format!("/api/v1/projects/{}", api.project_id("alpha").await);
    for since in [
        "2026-04-01",
        "2026-04-01T00:00:00Z",
        "2026-04-01T02:00:00+02:00",
    ] {
        let body = json!({ "tenant_id": "globex", "tenant_since": since }).to_string();
        let changed = api.patch(&api.admin, &path, &body).await.ok();
        assert_eq!(changed["meta"]["since"], "2026-04-01T00:00:00Z", "{since}");
        let tenants = api.get(&api.admin, &format!("{path}/tenants")).await.ok();
        assert_eq!(column(&tenants, "valid_from")[0], "2026-04-01T00:00:00Z");
    }
    let as_of = |text: &str| format!("/api/v1/inventory?as_of={text}");
    let date = api.get(&api.admin, &as_of("2026-04-01")).await.ok();
    assert_eq!(date["meta"]["as_of"], "2026-04-01T00:00:00Z");
    let id = api.resource_id("web-1").await;
    let today = api.store.now().await.unwrap().date_naive();
    let one = format!("/api/v1/inventory/{id}?as_of={today}");
    // At midnight the resource did not exist yet.
    api.get(&api.admin, &one).await.problem(404);
}

#[tokio::test]
async fn a_month_is_accepted_with_and_without_its_first_day() {
    let api = TestApi::with_account().await;
    for month in ["2026-04", "2026-04-01"] {
        for path in [
            format!("billing/statements?period={month}"),
            format!("billing/cost-lines?period={month}"),
            format!("billing/unmatched?period={month}"),
            format!("billing/costs?group_by=tenant&from={month}&to=2026-05"),
            format!("billing/costs?group_by=tenant&from=2026-03&to={month}"),
        ] {
            let response = api.get(&api.admin, &format!("/api/v1/{path}")).await.ok();
            let meta = &response["meta"];
            let echoed = [&meta["period"], &meta["from"], &meta["to"]];
            assert!(echoed.contains(&&json!("2026-04-01")), "{path}: {meta}");
        }
        let rule = format!("/api/v1/billing/spread-rules/{month}");
        let set = api.put(&api.admin, &rule, r#"{"rule": "even"}"#).await.ok();
        assert_eq!(set["data"]["valid_from"], "2026-04-01");
    }
    for path in [
        "billing/statements?period=2026-04-15",
        "billing/cost-lines?period=2026-04-15",
        "billing/unmatched?period=2026-04-15",
        "billing/costs?group_by=tenant&from=2026-04-15&to=2026-05",
        "billing/costs?group_by=tenant&from=2026-04&to=2026-04-30",
        "billing/estimates/2026-04-30/variance",
    ] {
        let response = api.get(&api.admin, &format!("/api/v1/{path}")).await;
        let detail = response.problem(400);
        assert!(detail.contains("2026-04 or 2026-04-01"), "{path}: {detail}");
    }
    assert!(
        api.get(&api.admin, &format!("/api/v1/billing/invoices/{APRIL}"))
            .await
            .status
            == 200
    );
}
