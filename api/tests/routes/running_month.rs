//! Tests of the running month with an invoice: billed lines and the rest of the preview.

use chrono::Datelike as _;
use serde_json::json;

use crate::pages::Session;
use crate::support::TestApi;

/// A preview of the running month, and an invoice for a part of it. Returns the month, `YYYY-MM`.
async fn with_running_month(api: &TestApi) -> String {
    let today = api.store.now().await.unwrap().date_naive();
    let month = today.with_day(1).unwrap().format("%Y-%m").to_string();
    let row = |name: &str, days: u32, amount: &str| {
        format!(
            "Droplets,,{name} (s-1vcpu-1gb),1,{month}-01 00:00:00 +0000,{month}-{days} 00:00:00 +0000,${amount},alpha,iaas"
        )
    };
    let preview = [row("web-1", 20, "4.00"), row("web-2", 20, "2.50")].join("\n");
    api.estimate(&month, "6.50", &preview).await;
    let outcome = api.invoice(&month, "3.00", &row("web-1", 15, "3.00")).await;
    assert!(!outcome.is_final);
    month
}

#[tokio::test]
async fn a_running_month_is_its_invoice_and_the_rest_of_the_preview() {
    let api = TestApi::with_account().await;
    let month = with_running_month(&api).await;
    let path = format!("/api/v1/billing/statements?period={month}");
    let statements = api.get(&api.admin, &path).await.ok();
    let meta = &statements["meta"];
    assert_eq!(
        json!({
            "total": meta["total"], "invoice_total": meta["invoice_total"], "estimated": meta["estimated"],
            "is_estimate": meta["is_estimate"], "is_final": meta["is_final"], "is_over": meta["is_over"],
            "difference": meta["difference"], "invoices": meta["invoices"], "final_invoices": meta["final_invoices"],
        }),
        json!({
            "total": "6.50", "invoice_total": "3.00", "estimated": "3.50",
            "is_estimate": true, "is_final": false, "is_over": false,
            "difference": null, "invoices": 1, "final_invoices": 0,
        })
    );
    let path = format!("/api/v1/billing/cost-lines?period={month}");
    let lines = api.get(&api.admin, &path).await.ok();
    assert_eq!(lines["meta"]["total_amount"], "6.50");
    let mut shown: Vec<_> = lines["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| json!([line["is_estimate"], line["amount"], line["preview_amount"]]))
        .collect();
    shown.sort_by_key(ToString::to_string);
    assert_eq!(
        shown,
        [
            json!([false, "3.00", null]),
            json!([true, "1.00", "4.00"]),
            json!([true, "2.50", null]),
        ]
    );
    for group_by in ["tenant", "project", "kind", "product", "resource"] {
        let path = format!("/api/v1/billing/costs?group_by={group_by}&from={month}&to={month}");
        let costs = api.get(&api.admin, &path).await.ok();
        assert_eq!(costs["meta"]["total"], "6.50", "{group_by}");
    }
    let estimates = api.get(&api.admin, "/api/v1/billing/estimates").await.ok();
    let estimate = &estimates["data"][0];
    assert_eq!(
        (
            &estimate["line_total"],
            &estimate["invoiced"],
            &estimate["state"]
        ),
        (&json!("6.50"), &json!("3.00"), &json!("open"))
    );
}

#[tokio::test]
async fn the_pages_mark_billed_and_estimated_amounts() {
    let api = TestApi::with_account().await;
    let month = with_running_month(&api).await;
    let session = Session::start(&api, &api.admin).await;
    for (path, texts) in [
        (
            "/".to_owned(),
            [">6.50 ", "3.00 USD invoiced", "the rest, 3.50 USD"],
        ),
        (
            "/months".to_owned(),
            [">running<", ">3.50</td>", "not over"],
        ),
        (
            format!("/months/{month}"),
            [
                "3.00 USD invoiced, 3.50 USD estimated:",
                "billed and estimated",
                ">verified<",
            ],
        ),
        (
            format!("/months/{month}/statements/acme"),
            ["Billed and estimated.", "billed and estimated", ">6.50<"],
        ),
        (
            format!("/lines?period={month}"),
            ["rest of 4.00", "Billed and estimate", ">billed</a>"],
        ),
        (
            "/invoices".to_owned(),
            [">verified<", "its month is not over", "3.00"],
        ),
    ] {
        let page = session.page(&path).await;
        for text in texts {
            // The state of the invoice is only text in the checklist.
            let text = if path.starts_with("/months/") {
                text.trim_matches(['>', '<'])
            } else {
                text
            };
            assert!(page.contains(text), "{path}: {text}: {page}");
        }
    }
    // April stays the last month.
    let overview = session.page("/").await;
    assert!(overview.contains("April 2026</a> <span class=\"tag\">final"));
}
