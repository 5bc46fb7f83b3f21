//! Tests of closed months: frozen statements, adjustments, corrections, files, and the routes that
//! start and decide.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use domain::proof::{self, Hash};
use rust_decimal::Decimal;
use serde_json::Value;
use store::closing::RootSignature;
use tower::ServiceExt as _;

use crate::pages::sync::connect;
use crate::support::{TestApi, column, long_file, rows, sum, token_of, usd, with_token};

const MONTHS: &str = "/api/v1/billing/months";
const APRIL: &str = "/api/v1/billing/months/2026-04";
const REASON: &str = r#"{"reason": "a wrong tenant"}"#;
/// A final invoice of May.
const MAY: &str = "Droplets,,web-1 (s-1vcpu-1gb),,,,$6.00,alpha,iaas
Droplets,,db-1 (s-1vcpu-1gb),,,,$24.50,beta,iaas";

fn path_of(tenant: &str, format: &str) -> String {
    format!("/api/v1/billing/statements/{tenant}?period=2026-04&format={format}")
}

/// Returns the text of `data` in a JSON response.
fn data(text: &str) -> &str {
    let (data, _) = text.rsplit_once(",\"meta\":").unwrap();
    data.strip_prefix("{\"data\":").unwrap()
}

/// Returns a row by its tenant.
fn of<'a>(list: &'a Value, tenant: &str) -> &'a Value {
    let mut rows = rows(list).iter();
    rows.find(|row| row["tenant_id"] == tenant).unwrap()
}

#[tokio::test]
async fn the_json_of_a_closed_statement_keeps_its_bytes_and_is_proven() {
    let api = TestApi::with_account().await;
    let open = api.get(&api.admin, &path_of("acme", "json")).await.ok();
    assert_eq!(open["data"]["proof"], Value::Null);
    assert_eq!(open["data"]["close"], Value::Null);
    let signature = RootSignature {
        public_key: [7; 32],
        signature: [9; 64],
    };
    let close = api.close_signed("2026-04", Some(signature)).await;
    let acme = token_of(&api, "acme").await;
    let paths = [
        (&api.admin, path_of("acme", "json")),
        (&api.admin, path_of("globex", "json")),
        (&acme, "/api/v1/my/statement?period=2026-04".to_owned()),
    ];
    let mut before = Vec::new();
    for (token, path) in &paths {
        before.push(api.get(token, path).await.text);
    }
    api.move_april().await;
    // The lines of today have another tenant.
    let lines = "/api/v1/billing/cost-lines?period=2026-04&tenant=acme";
    let lines = api.get(&api.admin, lines).await.ok();
    assert_eq!(lines["meta"]["total_count"], 0);
    for ((token, path), before) in paths.iter().zip(before) {
        let after = api.get(token, path).await;
        assert_eq!(data(&after.text), data(&before), "{path}");
        let found = after.json();
        let verified = proof::verify(&found).unwrap();
        assert_eq!(verified.root.to_string(), close.root);
        let signature = verified.signature.unwrap();
        assert_eq!(signature.public_key, "07".repeat(32));
        assert_eq!(found["data"]["close"]["number"], 1);
        let shown = of(
            &api.statements("2026-04").await,
            verified.tenant.as_deref().unwrap(),
        )
        .clone();
        assert_eq!(usd(&shown["total"]), verified.total, "{path}");
    }
    // A changed amount has no proof.
    let text = api.get(&api.admin, &paths[0].1).await.text;
    let forged = text.replacen("6.00", "5.00", 1);
    proof::verify(&serde_json::from_str(&forged).unwrap()).unwrap_err();
}

#[tokio::test]
async fn differences_of_a_closed_month_adjust_the_next_open_one() {
    let api = TestApi::with_account().await;
    let before = api.statements("2026-04").await;
    api.close("2026-04").await;
    api.invoice("2026-05", "30.50", MAY).await;
    assert_eq!(
        column(&api.statements("2026-05").await, "adjusted"),
        ["0.00", "0.00"]
    );
    api.move_april().await;

    let april = api.statements("2026-04").await;
    assert_eq!(april["data"], before["data"]);
    assert_eq!(april["meta"]["close"]["number"], 1);
    for field in ["frozen_at", "closed_at"] {
        assert!(april["meta"]["close"][field].is_string(), "{april}");
    }
    let may = api.statements("2026-05").await;
    assert_eq!(may["meta"]["close"], Value::Null);
    // 6.10 direct costs of alpha, and 0.61 of the shared costs.
    assert_eq!(of(&may, "acme")["adjusted"], "-6.71");
    assert_eq!(of(&may, "globex")["adjusted"], "6.71");
    for row in rows(&may) {
        let parts = ["direct", "shared", "adjusted"].map(|field| usd(&row[field]));
        assert_eq!(parts.into_iter().sum::<Decimal>(), usd(&row["total"]));
    }
    assert_eq!(may["meta"]["adjustments_total"], "0.00");
    assert_eq!(may["meta"]["difference"], "0.00");
    assert_eq!(sum(&may, "total"), usd(&may["meta"]["total"]));

    let detail = api.get(&api.admin, &format!("{MONTHS}/2026-05")).await.ok();
    let adjustments = detail["data"]["adjustments"].as_array().unwrap();
    assert_eq!(adjustments.len(), 2, "{detail}");
    assert!(
        adjustments
            .iter()
            .all(|adjustment| adjustment["period"] == "2026-04-01")
    );
    let causes = detail["data"]["adjustment_causes"].to_string();
    assert!(causes.contains("moved from acme to globex"), "{causes}");
    let statement = "/api/v1/billing/statements/acme?period=2026-05";
    let statement = api.get(&api.admin, statement).await.ok();
    assert_eq!(statement["data"]["adjusted"], "-6.71");
    let acme = token_of(&api, "acme").await;
    let own = api
        .get(&acme, "/api/v1/my/statements?period=2026-05")
        .await
        .ok();
    assert_eq!(rows(&own)[0]["adjusted"], "-6.71");
    assert_eq!(rows(&own)[0]["total"], statement["data"]["total"]);

    // The close of May contains them, and June has none.
    api.close("2026-05").await;
    api.invoice("2026-06", "30.50", MAY).await;
    let closed = api.statements("2026-05").await;
    assert_eq!(closed["data"], may["data"]);
    assert_eq!(
        column(&api.statements("2026-06").await, "adjusted"),
        ["0.00"]
    );
    let contained = api.get(&api.admin, &format!("{MONTHS}/2026-05")).await.ok();
    for field in ["adjustments", "adjustment_causes"] {
        assert_eq!(contained["data"][field], detail["data"][field], "{field}");
    }
}

#[tokio::test]
async fn a_reopened_month_needs_a_reason_and_follows_its_lines_again() {
    let api = TestApi::with_account().await;
    let reopen = format!("{APRIL}/reopen");
    let open = api.post(&api.admin, &reopen, REASON).await.problem(409);
    assert!(open.contains("is not closed"), "{open}");
    api.close("2026-04").await;
    api.move_april().await;
    for (body, expected) in [
        ("{}", "missing field \"reason\""),
        (r#"{"reason": " "}"#, "reason"),
        (r#"{"reason": null}"#, "reason"),
    ] {
        let refused = api.post(&api.admin, &reopen, body).await.problem(400);
        assert!(refused.contains(expected), "{refused}");
    }
    let reopened = api.post(&api.admin, &reopen, REASON).await.ok();
    let data = &reopened["data"];
    assert_eq!(
        (&data["state"], &data["close"]),
        (&"final".into(), &Value::Null)
    );
    assert_eq!(data["closes"][0]["reopen_reason"], "a wrong tenant");
    assert_eq!(data["closes"][0]["reopened_by"], "test");
    let april = api.statements("2026-04").await;
    assert_eq!(column(&april, "tenant_id"), ["globex"]);
    api.post(&api.admin, &reopen, REASON).await.problem(409);
    let audit = "/api/v1/audit?action=month_reopened";
    let acts = api.get(&api.admin, audit).await.ok();
    assert_eq!(rows(&acts)[0]["reason"], "a wrong tenant");

    // The second close has the statements of today.
    let close = api.close("2026-04").await;
    assert_eq!(close.number, 2);
    let statement = api.get(&api.admin, &path_of("globex", "json")).await.ok();
    assert_eq!(statement["data"]["total"], "33.66");
    assert_eq!(statement["data"]["close"]["number"], 2);
    proof::verify(&statement).unwrap();
}

#[tokio::test]
async fn a_correction_waits_for_the_decision_of_an_administrator() {
    let api = TestApi::with_account().await;
    let path = format!("{APRIL}/correction");
    let accept = r#"{"accept": true, "after": "34.66", "reason": "a late charge"}"#;
    api.post(&api.admin, &path, accept).await.problem(409);
    let before = api.statements("2026-04").await;
    api.close("2026-04").await;
    api.invoice("2026-05", "30.50", MAY).await;
    let none = api.post(&api.admin, &path, accept).await.problem(409);
    assert!(none.contains("no correction"), "{none}");
    api.correct_april().await;

    let april = api.statements("2026-04").await;
    assert_eq!(april["data"], before["data"]);
    assert_eq!(april["meta"]["has_correction"], true);
    let months = api.get(&api.admin, MONTHS).await.ok();
    let row = rows(&months)
        .iter()
        .find(|row| row["period"] == "2026-04-01");
    assert_eq!(row.unwrap()["has_correction"], true);
    assert_eq!(row.unwrap()["line_total"], "33.66");
    let detail = api.get(&api.admin, APRIL).await.ok();
    let correction = &detail["data"]["correction"];
    assert_eq!(correction["before"], "33.66");
    assert_eq!(correction["difference"], "1.00");
    assert_eq!(
        column(&api.statements("2026-05").await, "adjusted"),
        ["0.00", "0.00"]
    );

    let refused = api
        .post(&api.admin, &path, r#"{"accept": false, "after": "34.66"}"#)
        .await;
    assert!(refused.problem(400).contains("reopen"), "{refused:?}");
    let outdated = accept.replace("34.66", "34.67");
    let outdated = api.post(&api.admin, &path, &outdated).await.problem(409);
    assert!(outdated.contains("34.66"), "{outdated}");
    let accepted = api.post(&api.admin, &path, accept).await.ok();
    assert_eq!(accepted["data"]["correction"], Value::Null);
    assert_eq!(accepted["data"]["close"]["accept_reason"], "a late charge");
    assert_eq!(api.statements("2026-04").await["data"], before["data"]);
    let may = api.statements("2026-05").await;
    assert_eq!(may["meta"]["adjustments_total"], "1.00");
    assert_eq!(may["meta"]["difference"], "0.00");
    assert_eq!(sum(&may, "adjusted"), Decimal::ONE);
}

#[tokio::test]
async fn tenants_get_their_own_statement_and_no_route_of_a_close() {
    let api = TestApi::entangled().await;
    api.close("2026-04").await;
    let acme = token_of(&api, "acme").await;
    for format in ["json", "csv"] {
        let path = format!("/api/v1/my/statement?period=2026-04&format={format}");
        let own = api.get(&acme, &path).await;
        assert_eq!(own.status, 200, "{own:?}");
        crate::support::assert_nothing_foreign(&path, &own.text);
        api.get(&api.acme, &path).await.problem(403);
        api.get(&api.admin, &path).await.problem(403);
    }
    let own = api
        .get(&acme, "/api/v1/my/statement?period=2026-04")
        .await
        .ok();
    assert_eq!(own["data"]["tenant_id"], "acme");
    assert!(own["data"]["proof"]["root"].is_string(), "{own}");
    for path in [
        MONTHS,
        APRIL,
        &format!("{APRIL}/files/manifest.json"),
        &path_of("acme", "json"),
    ] {
        api.get(&acme, path).await.problem(403);
    }
    for path in ["close", "reopen", "correction"] {
        let path = format!("{APRIL}/{path}");
        api.post(&acme, &path, REASON).await.problem(403);
    }
}

#[tokio::test]
async fn a_close_is_started_and_approved_by_the_routes() {
    let mut api = TestApi::with_account().await;
    let close = format!("{APRIL}/close");
    let without = api.post(&api.admin, &close, "").await.problem(503);
    assert!(without.contains("connection to Temporal"), "{without}");
    let temporal = connect(&mut api);
    for (body, expected) in [
        ("", &["close 2026-04-01"][..]),
        ("{}", &["close 2026-04-01"]),
        (
            r#"{"approve": true, "reason": "all checked"}"#,
            &["close 2026-04-01", "approve 2026-04-01 test"],
        ),
    ] {
        let started = api.post(&api.admin, &close, body).await;
        assert_eq!(started.status, 202, "{started:?}");
        let run = started.json();
        let url = run["data"]["workflow_url"].as_str().unwrap();
        assert!(url.starts_with("http://localhost:8233/"), "{run}");
        let starts = std::mem::take(&mut *temporal.starts.lock().unwrap());
        assert_eq!(starts, expected);
    }
    // Without a body and its content type.
    let request = with_token(&api.admin, Request::post(&close)).body(Body::empty());
    assert_eq!(api.send(request).await.status, 202);
    temporal.starts.lock().unwrap().clear();
    let acts = "/api/v1/audit?action=run_requested";
    let acts = api.get(&api.admin, acts).await.ok();
    assert_eq!(rows(&acts).len(), 4, "{acts}");
    assert_eq!(rows(&acts)[0]["object_id"], "2026-04");

    for (path, body, status) in [
        (&*close, r#"{"approve": "yes"}"#, 400),
        (&close, r#"{"force": true}"#, 400),
        ("/api/v1/billing/months/april/close", "", 400),
        ("/api/v1/billing/months/2031-01/close", "", 409),
        (
            "/api/v1/billing/months/2026-03/close",
            r#"{"approve": true}"#,
            409,
        ),
    ] {
        let refused = api.post(&api.admin, path, body).await;
        refused.problem(status);
    }
    let march = "/api/v1/billing/months/2026-03/close";
    let reasons = api.post(&api.admin, march, r#"{"approve": true}"#).await;
    let reasons = reasons.problem(409);
    assert!(
        reasons.contains("1 of 1 invoices are not final"),
        "{reasons}"
    );
    api.close("2026-04").await;
    let closed = api.post(&api.admin, &close, "").await.problem(409);
    assert!(closed.contains("closed already, by ann"), "{closed}");
    assert_eq!(temporal.starts.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn the_files_of_a_close_have_their_hashes() {
    let api = TestApi::with_account().await;
    let missing = format!("{APRIL}/files/checks.json");
    let open = api.get(&api.admin, &missing).await.problem(404);
    assert!(open.contains("not closed"), "{open}");
    api.close("2026-04").await;
    let detail = api.get(&api.admin, APRIL).await.ok();
    let files = detail["data"]["files"].as_array().unwrap();
    let names: Vec<&str> = files
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["checks.json", "long.bin", "manifest.json"]);
    for file in files {
        let name = file["name"].as_str().unwrap();
        let path = format!("{APRIL}/files/{name}");
        let request = with_token(&api.admin, Request::get(&path)).body(Body::empty());
        let response = api.router.clone().oneshot(request.unwrap()).await.unwrap();
        let headers = response.headers().clone();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let hash = Hash::of_bytes(&bytes).to_string();
        assert_eq!(file["sha256"], hash, "{name}");
        assert_eq!(file["size"], bytes.len(), "{name}");
        assert_eq!(
            headers["content-type"],
            file["media_type"].as_str().unwrap()
        );
        assert_eq!(headers["etag"], format!("\"{hash}\""));
        let disposition = headers["content-disposition"].to_str().unwrap();
        assert_eq!(disposition, format!("attachment; filename=\"{name}\""));
        if name == "long.bin" {
            assert!(bytes == long_file(), "the pieces are in another order");
        }
        let known =
            with_token(&api.admin, Request::get(&path)).header("if-none-match", &headers["etag"]);
        let known = api.send(known.body(Body::empty())).await;
        assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""));
    }
    let unknown = api
        .get(&api.admin, &format!("{APRIL}/files/focus.csv"))
        .await;
    assert!(
        unknown.problem(404).contains("manifest.json"),
        "{unknown:?}"
    );
    api.post(&api.admin, &format!("{APRIL}/reopen"), REASON)
        .await
        .ok();
    api.get(&api.admin, &missing).await.problem(404);
}

#[tokio::test]
async fn the_list_of_months_has_the_figures_of_the_close() {
    let api = TestApi::with_account().await;
    api.estimate("2026-05", "7.00", "Droplets,,web-1,,,,$7.00,alpha,iaas")
        .await;
    let before = api.get(&api.admin, MONTHS).await.ok();
    assert_eq!(column(&before, "state"), ["estimate", "final", "not_final"]);
    api.close("2026-04").await;
    api.correct_april().await;
    let after = api.get(&api.admin, MONTHS).await.ok();
    assert_eq!(column(&after, "state"), ["estimate", "closed", "not_final"]);
    let april = &rows(&after)[1];
    for field in [
        "line_total",
        "invoice_total",
        "difference",
        "unallocated",
        "invoices",
    ] {
        assert_eq!(april[field], rows(&before)[1][field], "{field}");
    }
    assert_eq!(april["close"]["closed_by"], "ann");
    assert_eq!(rows(&after)[0]["close"], Value::Null);
    let (mut periods, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api
            .get(&api.admin, &format!("{MONTHS}?limit=1{cursor}"))
            .await
            .ok();
        periods.extend(column(&page, "period"));
        let Some(next) = page["meta"]["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(periods, column(&after, "period"));
    let csv = api.get(&api.admin, &format!("{MONTHS}?format=csv")).await;
    assert_eq!(csv.text.lines().count(), 4, "{}", csv.text);
    let none = TestApi::empty().await;
    let list = none.get(&none.admin, MONTHS).await.ok();
    assert_eq!(list["meta"]["notes"][0]["code"], "no_invoices");
}
