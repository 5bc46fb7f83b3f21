//! The balance, the billing history and the invoices.

use axum::http::StatusCode;
use digitalocean::Error;
use domain::InvoiceUuid;
use domain::invoices::{line_total, read_invoice_csv};
use rust_decimal::Decimal;
use serde_json::json;
use simulator::{Account, Fault, FaultKind};

use crate::scripted::{self, Scripted};
use crate::simulated;

const INVOICE: &str = "22737513-0ea7-4206-8ceb-98a575af7681";

#[tokio::test]
async fn the_balance_is_read_to_the_cent() {
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
async fn all_invoices_are_listed_without_the_preview() {
    let (simulator, client) = simulated(Account::demo()).await;
    let listed = client.list_invoices().await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    assert_eq!((listed.items.len(), listed.requests), (137, 1));
    let preview = simulator.read(|account| account.preview().unwrap().uuid);
    assert!(
        listed
            .items
            .iter()
            .all(|invoice| invoice.invoice_uuid.as_uuid() != preview)
    );
}

#[tokio::test]
async fn an_invoices_header_items_and_csv_tell_the_same() {
    let (_simulator, client) = simulated(Account::demo()).await;
    let listed = client.list_invoices().await.items;
    let april = listed
        .iter()
        .find(|invoice| invoice.period.to_string() == "2026-04")
        .unwrap();
    let summary = client
        .get_invoice_summary(april.invoice_uuid)
        .await
        .unwrap();
    assert_eq!(&summary, april);

    let items = client.get_invoice(april.invoice_uuid).await;
    assert!(items.completeness.is_complete(), "{items:?}");
    let csv = client.fetch_invoice_csv(april.invoice_uuid).await.unwrap();
    let lines = read_invoice_csv(&csv).unwrap();
    assert_eq!((items.items.len(), lines.len()), (33, 33));
    let item_total: Decimal = items.items.iter().map(|item| item.amount).sum();
    assert_eq!(item_total.to_string(), "86.92");
    assert_eq!(line_total(&lines), Some(item_total));
    for (item, line) in items.items.iter().zip(&lines) {
        assert_eq!(item.product.as_ref(), Some(&line.product));
        assert_eq!((item.amount, item.start_time), (line.amount, line.start_at));
    }
}

#[tokio::test]
async fn the_billing_history_is_read_over_its_pages() {
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
async fn entries_that_are_alike_are_all_kept() {
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
async fn a_csv_arrives_byte_for_byte_and_is_asked_for_as_one() {
    let file = "\u{feff}product,USD\r\n\"a,b\",$1.00\r\n";
    let server = Scripted::start(move |_, _| {
        scripted::with_type(StatusCode::OK, "text/csv; charset=utf-8", file)
    })
    .await;
    let csv = server
        .client()
        .fetch_invoice_csv(INVOICE.parse().unwrap())
        .await;
    assert_eq!(csv.unwrap(), file.as_bytes());
    let asked = server.asked().remove(0);
    assert_eq!(asked.headers["accept"], "text/csv");
    assert_eq!(
        asked.target,
        format!("/v2/customers/my/invoices/{INVOICE}/csv")
    );
}

#[tokio::test]
async fn what_is_no_csv_is_not_taken_for_one() {
    for (content_type, body) in [
        ("text/html", "hello"),
        ("text/csv", "<!doctype html><title>Sign in</title>"),
        ("application/json", r#"{"message":"later"}"#),
    ] {
        let server =
            Scripted::start(move |_, _| scripted::with_type(StatusCode::OK, content_type, body))
                .await;
        let invoice: InvoiceUuid = INVOICE.parse().unwrap();
        let error = server
            .client()
            .fetch_invoice_csv(invoice)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::UnexpectedBody { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_csv_that_breaks_off_and_an_invoice_that_is_not_there_are_errors() {
    let (simulator, client) = simulated(Account::demo()).await;
    let invoice = client.list_invoices().await.items.remove(0).invoice_uuid;
    simulator.fail(Fault::new(FaultKind::CutOff, "/v2/customers/my/invoices/*/csv").times(1));
    let error = client.fetch_invoice_csv(invoice).await.unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error:?}");

    let unknown: InvoiceUuid = INVOICE.parse().unwrap();
    let error = client.fetch_invoice_csv(unknown).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}
