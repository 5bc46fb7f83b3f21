//! Tests of allocation rules.

use serde_json::{Value, json};

use crate::support::{TestApi, column};

const RULES: &str = "/api/v1/billing/spread-rules";

async fn set(api: &TestApi, valid_from: &str, rule: &Value) -> Value {
    let path = format!("{RULES}/{valid_from}");
    api.put(&api.admin, &path, &rule.to_string()).await.ok()["data"].clone()
}

async fn shared(api: &TestApi, period: &str) -> Vec<String> {
    let path = format!("/api/v1/billing/statements?period={period}");
    column(&api.get(&api.admin, &path).await.ok(), "shared")
}

#[tokio::test]
async fn shared_costs_are_allocated_by_the_rule_of_the_month() {
    let api = TestApi::with_account().await;
    assert_eq!(shared(&api, "2026-04-01").await, ["0.61", "2.45"]);
    set(&api, "2026-05-01", &json!({ "rule": "even" })).await;
    assert_eq!(shared(&api, "2026-04-01").await, ["0.61", "2.45"]);
    set(&api, "2026-04-01", &json!({ "rule": "even" })).await;
    assert_eq!(shared(&api, "2026-04-01").await, ["1.53", "1.53"]);
    let weights = json!({ "acme": "2", "globex": "0.5", "initech": "0.5" });
    set(
        &api,
        "2026-01-01",
        &json!({ "rule": "fixed", "weights": weights }),
    )
    .await;
    assert_eq!(shared(&api, "2026-04-01").await, ["1.53", "1.53"]);
    set(
        &api,
        "2026-04-01",
        &json!({ "rule": "fixed", "weights": weights }),
    )
    .await;
    assert_eq!(shared(&api, "2026-04-01").await, ["2.04", "0.51", "0.51"]);
    set(
        &api,
        "2026-04-01",
        &json!({ "rule": "proportional", "weights": null }),
    )
    .await;
    assert_eq!(shared(&api, "2026-04-01").await, ["0.61", "2.45"]);
}

#[tokio::test]
async fn a_dry_run_reports_the_moves_of_a_rule_and_saves_nothing() {
    let api = TestApi::with_account().await;
    let rule = json!({ "rule": "even" }).to_string();
    let path = format!("{RULES}/2026-04-01?dry_run=true");
    let dry_run = api.put(&api.admin, &path, &rule).await.ok();
    let effect = &dry_run["meta"]["effect"];
    assert_eq!(effect["is_dry_run"], true);
    assert_eq!(effect["moved"], "0.92");
    assert_eq!(
        effect["months"][0]["tenants"],
        json!([
            { "tenant_id": "acme", "before": "6.71", "after": "7.63" },
            { "tenant_id": "globex", "before": "26.95", "after": "26.03" },
        ])
    );
    assert_eq!(shared(&api, "2026-04-01").await, ["0.61", "2.45"]);
    let rules = api.get(&api.admin, RULES).await.ok();
    assert_eq!(rules["data"], json!([]));
    let path = format!("{RULES}/2026-04-01");
    let set = api.put(&api.admin, &path, &rule).await.ok();
    assert_eq!(set["meta"]["effect"]["months"], effect["months"]);
    assert_eq!(set["meta"]["effect"]["is_dry_run"], false);
}

#[tokio::test]
async fn rules_are_listed_from_the_latest_month_with_the_token_name() {
    let api = TestApi::with_account().await;
    let none = api.get(&api.admin, RULES).await.ok();
    assert_eq!(none["data"], json!([]));
    let weights = json!({ "acme": "3", "globex": "1.50" });
    let fixed = set(
        &api,
        "2026-04-01",
        &json!({ "rule": "fixed", "weights": weights }),
    )
    .await;
    let at = &fixed["set_at"];
    assert!(at.is_string(), "{fixed}");
    assert_eq!(
        fixed,
        json!({
            "valid_from": "2026-04-01",
            "rule": "fixed",
            "weights": weights,
            "set_by": "test",
            "set_at": at,
        })
    );
    let even = set(&api, "2026-06-01", &json!({ "rule": "even" })).await;
    assert_eq!(even["weights"], json!(null));
    let rules = api.get(&api.admin, RULES).await.ok();
    assert_eq!(rules["data"], json!([even, fixed]));

    let statements = "/api/v1/billing/statements?period=2026-05-01";
    let statements = api.get(&api.admin, statements).await.ok();
    let rule = json!({ "rule": "fixed", "weights": weights });
    assert_eq!(statements["meta"]["spread_rule"], rule);
}

#[tokio::test]
async fn the_error_for_an_invalid_rule_has_the_expected_value() {
    let api = TestApi::with_account().await;
    let path = format!("{RULES}/2026-04-01");
    for (rule, expected) in [
        ("{}", "rule"),
        (r#"{"rule": "fair"}"#, "proportional"),
        (r#"{"rule": "fixed"}"#, "weights"),
        (r#"{"rule": "fixed", "weights": {}}"#, "weights"),
        (r#"{"rule": "even", "weights": {"acme": "1"}}"#, "weights"),
        (r#"{"rule": "proportional", "weights": {}}"#, "weights"),
        (r#"{"rule": "fixed", "weights": {"acme": "0"}}"#, "above 0"),
        (r#"{"rule": "fixed", "weights": {"acme": "-1"}}"#, "above 0"),
        (
            r#"{"rule": "fixed", "weights": {"acme": "half"}}"#,
            "above 0",
        ),
        (
            r#"{"rule": "fixed", "weights": {"acme": "1_0"}}"#,
            "above 0",
        ),
        (
            r#"{"rule": "fixed", "weights": {"acme": "1000000.1"}}"#,
            "at most 1000000",
        ),
        (
            r#"{"rule": "fixed", "weights": {"acme": "0.0000001"}}"#,
            "6 decimals",
        ),
        (r#"{"rule": "fixed", "weights": {"acme": 1}}"#, "string"),
        (r#"{"rule": "fixed", "weights": {"": "1"}}"#, "tenant id"),
        (r#"{"rule": "even", "from": "2026-04-01"}"#, "from"),
    ] {
        let detail = api.put(&api.admin, &path, rule).await.problem(400);
        assert!(detail.contains(expected), "{rule}: {detail}");
    }
    for month in ["2026-04-02", "2026-13", "april"] {
        let path = format!("{RULES}/{month}");
        let response = api.put(&api.admin, &path, r#"{"rule": "even"}"#).await;
        let detail = response.problem(400);
        assert!(
            detail.contains("2026-04 or 2026-04-01"),
            "{month}: {detail}"
        );
    }
    let rules = api.get(&api.admin, RULES).await.ok();
    assert_eq!(rules["data"], json!([]));
}
