//! Tests of lists as CSV: each has every row of the pages as JSON.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, Version};
use domain::ResourceKind;
use domain::inventory::ObservedResource;
use futures::StreamExt as _;
use rust_decimal::Decimal;
use serde_json::Value;
use store::Role;
use tower::ServiceExt as _;

use crate::pages::Session;
use crate::support::{
    Response, TestApi, column, entry, resource, sweep, token_with_costs, with_token,
};

/// The rows of a CSV by column.
fn read(response: &Response) -> Vec<Vec<(String, String)>> {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(
        response.headers["content-type"],
        "text/csv; charset=utf-8; header=present"
    );
    let mut reader = csv::Reader::from_reader(response.text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let row_of = |record: csv::StringRecord| {
        let cells = names.iter().zip(record.iter());
        cells
            .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
            .collect()
    };
    reader
        .records()
        .map(|record| row_of(record.unwrap()))
        .collect()
}

/// The cell for a JSON value.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => {
            let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
            let is_amount = text.parse::<Decimal>().is_ok();
            let quote = if is_formula && !is_amount { "'" } else { "" };
            format!("{quote}{text}")
        }
        other => other.to_string(),
    }
}

/// Checks that a CSV has the rows of the JSON list, with the same fields.
async fn check_list(api: &TestApi, token: &str, path: &str) -> usize {
    let separator = if path.contains('?') { '&' } else { '?' };
    let response = api
        .get(token, &format!("{path}{separator}format=csv&limit=1"))
        .await;
    let found = read(&response);
    let page = api.get(token, &format!("{path}{separator}limit=500")).await;
    let page = page.ok();
    let expected = match &page["data"] {
        Value::Array(rows) => rows,
        one => one["resources"].as_array().unwrap(),
    };
    assert_eq!(found.len(), expected.len(), "{path}");
    for (found, expected) in found.iter().zip(expected) {
        let fields = expected.as_object().unwrap();
        let columns: BTreeSet<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(columns.len(), found.len(), "{path}: duplicate column");
        for name in fields.keys() {
            assert!(columns.contains(name.as_str()), "{path}: no column {name}");
        }
        for (name, found) in found {
            let value = fields.get(name).unwrap_or(&Value::Null);
            if value.is_array() || value.is_object() {
                let found: Value = serde_json::from_str(found).unwrap();
                assert_eq!(found, *value, "{path}: {name}");
            } else {
                assert_eq!(*found, cell(value), "{path}: {name}");
            }
        }
    }
    found.len()
}

fn named(names: &[&str]) -> Vec<ObservedResource> {
    (0..)
        .zip(names)
        .map(|(id, name)| {
            let id = format!("named-{id}");
            resource(ResourceKind::named("uptime_check"), id, name)
        })
        .collect()
}

#[tokio::test]
async fn every_list_as_csv_has_the_rows_and_fields_of_its_pages() {
    let api = TestApi::with_account().await;
    let kind = ResourceKind::named("uptime_check");
    let names = ["=1+1", "@x", "-web", "a, \"b\"", "line\nbreak", "ü \\ ;"];
    sweep(&api.store, &kind, &named(&names)).await;
    api.estimate("2026-05", "1.00", "Droplets,,-x (s-1vcpu-1gb),1,,,$-1.00,,")
        .await;
    api.invoice("2026-05", "1.50", "Droplets,,x (s-1vcpu-1gb),1,,,$1.50,,")
        .await;
    api.invoice("2026-05", "2.50", "Droplets,,x (s-1vcpu-1gb),1,,,$2.50,,")
        .await;
    api.put(
        &api.admin,
        "/api/v1/billing/spread-rules/2026-01",
        r#"{"rule": "fixed", "weights": {"acme": "3"}}"#,
    )
    .await
    .ok();
    let entries = [(); 3].map(|()| entry("Payment", "-1.00", "2026-05-01T00:00:00Z"));
    api.ledger(&entries).await;

    let document = api.get("", "/api/v1/openapi.json").await.ok();
    let (gone, web) = (
        api.resource_id("gone-1").await,
        api.resource_id("web-1").await,
    );
    let project = api.project_id("alpha").await;
    let invoices = api.get(&api.admin, "/api/v1/billing/invoices").await.ok();
    let may = &column(&invoices, "invoice_uuid")[0];
    let acme = Role::Tenant("acme".parse().unwrap());
    let acme = token_with_costs(&api.store, &acme).await.1;
    let mut counts = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let content = &item["get"]["responses"]["200"]["content"];
        let is_list = !content["text/csv"].is_null() && path != "/api/v1/billing/focus";
        if !is_list || path.starts_with("/api/v1/held-deletions") {
            continue;
        }
        let query = match path.as_str() {
            "/api/v1/billing/costs" | "/api/v1/my/costs" => {
                "?group_by=resource&from=2026-04&to=2026-05"
            }
            "/api/v1/inventory" => "?state=all",
            "/api/v1/billing/unmatched" => "?period=2026-05",
            path if path.ends_with("s/{version}/cost-lines") => "",
            _ if item["get"]["parameters"][0]["required"] == true && !path.contains('{') => {
                "?period=2026-04"
            }
            _ => "",
        };
        let id = if path.contains("projects") {
            &project
        } else if path.contains("events") || path.contains("timeline") {
            &gone
        } else {
            &web
        };
        let path = path
            .replace("{id}", id)
            .replace("{uuid}", may)
            .replace("{version}", "1")
            .replace("{period}", "2026-05");
        let token = if path.contains("/my/") {
            &acme
        } else {
            &api.admin
        };
        let count = check_list(&api, token, &format!("{path}{query}")).await;
        counts.push((path, count));
    }
    assert!(counts.len() > 18, "{counts:?}");
    for (path, count) in counts {
        let may_be_empty = [
            "/checks",
            "/orphaned-overrides",
            "/reallocations",
            "/relations",
        ]
        .iter()
        .any(|end| path.ends_with(end));
        assert!(count > 0 || may_be_empty, "{path}");
    }
}

/// Number of lines of an invoice; two of them are three pages of a CSV.
const LONG: usize = 2_500;

/// Number of resources that are three pages of a CSV.
const MANY: usize = 5_000;

/// Stores two invoices of one month, with this many lines each.
async fn long_month(api: &TestApi, count: usize) -> Decimal {
    let mut text = String::new();
    for line in 1..=count {
        let (dollars, cents) = (line / 100, line % 100);
        let project = if line % 3 == 0 { "alpha" } else { "beta" };
        writeln!(
            text,
            "Droplets,,lost-{line} (s-1vcpu-1gb),1,2026-02-01 00:00:00 +0000,2026-02-02 00:00:00 +0000,${dollars}.{cents:02},{project},"
        )
        .unwrap();
    }
    let lines = crate::support::lines(&text);
    let total: Decimal = lines.iter().map(|line| line.amount).sum();
    api.invoice_of_lines("2026-02", &total.to_string(), &lines)
        .await;
    api.second_invoice_of_lines("2026-02", &total.to_string(), &lines)
        .await;
    total + total
}

#[tokio::test]
async fn a_month_of_several_pages_totals_its_invoices() {
    let api = TestApi::with_account().await;
    let total = long_month(&api, LONG).await;
    let path = "/api/v1/billing/cost-lines?period=2026-02";
    let request = with_token(&api.admin, Request::get(path)).header("accept", "text/csv");
    let response = api.send(request.body(Body::empty())).await;
    assert_eq!(
        response.headers["content-disposition"],
        "attachment; filename=\"cost-lines-2026-02.csv\""
    );
    let lines = read(&response);
    assert_eq!(lines.len(), 2 * LONG);
    let cells = |name: &str| -> Vec<&str> {
        let cells = lines.iter().flatten().filter(|(column, _)| column == name);
        cells.map(|(_, cell)| cell.as_str()).collect()
    };
    let ids: BTreeSet<_> = cells("id").into_iter().collect();
    assert_eq!(ids.len(), 2 * LONG);
    let amounts = cells("amount");
    let sum: Decimal = amounts
        .iter()
        .map(|text| text.parse::<Decimal>().unwrap())
        .sum();
    assert_eq!(sum, total);
    assert!(response.text.contains("\r\n"));

    let mut walked = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api
            .get(&api.admin, &format!("{path}&limit=500{cursor}"))
            .await
            .ok();
        walked.extend(column(&page, "id"));
        match page["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(cells("id"), walked);

    let of_tenant = api
        .get(&api.admin, &format!("{path}&tenant=acme&format=csv"))
        .await;
    assert_eq!(
        of_tenant.headers["content-disposition"],
        "attachment; filename=\"cost-lines-2026-02-acme.csv\""
    );
    assert_eq!(read(&of_tenant).len(), 2 * (LONG / 3));
}

/// Starts a download, and returns its body.
async fn body_of(api: &TestApi, path: &str) -> BodyDataStream {
    let request = with_token(&api.admin, Request::get(path)).body(Body::empty());
    let response = api.router.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().into_data_stream()
}

#[tokio::test]
async fn a_correction_during_the_download_aborts_it() {
    let api = TestApi::with_account().await;
    long_month(&api, LONG).await;
    let path = "/api/v1/billing/cost-lines?period=2026-02&format=csv";
    let mut body = body_of(&api, path).await;
    body.next().await.unwrap().unwrap();
    long_month(&api, LONG - 1).await;
    let rest: Vec<_> = body.collect().await;
    assert!(rest.last().unwrap().is_err());
}

#[tokio::test]
async fn a_failure_after_the_first_page_aborts_the_download() {
    let api = TestApi::with_account().await;
    long_month(&api, LONG).await;
    let path = "/api/v1/billing/cost-lines?period=2026-02&format=csv";
    let mut body = body_of(&api, path).await;
    body.next().await.unwrap().unwrap();
    api.write_by_hand("alter table cloud_cost_totals rename to cloud_cost_totals_away")
        .await;
    let rest: Vec<_> = body.collect().await;
    assert!(rest.last().unwrap().is_err());
    // A failure of the first page is a problem document.
    api.get(&api.admin, path).await.problem(500);
}

#[tokio::test]
async fn a_rename_during_the_download_aborts_it() {
    let api = TestApi::empty().await;
    let names: Vec<String> = (0..MANY).map(|number| format!("check-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let kind = ResourceKind::named("uptime_check");
    sweep(&api.store, &kind, &named(&names)).await;
    let path = "/api/v1/inventory?format=csv";
    let mut renamed = names.clone();
    renamed[0] = "zzz";
    for (names, is_whole) in [(&names, true), (&renamed, false)] {
        let mut body = body_of(&api, path).await;
        body.next().await.unwrap().unwrap();
        sweep(&api.store, &kind, &named(names)).await;
        let rest: Vec<_> = body.collect().await;
        assert_eq!(rest.iter().all(Result::is_ok), is_whole);
    }
    assert_eq!(read(&api.get(&api.admin, path).await).len(), MANY);
}

#[tokio::test]
async fn a_client_that_disconnects_stops_the_reading() {
    let api = TestApi::with_account().await;
    long_month(&api, LONG).await;
    let path = "/api/v1/billing/cost-lines?period=2026-02&format=csv";
    // More downloads than permitted at once: a dropped body returns its permit.
    for _ in 0..6 {
        let mut body = body_of(&api, path).await;
        body.next().await.unwrap().unwrap();
    }
    let held = [body_of(&api, path).await, body_of(&api, path).await];
    let more = [body_of(&api, path).await, body_of(&api, path).await];
    let refused = api.get(&api.admin, path).await.problem(429);
    assert!(refused.contains("concurrent"), "{refused}");
    drop((held, more));
    api.get(&api.admin, "/api/v1/billing/invoices").await.ok();
}

#[tokio::test]
async fn held_deletions_and_their_resources_are_lists_too() {
    let api = TestApi::empty().await;
    let kind = ResourceKind::named("uptime_check");
    let names: Vec<String> = (0..12).map(|number| format!("check-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    sweep(&api.store, &kind, &named(&names)).await;
    for _strike in 0..3 {
        sweep(&api.store, &kind, &[]).await;
    }
    let path = "/api/v1/held-deletions";
    assert_eq!(check_list(&api, &api.admin, path).await, 1);
    let holds = api.get(&api.admin, path).await.ok();
    let path = format!("{path}/{}", column(&holds, "id")[0]);
    assert_eq!(check_list(&api, &api.admin, &path).await, 12);
}

#[tokio::test]
async fn csv_is_chosen_by_parameter_or_header() {
    let api = TestApi::with_account().await;
    let path = "/api/v1/projects";
    for (accept, query, is_csv) in [
        ("text/csv", "", true),
        ("text/csv", "?format=json", false),
        ("*/*", "", false),
        ("application/json", "?format=csv", true),
    ] {
        let request = with_token(&api.admin, Request::get(format!("{path}{query}")));
        let response = api
            .send(request.header("accept", accept).body(Body::empty()))
            .await;
        let media_type = response.headers["content-type"].to_str().unwrap();
        assert_eq!(
            media_type.starts_with("text/csv"),
            is_csv,
            "{accept} {query}"
        );
    }
    api.get(&api.admin, &format!("{path}?format=xml"))
        .await
        .problem(400);
    let old = with_token(&api.admin, Request::get(format!("{path}?format=csv")));
    let response = api
        .send(old.version(Version::HTTP_10).body(Body::empty()))
        .await;
    response.problem(400);
}

#[tokio::test]
async fn a_tenant_gets_its_own_resources_as_csv() {
    let api = TestApi::with_account().await;
    let response = api
        .get(&api.acme, "/api/v1/inventory?state=all&format=csv")
        .await;
    assert_eq!(
        response.headers["content-disposition"],
        "attachment; filename=\"inventory-acme.csv\""
    );
    assert_eq!(read(&response).len(), 4);
    assert!(!response.text.contains("db-1"), "{}", response.text);
    check_list(&api, &api.acme, "/api/v1/inventory?state=all").await;
    check_list(&api, &api.acme, "/api/v1/projects").await;
    let refused = api
        .get(
            &api.acme,
            "/api/v1/billing/cost-lines?period=2026-04&format=csv",
        )
        .await;
    refused.problem(403);
}

#[tokio::test]
async fn a_page_has_the_csv_of_its_list() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let costs = "costs?from=2026-04&to=2026-04&group_by=tenant";
    let lines = "lines?period=2026-04";
    for (page, list, name) in [
        (
            costs,
            &*format!("billing/{costs}"),
            "costs-by-tenant-2026-04",
        ),
        (
            lines,
            "billing/cost-lines?period=2026-04",
            "cost-lines-2026-04",
        ),
        ("invoices", "billing/invoices", "invoices"),
        (
            "inventory?kind=droplet",
            "inventory?kind=droplet",
            "inventory-droplet",
        ),
        ("projects", "projects", "projects"),
    ] {
        let separator = if page.contains('?') { '&' } else { '?' };
        let path = format!("/{page}{separator}format=csv");
        let html = session.page(&format!("/{page}")).await;
        let link = format!("href=\"{}\"", path.replace('&', "&#38;"));
        assert!(html.contains(&link), "no {link} in {html}");
        let from_page = session.get(&path).await;
        let path = format!("/api/v1/{list}{separator}format=csv");
        let from_api = api.get(&api.admin, &path).await;
        assert!(!read(&from_api).is_empty(), "{list}");
        assert_eq!(read(&from_page), read(&from_api), "{page}");
        let name = format!("attachment; filename=\"{name}.csv\"");
        for response in [from_page, from_api] {
            assert_eq!(response.headers["content-disposition"], name);
        }
    }
    let tenant = Session::start(&api, &api.acme).await;
    for page in [costs, lines] {
        let refused = tenant.get(&format!("/{page}&format=csv")).await;
        assert_eq!(refused.status, 403, "{page}");
    }
    let own = tenant.get("/inventory?format=csv").await;
    assert!(!own.text.contains("db-1"), "{}", own.text);
    let of_api = api.get(&api.acme, "/api/v1/inventory?format=csv").await;
    assert_eq!(read(&own), read(&of_api));
}
