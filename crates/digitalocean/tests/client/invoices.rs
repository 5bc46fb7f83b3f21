//! Tests the invoices: their list, items, summary and CSV.

use std::convert::Infallible;

use axum::http::StatusCode;
use digitalocean::{Client, Error, InvoiceItemRead, InvoiceItemsListed, InvoiceKey, PageSink};
use domain::InvoiceUuid;
use domain::invoices::{
    ChargePart, InvoiceItem, InvoicePreview, join_items, line_total, read_invoice_csv,
};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use simulator::{Account, Fault, FaultKind};

use crate::scripted::{self, Scripted};
use crate::simulated;

const INVOICE: &str = "22737513-0ea7-4206-8ceb-98a575af7681";

/// Keeps the items of all pages.
struct Kept(Vec<InvoiceItemRead>);

impl PageSink<InvoiceItemRead> for Kept {
    type Error = Infallible;

    async fn take(&mut self, items: Vec<InvoiceItemRead>) -> Result<(), Infallible> {
        self.0.extend(items);
        Ok(())
    }
}

async fn items_of(
    client: &Client,
    invoice: InvoiceKey,
) -> (InvoiceItemsListed, Vec<InvoiceItemRead>) {
    let mut kept = Kept(Vec::new());
    let Ok(listed) = client.get_invoice(invoice, &mut kept).await;
    (listed, kept.0)
}

#[tokio::test]
async fn all_invoices_are_listed_without_the_preview() {
    let (simulator, client) = simulated(Account::demo()).await;
    let listed = client.list_invoices().await.invoices;
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
async fn an_invoices_header_items_and_csv_reconcile() {
    let (_simulator, client) = simulated(Account::demo()).await;
    let listed = client.list_invoices().await.invoices.items;
    let april = listed
        .iter()
        .find(|invoice| invoice.period.to_string() == "2026-04")
        .unwrap();
    let key = InvoiceKey::from(april.invoice_uuid);
    let summary = client.get_invoice_summary(key).await.unwrap();
    assert_eq!(summary.invoice_uuid, Some(april.invoice_uuid));
    assert_eq!(
        (&summary.invoice_id, summary.period, summary.amount),
        (&april.invoice_id, april.period, april.amount)
    );

    let (listed, read) = items_of(&client, key).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    let items: Vec<InvoiceItem> = read.into_iter().map(|read| read.item).collect();
    let csv = client.fetch_invoice_csv(key).await.unwrap();
    let mut csv = read_invoice_csv(&csv).unwrap();
    assert_eq!((items.len(), csv.lines.len()), (33, 33));
    let item_total: Decimal = items.iter().map(|item| item.amount).sum();
    assert_eq!(item_total.to_string(), "86.92");
    assert_eq!(line_total(&csv.lines), Some(item_total));
    for (item, line) in items.iter().zip(&csv.lines) {
        assert_eq!(item.product, line.product);
        assert_eq!((item.amount, item.start_time), (line.amount, line.start_at));
    }

    assert_eq!(join_items(&mut csv, &items).joined, 33);
    for (item, line) in items.iter().zip(&csv.lines) {
        assert_eq!(item.resource_id, line.item.resource_id);
    }
    for part in ChargePart::ALL {
        let of_part = csv.lines.iter().filter(|line| line.part == part);
        let sum: Decimal = of_part.map(|line| line.amount).sum();
        assert!(summary.parts.contains(&(part, sum)), "{part:?} {summary:?}");
    }
}

#[tokio::test]
async fn a_csv_is_requested_as_csv_and_returned_byte_for_byte() {
    let file = "\u{feff}product,USD\r\n\"a,b\",$1.00\r\n";
    let server = Scripted::start(move |_, _| {
        scripted::with_type(StatusCode::OK, "text/csv; charset=utf-8", file)
    })
    .await;
    let csv = server
        .client()
        .fetch_invoice_csv(InvoiceKey::Issued(INVOICE.parse().unwrap()))
        .await;
    assert_eq!(csv.unwrap(), file.as_bytes());
    let request = server.requests().remove(0);
    assert_eq!(request.headers["accept"], "text/csv");
    assert_eq!(
        request.target,
        format!("/v2/customers/my/invoices/{INVOICE}/csv")
    );
}

#[tokio::test]
async fn another_content_type_is_not_accepted_as_a_csv() {
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
            .fetch_invoice_csv(invoice.into())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::UnexpectedBody { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_truncated_csv_and_an_unknown_invoice_are_errors() {
    let (simulator, client) = simulated(Account::demo()).await;
    let mut listed = client.list_invoices().await.invoices.items;
    let invoice = InvoiceKey::Issued(listed.remove(0).invoice_uuid);
    simulator.fail(Fault::new(FaultKind::CutOff, "/v2/customers/my/invoices/*/csv").times(1));
    let error = client.fetch_invoice_csv(invoice).await.unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error:?}");

    let unknown: InvoiceUuid = INVOICE.parse().unwrap();
    let error = client.fetch_invoice_csv(unknown.into()).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn the_list_includes_the_preview() {
    let (simulator, client) = simulated(Account::demo()).await;
    let preview = client.list_invoices().await.preview;
    let (expected, generated_at) = simulator.read(|account| {
        let preview = account.preview().unwrap().clone();
        (preview, account.balance().generated_at)
    });
    assert_eq!(
        preview,
        Some(InvoicePreview {
            period: expected.period_text().parse().unwrap(),
            amount: expected.amount,
            updated_at: Some(generated_at),
        })
    );
    simulator.change(|account| account.set_preview(None));
    let listed = client.list_invoices().await;
    assert_eq!((listed.preview, listed.invoices.items.len()), (None, 137));
}

#[tokio::test]
async fn an_invalid_preview_does_not_affect_the_invoices() {
    for preview in [json!(null), json!({ "amount": "x" }), json!([])] {
        let response = json!({
            "invoices": [{ "invoice_uuid": INVOICE, "amount": "12.34", "invoice_period": "2019-12" }],
            "invoice_preview": preview,
        });
        let server = Scripted::start(move |_, _| scripted::json(&response)).await;
        let listed = server.client().list_invoices().await;
        assert!(listed.invoices.completeness.is_complete(), "{listed:?}");
        assert_eq!((listed.preview, listed.invoices.items.len()), (None, 1));
    }
}

#[tokio::test]
async fn the_preview_has_items_a_summary_and_a_csv() {
    let (simulator, client) = simulated(Account::demo()).await;
    let expected = simulator.read(|account| account.preview().unwrap().clone());
    let summary = client.get_invoice_summary(InvoiceKey::Preview).await;
    let summary = summary.unwrap();
    assert_eq!(summary.amount, expected.amount);
    assert_eq!(summary.period.to_string(), expected.period_text());
    let (_, items) = items_of(&client, InvoiceKey::Preview).await;
    assert_eq!(items.len(), expected.lines.len());
    let csv = client.fetch_invoice_csv(InvoiceKey::Preview).await.unwrap();
    let lines = read_invoice_csv(&csv).unwrap().lines;
    assert_eq!(line_total(&lines), Some(expected.amount));
    let requests = simulator.requests();
    assert!(requests.iter().all(|request| {
        request
            .path
            .starts_with("/v2/customers/my/invoices/preview")
    }));
}

/// The example of the API description, reduced to the fields that are read, with a change.
fn summary(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = json!({
        "invoice_uuid": INVOICE,
        "invoice_id": "123456789",
        "billing_period": "2020-01",
        "amount": "27.13",
        "user_email": "sammy@digitalocean.com",
        "product_charges": {
            "name": "Product usage charges",
            "amount": "12.34",
            "items": [
                { "amount": "10.00", "name": "Spaces Subscription", "count": "1" },
                { "amount": "2.34", "name": "Database Clusters", "count": "1" }
            ]
        },
        "overages": { "name": "Overages", "amount": "3.45" },
        "taxes": { "name": "Taxes", "amount": "4.56" },
        "credits_and_adjustments": { "name": "Credits & adjustments", "amount": "6.78" }
    });
    change(&mut body);
    body
}

async fn read_summary(body: Value) -> Result<domain::invoices::InvoiceSummary, Error> {
    let server = Scripted::start(move |_, _| scripted::json(&body)).await;
    let invoice = InvoiceKey::Issued(INVOICE.parse().unwrap());
    server.client().get_invoice_summary(invoice).await
}

#[tokio::test]
async fn a_summary_has_the_sums_of_its_parts() {
    let read = read_summary(summary(|_| ())).await.unwrap();
    let parts = [
        (ChargePart::ProductCharges, Decimal::new(1234, 2)),
        (ChargePart::Overages, Decimal::new(345, 2)),
        (ChargePart::Taxes, Decimal::new(456, 2)),
        (ChargePart::CreditsAndAdjustments, Decimal::new(678, 2)),
    ];
    assert_eq!(read.parts, parts);
    assert_eq!(read.amount, parts.iter().map(|(_, sum)| sum).sum());
    assert_eq!(
        read.charged_products,
        ["Spaces Subscription", "Database Clusters"]
    );
    assert_eq!(read.invoice_uuid, Some(INVOICE.parse().unwrap()));
    assert_eq!(read.invoice_id.as_deref(), Some("123456789"));
    assert_eq!(read.period.to_string(), "2020-01");
}

#[tokio::test]
async fn a_missing_or_null_part_is_omitted() {
    let body = summary(|body| {
        body["overages"] = Value::Null;
        body["taxes"] = json!({ "name": "Taxes" });
        body["product_charges"]["items"] = Value::Null;
        body.as_object_mut()
            .unwrap()
            .remove("credits_and_adjustments");
    });
    let read = read_summary(body).await.unwrap();
    let parts = [(ChargePart::ProductCharges, Decimal::new(1234, 2))];
    assert_eq!(read.parts, parts);
    assert_eq!(read.charged_products, Vec::<String>::new());
}

#[tokio::test]
async fn a_summary_of_the_preview_has_no_uuid() {
    let body = summary(|body| body["invoice_uuid"] = json!("preview"));
    assert_eq!(read_summary(body).await.unwrap().invoice_uuid, None);
}

#[tokio::test]
async fn an_invalid_uuid_month_or_sum_of_a_summary_is_an_error() {
    for (key, value) in [
        ("invoice_uuid", json!("example")),
        ("billing_period", json!("January")),
        ("amount", json!("much")),
        ("taxes", json!({ "amount": "much" })),
    ] {
        let error = read_summary(summary(|body| body[key] = value)).await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::UnexpectedBody { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn raw_items_are_kept_as_received() {
    let body = "{\"invoice_items\": [\n  {\"product\": \"Droplets\", \"description\": \"a  \\\"b\\\"\",\n \"amount\": 1.50, \"new\": [1, 2]},\n  {\"amount\": \"0.10\", \"duration\": \"1,744.5\", \"resource_id\": 42}\n]}";
    let server =
        Scripted::start(move |_, _| scripted::with_type(StatusCode::OK, "application/json", body))
            .await;
    let invoice: InvoiceUuid = INVOICE.parse().unwrap();
    let (_, read) = items_of(&server.client(), invoice.into()).await;
    let raw: Vec<&str> = read.iter().map(|read| read.json.as_str()).collect();
    assert_eq!(
        raw,
        [
            r#"{"product":"Droplets","description":"a  \"b\"","amount":1.50,"new":[1,2]}"#,
            r#"{"amount":"0.10","duration":"1,744.5","resource_id":42}"#,
        ]
    );
    let items: Vec<&InvoiceItem> = read.iter().map(|read| &read.item).collect();
    assert_eq!(items[0].description, "a  \"b\"");
    assert_eq!(
        (items[1].product.as_str(), items[1].project_name.as_str()),
        ("", "")
    );
    assert_eq!(items[1].duration, Some(Decimal::new(17_445, 1)));
    assert_eq!(items[1].resource_id.as_deref(), Some("42"));
}

#[tokio::test]
async fn raw_items_of_many_pages_are_in_order() {
    let mut account = Account::empty();
    let lines = (0..1_001).map(|number| {
        simulator::InvoiceLine::new("Droplets", &format!("web-{number}"), Decimal::ONE)
    });
    let invoice = simulator::Invoice::for_month(2026, 4, lines.collect());
    let uuid = InvoiceUuid::from(account.add_invoice(invoice));
    let (_simulator, client) = simulated(account).await;
    let (listed, read) = items_of(&client, uuid.into()).await;
    assert!(listed.completeness.is_complete());
    assert_eq!(read.len(), 1_001);
    for read in &read {
        let json: Value = serde_json::from_str(&read.json).unwrap();
        assert_eq!(json["description"], read.item.description.as_str());
    }
    assert_eq!(read[1_000].item.description, "web-1000");
}
