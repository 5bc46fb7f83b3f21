//! Tests of the routes of cost lines: filters, shares, match overrides and unmatched lines.

use domain::ResourceKind;
use serde_json::{Value, json};

use crate::support::{
    TestApi, UNKNOWN, column, hour_before_and_after, lines, live_droplets, resource, rows, sweep,
};

const LINES: &str = "/api/v1/billing/cost-lines";
const MAY: &str = "2026-05";
const OF_MAY: &str = "/api/v1/billing/cost-lines?period=2026-05-01";
const UNMATCHED: &str = "/api/v1/billing/unmatched?period=2026-05-01";

const WEB_1: &str = "Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas";
const UNKNOWN_DROPLET: &str = "Droplets,,unknown-1 (s-1vcpu-1gb),,,,$5.00,,iaas";
const TWIN: &str = "Droplets,,twin (s-1vcpu-1gb),,,,$7.00,,iaas";
const TAX: &str = "Taxes,,GST (10%),,,,$4.00,,";

async fn path_of_line(api: &TestApi, description: &str) -> String {
    let month = api.get(&api.admin, OF_MAY).await.ok();
    let line = rows(&month)
        .iter()
        .find(|line| {
            line["description"]
                .as_str()
                .unwrap()
                .starts_with(description)
        })
        .unwrap_or_else(|| panic!("{description} is not in {month}"));
    format!("{LINES}/{}", line["id"].as_str().unwrap())
}

async fn override_match(api: &TestApi, line: &str, line_match: &Value) -> Value {
    let path = format!("{line}/match");
    api.put(&api.admin, &path, &line_match.to_string())
        .await
        .ok()["data"]
        .clone()
}

/// Creates two live droplets with the name `twin`.
async fn make_twins(api: &TestApi) {
    let mut droplets = live_droplets();
    for id in ["71", "72"] {
        droplets.push(resource(ResourceKind::DROPLET, id.to_owned(), "twin"));
    }
    sweep(&api.store, &ResourceKind::DROPLET, &droplets).await;
}

#[tokio::test]
async fn a_line_of_a_resource_with_two_tenants_has_shares() {
    let api = TestApi::with_account().await;
    let path = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
    let change = r#"{"tenant_id": "globex"}"#;
    api.patch(&api.admin, &path, change).await.ok();
    let (before, after) = hour_before_and_after(&api.store).await;
    let row = format!("Droplets,,web-1 (s-1vcpu-1gb),2,{before},{after},$10.00,alpha,iaas");
    api.invoice(MAY, "10.00", &row).await;

    let month = api.get(&api.admin, OF_MAY).await.ok();
    let line = &rows(&month)[0];
    let shares = line["shares"].as_array().unwrap();
    let tenants: Vec<_> = shares.iter().map(|share| &share["tenant_id"]).collect();
    assert_eq!(tenants, ["acme", "globex"], "{line}");
    let cents = |amount: &Value| {
        let text = amount.as_str().unwrap().replace('.', "");
        text.parse::<i64>().unwrap()
    };
    let sum: i64 = shares.iter().map(|share| cents(&share["amount"])).sum();
    assert_eq!(sum, 1000, "{line}");
    assert_eq!(line["tenant_id"], json!(null));
    for tenant in ["acme", "globex"] {
        let path = format!("{OF_MAY}&tenant={tenant}");
        let own = api.get(&api.admin, &path).await.ok();
        assert_eq!(own["data"], month["data"], "{tenant}");
    }
    for share in shares {
        let path = format!("{OF_MAY}&tenant={}", share["tenant_id"].as_str().unwrap());
        let own = api.get(&api.admin, &path).await.ok();
        assert_eq!(own["meta"]["total_amount"], "10.00");
        assert_eq!(own["meta"]["attributed_amount"], share["amount"]);
    }
    let one = path_of_line(&api, "web-1").await;
    let one = api.get(&api.admin, &one).await.ok();
    assert_eq!(one["data"]["shares"], line["shares"]);
    let intervals = one["data"]["intervals"].as_array().unwrap();
    let (first, last) = (&intervals[0], &intervals[intervals.len() - 1]);
    assert_eq!(
        (&first["from"], &first["tenant_id"]),
        (&line["start_at"], tenants[0])
    );
    assert_eq!(
        (&last["to"], &last["tenant_id"]),
        (&line["end_at"], tenants[1])
    );
    for pair in intervals.windows(2) {
        assert_eq!(pair[0]["to"], pair[1]["from"], "{one}");
    }
}

#[tokio::test]
async fn an_override_is_kept_by_the_next_ingest_and_recorded_as_changes() {
    let api = TestApi::with_account().await;
    let invoice = [WEB_1, UNKNOWN_DROPLET].join("\n");
    api.invoice(MAY, "15.00", &invoice).await;
    let line = path_of_line(&api, "unknown-1").await;
    let db_1 = api.resource_id("db-1").await;
    let line_match = json!({ "resource_id": db_1, "reason": "renamed in May" });
    let overridden = override_match(&api, &line, &line_match).await;
    assert_eq!(overridden["match_rule"], "operator");
    assert_eq!(overridden["resource_id"], *db_1);
    assert_eq!(overridden["tenant_id"], "globex");
    assert_eq!(overridden["override"]["resource_id"], *db_1);
    assert_eq!(overridden["override"]["reason"], "renamed in May");
    assert_eq!(overridden["override"]["set_by"], "test");
    let changes = overridden["changes"].as_array().unwrap();
    for change in changes {
        assert_eq!(change["cause"], "operator", "{overridden}");
        assert_eq!(change["changed_by"], "test");
    }
    for (field, before, after) in [
        ("match_rule", json!("unmatched"), json!("operator")),
        ("resource_id", json!(null), json!(db_1)),
        ("tenant_id", json!(null), json!("globex")),
    ] {
        let change = json!({ "before": before, "after": after });
        let is_there = changes
            .iter()
            .any(|entry| entry["changes"][field] == change);
        assert!(is_there, "{field}: {overridden}");
    }

    // The same invoice again, then a correction that changes number and amount of the line.
    api.invoice(MAY, "15.00", &invoice).await;
    assert_eq!(api.get(&api.admin, &line).await.ok()["data"], overridden);
    let corrected = [TAX, &UNKNOWN_DROPLET.replace("$5.00", "$6.00"), WEB_1].join("\n");
    api.invoice(MAY, "20.00", &corrected).await;
    let after = api.get(&api.admin, &line).await.ok()["data"].clone();
    assert_eq!(after["amount"], "6.00");
    for field in ["match_rule", "resource_id", "tenant_id", "override"] {
        assert_eq!(after[field], overridden[field], "{field}");
    }
    assert_eq!(after["changes"], overridden["changes"]);
}

#[tokio::test]
async fn a_line_for_no_resource_is_a_shared_cost() {
    let api = TestApi::with_account().await;
    api.invoice(MAY, "10.00", WEB_1).await;
    let line = path_of_line(&api, "web-1").await;
    let overridden = override_match(&api, &line, &json!({ "resource_id": null })).await;
    assert_eq!(overridden["match_rule"], "operator");
    assert_eq!(overridden["resource_id"], json!(null));
    assert_eq!(overridden["tenant_id"], json!(null));
    assert_eq!(overridden["is_shared"], true);
    assert_eq!(overridden["override"]["resource_id"], json!(null));
}

#[tokio::test]
async fn the_rules_match_a_line_after_its_override_is_removed() {
    let api = TestApi::with_account().await;
    api.invoice(MAY, "10.00", WEB_1).await;
    let line = path_of_line(&api, "web-1").await;
    let before = api.get(&api.admin, &line).await.ok()["data"].clone();
    assert_eq!(before["override"], json!(null));
    assert_eq!(before["changes"], json!([]));
    override_match(&api, &line, &json!({ "resource_id": null })).await;

    let path = format!("{line}/match");
    let after = api.delete(&api.admin, &path).await.ok()["data"].clone();
    for field in [
        "match_rule",
        "resource_id",
        "tenant_id",
        "is_shared",
        "override",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert!(after["changes"].as_array().unwrap().len() > 1, "{after}");
    // Removing an absent override succeeds.
    assert_eq!(api.delete(&api.admin, &path).await.ok()["data"], after);
}

#[tokio::test]
async fn an_invalid_override_changes_nothing() {
    let api = TestApi::with_account().await;
    api.invoice(MAY, "10.00", WEB_1).await;
    let line = path_of_line(&api, "web-1").await;
    let path = format!("{line}/match");
    let long = format!(
        r#"{{"resource_id": null, "reason": "{}"}}"#,
        "x".repeat(501)
    );
    for (body, expected) in [
        ("{}", "resource_id"),
        (r#"{"resource_id": "web-1"}"#, "UUID"),
        (r#"{"resource_id": null, "note": "x"}"#, "note"),
        (
            r#"{"resource_id": null, "reason": " "}"#,
            "1 to 500 characters",
        ),
        (&*long, "1 to 500 characters"),
        ("[null]", "JSON object"),
    ] {
        let detail = api.put(&api.admin, &path, body).await.problem(400);
        assert!(detail.contains(expected), "{body}: {detail}");
    }
    let body = json!({ "resource_id": UNKNOWN }).to_string();
    let detail = api.put(&api.admin, &path, &body).await.problem(404);
    assert!(detail.contains("resource"), "{detail}");
    let unknown = format!("{LINES}/{UNKNOWN}");
    let body = r#"{"resource_id": null}"#;
    let path = format!("{unknown}/match");
    let detail = api.put(&api.admin, &path, body).await.problem(404);
    assert!(detail.contains("cost line"), "{detail}");
    api.get(&api.admin, &unknown).await.problem(404);

    let after = api.get(&api.admin, &line).await.ok();
    assert_eq!(after["data"]["override"], json!(null));
    assert_eq!(after["data"]["changes"], json!([]));
}

#[tokio::test]
async fn a_resource_of_another_kind_is_refused_without_force() {
    let api = TestApi::with_account().await;
    let bucket = "Spaces,,assets (nyc3),,,,$5.00,alpha,iaas";
    api.invoice(MAY, "5.00", bucket).await;
    let line = path_of_line(&api, "assets").await;
    let path = format!("{line}/match");
    let droplets = api
        .get(&api.admin, "/api/v1/inventory?kind=droplet")
        .await
        .ok();
    let droplet = &rows(&droplets)[0]["id"];
    let body = json!({ "resource_id": droplet }).to_string();
    let detail = api.put(&api.admin, &path, &body).await.problem(409);
    for expected in ["spaces_bucket", "droplet", "force"] {
        assert!(detail.contains(expected), "{detail}");
    }
    let before = api.get(&api.admin, &line).await.ok();
    assert_eq!(before["data"]["override"], json!(null));
    let body = json!({ "resource_id": droplet, "force": false }).to_string();
    api.put(&api.admin, &path, &body).await.problem(409);

    let body = json!({ "resource_id": droplet, "force": true }).to_string();
    let forced = api.put(&api.admin, &path, &body).await.ok();
    assert_eq!(forced["data"]["match_rule"], "operator");
    assert_eq!(&forced["data"]["resource_id"], droplet);
}

#[tokio::test]
async fn unmatched_lines_have_a_reason_or_candidate_resources() {
    let api = TestApi::with_account().await;
    make_twins(&api).await;
    let mut lines = lines(&[WEB_1, UNKNOWN_DROPLET, TWIN, UNKNOWN_DROPLET, TAX].join("\n"));
    lines[3].item.resource_id = Some("777".into());
    api.invoice_of_lines(MAY, "31.00", &lines).await;

    let unmatched = api.get(&api.admin, UNMATCHED).await.ok();
    assert_eq!(column(&unmatched, "match_rule"), ["unmatched", "ambiguous"]);
    assert_eq!(unmatched["meta"]["total_count"], 2);
    assert_eq!(unmatched["meta"]["total_amount"], "12.00");
    let [unknown, twin] = rows(&unmatched) else {
        panic!("{unmatched}")
    };
    assert!(unknown["match_note"].is_string(), "{unknown}");
    assert_eq!(unknown["match_candidates"], json!(null));
    assert!(twin["match_note"].is_string(), "{twin}");
    let candidates = twin["match_candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "{twin}");

    let with_historic = format!("{UNMATCHED}&include=historic");
    let with_historic = api.get(&api.admin, &with_historic).await.ok();
    assert_eq!(
        column(&with_historic, "match_rule"),
        ["unmatched", "ambiguous", "historic"]
    );
    let historic = &rows(&with_historic)[2];
    let of_historic = format!("{OF_MAY}&resource=droplet:777");
    let of_historic = api.get(&api.admin, &of_historic).await.ok();
    assert_eq!(rows(&of_historic), std::slice::from_ref(historic));
    assert_eq!(historic["provider_resource_id"], "777");
    let note = historic["match_note"].as_str().unwrap();
    assert!(note.contains("droplet 777"), "{note}");

    // A line with an override is not listed.
    let line = format!("{LINES}/{}", twin["id"].as_str().unwrap());
    override_match(&api, &line, &json!({ "resource_id": candidates[1] })).await;
    let waiting = api.get(&api.admin, UNMATCHED).await.ok();
    assert_eq!(column(&waiting, "match_rule"), ["unmatched"]);
}

#[tokio::test]
async fn a_month_without_an_invoice_has_the_lines_of_its_estimate() {
    let api = TestApi::with_account().await;
    api.estimate(MAY, "15.00", &[WEB_1, UNKNOWN_DROPLET].join("\n"))
        .await;
    let month = api.get(&api.admin, OF_MAY).await.ok();
    assert_eq!(month["meta"]["is_estimate"], true);
    assert_eq!(column(&month, "is_estimate"), ["true", "true"]);
    assert_eq!(column(&month, "invoice_id"), ["null", "null"]);
    assert_eq!(column(&month, "invoice_uuid"), ["null", "null"]);
    // The field is also set if the filter matches no line.
    let none = format!("{OF_MAY}&kind=volume");
    let none = api.get(&api.admin, &none).await.ok();
    assert_eq!(none["meta"]["is_estimate"], true);

    api.invoice(MAY, "10.00", WEB_1).await;
    let month = api.get(&api.admin, OF_MAY).await.ok();
    assert_eq!(month["meta"]["is_estimate"], false);
    assert_eq!(column(&month, "is_estimate"), ["false"]);
}
