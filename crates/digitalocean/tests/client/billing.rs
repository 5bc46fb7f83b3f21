//! Tests the balance and the billing history.

use axum::http::StatusCode;
use digitalocean::Error;
use serde_json::json;
use simulator::Account;

use crate::scripted::{self, Scripted};
use crate::simulated;

#[tokio::test]
async fn the_balance_is_exact() {
    let (simulator, client) = simulated(Account::demo()).await;
    let reading = client.get_balance().await.unwrap();
    let expected = simulator.read(Account::balance);
    assert_eq!(reading.account_balance, expected.account_balance);
    assert_eq!(reading.month_to_date_usage, expected.month_to_date_usage);
    assert_eq!(
        reading.month_to_date_balance,
        expected.month_to_date_balance()
    );
    assert_eq!(reading.generated_at, expected.generated_at);
}

#[tokio::test]
async fn a_balance_in_json_numbers_is_read_without_rounding() {
    let server = Scripted::start(|_, _| {
        let body = r#"{"month_to_date_balance": 79228162514264.33759354395033, "account_balance": -0.10,
            "month_to_date_usage": "11.21", "generated_at": "2019-07-09T17:01:12.5+02:00"}"#;
        scripted::with_type(StatusCode::OK, "application/json", body)
    })
    .await;
    let reading = server.client().get_balance().await.unwrap();
    assert_eq!(
        reading.month_to_date_balance.to_string(),
        "79228162514264.33759354395033"
    );
    assert_eq!(reading.account_balance.to_string(), "-0.10");
    assert_eq!(
        reading.generated_at.to_rfc3339(),
        "2019-07-09T15:01:12.500+00:00"
    );
}

#[tokio::test]
async fn a_balance_without_its_amounts_is_an_error() {
    let server = Scripted::start(|_, _| scripted::json(&json!({ "balance": "1.00" }))).await;
    let error = server.client().get_balance().await.unwrap_err();
    assert!(matches!(error, Error::UnexpectedBody { .. }), "{error:?}");
    assert!(
        error.to_string().contains("month_to_date_balance"),
        "{error}"
    );
}

#[tokio::test]
async fn all_pages_of_the_billing_history_are_read() {
    let (simulator, client) = simulated(Account::demo()).await;
    let listed = client.list_billing_history().await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    let expected = simulator.read(Account::history);
    assert!(expected.len() > 200);
    assert_eq!(listed.items.len(), expected.len());
    assert_eq!(
        usize::try_from(listed.requests).unwrap(),
        expected.len().div_ceil(200)
    );
    for (entry, expected) in listed.items.iter().zip(&expected) {
        assert_eq!((entry.amount, entry.date), (expected.amount, expected.date));
        assert_eq!(entry.invoice_uuid.is_some(), entry.entry_type == "Invoice");
    }
}

#[tokio::test]
async fn equal_entries_are_all_kept() {
    let entry = json!({ "description": "Payment (MC 2018)", "amount": "-5.00", "date": "2018-06-02T08:44:38Z", "type": "Payment" });
    let server = Scripted::start(move |_, _| {
        scripted::json(&json!({ "billing_history": [entry, entry], "links": {} }))
    })
    .await;
    let listed = server.client().list_billing_history().await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    assert_eq!(listed.items.len(), 2);
    assert_eq!(listed.items[0], listed.items[1]);
}

#[tokio::test]
async fn an_entry_keeps_a_valid_invoice_uuid() {
    let uuid = "22737513-0ea7-4206-8ceb-98a575af7681";
    let entry = |uuid: &str| {
        json!({ "description": "Invoice for May 2018", "amount": "12.34", "invoice_id": "123",
            "invoice_uuid": uuid, "date": "2018-06-01T08:44:38Z", "type": "Invoice" })
    };
    let response = json!({ "billing_history": [entry(uuid), entry("example-uuid")] });
    let server = Scripted::start(move |_, _| scripted::json(&response)).await;
    let listed = server.client().list_billing_history().await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    assert_eq!(listed.items[0].invoice_uuid, Some(uuid.parse().unwrap()));
    assert_eq!(listed.items[1].invoice_uuid, None);
    assert_eq!(listed.items[1].invoice_id.as_deref(), Some("123"));
}
