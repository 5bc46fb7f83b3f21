//! Tests of the pages of closed months.

use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{Session, crawl};
use crate::pages::sync::connect;
use crate::statement::{last_numbers, workbook};
use crate::support::{TestApi, assert_nothing_foreign, rows, token_of, usd};

const APRIL: &str = "/months/2026-04";
/// A final invoice of May.
const MAY: &str = "Droplets,,web-1 (s-1vcpu-1gb),,,,$6.00,alpha,iaas
Droplets,,db-1 (s-1vcpu-1gb),,,,$24.50,beta,iaas";

/// Closes April, then moves its costs from `acme` to `globex`, so that May has adjustments.
async fn with_adjustments() -> TestApi {
    let mut api = TestApi::with_account().await;
    api.close("2026-04").await;
    api.invoice("2026-05", "30.50", MAY).await;
    api.move_april().await;
    connect(&mut api);
    api
}

/// The number cells of the row of a tenant or a total in a page.
fn cells(page: &str, name: &str) -> Vec<String> {
    let table = page.split("aria-label=\"Statements\"").nth(1).unwrap();
    let mut rows = table.split("<tr>");
    let row = rows.find(|row| {
        row.contains(&format!(">{name}</a></th>")) || row.contains(&format!(">{name}</th>"))
    });
    let cells = row.unwrap().split("<td class=\"num\">").skip(1);
    cells
        .map(|cell| cell.split("</td>").next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_page_of_a_closed_month_has_the_frozen_figures() {
    let api = with_adjustments().await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page(APRIL).await;
    let april = api.statements("2026-04").await;
    for row in rows(&april) {
        let shown = cells(&page, row["tenant_id"].as_str().unwrap());
        let expected = ["direct", "shared", "total"].map(|field| row[field].as_str().unwrap());
        assert_eq!(shown[..3], expected, "{row}");
    }
    let detail = api
        .get(&api.admin, "/api/v1/billing/months/2026-04")
        .await
        .ok();
    let close = &detail["data"]["close"];
    for text in [
        "<strong>Closed</strong> by ann",
        "“all checked”",
        close["root"].as_str().unwrap(),
        "not signed",
        "href=\"/months/2026-05\">May 2026</a>",
        "action=\"/months/2026-04/reopen\"",
        &format!("close-month-2026-04/{}", close["run_id"].as_str().unwrap()),
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    for file in detail["data"]["files"].as_array().unwrap() {
        let name = file["name"].as_str().unwrap();
        let link = format!("href=\"/months/2026-04/files/{name}\" download");
        assert!(page.contains(&link), "{name}: {page}");
        assert!(page.contains(file["sha256"].as_str().unwrap()), "{name}");
        let path = format!("/months/2026-04/files/{name}");
        assert_eq!(session.get(&path).await.status, 200, "{name}");
    }
    for text in ["/close\"", "Before the close", "/correction\""] {
        assert!(!page.contains(text), "{text}: {page}");
    }
    let months = session.page("/months").await;
    let closed = "<a href=\"/months/2026-04#close\">closed</a>";
    assert!(months.contains(closed), "{months}");
}

#[tokio::test]
async fn the_open_month_shows_the_adjustments_with_their_causes() {
    let api = with_adjustments().await;
    let session = Session::start(&api, &api.admin).await;
    for is_closed in [false, true] {
        if is_closed {
            api.close("2026-05").await;
        }
        let page = session.page("/months/2026-05").await;
        let may = api.statements("2026-05").await;
        for row in rows(&may) {
            let shown = cells(&page, row["tenant_id"].as_str().unwrap());
            let signed = match row["adjusted"].as_str().unwrap() {
                negative if negative.starts_with('-') => negative.to_owned(),
                positive => format!("+{positive}"),
            };
            let (direct, shared) = (row["direct"].as_str(), row["shared"].as_str());
            let expected = [direct, shared, Some(&*signed), row["total"].as_str()];
            let expected = expected.map(Option::unwrap);
            assert_eq!(shown[..4], expected, "{row}");
        }
        assert_eq!(cells(&page, "Invoices").concat(), "30.50");
        assert_eq!(cells(&page, "Difference").concat(), "0.00");
        for text in [
            ">April 2026, acme</a></th><td class=\"num\">-6.10</td><td class=\"num\">-0.61</td><td class=\"num\">-6.71</td>",
            "moved from acme to globex",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        let statement = session.page("/months/2026-05/statements/acme").await;
        for text in ["-6.71", "moved from acme to globex", "April 2026, acme"] {
            assert!(statement.contains(text), "{text}: {statement}");
        }
        for (table, row) in [
            ("adjustments", "2026-04-01,acme,-6.10,-0.61,-6.71"),
            ("causes", "moved from acme to globex"),
            ("statements", "acme,0.00,0.00,-6.71,-6.71"),
        ] {
            let path = format!("/months/2026-05?format=csv&table={table}");
            let csv = session.get(&path).await.text;
            assert!(csv.contains(row), "{table}: {csv}");
        }
    }
}

#[tokio::test]
async fn a_closed_statement_is_frozen_in_each_format() {
    let api = TestApi::entangled().await;
    api.close("2026-04").await;
    let acme = token_of(&api, "acme").await;
    let (admin, own) = (
        Session::start(&api, &api.admin).await,
        Session::start(&api, &acme).await,
    );
    let path = "/months/2026-04/statements/acme";
    let api_path = "/api/v1/billing/statements/acme?period=2026-04";
    let own_path = "/api/v1/my/statement?period=2026-04";
    let mut before = Vec::new();
    for is_moved in [false, true] {
        if is_moved {
            api.move_april().await;
        }
        let mut texts = Vec::new();
        for (session, token, address) in [(&admin, &api.admin, api_path), (&own, &acme, own_path)] {
            let page = session.page(path).await;
            let json = api.get(token, address).await.ok();
            for field in ["direct", "shared", "total"] {
                let figure = format!(
                    "<div class=\"figure\">{}</div>",
                    json["data"][field].as_str().unwrap()
                );
                assert!(page.contains(&figure), "{field}: {page}");
            }
            for line in json["data"]["lines"].as_array().unwrap() {
                // A tenant may have the line no longer, so that its link would lead nowhere.
                let link = format!("/lines/{}", line["id"].as_str().unwrap());
                assert_eq!(page.contains(&link), token == &api.admin, "{link}: {page}");
            }
            assert!(page.contains("<strong>Closed.</strong>"), "{page}");
            let file = session.get(&format!("{path}/json")).await;
            let name = file.headers["content-disposition"].to_str().unwrap();
            assert_eq!(name, "attachment; filename=\"statement-2026-04-acme.json\"");
            assert_eq!(file.json()["data"], json["data"]);
            let csv = api.get(token, &format!("{address}&format=csv")).await.text;
            let amounts = csv.lines().skip(1);
            let amounts = amounts.map(|row| row.rsplit(',').next().unwrap().parse::<Decimal>());
            let total: Decimal = amounts.map(Result::unwrap).sum();
            assert_eq!(total, usd(&json["data"]["total"]), "{csv}");
            let table = session.get(&format!("{path}?format=csv&table=lines")).await;
            assert_eq!(table.text, csv);
            let mut sheets = workbook(&api, token, &format!("{address}&format=xlsx")).await;
            let first = last_numbers(&mut sheets, "Statement");
            let found = first.iter().find(|(name, _)| name == "Total").unwrap();
            assert_eq!(found.1, total.normalize());
            let xlsx = session.get(&format!("{path}/xlsx")).await;
            assert!(xlsx.text.starts_with("PK"), "{path}/xlsx");
            let mut text = String::new();
            write!(text, "{} {csv} {first:?} {page}", json["data"]).unwrap();
            texts.push(text);
        }
        assert_nothing_foreign(path, &texts[1]);
        if is_moved {
            // Ages of times differ.
            let without_age = |text: &String| {
                let parts = text.split(" title=\"").map(|part| part.split_once('"'));
                parts
                    .map(|part| part.map_or("", |(_, rest)| rest))
                    .collect::<String>()
            };
            let (after, before): (Vec<_>, Vec<_>) = (
                texts.iter().map(without_age).collect(),
                before.iter().map(without_age).collect(),
            );
            assert_eq!(after, before);
        }
        before = texts;
    }
    let foreign = own.get("/months/2026-04/statements/globex/json").await;
    assert_eq!(foreign.status, 403);
}

#[tokio::test]
async fn the_close_is_started_and_approved_on_the_page() {
    let mut api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page(APRIL).await;
    assert!(
        page.contains("temporal workflow start --type CloseMonth"),
        "{page}"
    );
    assert!(!page.contains("action=\"/months/2026-04/close\""), "{page}");
    drop(session);
    let temporal = connect(&mut api);
    let session = Session::start(&api, &api.admin).await;
    let close = "/months/2026-04/close";
    let page = session.page(APRIL).await;
    for text in ["Start the close", "Approve and close"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    // March has no lines yet.
    let page = session.page("/months/2026-03").await;
    assert!(page.contains("Start the close"), "{page}");
    assert!(page.contains("1 of 1 invoices are not final"), "{page}");
    assert!(!page.contains("Approve and close"), "{page}");
    let refused = session.post("/months/2026-03/close", "approve=yes").await;
    assert_eq!(refused.status, 409);

    let started = session.post(close, "").await;
    assert_eq!(started.status, 303, "{started:?}");
    let page = session.page(APRIL).await;
    assert!(page.contains("waits for the approval"), "{page}");
    assert!(page.contains("/workflows/close-month-2026-04\""), "{page}");
    assert!(!page.contains("Start the close"), "{page}");
    temporal.starts.lock().unwrap().clear();
    let approved = session.post(close, "approve=yes&reason=all+checked").await;
    assert_eq!(approved.status, 303, "{approved:?}");
    let starts = std::mem::take(&mut *temporal.starts.lock().unwrap());
    assert_eq!(starts, ["close 2026-04-01", "approve 2026-04-01 test"]);
    let acts = "/api/v1/audit?action=run_requested";
    let acts = api.get(&api.admin, acts).await.ok();
    assert_eq!(rows(&acts)[0]["reason"], "all checked");
}

#[tokio::test]
async fn a_closed_month_is_reopened_and_a_correction_accepted_on_the_page() {
    let api = TestApi::with_account().await;
    api.close("2026-04").await;
    api.correct_april().await;
    let session = Session::start(&api, &api.admin).await;
    let overview = session.page("/").await;
    let item = "April 2026 is closed, and DigitalOcean corrected its invoices by 1.00 USD";
    assert!(overview.contains(item), "{overview}");
    let page = session.page(APRIL).await;
    assert!(page.contains("a difference of 1.00 USD"), "{page}");
    let accepted = session
        .post("/months/2026-04/correction", "after=34.66&reason=late")
        .await;
    assert_eq!(accepted.headers["location"], "/months/2026-04#close");
    let page = session.page(APRIL).await;
    assert!(page.contains("accepted as an adjustment by test"), "{page}");
    assert!(!page.contains("a difference of"), "{page}");
    assert!(!session.page("/").await.contains(item));

    let reopen = "/months/2026-04/reopen";
    let refused = session.post(reopen, "reason=").await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("reason"), "{refused:?}");
    let reopened = session
        .post(reopen, "reason=a+%3Cb%3Ewrong%3C/b%3E+tenant")
        .await;
    assert_eq!(reopened.status, 303, "{reopened:?}");
    let page = session.page(APRIL).await;
    let escaped = "“a &#60;b&#62;wrong&#60;/b&#62; tenant”";
    assert!(page.contains(escaped), "{page}");
    assert!(page.contains("Earlier closes"), "{page}");
    assert_eq!(session.post(reopen, "reason=again").await.status, 409);
    let csv = session.get("/months/2026-04?format=csv&table=closes").await;
    assert!(csv.text.contains("wrong"), "{csv:?}");
}

#[tokio::test]
async fn pages_with_figures_of_today_name_the_closed_months() {
    let api = with_adjustments().await;
    let session = Session::start(&api, &api.admin).await;
    let sentence = "April 2026 is closed: its statements are frozen";
    for (path, is_closed) in [
        ("/costs?from=2026-03&to=2026-04", true),
        ("/costs?from=2026-05&to=2026-05", false),
        ("/lines?period=2026-04", true),
        ("/lines?period=2026-05", false),
    ] {
        let page = session.page(path).await;
        assert_eq!(page.contains(sentence), is_closed, "{path}: {page}");
    }
    let acme = token_of(&api, "acme").await;
    let own = Session::start(&api, &acme).await;
    for path in ["/costs?from=2026-03&to=2026-04", "/lines?period=2026-04"] {
        assert!(own.page(path).await.contains(sentence), "{path}");
    }
}

#[tokio::test]
async fn every_link_of_a_closed_month_leads_to_a_page_or_a_file() {
    let api = with_adjustments().await;
    api.close("2026-05").await;
    let session = Session::start(&api, &api.admin).await;
    let start = [
        APRIL,
        "/months/2026-05",
        "/months/2026-05/statements/acme",
        "/months/2026-04/statements/globex",
    ];
    let opened = crawl(&session, &start, 120).await;
    for part in [
        "/files/manifest.json",
        "table=adjustments",
        "table=causes",
        "table=files",
        "/statements/acme/json",
        "/statements/acme/xlsx",
    ] {
        let found = opened.iter().find(|(path, _)| path.contains(part));
        let (path, response) = found.unwrap_or_else(|| panic!("{part} is not linked"));
        if path.contains("format=csv") {
            assert!(
                response.text.lines().count() > 1,
                "{path}: {}",
                response.text
            );
        }
    }
    let json: Value = opened
        .iter()
        .find(|(path, _)| path.ends_with("/acme/json"))
        .unwrap()
        .1
        .json();
    assert!(json["data"]["proof"]["root"].is_string(), "{json}");
}
