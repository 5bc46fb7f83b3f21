use insta::assert_json_snapshot;

use crate::support::{APRIL, MARCH, TestApi, column};

const INVOICES: &str = "/api/v1/billing/invoices";
const APRIL_LINES: &str = "/api/v1/billing/cost-lines?period=2026-04-01";

#[tokio::test]
async fn invoices_are_listed_with_the_newest_month_first() {
    let api = TestApi::with_account().await;
    let invoices = api.get(&api.admin, INVOICES).await.ok();
    assert_json_snapshot!(invoices, {
        ".data[].id" => "[uuid]",
        ".data[].ingested_at" => "[time]",
        ".meta.as_of" => "[time]",
    }, @r#"
    {
      "data": [
        {
          "amount": "33.66",
          "id": "[uuid]",
          "ingest_status": "ingested",
          "ingested_at": "[time]",
          "invoice_id": "489977",
          "invoice_uuid": "22737513-0ea7-4206-8ceb-98a575af7681",
          "last_error": null,
          "line_count": 4,
          "line_total": "33.66",
          "off_by": "0.00",
          "period": "2026-04-01",
          "provider": "digitalocean",
          "reconciled": true
        },
        {
          "amount": "-10.50",
          "id": "[uuid]",
          "ingest_status": "pending",
          "ingested_at": "[time]",
          "invoice_id": "489977",
          "invoice_uuid": "fdabb512-6faf-443c-ba2e-665452332a9e",
          "last_error": null,
          "line_count": null,
          "line_total": null,
          "off_by": null,
          "period": "2026-03-01",
          "provider": "digitalocean",
          "reconciled": null
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
async fn one_invoice_is_found_by_digitaloceans_uuid_of_it() {
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

#[tokio::test]
async fn a_months_lines_come_with_their_resources_and_with_what_they_come_to() {
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
          "category": "iaas",
          "description": "web-1 (s-1vcpu-1gb)",
          "end_at": "2026-05-01T00:00:00Z",
          "group_description": "",
          "hours": "720",
          "id": "[uuid]",
          "invoice_id": "[uuid]",
          "invoice_uuid": "22737513-0ea7-4206-8ceb-98a575af7681",
          "kind": "droplet",
          "line_no": 1,
          "match_rule": "name",
          "period": "2026-04-01",
          "product": "Droplets",
          "project_name": "alpha",
          "resource_id": "[uuid]",
          "resource_name": "web-1",
          "start_at": "2026-04-01T00:00:00Z",
          "tenant_id": "acme"
        }
      ],
      "meta": {
        "as_of": "[time]",
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
async fn lines_can_be_narrowed_to_a_kind_and_the_total_follows() {
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
async fn a_month_without_lines_is_an_empty_list_that_comes_to_nothing() {
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
        ("?period=", "first of a month"),
        ("?period=2026-04-02", "first of a month"),
        ("?period=2026-04", "first of a month"),
        ("?period=april", "first of a month"),
    ] {
        let detail = api
            .get(&api.admin, &format!("/api/v1/billing/cost-lines{query}"))
            .await
            .problem(400);
        assert!(detail.contains(expected), "{query}: {detail}");
    }
}
