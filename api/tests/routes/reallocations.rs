//! Tests of changes that affect many cost lines: 202, the progress, and months that are not final.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::pages::Session;
use crate::pages::sync::connect;
use crate::support::{TestApi, column, rows};

const MAY: &str = "2026-05";
const LINES: usize = 1_200;

/// Stores an invoice of May with many lines of the project alpha, and one of beta.
async fn with_many_lines() -> TestApi {
    let api = TestApi::with_account().await;
    let mut lines = String::new();
    let times = "2026-05-01 00:00:00 +0000,2026-06-01 00:00:00 +0000";
    for _ in 0..LINES {
        let _ = writeln!(
            lines,
            "Droplets,,web-1 (s-1vcpu-1gb),744,{times},$1.00,alpha,iaas"
        );
    }
    let _ = write!(
        lines,
        "Droplets,,db-1 (s-1vcpu-1gb),744,{times},$5.00,beta,iaas"
    );
    api.invoice(MAY, "1205.00", &lines).await;
    api
}

async fn execute(api: &TestApi) {
    while api.store.reallocate_portion().await.unwrap().is_more {}
}

/// Assigns the project alpha to initech.
async fn reassign(api: &TestApi) -> crate::support::Response {
    let path = format!("/api/v1/projects/{}", api.project_id("alpha").await);
    let change = r#"{"tenant_id": "initech", "since": "2026-01-01"}"#;
    api.patch(&api.admin, &path, change).await
}

fn codes(list: &Value) -> Vec<String> {
    let notes = list["meta"]["notes"].as_array();
    let notes = notes.into_iter().flatten();
    notes
        .map(|note| note["code"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_change_of_many_lines_answers_202_with_its_progress() {
    let mut api = with_many_lines().await;
    let temporal = connect(&mut api);
    assert_eq!(api.statements(MAY).await["meta"]["is_final"], true);
    let response = reassign(&api).await;
    assert_eq!(response.status, 202, "{response:?}");
    let path = response.headers["location"].to_str().unwrap().to_owned();
    let answer = response.json();
    assert_eq!(answer["data"]["tenant_id"], "initech");
    assert_eq!(answer["meta"]["effect"], Value::Null);
    let left = &answer["meta"]["reallocation"];
    assert_eq!(left["state"], "pending");
    assert_eq!(left["path"], *path);
    assert_eq!(left["delayed"], Value::Null);
    assert_eq!(*temporal.starts.lock().unwrap(), ["reallocate"]);

    let progress = async || api.get(&api.admin, &path).await.ok()["data"].clone();
    assert_eq!(progress().await["state"], "pending");
    let waiting = api.statements(MAY).await;
    assert_eq!(waiting["meta"]["is_final"], false);
    assert_eq!(waiting["meta"]["reallocation_pending"], true);
    assert_eq!(codes(&waiting), ["reallocation_pending"]);
    for list in [
        "/api/v1/billing/checks",
        "/api/v1/billing/costs?group_by=tenant&from=2026-05&to=2026-05",
        "/api/v1/billing/cost-lines?period=2026-05",
    ] {
        let list = api.get(&api.admin, list).await.ok();
        assert_eq!(codes(&list), ["reallocation_pending"], "{list}");
    }
    // Reallocations of less than 20 minutes are no reason (tests/routes/status.rs).
    let sync = api.get(&api.admin, "/api/v1/sync").await.ok();
    let reasons = sync["data"]["reasons"].as_array().unwrap();
    assert!(
        reasons
            .iter()
            .all(|reason| reason["code"] != "reallocation_pending"),
        "{sync}"
    );

    execute(&api).await;
    let done = progress().await;
    assert_eq!(done["state"], "done");
    let counts = [&done["lines"], &done["lines_done"], &done["lines_changed"]];
    // Two lines of April too.
    assert_eq!(counts, [&json!(LINES + 2); 3], "{done}");
    let after = api.statements(MAY).await;
    assert_eq!(column(&after, "tenant_id"), ["globex", "initech"]);
    assert_eq!(column(&after, "total"), ["5.00", "1200.00"]);
    assert_eq!(after["meta"]["reallocation_pending"], false);
    assert_eq!(after["meta"]["is_final"], true);
    assert_eq!(codes(&after), Vec::<String>::new());
    let all = api
        .get(&api.admin, "/api/v1/billing/reallocations")
        .await
        .ok();
    assert_eq!(rows(&all), [done]);
    api.get(&api.acme, &path).await.problem(403);
}

#[tokio::test]
async fn without_temporal_the_answer_states_the_delay() {
    let api = with_many_lines().await;
    let answer = reassign(&api).await.json();
    let delayed = answer["meta"]["reallocation"]["delayed"].as_str();
    assert!(delayed.unwrap().contains("Temporal"), "{answer}");
}

#[tokio::test]
async fn an_override_of_many_lines_answers_202_and_its_dry_run_200() {
    let api = with_many_lines().await;
    let path = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
    let change = r#"{"tenant_id": "initech", "since": "2026-01-01"}"#;
    let dry_path = format!("{path}?dry_run=true");
    let dry = api.patch(&api.admin, &dry_path, change).await.ok();
    // With the part of the taxes of April.
    assert_eq!(dry["meta"]["effect"]["moved"], "1206.60");
    assert_eq!(dry["meta"]["reallocation"], Value::Null);
    let response = api.patch(&api.admin, &path, change).await;
    assert_eq!(response.status, 202, "{response:?}");
    execute(&api).await;
    let after = api.statements(MAY).await;
    assert_eq!(column(&after, "total"), ["5.00", "1200.00"]);
}

#[tokio::test]
async fn a_change_of_few_lines_is_done_at_once() {
    let mut api = TestApi::with_account().await;
    let temporal = connect(&mut api);
    let done = reassign(&api).await.ok();
    let expected = json!({ "state": "done", "id": null, "path": null, "delayed": null });
    assert_eq!(done["meta"]["reallocation"], expected);
    assert!(done["meta"]["effect"].is_object(), "{done}");
    let rule = r#"{"rule": "even"}"#;
    let path = "/api/v1/billing/spread-rules/2026-04";
    let set = api.put(&api.admin, path, rule).await.ok();
    assert_eq!(set["meta"]["reallocation"], expected);
    assert!(temporal.starts.lock().unwrap().is_empty());
    let none = api
        .get(&api.admin, "/api/v1/billing/reallocations")
        .await
        .ok();
    assert!(rows(&none).is_empty());
}

#[tokio::test]
async fn the_pages_show_a_reallocation_until_it_is_done() {
    let mut api = with_many_lines().await;
    connect(&mut api);
    let session = Session::start(&api, &api.admin).await;
    let id = api.project_id("alpha").await;
    let fields = "tenant=initech&since=2026-01-01";
    let form = format!("/projects/{id}/tenant");
    let made = session.post(&form, fields).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert!(
        made.text.contains("href=\"/reallocations\""),
        "{}",
        made.text
    );
    let resource = format!("/inventory/{}", api.resource_id("web-1").await);
    let pages = ["/projects", &resource, "/months/2026-05"];
    for page in pages {
        let text = session.page(page).await;
        assert!(text.contains("href=\"/reallocations\""), "{page}: {text}");
    }
    let months = session.page("/months").await;
    assert!(months.contains("tenants are being updated"), "{months}");
    let page = session.page("/reallocations").await;
    assert!(page.contains("waits for a worker"), "{page}");
    // The start, the resources, and the count of the lines.
    for _ in 0..3 {
        api.store.reallocate_portion().await.unwrap();
    }
    let page = session.page("/reallocations").await;
    assert!(
        page.contains(&format!("0 of {} lines", LINES + 2)),
        "{page}"
    );
    assert!(page.contains("href=\"/months/2026-05\""), "{page}");
    execute(&api).await;
    for page in pages {
        let text = session.page(page).await;
        assert!(!text.contains("href=\"/reallocations\""), "{page}: {text}");
    }
    let page = session.page("/reallocations").await;
    assert!(page.contains(">done<"), "{page}");
}
