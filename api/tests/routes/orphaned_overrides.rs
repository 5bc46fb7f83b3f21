//! Tests of overrides that lose their line by a correction of the invoice.

use serde_json::{Value, json};

use crate::pages::Session;
use crate::support::{TestApi, UNKNOWN, column, rows};

const ORPHANS: &str = "/api/v1/billing/orphaned-overrides";
const MAY: &str = "2026-05";

fn row(day: u32, amount: &str) -> String {
    format!(
        "Droplets,,lost-1 (s-1vcpu-1gb),1,2026-05-01 00:00:00 +0000,2026-05-{day} 00:00:00 +0000,${amount},alpha,iaas"
    )
}

/// Overrides a line of May with a droplet of `globex`. A correction replaces the line by two.
async fn with_orphan(api: &TestApi) -> String {
    api.invoice(MAY, "10.00", &row(20, "10.00")).await;
    let path = format!("/api/v1/billing/cost-lines?period={MAY}");
    let lines = api.get(&api.admin, &path).await.ok();
    let line = column(&lines, "id").remove(0);
    let droplet = api.resource_id("db-1").await;
    let path = format!("/api/v1/billing/cost-lines/{line}/match");
    let body = json!({ "resource_id": droplet, "reason": "agreed" });
    let overridden = api.put(&api.admin, &path, &body.to_string()).await.ok();
    assert_eq!(overridden["data"]["override"]["moved_at"], Value::Null);
    let corrected = [row(10, "5.00"), row(15, "6.00")].join("\n");
    api.invoice(MAY, "11.00", &corrected).await;
    line
}

#[tokio::test]
async fn an_orphaned_override_is_listed_and_applied_to_a_line() {
    let api = TestApi::with_account().await;
    let empty = api.get(&api.admin, ORPHANS).await.ok();
    assert_eq!(rows(&empty), [] as [Value; 0]);
    let id = with_orphan(&api).await;
    let list = api.get(&api.admin, ORPHANS).await.ok();
    let [orphan] = rows(&list) else {
        panic!("{list}")
    };
    assert_eq!(orphan["id"], *id);
    assert_eq!(
        (&orphan["amount"], &orphan["reason"], &orphan["period"]),
        (&json!("10.00"), &json!("agreed"), &json!("2026-05-01"))
    );
    let candidates = orphan["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    // Also in the lists that an operator reads before the close.
    for (path, expected) in [
        (format!("{ORPHANS}?period={MAY}"), &list["data"]),
        (format!("{ORPHANS}?period=2026-04"), &json!([])),
    ] {
        let found = api.get(&api.admin, &path).await.ok();
        assert_eq!(found["data"], *expected, "{path}");
    }
    for (path, expected) in [
        (format!("unmatched?period={MAY}"), &list["data"]),
        ("unmatched?period=2026-04".to_owned(), &json!([])),
        ("checks".to_owned(), &list["data"]),
    ] {
        let path = format!("/api/v1/billing/{path}");
        let found = api.get(&api.admin, &path).await.ok();
        assert_eq!(found["meta"]["orphaned_overrides"], *expected, "{path}");
    }
    let csv = api.get(&api.admin, &format!("{ORPHANS}?format=csv")).await;
    assert_eq!(csv.text.lines().count(), 2, "{}", csv.text);
    let sync = api.get(&api.admin, "/api/v1/sync").await.ok();
    let reasons = sync["data"]["reasons"].as_array().unwrap();
    assert!(
        reasons
            .iter()
            .any(|reason| reason["code"] == "overrides_orphaned"),
        "{sync}"
    );

    let body = json!({ "line_id": candidates[1] }).to_string();
    let apply = format!("{ORPHANS}/{id}/apply");
    let dry = api
        .post(&api.admin, &format!("{apply}?dry_run=true"), &body)
        .await
        .ok();
    assert_eq!(dry["meta"]["effect"]["moved"], "6.00");
    assert_eq!(dry["data"]["match_rule"], "unmatched");
    let applied = api.post(&api.admin, &apply, &body).await.ok();
    assert_eq!(applied["meta"]["effect"]["moved"], "6.00");
    assert_eq!(applied["data"]["match_rule"], "operator");
    assert_eq!(applied["data"]["tenant_id"], "globex");
    assert_eq!(applied["data"]["override"]["reason"], "agreed");
    let list = api.get(&api.admin, ORPHANS).await.ok();
    assert_eq!(rows(&list), [] as [Value; 0]);
    api.post(&api.admin, &apply, &body).await.problem(404);
}

#[tokio::test]
async fn an_orphaned_override_is_dismissed_once() {
    let api = TestApi::with_account().await;
    let id = with_orphan(&api).await;
    let path = format!("{ORPHANS}/{id}");
    let dismissed = api.delete(&api.admin, &path).await.ok();
    assert_eq!(dismissed["data"]["id"], *id);
    api.delete(&api.admin, &path).await.problem(404);
    let list = api.get(&api.admin, ORPHANS).await.ok();
    assert_eq!(rows(&list), [] as [Value; 0]);
}

#[tokio::test]
async fn orphaned_overrides_are_for_administrators() {
    let api = TestApi::with_account().await;
    let id = with_orphan(&api).await;
    api.get(&api.acme, ORPHANS).await.problem(403);
    let path = format!("{ORPHANS}/{id}");
    api.delete(&api.acme, &path).await.problem(403);
    let body = json!({ "line_id": UNKNOWN }).to_string();
    let apply = format!("{path}/apply");
    api.post(&api.acme, &apply, &body).await.problem(403);
    // An unknown line, and a body without one.
    api.post(&api.admin, &apply, &body).await.problem(404);
    api.post(&api.admin, &apply, "{}").await.problem(400);
}

#[tokio::test]
async fn the_pages_show_orphaned_overrides_and_their_actions() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let none = session.page("/lines/overrides").await;
    assert!(none.contains("every override has its line"), "{none}");
    let id = with_orphan(&api).await;
    let address = format!("/lines/overrides?period={MAY}");
    for path in ["/lines?period=2026-05", "/months/2026-05"] {
        let page = session.page(path).await;
        assert!(page.contains(&address), "{path}: {page}");
    }
    let overview = session.page("/").await;
    assert!(overview.contains("\"/lines/overrides\""), "{overview}");
    let list = session.page(&address).await;
    let path = format!("/lines/overrides/{id}");
    for text in ["lost-1", "db-1 (droplet)", "agreed", &path] {
        assert!(list.contains(text), "{text}: {list}");
    }
    let csv = session.get(&format!("{address}&format=csv")).await;
    assert_eq!(csv.text.lines().count(), 2, "{}", csv.text);

    let page = session.page(&path).await;
    let orphans = api.get(&api.admin, ORPHANS).await.ok();
    let line = orphans["data"][0]["candidates"][1].as_str().unwrap();
    assert!(page.contains(&format!("value=\"{line}\"")), "{page}");
    let preview = session.page(&format!("{path}?line={line}")).await;
    assert!(preview.contains("Nothing has changed yet"), "{preview}");
    assert!(preview.contains(">6.00<"), "{preview}");
    let without = session.post(&path, "").await;
    assert_eq!(without.status, 400);
    let applied = session.post(&path, &format!("line={line}")).await;
    assert_eq!(applied.headers["location"], *format!("/lines/{line}"));
    assert_eq!(session.get(&path).await.status, 404);

    api.invoice(MAY, "5.00", &row(12, "5.00")).await;
    let orphans = api.get(&api.admin, ORPHANS).await.ok();
    assert_eq!(
        rows(&orphans),
        [] as [Value; 0],
        "it moved to the only line"
    );
    let page = session.page("/lines?period=2026-05").await;
    assert!(!page.contains(&address), "{page}");
    api.invoice(MAY, "5.00", "Droplets,,other,,,,$5.00,alpha,iaas")
        .await;
    let orphans = api.get(&api.admin, ORPHANS).await.ok();
    let path = format!("/lines/overrides/{}", column(&orphans, "id")[0]);
    let dismissed = session.post(&format!("{path}/dismiss"), "").await;
    assert_eq!(dismissed.headers["location"], "/lines/overrides");
    assert_eq!(session.get(&path).await.status, 404);
}
