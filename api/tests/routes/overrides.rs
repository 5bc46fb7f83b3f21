//! Tests of resource overrides, their effects, and unclassified zones.

use serde_json::{Value, json};

use crate::support::{TestApi, UNKNOWN, column};

async fn path_of(api: &TestApi, name: &str) -> String {
    format!("/api/v1/inventory/{}", api.resource_id(name).await)
}

async fn change_override(api: &TestApi, path: &str, change: &Value) -> Value {
    api.patch(&api.admin, path, &change.to_string()).await.ok()
}

#[tokio::test]
async fn an_override_sets_project_and_tenant_and_only_admins_see_it() {
    let api = TestApi::with_account().await;
    let (alpha, beta) = (api.project_id("alpha").await, api.project_id("beta").await);
    let path = path_of(&api, "web-1").await;
    let overridden = change_override(&api, &path, &json!({ "cloud_project_id": beta })).await;
    let data = &overridden["data"];
    assert_eq!(data["cloud_project_id"], *beta);
    assert_eq!(data["tenant_id"], "globex");
    assert_eq!(data["attribution"], "operator");
    let at = &data["pin"]["pinned_at"];
    assert!(at.is_string(), "{data}");
    assert_eq!(
        data["pin"],
        json!({
            "tenant_id": null,
            "tenant_since": null,
            "cloud_project_id": beta,
            "project_since": at,
            "contradicted_by": alpha,
            "pinned_by": "test",
            "pinned_at": at,
        })
    );
    let by_admin = api.get(&api.admin, &path).await.ok();
    assert_eq!(by_admin["data"], *data);
    let by_globex = api.get(&api.globex, &path).await.ok();
    assert_eq!(by_globex["data"]["pin"], json!(null));
    api.get(&api.acme, &path).await.problem(404);
}

#[tokio::test]
async fn an_absent_field_keeps_its_value_and_null_removes_it() {
    let api = TestApi::with_account().await;
    let beta = api.project_id("beta").await;
    let path = path_of(&api, "web-1").await;
    for (patch, tenant, project) in [
        (
            json!({ "tenant_id": "initech" }),
            json!("initech"),
            json!(null),
        ),
        (
            json!({ "cloud_project_id": beta }),
            json!("initech"),
            json!(beta),
        ),
        (json!({}), json!("initech"), json!(beta)),
        (json!({ "tenant_id": null }), json!(null), json!(beta)),
    ] {
        let changed = change_override(&api, &path, &patch).await;
        let shown = &changed["data"]["pin"];
        assert_eq!(shown["tenant_id"], tenant, "{patch}");
        assert_eq!(shown["cloud_project_id"], project, "{patch}");
    }
    let removed = change_override(&api, &path, &json!({ "cloud_project_id": null })).await;
    let data = &removed["data"];
    assert_eq!(data["pin"], json!(null));
    assert_eq!(data["attribution"], "membership");
    assert_eq!(data["tenant_id"], "acme");
}

#[tokio::test]
async fn unknown_resources_and_projects_are_not_found() {
    let api = TestApi::with_account().await;
    let path = path_of(&api, "web-1").await;
    let unknown = json!({ "cloud_project_id": UNKNOWN }).to_string();
    let detail = api.patch(&api.admin, &path, &unknown).await.problem(404);
    assert!(
        detail.contains("project") && detail.contains(UNKNOWN),
        "{detail}"
    );
    let path = format!("/api/v1/inventory/{UNKNOWN}");
    let detail = api
        .patch(&api.admin, &path, r#"{"tenant_id": "acme"}"#)
        .await
        .problem(404);
    assert!(detail.contains("resource"), "{detail}");
}

#[tokio::test]
async fn an_invalid_override_is_refused_and_changes_nothing() {
    let api = TestApi::with_account().await;
    let path = path_of(&api, "web-1").await;
    for (patch, expected) in [
        (r#"{"project": "alpha"}"#, "project"),
        (r#"{"tenant_id": ""}"#, "tenant id"),
        (
            r#"{"tenant_id": "initech", "cloud_project_id": "alpha"}"#,
            "UUID",
        ),
        (r#"["initech"]"#, "JSON object"),
    ] {
        let detail = api.patch(&api.admin, &path, patch).await.problem(400);
        assert!(detail.contains(expected), "{patch}: {detail}");
    }
    let shown = api.get(&api.admin, &path).await.ok();
    assert_eq!(shown["data"]["pin"], json!(null));
    assert_eq!(shown["data"]["tenant_id"], "acme");
}

#[tokio::test]
async fn an_unclassified_zone_is_listed_until_it_is_assigned() {
    let api = TestApi::with_account().await;
    let unclassified = "/api/v1/inventory/unclassified";
    let waiting = api.get(&api.admin, unclassified).await.ok();
    assert_eq!(column(&waiting, "name"), ["orphan.example"]);
    assert_eq!(waiting["meta"]["freshness"][0]["kind"], "dns_zone");
    let path = path_of(&api, "orphan.example").await;
    change_override(&api, &path, &json!({ "tenant_id": "globex" })).await;
    let waiting = api.get(&api.admin, unclassified).await.ok();
    assert_eq!(column(&waiting, "name"), [""; 0]);
    let zones = api
        .get(&api.globex, "/api/v1/inventory?kind=dns_zone")
        .await
        .ok();
    assert_eq!(column(&zones, "name"), ["orphan.example"]);
}

/// Returns the statements of April, the month of the invoice of `with_account`.
async fn april(api: &TestApi) -> Value {
    api.statements("2026-04").await["data"].clone()
}

#[tokio::test]
async fn an_override_changes_past_months_only_with_since() {
    let api = TestApi::with_account().await;
    let path = path_of(&api, "web-1").await;
    let before = april(&api).await;
    change_override(&api, &path, &json!({ "tenant_id": "initech" })).await;
    assert_eq!(april(&api).await, before);

    let since = json!({ "tenant_id": "initech", "since": "2026-04-01T00:00:00Z" });
    let changed = change_override(&api, &path, &since).await;
    assert_eq!(
        changed["data"]["pin"]["tenant_since"],
        "2026-04-01T00:00:00Z"
    );
    let moved = april(&api).await;
    assert_ne!(moved, before);
    let effect = &changed["meta"]["effect"];
    assert_eq!(effect["is_dry_run"], false);
    assert_eq!(effect["months"][0]["period"], "2026-04-01");

    change_override(&api, &path, &json!({ "tenant_id": null })).await;
    assert_eq!(april(&api).await, before);
}

#[tokio::test]
async fn a_dry_run_reports_the_effect_of_overrides_and_assignments() {
    let api = TestApi::with_account().await;
    let before = april(&api).await;
    let resource = path_of(&api, "web-1").await;
    let project = format!("/api/v1/projects/{}", api.project_id("alpha").await);
    for path in [resource, project] {
        let dry = format!("{path}?dry_run=true");
        let since = json!({ "tenant_id": "initech", "since": "2026-04-01T00:00:00Z" });
        let measured = change_override(&api, &dry, &since).await;
        let effect = &measured["meta"]["effect"];
        assert_eq!(effect["is_dry_run"], true, "{measured}");
        assert_ne!(effect["moved"], "0.00", "{measured}");
        assert!(effect.get("with_since").is_none(), "{measured}");
        assert_ne!(measured["data"]["tenant_id"], "initech", "{measured}");

        let from_now = change_override(&api, &dry, &json!({ "tenant_id": "initech" })).await;
        let effect = &from_now["meta"]["effect"];
        assert_eq!(effect["moved"], "0.00", "{from_now}");
        assert_ne!(effect["with_since"]["moved"], "0.00", "{from_now}");
        assert_eq!(april(&api).await, before, "{path}");
    }
}

#[tokio::test]
async fn a_since_without_a_value_or_in_the_future_is_refused() {
    let api = TestApi::with_account().await;
    let path = path_of(&api, "web-1").await;
    for (status, patch) in [
        (400, json!({ "since": "2026-04-01T00:00:00Z" })),
        (
            409,
            json!({ "tenant_id": "initech", "since": "2999-01-01T00:00:00Z" }),
        ),
    ] {
        let detail = api
            .patch(&api.admin, &path, &patch.to_string())
            .await
            .problem(status);
        assert!(detail.starts_with("since: "), "{detail}");
    }
}
