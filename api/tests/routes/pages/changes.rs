//! Tests of the changes of operators on pages: overrides, and assignments of projects.

use serde_json::Value;

use super::Session;
use crate::support::TestApi;

async fn statements(api: &TestApi) -> Value {
    api.statements("2026-04").await["data"].clone()
}

/// Returns the address of the first step that undoes a change.
fn undo_of(page: &str) -> String {
    let (_, rest) = page.split_once("<ol class=\"steps\">").unwrap();
    let (_, rest) = rest.split_once("href=\"").unwrap();
    rest.split('"').next().unwrap().replace("&#38;", "&")
}

/// Makes a change as a person does: preview, confirm, undo. Checks that only confirmed changes move
/// amounts, and that the undo restores the statements.
async fn change_and_undo(api: &TestApi, address: &str, json_path: &str, body: &str) {
    let session = Session::start(api, &api.admin).await;
    let before = statements(api).await;

    let preview = session.page(address).await;
    let dry_run = format!("{json_path}?dry_run=true");
    let measured = api.patch(&api.admin, &dry_run, body).await.ok();
    let effect = &measured["meta"]["effect"];
    assert_ne!(effect["moved"], "0.00", "{measured}");
    for tenant in effect["months"][0]["tenants"].as_array().unwrap() {
        let cells = ["before", "after"].map(|side| {
            let amount = tenant[side].as_str().unwrap();
            format!("<td class=\"num\">{amount}</td>")
        });
        assert!(preview.contains(&cells.concat()), "{tenant}: {preview}");
    }
    assert_eq!(statements(api).await, before);

    let (path, fields) = address.split_once('?').unwrap();
    let done = session.post(path, fields).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_ne!(statements(api).await, before);

    let undo = undo_of(&done.text);
    session.page(&undo).await;
    let (path, fields) = undo.split_once('?').unwrap();
    assert_eq!(session.post(path, fields).await.status, 200, "{undo}");
    assert_eq!(statements(api).await, before);
}

#[tokio::test]
async fn an_override_shows_its_effect_is_made_and_undone() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    let path = format!("/inventory/{id}/override");
    let json_path = format!("/api/v1/inventory/{id}");
    let beta = api.project_id("beta").await;
    for (fields, body) in [
        (
            "tenant=initech&project=&since=2026-04-01".to_owned(),
            r#"{"tenant_id": "initech", "since": "2026-04-01"}"#.to_owned(),
        ),
        (
            format!("tenant=&project={beta}&since=2026-04-10"),
            format!(r#"{{"cloud_project_id": "{beta}", "since": "2026-04-10"}}"#),
        ),
    ] {
        change_and_undo(&api, &format!("{path}?{fields}"), &json_path, &body).await;
    }
    let shown = api.get(&api.admin, &json_path).await.ok();
    assert_eq!(shown["data"]["pin"], Value::Null);
}

#[tokio::test]
async fn the_undo_of_an_override_restores_all_its_times() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    let session = Session::start(&api, &api.admin).await;
    let path = format!("/inventory/{id}/override");
    let steps_after = async |fields: &str| {
        let done = session.post(&path, fields).await;
        assert_eq!(done.status, 200, "{fields}: {done:?}");
        done.text.replace("&#38;", "&")
    };
    steps_after("tenant=initech&since=2026-03-01").await;
    steps_after("tenant=globex&since=2026-04-01").await;
    let steps = steps_after("remove=tenant").await;
    for step in [
        "tenant=initech&since=2026-03-01",
        "tenant=globex&since=2026-04-01",
    ] {
        assert!(steps.contains(step), "{step}: {steps}");
    }
    // An override that has ended.
    steps_after("tenant=initech&since=2026-03-01").await;
    steps_after("remove=tenant&since=2026-04-01").await;
    let steps = steps_after("remove=tenant").await;
    for step in [
        "tenant=initech&since=2026-03-01",
        "remove=tenant&since=2026-04-01",
    ] {
        assert!(steps.contains(step), "{step}: {steps}");
    }
}

#[tokio::test]
async fn the_reason_of_an_override_is_shown_to_administrators() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    let session = Session::start(&api, &api.admin).await;
    let path = format!("/inventory/{id}/override");
    let fields = "tenant=acme&since=2026-04-01&reason=moved+by+ticket+7";
    assert_eq!(session.post(&path, fields).await.status, 200);
    let reason = "moved by ticket 7";
    let page = session.page(&format!("/inventory/{id}")).await;
    assert!(page.contains(reason), "{page}");
    let tenant = Session::start(&api, &api.acme).await;
    let page = tenant.page(&format!("/inventory/{id}")).await;
    assert!(!page.contains(reason), "{page}");
}

#[tokio::test]
async fn an_assignment_shows_its_effect_is_made_and_undone() {
    let api = TestApi::with_account().await;
    let id = api.project_id("alpha").await;
    let address = format!("/projects/{id}/tenant?tenant=initech&since=2026-04-10");
    let json_path = format!("/api/v1/projects/{id}");
    let body = r#"{"tenant_id": "initech", "since": "2026-04-10"}"#;
    change_and_undo(&api, &address, &json_path, body).await;
    let project = api.get(&api.admin, &json_path).await.ok();
    assert_eq!(project["data"]["tenant_id"], "acme");

    let removed = format!("/projects/{id}/tenant?remove=tenant");
    change_and_undo(&api, &removed, &json_path, r#"{"tenant_id": null}"#).await;
    let project = api.get(&api.admin, &json_path).await.ok();
    assert_eq!(project["data"]["tenant_id"], "acme");
}

#[tokio::test]
async fn a_preview_from_now_on_offers_the_earliest_charge() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    let session = Session::start(&api, &api.admin).await;
    let page = session
        .page(&format!("/inventory/{id}/override?tenant=initech"))
        .await;
    let expected =
        format!("/inventory/{id}/override?tenant=initech&#38;since=2026-04-01T00%3A00%3A00Z");
    assert!(page.contains(&expected), "{page}");
}

#[tokio::test]
async fn an_invalid_change_is_refused_as_a_page() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    let session = Session::start(&api, &api.admin).await;
    for (fields, status) in [
        ("", 400),
        ("tenant=initech&remove=tenant", 400),
        ("tenant=initech&since=2999-01-01", 409),
        ("project=alpha", 400),
        ("project=00000000-0000-4000-8000-000000000000", 404),
    ] {
        let address = format!("/inventory/{id}/override?{fields}");
        let response = session.get(&address).await;
        assert_eq!(response.status.as_u16(), status, "{fields}: {response:?}");
        assert!(response.text.contains("<!doctype html>"), "{response:?}");
    }
}

#[tokio::test]
async fn projects_have_the_figures_of_the_json_api() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page("/projects").await;
    let projects = api.get(&api.admin, "/api/v1/projects").await.ok();
    for project in crate::support::rows(&projects) {
        let resources = format!("<td class=\"num\">{}</td>", project["live_resources"]);
        let id = project["id"].as_str().unwrap();
        let row = page.split("<tr>").find(|row| row.contains(id)).unwrap();
        assert!(row.contains(&resources), "{project}: {row}");
        let tenant = project["tenant_id"].as_str().unwrap_or("none");
        assert!(row.contains(tenant), "{project}: {row}");
    }
    let alpha = api.project_id("alpha").await;
    let page = session.page(&format!("/projects/{alpha}/tenant")).await;
    assert!(
        page.contains("2015-01-01") && page.contains("ann"),
        "{page}"
    );
}
