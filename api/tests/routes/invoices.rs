//! Tests of invoices, their sums, their superseded versions, and the cost lines of a month.

use domain::invoices::{ChargePart, InvoiceSummary};
use insta::assert_json_snapshot;
use serde_json::json;
use store::invoices::InvoiceContent;

use crate::support::{
    APRIL, MARCH, TestApi, column, content, hour_before_and_after, invoice_of, lines, rows,
};

const INVOICES: &str = "/api/v1/billing/invoices";
const APRIL_LINES: &str = "/api/v1/billing/cost-lines?period=2026-04-01";

#[tokio::test]
async fn invoices_are_listed_with_the_latest_month_first() {
    let api = TestApi::with_account().await;
    let invoices = api.get(&api.admin, INVOICES).await.ok();
    assert_json_snapshot!(invoices, {
        ".data[].id" => "[uuid]",
        ".data[].checked_at" => "[time]",
        ".data[].verified_at" => "[time]",
        ".data[].ingested_at" => "[time]",
        ".meta.as_of" => "[time]",
    }, @r#"
    {
      "data": [
        {
          "amount": "33.66",
          "check_failed_since": null,
          "checked_at": "[time]",
          "id": "[uuid]",
          "ingest_status": "ingested",
          "ingested_at": "[time]",
          "invoice_id": "489977",
          "invoice_uuid": "22737513-0ea7-4206-8ceb-98a575af7681",
          "is_final": true,
          "is_withdrawn": false,
          "items_without_row": null,
          "last_check_error": null,
          "last_error": null,
          "line_count": 4,
          "line_total": "33.66",
          "missing_since": null,
          "off_by": "0.00",
          "period": "2026-04-01",
          "provider": "digitalocean",
          "reconciled": true,
          "rows_without_item": null,
          "source_note": null,
          "sources": "csv",
          "summary_amount": "33.66",
          "summary_off_by": "0.00",
          "verification": "verified",
          "verified_at": "[time]",
          "version": 1
        },
        {
          "amount": "-10.50",
          "check_failed_since": null,
          "checked_at": "[time]",
          "id": "[uuid]",
          "ingest_status": "pending",
          "ingested_at": "[time]",
          "invoice_id": "489977",
          "invoice_uuid": "fdabb512-6faf-443c-ba2e-665452332a9e",
          "is_final": false,
          "is_withdrawn": false,
          "items_without_row": null,
          "last_check_error": null,
          "last_error": null,
          "line_count": null,
          "line_total": null,
          "missing_since": null,
          "off_by": null,
          "period": "2026-03-01",
          "provider": "digitalocean",
          "reconciled": null,
          "rows_without_item": null,
          "source_note": null,
          "sources": null,
          "summary_amount": null,
          "summary_off_by": null,
          "verification": null,
          "verified_at": "[time]",
          "version": 0
        }
      ],
      "meta": {
        "as_of": "[time]",
        "limit": 100,
        "next_cursor": null
      }
    }
    "#);
}

#[tokio::test]
async fn an_invoice_is_found_by_its_digitalocean_uuid() {
    let api = TestApi::with_account().await;
    let invoice = api
        .get(&api.admin, &format!("{INVOICES}/{MARCH}"))
        .await
        .ok();
    assert_eq!(invoice["data"]["amount"], "-10.50");
    assert_eq!(invoice["data"]["ingest_status"], "pending");

    let unknown = format!("{INVOICES}/00000000-0000-4000-8000-000000000000");
    let detail = api.get(&api.admin, &unknown).await.problem(404);
    assert!(detail.contains("00000000-0000-4000"), "{detail}");
}

#[expect(clippy::too_many_lines, reason = "most of the lines are one snapshot")]
#[tokio::test]
async fn an_invoice_has_its_four_sums_and_their_differences() {
    let api = TestApi::with_account().await;
    let lines =
        lines("Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas\nTaxes,,GST (10%),,,,$1.00,,");
    api.listed(invoice_of("2026-05"), "2026-05", "11.01").await;
    let summary = InvoiceSummary {
        invoice_uuid: Some(invoice_of("2026-05")),
        invoice_id: None,
        period: "2026-05".parse().unwrap(),
        amount: "11.01".parse().unwrap(),
        parts: vec![
            (ChargePart::ProductCharges, "10.00".parse().unwrap()),
            (ChargePart::Taxes, "1.01".parse().unwrap()),
        ],
        charged_products: Vec::new(),
    };
    let content = InvoiceContent {
        summary: Some(&summary),
        source_note: Some("the items returned 504"),
        unread: None,
        ..content(&lines)
    };
    let invoice = invoice_of("2026-05");
    api.ingest(invoice, content).await;
    let shown = api
        .get(&api.admin, &format!("{INVOICES}/{invoice}"))
        .await
        .ok();
    assert_json_snapshot!(shown["data"], {
        ".id" => "[uuid]",
        ".checked_at" => "[time]",
        ".verified_at" => "[time]",
        ".ingested_at" => "[time]",
        ".versions[].ingested_at" => "[time]",
    }, @r#"
    {
      "amount": "11.01",
      "check_failed_since": null,
      "checked_at": "[time]",
      "id": "[uuid]",
      "ingest_status": "ingested",
      "ingested_at": "[time]",
      "invoice_id": null,
      "invoice_uuid": "00000000-0000-4000-8000-000000202605",
      "is_final": false,
      "is_withdrawn": false,
      "items_without_row": null,
      "last_check_error": null,
      "last_error": null,
      "line_count": 2,
      "line_total": "11.00",
      "missing_since": null,
      "off_by": "0.01",
      "parts": [
        {
          "lines": "0.00",
          "off_by": null,
          "part": "credits_and_adjustments",
          "reconciled": null,
          "stated": null
        },
        {
          "lines": "0.00",
          "off_by": null,
          "part": "overages",
          "reconciled": null,
          "stated": null
        },
        {
          "lines": "10.00",
          "off_by": "0.00",
          "part": "product_charges",
          "reconciled": true,
          "stated": "10.00"
        },
        {
          "lines": "1.00",
          "off_by": "0.01",
          "part": "taxes",
          "reconciled": false,
          "stated": "1.01"
        }
      ],
      "period": "2026-05-01",
      "provider": "digitalocean",
      "reconciled": false,
      "rows_without_item": null,
      "source_note": "the items returned 504",
      "sources": "csv",
      "summary_amount": "11.01",
      "summary_off_by": "0.00",
      "verification": "unreconciled",
      "verified_at": "[time]",
      "version": 1,
      "versions": [
        {
          "amount": "11.01",
          "ingested_at": "[time]",
          "line_count": 2,
          "line_total": "11.00",
          "superseded_at": null,
          "version": 1
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn lines_of_a_superseded_version_are_readable_and_in_no_total() {
    let api = TestApi::with_account().await;
    let resource = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
    api.patch(&api.admin, &resource, r#"{"tenant_id": "globex"}"#)
        .await
        .ok();
    let (before, after) = hour_before_and_after(&api.store).await;
    let web_1 = format!("Droplets,,web-1 (s-1vcpu-1gb),2,{before},{after},$10.00,alpha,iaas");
    let tax = "Taxes,,GST (10%),,,,$1.00,,";
    api.invoice("2026-05", "11.00", &[&web_1, tax].join("\n"))
        .await;
    let month = "/api/v1/billing/cost-lines?period=2026-05-01";
    let first = api.get(&api.admin, month).await.ok();
    assert_eq!(column(&first, "superseded"), ["false", "false"]);
    api.invoice("2026-05", "2.00", &tax.replace("$1.00", "$2.00"))
        .await;

    let invoice = format!("{INVOICES}/{}", invoice_of("2026-05"));
    let shown = api.get(&api.admin, &invoice).await.ok();
    assert_eq!(shown["data"]["version"], 2);
    let versions = shown["data"]["versions"].as_array().unwrap();
    assert_eq!(
        (&versions[0]["version"], &versions[1]["version"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(versions[0]["superseded_at"], json!(null));
    assert!(versions[1]["superseded_at"].is_string(), "{shown}");
    assert_eq!(versions[1]["amount"], "11.00");

    let path = format!("{invoice}/versions/1/cost-lines");
    let old = api.get(&api.admin, &path).await.ok();
    assert_eq!(column(&old, "superseded"), ["true", "true"]);
    for field in [
        "id",
        "amount",
        "match_rule",
        "resource_id",
        "tenant_id",
        "shares",
        "is_shared",
    ] {
        assert_eq!(column(&old, field), column(&first, field), "{field}");
    }
    assert_eq!(old["data"][0]["shares"].as_array().unwrap().len(), 2);
    assert_eq!(old["meta"]["total_count"], 2);
    assert_eq!(old["meta"]["total_amount"], "11.00");
    let page = api.get(&api.admin, &format!("{path}?limit=1")).await.ok();
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    let next = format!("{path}?limit=1&cursor={cursor}");
    let next = api.get(&api.admin, &next).await.ok();
    assert_eq!(rows(&next), &rows(&old)[1..]);

    let now = api.get(&api.admin, month).await.ok();
    assert_eq!(column(&now, "amount"), ["2.00"]);
    for (version, expected) in [("2", "cost-lines?period=2026-05-01"), ("3", "version 3")] {
        let path = format!("{invoice}/versions/{version}/cost-lines");
        let detail = api.get(&api.admin, &path).await.problem(404);
        assert!(detail.contains(expected), "{detail}");
    }
    for (path, expected) in [
        (format!("{invoice}/versions/one/cost-lines"), "version"),
        (format!("{INVOICES}/x/versions/1/cost-lines"), "UUID"),
    ] {
        let detail = api.get(&api.admin, &path).await.problem(400);
        assert!(detail.contains(expected), "{detail}");
    }
}

#[tokio::test]
async fn the_lines_of_a_month_have_their_resources_and_a_total() {
    let api = TestApi::with_account().await;
    let lines = api
        .get(&api.admin, &format!("{APRIL_LINES}&limit=1"))
        .await
        .ok();
    let web_1 = api.resource_id("web-1").await;
    assert_eq!(lines["data"][0]["resource_id"], web_1);
    assert_json_snapshot!(lines, {
        ".data[].id" => "[uuid]",
        ".data[].invoice_id" => "[uuid]",
        ".data[].resource_id" => "[uuid]",
        ".meta.next_cursor" => "[cursor]",
        ".meta.as_of" => "[time]",
    }, @r#"
    {
      "data": [
        {
          "amount": "6.00",
          "attributed_by": "project_name",
          "category": "iaas",
          "description": "web-1 (s-1vcpu-1gb)",
          "end_at": "2026-05-01T00:00:00Z",
          "group_description": "",
          "hours": "720",
          "id": "[uuid]",
          "invoice_id": "[uuid]",
          "invoice_uuid": "22737513-0ea7-4206-8ceb-98a575af7681",
          "is_estimate": false,
          "is_shared": false,
          "kind": "droplet",
          "line_no": 1,
          "match_candidates": null,
          "match_note": null,
          "match_rule": "name",
          "part": "product_charges",
          "period": "2026-04-01",
          "preview_amount": null,
          "product": "Droplets",
          "project_name": "alpha",
          "provider_resource_id": null,
          "provider_resource_uuid": null,
          "region": null,
          "resource_id": "[uuid]",
          "resource_name": "web-1",
          "shares": null,
          "size": "s-1vcpu-1gb",
          "start_at": "2026-04-01T00:00:00Z",
          "superseded": false,
          "tenant_id": "acme"
        }
      ],
      "meta": {
        "as_of": "[time]",
        "attributed_amount": "33.66",
        "has_data": true,
        "is_estimate": false,
        "limit": 1,
        "next_cursor": "[cursor]",
        "period": "2026-04-01",
        "total_amount": "33.66",
        "total_count": 4
      }
    }
    "#);
}

#[tokio::test]
async fn lines_and_their_total_are_filtered_by_kind() {
    let api = TestApi::with_account().await;
    let lines = api
        .get(&api.admin, &format!("{APRIL_LINES}&kind=droplet"))
        .await
        .ok();
    assert_eq!(column(&lines, "line_no"), ["1", "2", "3"]);
    assert_eq!(lines["meta"]["total_count"], 3);
    assert_eq!(lines["meta"]["total_amount"], "30.60");
    assert_eq!(lines["data"][0]["invoice_uuid"], APRIL);
}

#[tokio::test]
async fn a_month_without_lines_is_an_empty_list_with_a_total_of_zero() {
    let api = TestApi::with_account().await;
    let lines = api
        .get(&api.admin, "/api/v1/billing/cost-lines?period=2013-01-01")
        .await
        .ok();
    assert_eq!(column(&lines, "id"), [""; 0]);
    assert_eq!(lines["meta"]["total_amount"], "0.00");
}

#[tokio::test]
async fn the_period_is_required_and_must_be_the_first_of_a_month() {
    let api = TestApi::empty().await;
    for (query, expected) in [
        ("", "period"),
        ("?kind=droplet", "period"),
        ("?period=", "2026-04 or 2026-04-01"),
        ("?period=2026-04-02", "first of a month"),
        ("?period=april", "2026-04 or 2026-04-01"),
    ] {
        let detail = api
            .get(&api.admin, &format!("/api/v1/billing/cost-lines{query}"))
            .await
            .problem(400);
        assert!(detail.contains(expected), "{query}: {detail}");
    }
}
