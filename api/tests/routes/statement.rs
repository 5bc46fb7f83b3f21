//! Tests of the statement of a tenant with its lines.

use std::io::Cursor;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use calamine::{Data, Reader as _, Xlsx};
use rust_decimal::Decimal;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::{TestApi, hour_before_and_after, rows, sum, usd, with_token};

/// Ingests an invoice of May: a droplet that changed its tenant in the month, one of another
/// tenant, an unknown one, and shared costs.
async fn with_may() -> TestApi {
    let api = TestApi::with_account().await;
    let path = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
    let change = r#"{"tenant_id": "globex"}"#;
    api.patch(&api.admin, &path, change).await.ok();
    let (before, after) = hour_before_and_after(&api.store).await;
    let rows = format!(
        "Droplets,,web-1 (s-1vcpu-1gb),2,{before},{after},$10.01,alpha,iaas
Droplets,,db-1 (s-1vcpu-1gb),,,,$24.50,beta,iaas
Droplets,,unknown-1 (s-1vcpu-1gb),,,,$5.00,,iaas
Taxes,,GST (10%),,,,$4.02,,
Credits,,Goodwill,,,,-$1.01,,"
    );
    api.invoice("2026-05", "42.52", &rows).await;
    api
}

fn path_of(period: &str, tenant: Option<&str>) -> String {
    let tenant = tenant.unwrap_or("~unallocated");
    format!("/api/v1/billing/statements/{tenant}?period={period}")
}

/// The statements of the months, in the list and with their lines.
async fn statements(api: &TestApi) -> Vec<(String, Value, Value)> {
    let mut all = Vec::new();
    for period in ["2026-04", "2026-05"] {
        let list = api.statements(period).await;
        for row in rows(&list) {
            let path = path_of(period, row["tenant_id"].as_str());
            let found = api.get(&api.admin, &path).await.ok();
            all.push((path, row.clone(), found["data"].clone()));
        }
    }
    assert!(all.len() > 4, "{all:?}");
    all
}

#[tokio::test]
async fn a_statement_equals_its_row_of_the_list_and_its_lines() {
    let api = with_may().await;
    for (path, row, found) in statements(&api).await {
        for field in ["tenant_id", "direct", "shared", "total"] {
            assert_eq!(found[field], row[field], "{path}: {field}");
        }
        for (lines, field) in [("lines", "direct"), ("shared_lines", "shared")] {
            let amounts = found[lines].as_array().unwrap().iter();
            let total: Decimal = amounts.map(|line| usd(&line["amount"])).sum();
            assert_eq!(total, usd(&found[field]), "{path}: {lines}");
        }
        let checks = found["checks"].as_array().unwrap();
        assert_eq!(checks.len(), 4, "{path}: {found}");
        for check in checks {
            assert_eq!(check["difference"], "0.00", "{path}: {check}");
        }
        for invoice in found["invoices"].as_array().unwrap() {
            let hash = invoice["content_hash"].as_str().unwrap();
            assert_eq!((hash.len(), &invoice["version"]), (64, &Value::from(1)));
        }
    }
}

#[tokio::test]
async fn the_parts_of_all_tenants_total_each_line() {
    let api = with_may().await;
    let mut parts = std::collections::BTreeMap::<String, (Decimal, Decimal)>::new();
    for (_, _, found) in statements(&api).await {
        for lines in ["lines", "shared_lines"] {
            for line in found[lines].as_array().unwrap() {
                let id = line["id"].as_str().unwrap().to_owned();
                let part = parts.entry(id).or_default();
                part.0 = usd(&line["line_amount"]);
                part.1 += usd(&line["amount"]);
            }
        }
    }
    assert_eq!(parts.len(), 9, "{parts:?}");
    for (id, (line, total)) in parts {
        assert_eq!(line, total, "{id}");
    }
}

#[tokio::test]
async fn the_csv_of_all_statements_totals_the_invoices() {
    let api = with_may().await;
    let mut total = Decimal::ZERO;
    for (path, row, _) in statements(&api).await {
        let response = api.get(&api.admin, &format!("{path}&format=csv")).await;
        assert_eq!(response.status, 200, "{response:?}");
        let mut reader = csv::Reader::from_reader(response.text.as_bytes());
        let names = reader.headers().unwrap().clone();
        let column = |name| names.iter().position(|found| found == name).unwrap();
        let mut own = Decimal::ZERO;
        for record in reader.records().map(Result::unwrap) {
            own += record[column("amount")].parse::<Decimal>().unwrap();
            assert_eq!(&record[column("invoice_version")], "1");
            assert_eq!(record[column("content_hash")].len(), 64);
        }
        assert_eq!(own, usd(&row["total"]), "{path}");
        total += own;
    }
    let invoices = api
        .get(&api.admin, "/api/v1/billing/invoices?limit=2")
        .await;
    assert_eq!(total, sum(&invoices.ok(), "amount"));
}

/// Returns a workbook by path.
pub(crate) async fn workbook(api: &TestApi, token: &str, path: &str) -> Xlsx<Cursor<Vec<u8>>> {
    let request = with_token(token, Request::get(path));
    let request = request.body(Body::empty()).unwrap();
    let response = api.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let file = response.headers()["content-disposition"].to_str().unwrap();
    assert!(file.ends_with(".xlsx\""), "{file}");
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Xlsx::new(Cursor::new(bytes.to_vec())).unwrap()
}

/// The last number of each row, by the first text of the row.
pub(crate) fn last_numbers(
    workbook: &mut Xlsx<Cursor<Vec<u8>>>,
    sheet: &str,
) -> Vec<(String, Decimal)> {
    let range = workbook.worksheet_range(sheet).unwrap();
    let rows = range.rows().filter_map(|row| {
        let number = row.iter().rev().find_map(|cell| match cell {
            Data::Float(number) => Decimal::from_f64_retain(*number),
            _ => None,
        });
        let number = number?.round_dp(6).normalize();
        Some((row[0].to_string(), number))
    });
    rows.collect()
}

#[tokio::test]
async fn a_workbook_has_the_figures_of_the_statement() {
    let api = with_may().await;
    for (path, row, found) in statements(&api).await {
        let mut workbook = workbook(&api, &api.admin, &format!("{path}&format=xlsx")).await;
        let names = [
            "Statement",
            "Lines",
            "Shared costs",
            "Adjustments",
            "Checks",
        ];
        assert_eq!(workbook.sheet_names(), names);
        let first = last_numbers(&mut workbook, "Statement");
        let total = first.iter().find(|(name, _)| name == "Total").unwrap();
        assert_eq!(total.1, usd(&row["total"]).normalize(), "{path}");
        for (sheet, lines, field) in [
            ("Lines", "lines", "direct"),
            ("Shared costs", "shared_lines", "shared"),
        ] {
            let mut amounts = last_numbers(&mut workbook, sheet);
            let count = found[lines].as_array().unwrap().len();
            // A table without rows has no total.
            let Some((name, total)) = amounts.pop() else {
                assert_eq!(count, 0, "{path}: {sheet}");
                continue;
            };
            assert_eq!((name.as_str(), amounts.len()), ("Total", count), "{path}");
            assert_eq!(total, usd(&found[field]).normalize(), "{path}: {sheet}");
            let sum: Decimal = amounts.iter().map(|(_, amount)| amount).sum();
            assert_eq!(sum.normalize(), total, "{path}: {sheet}");
        }
        let checks = last_numbers(&mut workbook, "Checks");
        assert_eq!(checks.len(), 4);
        assert!(checks.iter().all(|(_, difference)| difference.is_zero()));
    }
}

#[tokio::test]
async fn a_name_on_an_invoice_is_a_text_of_the_workbook() {
    let api = TestApi::with_account().await;
    let line = "Droplets,,\"=HYPERLINK(\"\"http://x\"\")\",,,,$1.00,,iaas";
    api.invoice("2026-05", "1.00", line).await;
    let path = path_of("2026-05", None) + "&format=xlsx";
    let mut workbook = workbook(&api, &api.admin, &path).await;
    let formulas = workbook.worksheet_formula("Lines").unwrap();
    let formulas: Vec<&String> = formulas.cells().map(|(_, _, formula)| formula).collect();
    assert_eq!(formulas, [&"SUM(K2:K2)".to_owned()]);
}

#[tokio::test]
async fn statements_of_unknown_tenants_and_formats_are_refused() {
    let api = TestApi::with_account().await;
    let unknown = api.get(&api.admin, &path_of("2026-04", Some("acne"))).await;
    assert!(unknown.problem(404).contains("acme"), "{unknown:?}");
    let format = path_of("2026-04", Some("acme")) + "&format=pdf";
    let refused = api.get(&api.admin, &format).await;
    assert!(refused.problem(400).contains("xlsx"), "{refused:?}");
    let tenant = api.get(&api.acme, &path_of("2026-04", Some("acme"))).await;
    tenant.problem(403);
}
