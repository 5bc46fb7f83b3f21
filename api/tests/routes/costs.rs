//! Tests of statements, series of costs by group, and consistency checks.

use std::collections::BTreeMap;

use insta::assert_json_snapshot;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::support::{APRIL, TestApi, column, hour_before_and_after, rows, sum, usd};

const COSTS: &str = "/api/v1/billing/costs";
const CHECKS: &str = "/api/v1/billing/checks";
const MAY: &str = "2026-05";

/// Ingests an invoice of May with all types of costs: a droplet that changed its tenant in the
/// month, a droplet of another tenant, an unknown one, and shared costs.
async fn with_may(api: &TestApi) {
    let path = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
    let change = r#"{"tenant_id": "globex"}"#;
    api.patch(&api.admin, &path, change).await.ok();
    let (before, after) = hour_before_and_after(&api.store).await;
    let rows = format!(
        "Droplets,,web-1 (s-1vcpu-1gb),2,{before},{after},$10.01,alpha,iaas
Droplets,,db-1 (s-1vcpu-1gb),,,,$24.50,beta,iaas
Droplets,,unknown-1 (s-1vcpu-1gb),,,,$5.00,,iaas
Volumes,,data (nyc3) 100GB,,,,$0.07,,iaas
Taxes,,GST (10%),,,,$4.02,,
Credits,,Goodwill,,,,-$1.01,,"
    );
    api.invoice(MAY, "42.59", &rows).await;
}

#[tokio::test]
async fn statements_total_the_month_with_split_shared_and_unallocated_costs() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let month = api.statements("2026-05-01").await;
    assert_eq!(column(&month, "tenant_id"), ["null", "acme", "globex"]);
    assert_eq!(sum(&month, "direct"), Decimal::new(3958, 2));
    assert_eq!(sum(&month, "shared"), Decimal::new(301, 2));
    assert_eq!(sum(&month, "total"), Decimal::new(4259, 2));
    assert_eq!(rows(&month)[0]["direct"], "5.07");
    for row in rows(&month) {
        assert_eq!(
            usd(&row["direct"]) + usd(&row["shared"]),
            usd(&row["total"]),
            "{row}"
        );
    }
    let meta = &month["meta"];
    for field in ["total", "line_total", "invoice_total"] {
        assert_eq!(meta[field], "42.59", "{field}");
    }
    let lines = api
        .get(&api.admin, "/api/v1/billing/cost-lines?period=2026-05-01")
        .await
        .ok();
    assert_eq!(lines["meta"]["total_amount"], meta["total"]);
}

#[tokio::test]
async fn the_statements_of_a_closed_month_are_final() {
    let api = TestApi::with_account().await;
    let april = api.statements("2026-04-01").await;
    assert_json_snapshot!(april, { ".meta.as_of" => "[time]", ".meta.verified_at" => "[time]" }, @r#"
    {
      "data": [
        {
          "adjusted": "0.00",
          "direct": "6.10",
          "shared": "0.61",
          "tenant_id": "acme",
          "total": "6.71"
        },
        {
          "adjusted": "0.00",
          "direct": "24.50",
          "shared": "2.45",
          "tenant_id": "globex",
          "total": "26.95"
        }
      ],
      "meta": {
        "adjustments_total": "0.00",
        "as_of": "[time]",
        "close": null,
        "difference": "0.00",
        "estimated": "0.00",
        "final_invoices": 1,
        "has_correction": false,
        "has_data": true,
        "invoice_total": "33.66",
        "invoices": 1,
        "is_estimate": false,
        "is_final": true,
        "is_over": true,
        "last_check_error": null,
        "limit": 100,
        "line_total": "33.66",
        "next_cursor": null,
        "not_verified_since": null,
        "period": "2026-04-01",
        "reallocation_pending": false,
        "spread_rule": {
          "rule": "proportional",
          "weights": null
        },
        "total": "33.66",
        "unverified_invoices": 0,
        "verified_at": "[time]",
        "withdrawn_invoices": 0,
        "withdrawn_since": null
      }
    }
    "#);
}

#[tokio::test]
async fn a_month_with_a_failed_check_stays_final() {
    let api = TestApi::with_account().await;
    let april = api.statements("2026-04-01").await;
    let invoices = api.get(&api.admin, "/api/v1/billing/invoices").await.ok();
    let rows = invoices["data"].as_array().unwrap();
    let invoice = rows
        .iter()
        .find(|row| row["period"] == "2026-04-01")
        .unwrap();
    let uuid = invoice["invoice_uuid"].as_str().unwrap();
    api.fail_check(uuid.parse().unwrap(), "404").await;

    let failed = api
        .get(&api.admin, &format!("/api/v1/billing/invoices/{uuid}"))
        .await
        .ok();
    let failed = &failed["data"];
    assert_eq!(failed["ingest_status"], "ingested");
    assert_eq!(failed["is_final"], true);
    assert_eq!(failed["last_error"], json!(null));
    assert_eq!(failed["last_check_error"], "404");
    assert_eq!(failed["verified_at"], invoice["verified_at"]);
    assert!(failed["check_failed_since"].is_string(), "{failed}");

    let month = api.statements("2026-04-01").await;
    assert_eq!(month["data"], april["data"]);
    let meta = &month["meta"];
    assert_eq!(meta["is_final"], true);
    assert_eq!(meta["not_verified_since"], failed["check_failed_since"]);
    assert_eq!(meta["last_check_error"], "404");
    assert_eq!(meta["verified_at"], april["meta"]["verified_at"]);
}

#[tokio::test]
async fn a_month_with_a_withdrawn_invoice_counts_its_lines_and_is_not_final() {
    let api = TestApi::with_account().await;
    let april = api.statements("2026-04-01").await;
    let evidence = api.store.begin_fetch().await.unwrap();
    api.store
        .store_invoice_list(&[], evidence, true)
        .await
        .unwrap();
    let month = api.statements("2026-04-01").await;
    assert_eq!(month["data"], april["data"]);
    let meta = &month["meta"];
    assert_eq!(meta["total"], april["meta"]["total"]);
    assert_eq!(
        (&meta["is_final"], &meta["withdrawn_invoices"]),
        (&json!(false), &json!(1))
    );
    assert!(meta["withdrawn_since"].is_string(), "{meta}");
    let invoices = api.get(&api.admin, "/api/v1/billing/invoices").await.ok();
    for invoice in invoices["data"].as_array().unwrap() {
        assert_eq!(invoice["is_withdrawn"], true);
        assert_eq!(invoice["missing_since"], meta["withdrawn_since"]);
    }
}

#[tokio::test]
async fn a_month_is_open_while_an_invoice_is_off_by_a_cent_or_has_no_lines() {
    let api = TestApi::with_account().await;
    api.invoice(MAY, "1.01", "Droplets,,nobody (s-1vcpu-1gb),,,,$1.00,,")
        .await;
    let month = api.statements("2026-05-01").await;
    let meta = &month["meta"];
    assert_eq!(meta["difference"], "0.01");
    assert_eq!(
        (&meta["invoices"], &meta["final_invoices"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(meta["is_final"], false);

    // The invoice of March is known and has no lines yet.
    let march = api.statements("2026-03-01").await;
    assert_eq!(march["data"], json!([]));
    assert_eq!(march["meta"]["difference"], "-10.50");
    assert_eq!(march["meta"]["is_final"], false);

    let empty = api.statements("2013-01-01").await;
    assert_eq!(empty["data"], json!([]));
    assert_eq!(empty["meta"]["difference"], json!(null));
    assert_eq!(empty["meta"]["is_final"], false);
}

#[tokio::test]
async fn an_estimated_month_differs_from_no_invoice_and_is_not_final() {
    let api = TestApi::with_account().await;
    let row = "Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas";
    api.estimate(MAY, "10.00", row).await;
    let month = api.statements("2026-05-01").await;
    assert_eq!(column(&month, "tenant_id"), ["acme"]);
    assert_eq!(month["meta"]["total"], "10.00");
    assert_eq!(month["meta"]["is_estimate"], true);
    assert_eq!(month["meta"]["is_final"], false);
    assert_eq!(month["meta"]["difference"], json!(null));
}

#[tokio::test]
async fn all_groupings_have_the_same_total() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let row = "Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas";
    api.estimate("2026-06", "10.00", row).await;
    for group_by in ["tenant", "project", "kind", "product", "resource"] {
        let path = format!("{COSTS}?group_by={group_by}&from=2026-03-01&to=2026-06-01");
        let costs = api.get(&api.admin, &path).await.ok();
        assert_eq!(costs["meta"]["total"], "86.25", "{group_by}");
        assert_eq!(costs["meta"]["group_by"], group_by);
        let mut months: BTreeMap<&str, Decimal> = BTreeMap::new();
        for row in rows(&costs) {
            let month = row["period"].as_str().unwrap();
            *months.entry(month).or_default() += usd(&row["amount"]);
            assert_eq!(
                usd(&row["direct"]) + usd(&row["shared"]),
                usd(&row["amount"])
            );
            assert_eq!(row["is_estimate"], month == "2026-06-01", "{row}");
        }
        let expected = [
            ("2026-04-01", Decimal::new(3366, 2)),
            ("2026-05-01", Decimal::new(4259, 2)),
            ("2026-06-01", Decimal::new(1000, 2)),
        ];
        assert_eq!(months, BTreeMap::from(expected), "{group_by}");
    }
}

#[tokio::test]
async fn costs_by_tenant_are_the_statements_of_each_month() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let path = format!("{COSTS}?group_by=tenant&from=2026-04-01&to=2026-05-01");
    let costs = api.get(&api.admin, &path).await.ok();
    let mut expected = Vec::new();
    for period in ["2026-04-01", "2026-05-01"] {
        for row in rows(&api.statements(period).await) {
            expected.push(json!({
                "period": period,
                "group": row["tenant_id"],
                "direct": row["direct"],
                "shared": row["shared"],
                "amount": row["total"],
                "is_estimate": false,
            }));
        }
    }
    assert_eq!(rows(&costs), expected);
}

#[tokio::test]
async fn costs_are_grouped_by_invoice_fields_and_by_resource() {
    let api = TestApi::with_account().await;
    let (web_1, db_1) = (
        api.resource_id("web-1").await,
        api.resource_id("db-1").await,
    );
    let deleted = api.resource_id("gone-1").await;
    let mut by_resource = [(&*web_1, "6.00"), (&*db_1, "24.50"), (&*deleted, "0.10")];
    by_resource.sort_unstable();
    let mut resources = vec![("null", "3.06")];
    resources.extend(by_resource);
    for (group_by, expected) in [
        (
            "project",
            vec![("null", "3.06"), ("alpha", "6.10"), ("beta", "24.50")],
        ),
        ("kind", vec![("null", "3.06"), ("droplet", "30.60")]),
        ("product", vec![("Droplets", "30.60"), ("Taxes", "3.06")]),
        ("resource", resources),
    ] {
        let path = format!("{COSTS}?group_by={group_by}&from=2026-04-01&to=2026-04-01");
        let costs = api.get(&api.admin, &path).await.ok();
        let (groups, amounts) = (column(&costs, "group"), column(&costs, "amount"));
        let found: Vec<_> = groups
            .iter()
            .zip(&amounts)
            .map(|(group, amount)| (&**group, &**amount))
            .collect();
        assert_eq!(found, expected, "{group_by}");
    }
}

#[tokio::test]
async fn the_months_of_a_series_are_given_in_either_order() {
    let api = TestApi::with_account().await;
    let mut answers = Vec::new();
    for range in ["from=2016-03&to=2026-04", "from=2026-04&to=2016-03"] {
        let path = format!("{COSTS}?group_by=kind&{range}");
        let mut costs = api.get(&api.admin, &path).await.ok();
        costs["meta"]["as_of"].take();
        assert_eq!(costs["meta"]["from"], "2016-03-01");
        answers.push(costs);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn the_error_for_invalid_months_or_groupings_has_the_expected_value() {
    let api = TestApi::empty().await;
    for (query, expected) in [
        ("costs?from=2026-04-01&to=2026-04-01", "group_by"),
        (
            "costs?group_by=&from=2026-04-01&to=2026-04-01",
            "tenant, project, kind, product or resource",
        ),
        (
            "costs?group_by=tag&from=2026-04-01&to=2026-04-01",
            "tenant, project, kind, product or resource",
        ),
        ("costs?group_by=kind&to=2026-04-01", "from"),
        ("costs?group_by=kind&from=2026-04-01", "to"),
        (
            "costs?group_by=kind&from=2026-04-02&to=2026-04-01",
            "first of a month",
        ),
        (
            "costs?group_by=kind&from=2026-04-01&to=2026-04-01&tenant=acme",
            "tenant",
        ),
        ("statements", "period"),
        ("statements?period=2026-04-30", "first of a month"),
        ("statements?period=2026-04-01&tenant=acme", "tenant"),
        ("checks?period=2026-04-01", "period"),
    ] {
        let detail = api
            .get(&api.admin, &format!("/api/v1/billing/{query}"))
            .await
            .problem(400);
        assert!(detail.contains(expected), "{query}: {detail}");
    }
    let ten_years = format!("{COSTS}?group_by=kind&from=2016-05-01&to=2026-04-01");
    api.get(&api.admin, &ten_years).await.ok();
}

#[tokio::test]
async fn checks_are_empty_until_the_database_is_changed_by_hand() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let checks = api.get(&api.admin, CHECKS).await.ok();
    assert_eq!(checks["data"], json!([]));

    api.write_by_hand(
        "update cloud_invoices set line_total = line_total + 0.01 where period = '2026-04-01'",
    )
    .await;
    let checks = api.get(&api.admin, CHECKS).await.ok();
    let [found] = rows(&checks) else {
        panic!("{checks}")
    };
    assert_eq!(found["bill"], APRIL);
    assert_eq!(found["period"], "2026-04-01");
    assert_eq!(
        (&found["expected"], &found["found"]),
        (&json!("33.67"), &json!("33.66"))
    );
    assert_eq!(found["off_by"], "0.01");
}

/// Returns these fields of each row; null for an absent field.
fn named(costs: &Value, fields: &[&str]) -> Value {
    let row = |row: &Value| -> Value { fields.iter().map(|field| row[field].clone()).collect() };
    rows(costs).iter().map(row).collect()
}

#[tokio::test]
async fn costs_by_resource_have_ids_names_and_kinds() {
    let api = TestApi::with_account().await;
    let mut droplets = crate::support::live_droplets();
    droplets[0].name = "shop-1".to_owned();
    crate::support::sweep(&api.store, &domain::ResourceKind::DROPLET, &droplets).await;
    let path = format!("{COSTS}?group_by=resource&from=2026-04&to=2026-04");
    let costs = api.get(&api.admin, &path).await.ok();
    let mut found: Vec<_> = rows(&costs)
        .iter()
        .map(|row| {
            let names = [&row["amount"], &row["resource_name"], &row["kind"]];
            assert_eq!(row["group"].is_null(), row["kind"].is_null(), "{row}");
            names.map(|name| name.as_str().unwrap_or("-").to_owned())
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            // Deleted, with its last name.
            ["0.10", "gone-1", "droplet"],
            ["24.50", "db-1", "droplet"],
            // The tax is for no resource.
            ["3.06", "-", "-"],
            // Billed as web-1.
            ["6.00", "shop-1", "droplet"],
        ]
    );
}

#[tokio::test]
async fn a_resource_known_only_from_the_invoice_has_the_name_on_it() {
    let api = TestApi::with_account().await;
    let mut lines = crate::support::lines("Droplets,,old-1 (s-1vcpu-1gb),1,,,$2.00,alpha,iaas");
    lines[0].item.resource_id = Some("77".into());
    api.invoice_of_lines("2026-05", "2.00", &lines).await;
    let path = format!("{COSTS}?group_by=resource&from=2026-05&to=2026-05");
    let costs = api.get(&api.admin, &path).await.ok();
    assert_eq!(
        named(&costs, &["group", "resource_name", "kind"]),
        json!([["droplet:77", "old-1", "droplet"]])
    );
}

#[tokio::test]
async fn costs_by_project_have_the_id_and_the_latest_name() {
    let api = TestApi::with_account().await;
    let (alpha, beta) = (api.project_id("alpha").await, api.project_id("beta").await);
    api.write_by_hand(
        "with renamed as (update cloud_projects set name = 'omega' where name = 'alpha' returning id)
         update cloud_project_names set name = 'alpha' where cloud_project_id in (select id from renamed)",
    )
    .await;
    let unknown = "Droplets,,x (s-1vcpu-1gb),1,,,$2.00,elsewhere,iaas";
    api.invoice("2026-05", "2.00", unknown).await;
    let path = format!("{COSTS}?group_by=project&from=2026-04&to=2026-05");
    let costs = api.get(&api.admin, &path).await.ok();
    assert_eq!(
        named(&costs, &["group", "project_id", "project_name"]),
        json!([
            [null, null, null],
            ["alpha", alpha, "omega"],
            ["beta", beta, "beta"],
            ["elsewhere", null, "elsewhere"],
        ])
    );
}

#[tokio::test]
async fn an_ambiguous_project_name_has_an_id_only_if_the_month_decides() {
    let api = TestApi::with_account().await;
    api.write_by_hand(
        "insert into cloud_project_names (cloud_project_id, name, valid_from, valid_to)
         select id, 'alpha', '2026-04-01', '2026-05-01' from cloud_projects where name = 'beta'",
    )
    .await;
    let line = "Droplets,,x (s-1vcpu-1gb),1,,,$2.00,alpha,iaas";
    api.invoice("2026-02", "2.00", line).await;
    let path = format!("{COSTS}?group_by=project&from=2026-02&to=2026-04");
    let costs = api.get(&api.admin, &path).await.ok();
    let beta = api.project_id("beta").await;
    let alphas: Vec<_> = rows(&costs)
        .iter()
        .filter(|row| row["group"] == "alpha")
        .map(|row| json!([row["period"], row["project_id"]]))
        .collect();
    assert_eq!(
        alphas,
        [json!(["2026-02-01", null]), json!(["2026-04-01", beta])]
    );
}

#[tokio::test]
async fn costs_by_other_groups_have_no_names() {
    let api = TestApi::with_account().await;
    for group_by in ["tenant", "kind", "product"] {
        let path = format!("{COSTS}?group_by={group_by}&from=2026-04&to=2026-04");
        let costs = api.get(&api.admin, &path).await.ok();
        for row in rows(&costs) {
            for field in ["resource_name", "kind", "project_id", "project_name"] {
                assert!(row.get(field).is_none(), "{row}");
            }
        }
    }
}
