//! Tests of `/lines` and `/lines/{id}`.

use serde_json::{Value, json};

use super::Session;
use crate::support::{TestApi, UNKNOWN, hour_before_and_after, lines, live_droplets, rows, sweep};
use domain::ResourceKind;

const MAY: &str = "2026-05";
const OF_MAY: &str = "/api/v1/billing/cost-lines?period=2026-05";

/// Ingests an invoice of May with all types of lines: split, of one tenant, unallocated, of a
/// resource that was deleted before the first sync, and shared.
async fn with_may(api: &TestApi) {
    let path = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
    let change = r#"{"tenant_id": "globex"}"#;
    api.patch(&api.admin, &path, change).await.ok();
    let (before, after) = hour_before_and_after(&api.store).await;
    let rows = format!(
        "Droplets,,web-1 (s-1vcpu-1gb),2,{before},{after},$10.01,alpha,iaas
Droplets,,db-1 (s-1vcpu-1gb),,,,$24.50,beta,iaas
Droplets,,unknown-1 (s-1vcpu-1gb),,,,$5.00,,iaas
Volumes,,data (nyc3) 100GB,,,,$0.07,a & b,iaas
Droplets,,old-1 (s-1vcpu-1gb),,,,$0.42,Alpha,iaas
Taxes,,GST (10%),,,,$4.02,,
Credits,,Goodwill,,,,-$1.01,,"
    );
    let mut lines = lines(&rows);
    lines[4].item.resource_id = Some("777".into());
    api.invoice_of_lines(MAY, "43.01", &lines).await;
}

/// Returns the text after the first occurrence of `before`, up to `end`.
#[track_caller]
fn between<'a>(text: &'a str, before: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{before} is not in {text}"));
    rest.split_once(end).unwrap().0
}

fn unescaped(text: &str) -> String {
    text.replace("&#38;", "&").replace("&amp;", "&")
}

/// Returns the link and the amount of each cell of a page of costs.
fn cells(page: &str) -> Vec<(String, String)> {
    let body = between(page, "<tbody>", "</tbody>");
    body.split("<td class=\"num\"><a href=\"")
        .skip(1)
        .map(|cell| {
            let (link, rest) = cell.split_once("\">").unwrap();
            (unescaped(link), rest.split_once('<').unwrap().0.to_owned())
        })
        .collect()
}

async fn line(api: &TestApi, description: &str) -> Value {
    let month = api.get(&api.admin, OF_MAY).await.ok();
    let of_line = |line: &&Value| {
        let text = line["description"].as_str().unwrap();
        text.starts_with(description)
    };
    rows(&month).iter().find(of_line).unwrap().clone()
}

fn id_of(line: &Value) -> &str {
    line["id"].as_str().unwrap()
}

#[tokio::test]
async fn each_cell_of_costs_leads_to_lines_with_the_same_total() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let session = Session::start(&api, &api.admin).await;
    for group_by in ["tenant", "project", "kind", "product", "resource"] {
        let query = format!("from=2026-04&to=2026-05&group_by={group_by}");
        let page = session.page(&format!("/costs?{query}")).await;
        let costs = format!("/api/v1/billing/costs?{query}&limit=500");
        let costs = api.get(&api.admin, &costs).await.ok();
        let cells = cells(&page);
        assert_eq!(cells.len(), rows(&costs).len(), "{group_by}");
        for (link, amount) in cells {
            let lines = session.page(&link).await;
            let total = between(&lines, "<div class=\"figure\">", " ");
            assert_eq!(total, amount, "{link}");

            let path = link.replace("/lines?", "/api/v1/billing/cost-lines?");
            let list = api.get(&api.admin, &path).await.ok();
            let meta = &list["meta"];
            let of_list = match &meta["statement"] {
                Value::Null => &meta["total_amount"],
                statement => &statement["total"],
            };
            assert_eq!(*of_list, json!(amount), "{link}");
        }
        for (month, total) in [("2026-04", "33.66"), ("2026-05", "43.01")] {
            let lines = session.page(&format!("/lines?period={month}")).await;
            assert_eq!(between(&lines, "<div class=\"figure\">", " "), total);
        }
    }
}

#[tokio::test]
async fn the_lines_are_those_of_the_json_api() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let session = Session::start(&api, &api.admin).await;
    for filter in ["", "&tenant=globex", "&without=tenant", "&project=alpha"] {
        let page = session
            .page(&format!("/lines?period=2026-05{filter}"))
            .await;
        let list = api.get(&api.admin, &format!("{OF_MAY}{filter}")).await.ok();
        assert!(!rows(&list).is_empty(), "{filter}");
        let body = between(&page, "<tbody>", "</tbody>");
        assert_eq!(body.matches("<tr>").count(), rows(&list).len(), "{filter}");
        for line in rows(&list) {
            let row = between(body, &format!("/lines/{}\">", id_of(line)), "</tr>");
            let amount = line["amount"].as_str().unwrap();
            assert!(row.contains(&format!(">{amount}<")), "{row}");
            let rule = line["match_rule"].as_str().unwrap();
            assert!(row.contains(&format!(">{rule}<")), "{row}");
            for share in line["shares"].as_array().into_iter().flatten() {
                let text = share["amount"].as_str().unwrap();
                assert!(row.contains(&format!(">{text}<")), "{row}");
            }
        }
        let total = list["meta"]["total_amount"].as_str().unwrap();
        assert!(page.contains(&format!("<td class=\"num\">{total}</td>")));
    }
}

#[tokio::test]
async fn a_long_list_has_a_link_to_its_next_page() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let mut page = session
        .page("/lines?period=2026-04&kind=droplet&limit=2")
        .await;
    let next = unescaped(between(&page, "rel=\"next\" href=\"", "\""));
    assert!(next.contains("kind=droplet"), "{next}");
    page = session.page(&next).await;
    let body = between(&page, "<tbody>", "</tbody>");
    assert_eq!(body.matches("<tr>").count(), 1);
    assert_eq!(between(&page, "<div class=\"figure\">", " "), "30.60");
}

#[tokio::test]
async fn a_line_shows_its_evidence_and_its_shares() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let session = Session::start(&api, &api.admin).await;
    let split = line(&api, "web-1").await;
    let page = session.page(&format!("/lines/{}", id_of(&split))).await;
    for share in split["shares"].as_array().unwrap() {
        let tenant = share["tenant_id"].as_str().unwrap();
        let row = between(&page, &format!("</svg> {tenant}</th>"), "</tr>");
        let amount = share["amount"].as_str().unwrap();
        assert!(row.contains(&format!(">{amount}<")), "{row}");
    }
    let strip = between(&page, "<svg class=\"strip\"", "</svg>");
    assert_eq!(strip.matches("<rect").count(), 2, "{strip}");
    let invoice = split["invoice_uuid"].as_str().unwrap();
    let resource = split["resource_id"].as_str().unwrap();
    for link in [
        format!("/invoices/{invoice}"),
        format!("/inventory/{resource}"),
    ] {
        assert!(page.contains(&format!("href=\"{link}\"")), "{link}");
    }
    // A shared cost has no strip, an unmatched line has the reason.
    let tax = line(&api, "GST").await;
    let page = session.page(&format!("/lines/{}", id_of(&tax))).await;
    assert!(!page.contains("<svg class=\"strip\""), "{page}");
    let unknown = line(&api, "unknown-1").await;
    let page = session.page(&format!("/lines/{}", id_of(&unknown))).await;
    let note = unknown["match_note"].as_str().unwrap();
    assert!(page.contains(note), "{note}: {page}");
}

#[tokio::test]
async fn a_candidate_is_chosen_after_a_preview_and_the_choice_is_undone() {
    let api = TestApi::with_account().await;
    let mut droplets = live_droplets();
    for id in ["71", "72"] {
        droplets.push(crate::support::resource(
            ResourceKind::DROPLET,
            id.to_owned(),
            "twin",
        ));
    }
    sweep(&api.store, &ResourceKind::DROPLET, &droplets).await;
    let rows =
        "Droplets,,twin (s-1vcpu-1gb),,,,$7.00,,iaas\nDroplets,,web-1 (s-1vcpu-1gb),,,,$1.00,,iaas";
    api.invoice(MAY, "8.00", rows).await;
    let session = Session::start(&api, &api.admin).await;
    let before = line(&api, "twin").await;
    let candidates = before["match_candidates"].as_array().unwrap();
    let path = format!("/lines/{}", id_of(&before));
    let page = session.page(&path).await;
    for candidate in candidates {
        let radio = format!("value=\"{}\"", candidate.as_str().unwrap());
        assert!(page.contains(&radio), "{page}");
    }

    // The search also finds others.
    let db_1 = api.resource_id("db-1").await;
    let page = session.page(&format!("{path}?q=db-1")).await;
    assert!(page.contains(&format!("value=\"{db_1}\"")), "{page}");
    let choice = format!("choice={db_1}&reason=renamed");
    let preview = session.page(&format!("{path}/match?{choice}")).await;
    assert!(preview.contains("moves 7.00 USD"), "{preview}");
    let effect = between(&preview, "<td>globex</td>", "</tr>");
    assert!(effect.contains(">7.00<"), "{effect}");
    assert_eq!(line(&api, "twin").await, before);

    let done = session.post(&format!("{path}/match"), &choice).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert!(done.text.contains("moved 7.00 USD"), "{done:?}");
    let after = line(&api, "twin").await;
    assert_eq!(after["resource_id"], json!(db_1));
    assert_eq!(after["tenant_id"], "globex");
    let detail = format!("/api/v1/billing/cost-lines/{}", id_of(&before));
    let detail = api.get(&api.admin, &detail).await.ok();
    assert_eq!(detail["data"]["override"]["reason"], "renamed");
    assert_eq!(detail["data"]["override"]["set_by"], "test");
    let page = session.page(&path).await;
    assert!(page.contains("renamed"), "{page}");

    let undo = between(&done.text, "name=\"choice\" value=\"", "\"");
    assert_eq!(undo, "rules");
    session.post(&format!("{path}/match"), "choice=rules").await;
    assert_eq!(line(&api, "twin").await, before);
}

#[tokio::test]
async fn the_undo_of_a_second_choice_restores_the_first() {
    let api = TestApi::with_account().await;
    api.invoice(MAY, "1.00", "Droplets,,web-1 (s-1vcpu-1gb),,,,$1.00,,iaas")
        .await;
    let session = Session::start(&api, &api.admin).await;
    let path = format!("/lines/{}/match", id_of(&line(&api, "web-1").await));
    session.post(&path, "choice=shared&reason=for+all").await;
    let shared = line(&api, "web-1").await;
    assert_eq!(shared["is_shared"], true);
    let db_1 = api.resource_id("db-1").await;
    let done = session
        .post(&path, &format!("choice={db_1}&reason=x"))
        .await;
    let choice = between(&done.text, "name=\"choice\" value=\"", "\"");
    let reason = between(&done.text, "name=\"reason\" value=\"", "\"");
    assert_eq!((choice, reason), ("shared", "for all"));
    session
        .post(&path, "choice=shared&reason=for+all&force=true")
        .await;
    assert_eq!(line(&api, "web-1").await, shared);
}

#[tokio::test]
async fn a_resource_of_another_kind_needs_a_confirmation() {
    let api = TestApi::with_account().await;
    api.invoice(MAY, "5.00", "Spaces,,assets (nyc3),,,,$5.00,alpha,iaas")
        .await;
    let session = Session::start(&api, &api.admin).await;
    let path = format!("/lines/{}/match", id_of(&line(&api, "assets").await));
    let choice = format!("choice={}&reason=x", api.resource_id("web-1").await);
    let preview = session.page(&format!("{path}?{choice}")).await;
    assert!(
        preview.contains("type=\"checkbox\" name=\"force\" value=\"true\" required"),
        "{preview}"
    );
    let refused = session.post(&path, &choice).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    let done = session.post(&path, &format!("{choice}&force=true")).await;
    assert_eq!(done.status, 200, "{done:?}");
}

#[tokio::test]
async fn a_line_of_an_estimate_has_no_form() {
    let api = TestApi::with_account().await;
    let web_1 = "Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas";
    api.estimate(MAY, "10.00", web_1).await;
    let session = Session::start(&api, &api.admin).await;
    let list = session.page("/lines").await;
    assert!(list.contains("value=\"2026-"), "{list}");
    let list = session.page("/lines?period=2026-05").await;
    assert!(list.contains("<span class=\"tag\">estimate</span>"));
    let path = format!("/lines/{}", id_of(&line(&api, "web-1").await));
    let page = session.page(&path).await;
    assert!(!page.contains("name=\"choice\""), "{page}");
    let refused = session
        .get(&format!("{path}/match?choice=shared&reason=x"))
        .await;
    assert_eq!(refused.status, 409, "{refused:?}");
}

#[tokio::test]
async fn lines_are_for_administrators_and_errors_are_pages() {
    let api = TestApi::with_account().await;
    let april = api
        .get(&api.admin, "/api/v1/billing/cost-lines?period=2026-04")
        .await
        .ok();
    let path = format!("/lines/{}", id_of(&rows(&april)[0]));
    let tenant = Session::start(&api, &api.acme).await;
    for path in ["/lines", &path, &format!("{path}/match?choice=shared")] {
        assert_eq!(tenant.get(path).await.status, 403, "{path}");
    }
    let refused = tenant.post(&format!("{path}/match"), "choice=shared").await;
    assert_eq!(refused.status, 403, "{refused:?}");

    let admin = Session::start(&api, &api.admin).await;
    for (path, status, expected) in [
        (format!("/lines/{UNKNOWN}"), 404, "cost line"),
        ("/lines/x".to_owned(), 400, "invalid UUID"),
        ("/lines?period=2026-13".to_owned(), 400, "invalid month"),
        ("/lines?page=1".to_owned(), 400, "unknown parameter"),
        (format!("{path}/match"), 400, "choice"),
    ] {
        let response = admin.get(&path).await;
        assert_eq!(response.status, status, "{path}: {response:?}");
        assert_eq!(response.headers["content-type"], "text/html; charset=utf-8");
        assert!(response.text.contains(expected), "{path}: {response:?}");
    }
}

#[tokio::test]
async fn a_month_without_lines_is_explained() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    for path in ["/lines", "/lines?period=2026-03&tenant=acme"] {
        let page = session.page(path).await;
        assert!(page.contains("no invoice listed yet"), "{page}");
        assert!(!page.contains("<table"), "{page}");
    }
}
