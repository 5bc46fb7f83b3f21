//! Tests of months without data: each has a note with its reason.

use chrono::{Datelike as _, Months, NaiveDate};
use serde_json::{Value, json};

use crate::support::TestApi;

const LINE: &str = "Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas";

async fn this_month(api: &TestApi) -> NaiveDate {
    let today = api.store.now().await.unwrap().date_naive();
    today.with_day(1).unwrap()
}

fn text(month: NaiveDate) -> String {
    month.format("%Y-%m").to_string()
}

fn notes(response: &Value) -> Vec<&str> {
    let notes = response["meta"]["notes"].as_array();
    let notes = notes.map(Vec::as_slice).unwrap_or_default();
    notes
        .iter()
        .map(|note| note["code"].as_str().unwrap())
        .collect()
}

/// Returns the path of each route with a month.
fn paths(month: &str) -> [String; 4] {
    [
        format!("/api/v1/billing/statements?period={month}"),
        format!("/api/v1/billing/cost-lines?period={month}"),
        format!("/api/v1/billing/unmatched?period={month}"),
        format!("/api/v1/billing/costs?group_by=tenant&from={month}&to={month}"),
    ]
}

#[tokio::test]
async fn a_month_without_data_has_a_note() {
    let api = TestApi::empty().await;
    let now = this_month(&api).await;
    let ago = |months| text(now - Months::new(months));
    api.invoice(&ago(6), "10.00", LINE).await;
    api.invoice(&ago(4), "10.00", LINE).await;
    let listed = domain::invoices::InvoiceHeader {
        invoice_uuid: crate::support::invoice_of(&ago(3)),
        invoice_id: None,
        period: ago(3).parse().unwrap(),
        amount: "7.00".parse().unwrap(),
    };
    crate::support::list_invoices(&api.store, &[listed]).await;
    for (month, code) in [
        (ago(7), "period_before_first_invoice"),
        (ago(5), "period_without_invoice"),
        (ago(3), "invoice_not_ingested"),
        (ago(1), "period_after_last_invoice"),
        (ago(0), "period_after_last_invoice"),
        (text(now + Months::new(1)), "period_in_future"),
    ] {
        for path in paths(&month) {
            let response = api.get(&api.admin, &path).await.ok();
            assert_eq!(response["data"], json!([]), "{path}");
            assert_eq!(response["meta"]["has_data"], false, "{path}");
            assert_eq!(notes(&response), [code], "{path}");
        }
    }
}

#[tokio::test]
async fn a_month_without_invoices_has_no_difference() {
    let api = TestApi::with_account().await;
    for (month, difference) in [
        ("2013-01", json!(null)),
        ("2026-06", json!(null)),
        // Listed and not ingested: the lines lack the whole amount.
        ("2026-03", json!("-10.50")),
        ("2026-04", json!("0.00")),
    ] {
        let path = format!("/api/v1/billing/statements?period={month}");
        let meta = api.get(&api.admin, &path).await.ok()["meta"].clone();
        assert_eq!(meta["difference"], difference, "{month}");
        assert_eq!(meta["has_data"], month == "2026-04", "{month}");
        assert_eq!(meta["is_final"], month == "2026-04", "{month}");
    }
}

#[tokio::test]
async fn a_month_with_data_has_no_notes() {
    let api = TestApi::with_account().await;
    let now = text(this_month(&api).await);
    api.estimate(&now, "10.00", LINE).await;
    for month in ["2026-04", now.as_str()] {
        for path in paths(month) {
            let response = api.get(&api.admin, &path).await.ok();
            assert_eq!(response["meta"]["has_data"], true, "{path}");
            assert_eq!(notes(&response), [] as [&str; 0], "{path}");
        }
    }
}

#[tokio::test]
async fn a_series_has_a_note_for_each_run_of_months_without_data() {
    let api = TestApi::with_account().await;
    let path = "/api/v1/billing/costs?group_by=kind&from=2026-01&to=2026-04";
    let series = api.get(&api.admin, path).await.ok();
    assert_eq!(series["meta"]["has_data"], true);
    assert_eq!(
        notes(&series),
        ["period_before_first_invoice", "invoice_not_ingested"]
    );
    let detail = series["meta"]["notes"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("2026-01 to 2026-02"), "{detail}");
}

#[tokio::test]
async fn an_invoice_without_charges_counts_as_data() {
    let api = TestApi::empty().await;
    api.invoice_of_lines("2026-04", "0.00", &[]).await;
    for path in paths("2026-04") {
        let response = api.get(&api.admin, &path).await.ok();
        assert_eq!(response["meta"]["has_data"], true, "{path}");
    }
}

#[tokio::test]
async fn every_billing_list_has_a_note_before_the_first_invoice() {
    let api = TestApi::empty().await;
    for (path, code) in [
        ("statements?period=2026-04", "no_invoices"),
        ("cost-lines?period=2026-04", "no_invoices"),
        ("checks", "no_invoices"),
        ("invoices", "no_invoices"),
        ("estimates", "no_estimates"),
    ] {
        let response = api
            .get(&api.admin, &format!("/api/v1/billing/{path}"))
            .await
            .ok();
        assert_eq!(notes(&response), [code], "{path}");
        let detail = response["meta"]["notes"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("billing-history"), "{detail}");
    }
    let variance = "/api/v1/billing/estimates/2026-04/variance";
    let detail = api.get(&api.admin, variance).await.problem(404);
    assert!(detail.contains("billing-history"), "{detail}");
}
