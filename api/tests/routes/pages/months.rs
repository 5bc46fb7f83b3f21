//! Tests of `/months`, of statements and of the allocation rule.

use domain::costs::AllocationRule;
use rust_decimal::Decimal;
use store::costs::ProductCost;

use super::Session;
use crate::support::{TestApi, column, hour_before_and_after, rows};

const RULE: &str = "/months/2026-04/rule";

/// Ingests an invoice of May: a droplet that changed its tenant in the month, one of another
/// tenant, an unknown one, and shared costs.
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
    api.invoice("2026-05", "42.59", &rows).await;
}

#[tokio::test]
async fn the_list_has_each_month_with_its_total_and_open_items() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    api.estimate("2026-06", "7.00", "Droplets,,web-1,,,,$7.00,alpha,iaas")
        .await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page("/months").await;
    for (month, expected) in [
        ("2026-06", ["7.00", "no invoice yet"]),
        ("2026-05", ["42.59", "5.07 USD unallocated"]),
        ("2026-04", ["33.66", "final"]),
        ("2026-03", ["-10.50", "1 of 1 invoice not final"]),
    ] {
        let from = page.find(&format!("/months/{month}\"")).unwrap();
        let row = page[from..].split("</tr>").next().unwrap();
        for text in expected {
            assert!(row.contains(text), "{month}: {text}: {row}");
        }
    }
}

#[tokio::test]
async fn a_month_leads_to_the_nearest_months_of_the_list_only() {
    let api = TestApi::with_account().await;
    api.estimate("2026-06", "7.00", "Droplets,,web-1,,,,$7.00,alpha,iaas")
        .await;
    let session = Session::start(&api, &api.admin).await;
    for (month, before, after) in [
        ("2027-01", Some("2026-06"), None),
        ("2026-06", Some("2026-04"), None),
        ("2026-04", Some("2026-03"), Some("2026-06")),
        ("2020-01", None, Some("2026-03")),
    ] {
        let page = session.page(&format!("/months/{month}")).await;
        for (name, target) in [("Month before", before), ("Month after", after)] {
            let found = page.split("href=\"/months/").skip(1).find_map(|link| {
                let (target, rest) = link.split_once('"')?;
                rest[1..].starts_with(name).then_some(target)
            });
            assert_eq!(found, target, "{name} of {month}");
        }
    }
}

#[tokio::test]
async fn the_statements_of_a_month_are_those_of_the_json_api() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let session = Session::start(&api, &api.admin).await;
    for period in ["2026-04", "2026-05"] {
        let page = session.page(&format!("/months/{period}")).await;
        let month = api.statements(period).await;
        for row in rows(&month) {
            for field in ["direct", "shared", "total"] {
                let amount = row[field].as_str().unwrap();
                let cell = format!("<td class=\"num\">{amount}</td>");
                assert!(page.contains(&cell), "{period} {field}: {row}");
            }
        }
        let total = month["meta"]["invoice_total"].as_str().unwrap();
        let cell = format!("<td class=\"num\">{total}</td>");
        let cells = page.matches(&cell).count();
        assert_eq!(cells, 2, "statements and invoices total {total}");
    }
    let export = "/exports/focus?period=2026-05&#38;dataset=cost-and-usage&#38;version=1.4&#38;format=parquet";
    let may = session.page("/months/2026-05").await;
    assert!(may.contains(export), "{may}");
    assert!(!may.contains("estimates=true"), "{may}");
    let lines = "/lines?period=2026-05&#38;match_rule=unmatched";
    assert!(may.contains(lines), "{may}");
}

#[tokio::test]
async fn a_statement_totals_its_products_and_lines() {
    let api = TestApi::with_account().await;
    with_may(&api).await;
    let session = Session::start(&api, &api.admin).await;
    let period = "2026-05-01".parse().unwrap();
    let month = api.store.statements(period).await.unwrap();
    for row in &month.rows {
        let tenant = row.tenant_id.as_deref();
        let detail = api.store.statement_detail(period, tenant, 100).await;
        let detail = detail.unwrap();
        let (shared, direct): (Vec<_>, Vec<_>) = detail
            .products
            .into_iter()
            .partition(|product| product.is_shared);
        let sum = |products: &[ProductCost]| -> Decimal {
            products.iter().map(|product| product.amount).sum()
        };
        assert_eq!(sum(&direct), row.direct, "{tenant:?}");
        assert_eq!(sum(&shared), row.shared, "{tenant:?}");
        let all_shared: Decimal = month.rows.iter().map(|row| row.shared).sum();
        let whole = shared.iter().filter_map(|product| product.line_amount);
        assert_eq!(whole.sum::<Decimal>(), all_shared);
        let line_sum: Decimal = detail.lines.iter().map(|line| line.amount).sum();
        assert_eq!(line_sum, row.direct, "{tenant:?}");
        let count: i64 = direct.iter().map(|product| product.lines).sum();
        assert_eq!(count, i64::try_from(detail.lines.len()).unwrap());

        let segment = tenant.unwrap_or("~unallocated");
        let page = session
            .page(&format!("/months/2026-05/statements/{segment}"))
            .await;
        for amount in [row.direct, row.shared, row.total()] {
            assert!(
                page.contains(&format!("{amount:.2}")),
                "{segment}: {amount}"
            );
        }
    }
    let acme = session.page("/months/2026-05/statements/acme").await;
    assert!(acme.contains("part of 10.01"), "{acme}");
}

#[tokio::test]
async fn the_statement_of_an_estimate_is_marked() {
    let api = TestApi::with_account().await;
    api.estimate(
        "2026-06",
        "24.50",
        "Droplets,,db-1 (s-1vcpu-1gb),,,,$24.50,beta,iaas",
    )
    .await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page("/months/2026-06/statements/globex").await;
    assert!(page.contains("<strong>Estimate.</strong>"), "{page}");
    let page = session.page("/months/2026-06").await;
    assert!(page.contains("<strong>Estimate:</strong>"), "{page}");
    let page = session.page("/months/2026-06/statements/acme").await;
    assert!(page.contains("has no costs in June 2026"), "{page}");
}

#[tokio::test]
async fn months_are_for_administrators_and_unknown_tenants_are_not_found() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.acme).await;
    for path in [
        "/months",
        "/months/2026-04",
        RULE,
        "/months/2026-04/statements/acme",
    ] {
        assert_eq!(session.get(path).await.status, 403, "{path}");
    }
    assert_eq!(session.post(RULE, "rule=even&save=yes").await.status, 403);
    let session = Session::start(&api, &api.admin).await;
    for (path, status) in [
        ("/months/2026-04/statements/initech", 404),
        ("/months/2026-13", 400),
        ("/months/april/statements/acme", 400),
    ] {
        let refused = session.get(path).await;
        assert_eq!(refused.status, status, "{path}");
        assert!(refused.text.contains("<h1>"), "{path}");
    }
    // A month without invoices is explained.
    let page = session.page("/months/2020-01").await;
    assert!(page.contains("before the first invoice"), "{page}");
}

#[tokio::test]
async fn a_rule_is_shown_before_it_is_saved_and_can_be_undone() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let shared = async || column(&api.statements("2026-04").await, "shared");
    session.page(RULE).await;

    let dry_run = session.post(RULE, "rule=even").await;
    assert_eq!(dry_run.status, 200);
    for amount in ["6.71", "7.63", "0.92", "26.95", "26.03", "-0.92"] {
        let cell = format!("<td class=\"num\">{amount}</td>");
        assert!(dry_run.text.contains(&cell), "{amount}: {}", dry_run.text);
    }
    assert_eq!(shared().await, ["0.61", "2.45"]);

    let fields = "rule=even&before=rule%3Dproportional&save=yes";
    for _repeated in 0..2 {
        let saved = session.post(RULE, fields).await;
        assert!(saved.text.contains("role=\"status\""), "{}", saved.text);
        assert!(
            saved.text.contains("value=\"proportional\""),
            "{}",
            saved.text
        );
        assert_eq!(shared().await, ["1.53", "1.53"]);
    }
    let april = "2026-04-01".parse().unwrap();
    let stored = api.store.allocation_rules().await.unwrap();
    assert_eq!(stored[0].valid_from, april);
    assert_eq!(stored[0].set_by, "test");

    let undo = "rule=proportional&before=rule%3Deven&save=yes";
    session.post(RULE, undo).await;
    assert_eq!(shared().await, ["0.61", "2.45"]);
    assert_eq!(
        api.store.allocation_rule(april).await.unwrap(),
        AllocationRule::Proportional
    );
}

#[tokio::test]
async fn an_outdated_dry_run_is_not_saved() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let fixed = "rule=fixed&tenant=acme&weight=3&tenant=globex&weight=&tenant=&weight=";
    let before = "before=rule%3Dproportional&save=yes";
    session.post(RULE, &format!("{fixed}&{before}")).await;
    let refused = session.post(RULE, &format!("rule=even&{before}")).await;
    assert!(refused.text.contains("role=\"alert\""), "{}", refused.text);
    let month = api.statements("2026-04").await;
    assert_eq!(column(&month, "shared"), ["3.06", "0.00"]);
    assert_eq!(month["meta"]["spread_rule"]["weights"]["acme"], "3");
    let page = session.page("/months/2026-04/statements/acme").await;
    assert!(page.contains("weight 3 of 3"), "{page}");
    for (fields, status) in [("rule=fair", 400), ("rule=fixed&tenant=acme&weight=0", 400)] {
        assert_eq!(session.post(RULE, fields).await.status, status, "{fields}");
    }
}
