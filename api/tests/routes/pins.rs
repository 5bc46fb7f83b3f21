use serde_json::{Value, json};

use crate::support::{TestApi, UNKNOWN, column};

async fn path_of(api: &TestApi, name: &str) -> String {
    format!("/api/v1/inventory/{}", api.resource_id(name).await)
}

async fn pin(api: &TestApi, path: &str, change: &Value) -> Value {
    api.patch(&api.admin, path, &change.to_string()).await.ok()
}

#[tokio::test]
async fn a_pinned_resource_is_whose_the_operator_says_and_only_admins_see_the_pin() {
    let api = TestApi::with_account().await;
    let (alpha, beta) = (api.project_id("alpha").await, api.project_id("beta").await);
    let path = path_of(&api, "web-1").await;
    let pinned = pin(&api, &path, &json!({ "cloud_project_id": beta })).await;
    let data = &pinned["data"];
    assert_eq!(data["cloud_project_id"], *beta);
    assert_eq!(data["tenant_id"], "globex");
    assert_eq!(data["attribution"], "operator");
    let at = &data["pin"]["pinned_at"];
    assert!(at.is_string(), "{data}");
    assert_eq!(
        data["pin"],
        json!({
            "tenant_id": null,
            "cloud_project_id": beta,
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
async fn of_a_pin_what_is_not_named_stays_and_null_takes_it_away() {
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
        let pinned = pin(&api, &path, &patch).await;
        let pin = &pinned["data"]["pin"];
        assert_eq!(pin["tenant_id"], tenant, "{patch}");
        assert_eq!(pin["cloud_project_id"], project, "{patch}");
    }
    let unpinned = pin(&api, &path, &json!({ "cloud_project_id": null })).await;
    let data = &unpinned["data"];
    assert_eq!(data["pin"], json!(null));
    assert_eq!(data["attribution"], "membership");
    assert_eq!(data["tenant_id"], "acme");
}

#[tokio::test]
async fn what_does_not_exist_can_neither_be_pinned_nor_pinned_to() {
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
async fn a_pin_that_cannot_be_read_is_refused_and_changes_nothing() {
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
async fn a_zone_waits_in_the_list_of_the_unclassified_until_an_operator_says_whose_it_is() {
    let api = TestApi::with_account().await;
    let unclassified = "/api/v1/inventory/unclassified";
    let waiting = api.get(&api.admin, unclassified).await.ok();
    assert_eq!(column(&waiting, "name"), ["orphan.example"]);
    assert_eq!(waiting["meta"]["freshness"][0]["kind"], "dns_zone");
    let path = path_of(&api, "orphan.example").await;
    pin(&api, &path, &json!({ "tenant_id": "globex" })).await;
    let waiting = api.get(&api.admin, unclassified).await.ok();
    assert_eq!(column(&waiting, "name"), [""; 0]);
    let zones = api
        .get(&api.globex, "/api/v1/inventory?kind=dns_zone")
        .await
        .ok();
    assert_eq!(column(&zones, "name"), ["orphan.example"]);
}
