//! Tests of the audit: its list, its page, and an entry for every route that changes data.

mod acts;

use serde_json::{Value, json};

use crate::pages::Session;
use crate::support::{TestApi, column, rows};

const PATH: &str = "/api/v1/audit";
const PAGE: &str = "/settings/audit";

/// Returns the entries with these parameters, the latest first.
async fn entries(api: &TestApi, query: &str) -> Value {
    api.get(&api.admin, &format!("{PATH}{query}")).await.ok()
}

#[tokio::test]
async fn an_entry_has_author_object_states_reason_and_request() {
    let api = TestApi::with_account().await;
    let id = api.project_id("alpha").await;
    let body = r#"{"tenant_id": "globex", "since": "2026-04-01", "reason": "sold"}"#;
    let path = format!("/api/v1/projects/{id}");
    let changed = api.patch(&api.admin, &path, body).await;
    let request_id = changed.headers["x-request-id"].to_str().unwrap().to_owned();
    changed.ok();

    let list = entries(&api, "?limit=1").await;
    let entry = &rows(&list)[0];
    let token = api.store.authenticate(&api.admin).await.unwrap().unwrap();
    for (field, expected) in [
        ("actor", json!("test")),
        ("token_id", json!(token.token_id)),
        ("session_id", Value::Null),
        ("channel", json!("api")),
        ("action", json!("project_changed")),
        ("object_type", json!("project")),
        ("object_id", json!(id)),
        ("object_name", json!("alpha")),
        ("reason", json!("sold")),
        ("request_id", json!(request_id)),
    ] {
        assert_eq!(entry[field], expected, "{field}: {entry}");
    }
    let tenants = |side: &str| column(&json!({ "data": entry[side]["tenants"] }), "tenant_id");
    assert_eq!(tenants("before"), ["acme"]);
    assert_eq!(tenants("after")[0], "globex");
    let first = &entries(&api, "?limit=500").await;
    assert_eq!(rows(first).last().unwrap()["previous_hash"], Value::Null);
    assert_eq!(entry["hash"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn filters_restrict_the_list_and_cursors_lead_through_it() {
    let api = TestApi::with_account().await;
    let alpha = api.project_id("alpha").await;
    let start = api.now().await;
    for purpose in ["one", "two", "three"] {
        let body = format!(r#"{{"purpose": "{purpose}"}}"#);
        for project in ["alpha", "beta"] {
            let path = format!("/api/v1/projects/{}", api.project_id(project).await);
            api.patch(&api.admin, &path, &body).await.ok();
        }
    }
    let token = api.store.authenticate(&api.admin).await.unwrap().unwrap();
    let (of_alpha, of_token) = (
        format!("object=project:{alpha}&from={start}"),
        format!("actor={}", token.token_id),
    );
    for (query, expected) in [
        (format!("from={start}"), 6),
        (format!("to={start}&action=project_changed"), 2),
        (format!("from={start}&object=project"), 6),
        (of_alpha.clone(), 3),
        (format!("from={start}&object=token"), 0),
        (of_token, 6),
        ("actor=test".to_owned(), 6),
        ("actor=ann&action=token_created".to_owned(), 3),
    ] {
        let found = entries(&api, &format!("?{query}")).await;
        assert_eq!(rows(&found).len(), expected, "{query}: {found}");
    }
    let first = entries(&api, &format!("?{of_alpha}&limit=2")).await;
    let cursor = first["meta"]["next_cursor"].as_str().unwrap();
    let last = entries(&api, &format!("?{of_alpha}&limit=2&cursor={cursor}")).await;
    assert_eq!(last["meta"]["next_cursor"], Value::Null);
    let purposes: Vec<_> = rows(&first)
        .iter()
        .chain(rows(&last))
        .map(|entry| entry["after"]["purpose"].as_str().unwrap())
        .collect();
    assert_eq!(purposes, ["three", "two", "one"]);

    let unknown = entries(&api, "?actor=bob").await;
    assert_eq!(unknown["meta"]["notes"][0]["code"], "unknown_actor");
    for (query, expected) in [
        ("action=project_change", "did you mean project_changed?"),
        ("object=projects", "did you mean project?"),
        ("object=project:", "TYPE:ID"),
        ("from=yesterday", "a date like"),
        ("who=ann", "unknown parameter"),
    ] {
        let refused = api.get(&api.admin, &format!("{PATH}?{query}")).await;
        let detail = refused.problem(400);
        assert!(detail.contains(expected), "{query}: {detail}");
    }
}

#[tokio::test]
async fn the_audit_is_for_administrators() {
    let api = TestApi::empty().await;
    for path in [PATH, "/api/v1/audit/chain"] {
        api.get(&api.acme, path).await.problem(403);
        api.get("", path).await.problem(401);
    }
    let session = Session::start(&api, &api.acme).await;
    assert_eq!(session.get(PAGE).await.status, 403);
}

#[tokio::test]
async fn a_changed_entry_shows_on_page_and_in_the_api() {
    let api = TestApi::with_account().await;
    let chain = api.get(&api.admin, "/api/v1/audit/chain").await.ok();
    let list = entries(&api, "?limit=1").await;
    let newest = &rows(&list)[0];
    assert_eq!(chain["data"]["is_intact"], true);
    assert_eq!(chain["data"]["entries"], newest["number"]);
    assert_eq!(chain["data"]["last_hash"], newest["hash"]);
    let session = Session::start(&api, &api.admin).await;
    let verify = format!("{PAGE}?verify=chain");
    let page = session.page(&verify).await;
    assert!(page.contains("The chain is intact"), "{page}");

    for statement in [
        "alter table audit_entries disable trigger user",
        "update audit_entries set actor = 'bob' where number = 2",
    ] {
        api.write_by_hand(statement).await;
    }
    let chain = api.get(&api.admin, "/api/v1/audit/chain").await.ok();
    assert_eq!(chain["data"]["is_intact"], false);
    let broken = json!({ "number": 2, "fault": "changed" });
    assert_eq!(chain["data"]["broken_at"], broken);
    let page = session.page(&verify).await;
    assert!(page.contains("entry 2 was changed"), "{page}");
    assert!(page.contains("role=\"alert\""), "{page}");
}

#[tokio::test]
async fn the_page_has_the_entries_with_changes_and_links() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    let session = Session::start(&api, &api.admin).await;
    let fields = "tenant=globex&since=2026-04-01&reason=%3Cb%3Esold%3C/b%3E";
    let path = format!("/inventory/{id}/override");
    assert_eq!(session.post(&path, fields).await.status, 200);

    let page = session.page(PAGE).await;
    for expected in [
        "resource override changed".to_owned(),
        format!("href=\"/inventory/{id}\""),
        "resource web-1".to_owned(),
        "<ins>globex</ins>".to_owned(),
        "&#60;b&#62;sold".to_owned(),
        "href=\"/settings/audit?format=csv\"".to_owned(),
        "<span class=\"tag\">page</span>".to_owned(),
    ] {
        assert!(page.contains(&expected), "{expected}: {page}");
    }
    let rows_of = |page: &str| page.matches("<tr id=\"entry-").count();
    let object = format!("?actor=&action=&object=resource:{id}&from=&to=");
    let filtered = session.page(&format!("{PAGE}{object}")).await;
    assert_eq!(rows_of(&filtered), 1);
    let first = session.page(&format!("{PAGE}?limit=2")).await;
    assert_eq!(rows_of(&first), 2);
    let next = first.split("rel=\"next\" href=\"").nth(1).unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&");
    assert_eq!(rows_of(&session.page(&next).await), 2);
    assert!(page.contains("aria-current=\"page\">Audit"), "{page}");

    let path = format!("{PAGE}?format=csv{}", object.replace('?', "&"));
    let csv = session.get(&path).await;
    assert_eq!(
        csv.headers["content-type"],
        "text/csv; charset=utf-8; header=present"
    );
    assert_eq!(csv.text.lines().count(), 2, "{}", csv.text);
}
