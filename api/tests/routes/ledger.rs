//! Tests of the billing history.

use domain::balance::BalanceReading;
use domain::ledger::BillingEntry;
use insta::assert_json_snapshot;
use serde_json::json;

use crate::support::{APRIL, TestApi, column, entry};

const ENTRIES: &str = "/api/v1/billing/entries";

fn history() -> Vec<BillingEntry> {
    let invoice = BillingEntry {
        invoice_id: Some("489977".to_owned()),
        invoice_uuid: Some(APRIL.parse().unwrap()),
        ..entry("Invoice", "33.66", "2026-05-01T06:00:00Z")
    };
    let unknown_invoice = BillingEntry {
        invoice_uuid: Some("00000000-0000-4000-8000-00000000000a".parse().unwrap()),
        ..entry("Invoice", "10.00", "2026-02-01T06:00:00Z")
    };
    vec![
        invoice,
        entry("AttemptFailed", "-33.66", "2026-05-01T07:00:00Z"),
        entry("Payment", "-33.66", "2026-05-02T00:00:00Z"),
        unknown_invoice,
        entry("Credit", "-2.50", "2026-02-03T00:00:00Z"),
        entry("Credit", "-2.50", "2026-02-03T00:00:00Z"),
    ]
}

#[tokio::test]
async fn entries_are_listed_from_the_latest_with_a_running_total() {
    let api = TestApi::with_account().await;
    api.ledger(&history()).await;
    let entries = api.get(&api.admin, ENTRIES).await.ok();
    assert_eq!(
        column(&entries, "type"),
        [
            "Payment",
            "AttemptFailed",
            "Invoice",
            "Credit",
            "Credit",
            "Invoice"
        ]
    );
    assert_eq!(
        column(&entries, "running_total"),
        ["5.00", "38.66", "38.66", "5.00", "7.50", "10.00"]
    );
    assert_json_snapshot!(entries["data"][2], { ".id" => "[uuid]" }, @r#"
    {
      "amount": "33.66",
      "date": "2026-05-01T06:00:00Z",
      "description": "by hand",
      "id": "[uuid]",
      "invoice_amount": "33.66",
      "invoice_id": "489977",
      "invoice_url": "/api/v1/billing/invoices/22737513-0ea7-4206-8ceb-98a575af7681",
      "invoice_uuid": "22737513-0ea7-4206-8ceb-98a575af7681",
      "missing_since": null,
      "moves_money": true,
      "running_total": "38.66",
      "type": "Invoice"
    }
    "#);
    let unknown = &entries["data"][5];
    assert!(unknown["invoice_uuid"].is_string(), "{unknown}");
    assert_eq!(unknown["invoice_amount"], json!(null));
    assert_eq!(unknown["invoice_url"], json!(null));

    let link = entries["data"][2]["invoice_url"].as_str().unwrap();
    let invoice = api.get(&api.admin, link).await.ok();
    assert_eq!(invoice["data"]["invoice_uuid"], APRIL);
}

#[tokio::test]
async fn entries_of_one_type_keep_the_running_total_of_all() {
    let api = TestApi::with_account().await;
    api.ledger(&history()).await;
    let path = format!("{ENTRIES}?type=Invoice");
    let invoices = api.get(&api.admin, &path).await.ok();
    assert_eq!(column(&invoices, "running_total"), ["38.66", "10.00"]);
    assert_eq!(invoices["meta"]["entries"], 6);
    let path = format!("{ENTRIES}?type=Gift");
    let none = api.get(&api.admin, &path).await.ok();
    assert_eq!(none["data"], json!([]));
}

#[tokio::test]
async fn the_billing_history_is_compared_with_the_balance() {
    let api = TestApi::with_account().await;
    api.ledger(&history()).await;
    let unpolled = api.get(&api.admin, ENTRIES).await.ok();
    assert_eq!(unpolled["meta"]["total"], "5.00");
    assert_eq!(unpolled["meta"]["difference"], json!(null));

    // Computed before the payment.
    let reading = BalanceReading {
        month_to_date_balance: "50.00".parse().unwrap(),
        account_balance: "38.70".parse().unwrap(),
        month_to_date_usage: "11.30".parse().unwrap(),
        generated_at: "2026-05-01T12:00:00Z".parse().unwrap(),
    };
    let evidence = api.store.begin_fetch().await.unwrap();
    api.store.store_balance(&reading, evidence).await.unwrap();
    let entries = api
        .get(&api.admin, &format!("{ENTRIES}?limit=1"))
        .await
        .ok();
    assert_json_snapshot!(entries["meta"], {
        ".as_of" => "[time]",
        ".next_cursor" => "[cursor]",
    }, @r#"
    {
      "account_balance": "38.70",
      "as_of": "[time]",
      "balance_generated_at": "2026-05-01T12:00:00Z",
      "difference": "0.04",
      "entries": 6,
      "limit": 1,
      "next_cursor": "[cursor]",
      "total": "5.00",
      "total_at_balance": "38.66"
    }
    "#);
}

#[tokio::test]
async fn a_missing_entry_is_listed_and_in_no_total() {
    let api = TestApi::with_account().await;
    api.ledger(&history()).await;
    api.ledger(&history()[..5]).await;
    let entries = api.get(&api.admin, ENTRIES).await.ok();
    assert_eq!(entries["meta"]["entries"], 6);
    assert_eq!(entries["meta"]["total"], "7.50");
    let missing = column(&entries, "missing_since");
    assert_eq!(missing.iter().filter(|since| *since != "null").count(), 1);
}

#[tokio::test]
async fn the_error_for_an_invalid_parameter_has_its_name() {
    let api = TestApi::empty().await;
    for (query, expected) in [
        ("type=%00", "U+0000"),
        ("kind=Payment", "kind"),
        ("cursor=", "cursor"),
        ("limit=501", "from 1 to 500"),
    ] {
        let detail = api
            .get(&api.admin, &format!("{ENTRIES}?{query}"))
            .await
            .problem(400);
        assert!(detail.contains(expected), "{query}: {detail}");
    }
}
