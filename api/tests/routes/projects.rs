//! Tests of projects and of changes of their tenants.

use insta::assert_json_snapshot;
use serde_json::json;

use crate::support::{TestApi, column};

const PROJECTS: &str = "/api/v1/projects";

#[tokio::test]
async fn an_admin_sees_all_projects_by_name() {
    let api = TestApi::with_account().await;
    let projects = api.get(&api.admin, PROJECTS).await.ok();
    assert_eq!(
        column(&projects, "name"),
        ["alpha", "beta", "skyai-internal"]
    );
    assert_json_snapshot!(projects["data"][0], {
        ".id" => "[uuid]",
        ".first_seen_at" => "[time]",
        ".last_seen_at" => "[time]",
    }, @r#"
    {
      "attrs": {
        "purpose": "Service or API"
      },
      "deleted_at": null,
      "description": "project alpha",
      "environment": "Production",
      "first_seen_at": "[time]",
      "id": "[uuid]",
      "is_default": false,
      "is_internal": false,
      "last_seen_at": "[time]",
      "live_resources": 3,
      "name": "alpha",
      "provider": "digitalocean",
      "provider_id": "00000000-0000-0000-0000-00000000a000",
      "purpose": null,
      "stale_strike_count": 0,
      "tenant_id": "acme",
      "tenant_since": "2015-01-01T00:00:00Z"
    }
    "#);
}

#[tokio::test]
async fn a_tenant_sees_its_own_projects_only() {
    let api = TestApi::with_account().await;
    let projects = api.get(&api.acme, PROJECTS).await.ok();
    assert_eq!(column(&projects, "name"), ["alpha"]);
}

#[tokio::test]
async fn a_new_tenant_of_a_project_does_not_change_past_charges() {
    let api = TestApi::with_account().await;
    let alpha = format!("{PROJECTS}/{}", api.project_id("alpha").await);
    let lines = "/api/v1/billing/cost-lines?period=2026-04-01";
    let before = api.get(&api.admin, lines).await.ok();
    assert_eq!(
        column(&before, "tenant_id"),
        ["acme", "globex", "acme", "null"]
    );

    let changed = api
        .patch(&api.admin, &alpha, r#"{"tenant_id": "initech"}"#)
        .await
        .ok();
    assert_eq!(changed["data"]["tenant_id"], "initech");
    let moved = api
        .get(&api.admin, "/api/v1/inventory?tenant=initech")
        .await
        .ok();
    assert_eq!(column(&moved, "name"), ["acme.example", "web-1", "web-2"]);
    let lost = api.get(&api.acme, "/api/v1/inventory").await.ok();
    assert_eq!(column(&lost, "name"), [""; 0]);

    let after = api.get(&api.admin, lines).await.ok();
    assert_eq!(after["data"], before["data"]);

    // Ending an assignment keeps past charges; removing it removes every assignment.
    let ended = json!({ "tenant_id": null, "tenant_since": "2026-05-01T00:00:00Z" });
    let ended = api.patch(&api.admin, &alpha, &ended.to_string()).await.ok();
    assert_eq!(ended["data"]["tenant_id"], json!(null));
    let after = api.get(&api.admin, lines).await.ok();
    assert_eq!(after["data"], before["data"]);
    let undone = r#"{"tenant_id": null}"#;
    api.patch(&api.admin, &alpha, undone).await.ok();
    let after = api.get(&api.admin, lines).await.ok();
    assert_eq!(
        column(&after, "tenant_id"),
        ["null", "globex", "null", "null"]
    );
}

#[tokio::test]
async fn an_absent_field_of_a_change_keeps_its_value() {
    let api = TestApi::with_account().await;
    let alpha = format!("{PROJECTS}/{}", api.project_id("alpha").await);
    for (patch, tenant, purpose) in [
        (
            r#"{"purpose": "checkout"}"#,
            json!("acme"),
            json!("checkout"),
        ),
        (
            r#"{"tenant_id": "initech"}"#,
            json!("initech"),
            json!("checkout"),
        ),
        ("{}", json!("initech"), json!("checkout")),
        (r#"{"purpose": null}"#, json!("initech"), json!(null)),
    ] {
        let project = api.patch(&api.admin, &alpha, patch).await.ok();
        assert_eq!(project["data"]["tenant_id"], tenant, "{patch}");
        assert_eq!(project["data"]["purpose"], purpose, "{patch}");
    }
}

#[tokio::test]
async fn an_invalid_change_is_refused_and_changes_nothing() {
    let api = TestApi::with_account().await;
    let alpha = format!("{PROJECTS}/{}", api.project_id("alpha").await);
    for (patch, expected) in [
        (r#"{"tenant_id": "initech", "name": "x"}"#, "name"),
        (r#"{"tenant_id": ""}"#, "tenant id"),
        (r#"{"tenant_id": " initech"}"#, "tenant id"),
        (r#"{"tenant_id": 7}"#, "expected a string"),
        (r#"{"tenant_id": "initech", "purpose": ""}"#, "purpose"),
        (r#"{"purpose": "a\u0000b"}"#, "purpose"),
        (r#"["initech"]"#, "JSON object"),
        (r#""initech""#, "JSON object"),
        (r#"{"tenant_id": "initech""#, "line 1"),
        ("", "empty"),
    ] {
        let detail = api.patch(&api.admin, &alpha, patch).await.problem(400);
        assert!(detail.contains(expected), "{patch}: {detail}");
    }
    let projects = api.get(&api.admin, PROJECTS).await.ok();
    assert_eq!(projects["data"][0]["tenant_id"], "acme");
}

#[tokio::test]
async fn an_unknown_project_cannot_be_changed() {
    let api = TestApi::empty().await;
    let unknown = format!("{PROJECTS}/00000000-0000-4000-8000-000000000000");
    api.patch(&api.admin, &unknown, "{}").await.problem(404);
}

#[tokio::test]
async fn tenants_of_a_project_are_dated_and_see_their_own_intervals() {
    let api = TestApi::with_account().await;
    api.assign_project("alpha", "globex").await;
    let one = format!("{PROJECTS}/{}", api.project_id("alpha").await);
    let tenants = format!("{one}/tenants");

    let by_admin = api.get(&api.admin, &tenants).await.ok();
    assert_eq!(column(&by_admin, "tenant_id"), ["globex", "acme"]);
    assert_eq!(column(&by_admin, "assigned_by"), ["test", "ann"]);
    assert_eq!(by_admin["data"][0]["valid_to"], json!(null));
    assert_eq!(
        by_admin["data"][1]["valid_to"],
        by_admin["data"][0]["valid_from"]
    );
    let shown = api.get(&api.admin, &one).await.ok();
    assert_eq!(shown["data"]["name"], "alpha");
    assert_eq!(shown["data"]["tenants"], by_admin["data"]);

    let by_globex = api.get(&api.globex, &tenants).await.ok();
    assert_eq!(column(&by_globex, "tenant_id"), ["globex"]);
    assert_eq!(column(&by_globex, "assigned_by"), ["null"]);
    let shown = api.get(&api.globex, &one).await.ok();
    assert_eq!(shown["data"]["tenants"], by_globex["data"]);
    api.get(&api.acme, &one).await.problem(404);
    api.get(&api.acme, &tenants).await.problem(404);

    let page = api
        .get(&api.admin, &format!("{tenants}?limit=1"))
        .await
        .ok();
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    let next = format!("{tenants}?limit=1&cursor={cursor}");
    let next = api.get(&api.admin, &next).await.ok();
    assert_eq!(column(&next, "tenant_id"), ["acme"]);
}

#[tokio::test]
async fn a_time_out_of_range_is_a_bad_request() {
    let api = TestApi::with_account().await;
    let path = format!("{PROJECTS}/{}", api.project_id("alpha").await);
    for year in ["-9999", "+262000"] {
        let change =
            json!({ "tenant_id": "globex", "tenant_since": format!("{year}-01-01T00:00:00Z") });
        let response = api.patch(&api.admin, &path, &change.to_string()).await;
        let detail = response.problem(400);
        assert!(detail.contains("tenant_since: invalid time"), "{detail}");
    }
    let project = api.get(&api.admin, PROJECTS).await.ok();
    assert_eq!(project["data"][0]["tenant_id"], "acme");
}
