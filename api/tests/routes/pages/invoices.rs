//! Tests of `/invoices`.

use domain::invoices::{ChargePart, InvoiceSummary, read_invoice_csv};
use store::invoices::{Document, InvoiceContent};

use super::Session;
use crate::support::{APRIL, MARCH, TestApi, UNKNOWN, content, invoice_of, lines, rows};

#[tokio::test]
async fn the_list_has_the_amounts_and_states_of_the_json_api() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page("/invoices").await;
    let invoices = api.get(&api.admin, "/api/v1/billing/invoices").await.ok();
    assert_eq!(rows(&invoices).len(), 2);
    for invoice in rows(&invoices) {
        let amount = invoice["amount"].as_str().unwrap();
        assert!(page.contains(&format!(">{amount}</td>")), "{invoice}");
        let link = format!("/invoices/{}", invoice["invoice_uuid"].as_str().unwrap());
        assert!(page.contains(&link), "{invoice}");
    }
    assert!(page.contains("the lines are not read yet"), "{page}");
    assert!(page.contains("href=\"/months/2026-04\""), "{page}");
    // Taxes of April.
    assert!(page.contains(">3.06</td>"), "{page}");
    let first = session.page("/invoices?limit=1").await;
    assert!(first.contains(">Next</a>"), "{first}");
}

#[tokio::test]
async fn an_invoice_that_is_off_has_its_reasons_and_differences() {
    let api = TestApi::with_account().await;
    let lines =
        lines("Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas\nTaxes,,GST (10%),,,,$1.00,,");
    api.listed(invoice_of("2026-05"), "2026-05", "11.02").await;
    let summary = InvoiceSummary {
        invoice_uuid: Some(invoice_of("2026-05")),
        invoice_id: None,
        period: "2026-05".parse().unwrap(),
        amount: "11.01".parse().unwrap(),
        parts: vec![(ChargePart::Taxes, "1.03".parse().unwrap())],
        charged_products: Vec::new(),
    };
    let invoice = invoice_of("2026-05");
    let content = InvoiceContent {
        summary: Some(&summary),
        ..content(&lines)
    };
    api.ingest(invoice, content).await;
    let session = Session::start(&api, &api.admin).await;
    for path in ["/invoices".to_owned(), format!("/invoices/{invoice}")] {
        let page = session.page(&path).await;
        for reason in [
            "the lines are off by 0.02 USD",
            "the summary is off by 0.01 USD",
            "taxes: the lines are off by 0.03 USD",
        ] {
            assert!(page.contains(reason), "{path}: {reason}");
        }
        assert!(page.contains(">not final<"), "{path}");
    }
    let page = session.page(&format!("/invoices/{invoice}")).await;
    for off_by in ["0.02", "0.01", "0.03"] {
        assert!(page.contains(&format!("<td class=\"num\">{off_by}</td>")));
    }
}

#[tokio::test]
async fn an_invoice_without_a_summary_is_unverified_everywhere() {
    let api = TestApi::with_account().await;
    let lines = lines("Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas");
    let invoice = invoice_of("2026-05");
    api.listed(invoice, "2026-05", "10.00").await;
    let content = InvoiceContent {
        source_note: Some("without the summary: 404"),
        ..content(&lines)
    };
    api.ingest(invoice, content).await;

    let path = format!("/api/v1/billing/invoices/{invoice}");
    let shown = api.get(&api.admin, &path).await.ok();
    assert_eq!(shown["data"]["verification"], "unverified");
    assert_eq!(shown["data"]["is_final"], false);
    assert_eq!(shown["data"]["verified_at"], serde_json::Value::Null);
    let path = "/api/v1/billing/statements?period=2026-05";
    let month = api.get(&api.admin, path).await.ok();
    assert_eq!(month["meta"]["is_final"], false);
    assert_eq!(month["meta"]["unverified_invoices"], 1);
    let sync = api.get(&api.admin, "/api/v1/sync").await.ok();
    let reasons = sync["data"]["reasons"].as_array().unwrap();
    let codes: Vec<_> = reasons.iter().map(|reason| &reason["code"]).collect();
    assert!(
        codes.contains(&&"invoices_unverified".into()),
        "{codes:?}: {sync}"
    );

    let session = Session::start(&api, &api.admin).await;
    for path in [
        "/invoices".to_owned(),
        format!("/invoices/{invoice}"),
        "/months/2026-05".to_owned(),
    ] {
        let page = session.page(&path).await;
        assert!(page.contains("unverified"), "{path}: {page}");
        assert!(page.contains("without the summary: 404"), "{path}: {page}");
    }
    let months = session.page("/months").await;
    assert!(months.contains("1 unverified"), "{months}");
    let overview = session.page("/").await;
    assert!(
        overview.contains("1 invoices are not verified"),
        "{overview}"
    );
}

#[tokio::test]
async fn versions_are_compared_line_by_line() {
    let api = TestApi::empty().await;
    let row = |name: &str, amount: &str| format!("Droplets,,{name},,,,${amount},alpha,iaas");
    let first = [
        row("web-1", "10.00"),
        row("web-2", "5.00"),
        row("web-3", "1.00"),
    ];
    api.invoice("2026-05", "16.00", &first.join("\n")).await;
    let second = [
        row("web-1", "12.50"),
        row("web-2", "5.00"),
        row("web-4", "0.25"),
    ];
    api.invoice("2026-05", "17.75", &second.join("\n")).await;
    let session = Session::start(&api, &api.admin).await;
    let path = format!("/invoices/{}", invoice_of("2026-05"));
    for address in [path.clone(), format!("{path}?before=1&after=2")] {
        let page = session.page(&address).await;
        assert!(page.contains("Version 1 and version 2"), "{page}");
        for difference in ["+2.50", "-1.00", "+0.25", "+1.75"] {
            assert!(
                page.contains(&format!("<td class=\"num\">{difference}</td>")),
                "{difference}: {page}"
            );
        }
        assert!(!page.contains("web-2"), "{page}");
    }
    let unknown = session.get(&format!("{path}?before=1&after=7")).await;
    assert_eq!(unknown.status, 404);
    let half = session.get(&format!("{path}?before=1")).await;
    assert_eq!(half.status, 400);
}

#[tokio::test]
async fn stored_documents_are_downloaded_unchanged() {
    const CSV: &str = "\
product,group_description,description,hours,start,end,USD,project_name,category
Droplets,,web-1,,,,$10.00,alpha,iaas
";
    let api = TestApi::with_account().await;
    let csv = read_invoice_csv(CSV.as_bytes()).unwrap();
    api.listed(invoice_of("2026-05"), "2026-05", "10.00").await;
    let document = Document::csv(CSV.as_bytes());
    let invoice = invoice_of("2026-05");
    let content = InvoiceContent {
        csv: Some(&document),
        ..content(&csv.lines)
    };
    api.ingest(invoice, content).await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page(&format!("/invoices/{invoice}")).await;
    let path = format!("/invoices/{invoice}/versions/1/invoice.csv");
    assert!(page.contains(&path), "{page}");
    let file = session.get(&path).await;
    assert_eq!((file.status.as_u16(), file.text.as_str()), (200, CSV));
    let name = file.headers["content-disposition"].to_str().unwrap();
    assert!(name.contains("2026-05-version-1.csv"), "{name}");
    for missing in ["items.jsonl", "summary.json"] {
        let path = format!("/invoices/{invoice}/versions/1/{missing}");
        assert_eq!(session.get(&path).await.status, 404, "{path}");
    }
    // The invoice of the account has no stored document.
    let page = session.page(&format!("/invoices/{APRIL}")).await;
    assert!(page.contains("No document is stored"), "{page}");
}

#[tokio::test]
async fn invoices_are_for_administrators_and_unknown_ones_are_not_found() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.acme).await;
    for path in ["/invoices".to_owned(), format!("/invoices/{MARCH}")] {
        assert_eq!(session.get(&path).await.status, 403, "{path}");
    }
    let session = Session::start(&api, &api.admin).await;
    let missing = session.get(&format!("/invoices/{UNKNOWN}")).await;
    assert_eq!(missing.status, 404);
    assert!(missing.text.contains("<h1>"), "{missing:?}");
}

#[tokio::test]
async fn an_empty_account_explains_the_missing_invoices() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    for path in ["/invoices", "/months"] {
        let page = session.page(path).await;
        assert!(page.contains("billing-history"), "{page}");
    }
}
