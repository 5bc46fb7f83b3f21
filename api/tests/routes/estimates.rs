//! Tests of estimates and their variance to invoices.

use serde_json::json;

use crate::support::{TestApi, column, rows};

const ESTIMATES: &str = "/api/v1/billing/estimates";
const WEB_1: &str = "Droplets,,web-1 (s-1vcpu-1gb),,,,$10.00,alpha,iaas";
const TAX: &str = "Taxes,,GST (10%),,,,$1.00,,";

#[tokio::test]
async fn an_estimate_is_open_until_the_invoice_makes_it_final() {
    let api = TestApi::with_account().await;
    api.estimate("2026-06", "9.00", WEB_1).await;
    api.estimate("2026-05", "11.00", &[WEB_1, TAX].join("\n"))
        .await;
    let estimates = api.get(&api.admin, ESTIMATES).await.ok();
    assert_eq!(column(&estimates, "period"), ["2026-06-01", "2026-05-01"]);
    assert_eq!(column(&estimates, "state"), ["open", "open"]);
    assert_eq!(column(&estimates, "off_by"), ["-1.00", "0.00"]);
    assert_eq!(column(&estimates, "finalised_at"), ["null", "null"]);

    api.invoice("2026-05", "10.00", WEB_1).await;
    let estimates = api.get(&api.admin, ESTIMATES).await.ok();
    assert_eq!(column(&estimates, "state"), ["open", "final"]);
    let may = &rows(&estimates)[1];
    assert!(may["finalised_at"].is_string(), "{may}");
    assert_eq!(
        (&may["amount"], &may["line_count"]),
        (&json!("11.00"), &json!(2))
    );
}

#[tokio::test]
async fn the_variance_of_an_estimate_is_listed_by_product() {
    let api = TestApi::with_account().await;
    api.estimate("2026-05", "11.00", &[WEB_1, TAX].join("\n"))
        .await;
    let volume = "Volumes,,data (nyc3) 100GB,,,,$0.50,,iaas";
    let droplet = WEB_1.replace("$10.00", "$12.50");
    api.invoice("2026-05", "13.00", &[volume, &droplet].join("\n"))
        .await;

    let path = format!("{ESTIMATES}/2026-05-01/variance");
    let variance = api.get(&api.admin, &path).await.ok();
    assert_eq!(
        variance["data"],
        json!([
            { "product": "Droplets", "estimated": "10.00", "invoiced": "12.50", "variance": "2.50" },
            { "product": "Taxes", "estimated": "1.00", "invoiced": "0.00", "variance": "-1.00" },
            { "product": "Volumes", "estimated": "0.00", "invoiced": "0.50", "variance": "0.50" },
        ])
    );
    let meta = &variance["meta"];
    for (field, expected) in [
        ("period", "2026-05-01"),
        ("estimated", "11.00"),
        ("invoiced", "13.00"),
        ("variance", "2.00"),
    ] {
        assert_eq!(meta[field], expected, "{field}");
    }
    let page = api.get(&api.admin, &format!("{path}?limit=2")).await.ok();
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    let next = format!("{path}?limit=2&cursor={cursor}");
    let next = api.get(&api.admin, &next).await.ok();
    assert_eq!(column(&next, "product"), ["Volumes"]);
    assert_eq!(next["meta"]["variance"], "2.00");
}

#[tokio::test]
async fn a_month_that_is_not_both_estimated_and_invoiced_has_no_variance() {
    let api = TestApi::with_account().await;
    api.estimate("2026-05", "10.00", WEB_1).await;
    for month in ["2026-04-01", "2026-05-01", "2013-01-01"] {
        let path = format!("{ESTIMATES}/{month}/variance");
        let detail = api.get(&api.admin, &path).await.problem(404);
        assert!(detail.contains(month), "{detail}");
    }
    let path = format!("{ESTIMATES}/2026-05-02/variance");
    let detail = api.get(&api.admin, &path).await.problem(400);
    assert!(detail.contains("first of a month"), "{detail}");
}

#[tokio::test]
async fn an_estimate_has_the_days_that_it_covers() {
    let api = TestApi::empty().await;
    let now = api.store.now().await.unwrap();
    let this_month = now.format("%Y-%m").to_string();
    api.estimate(&this_month, "10.00", WEB_1).await;
    api.estimate("2026-02", "10.00", WEB_1).await;
    let estimates = api.get(&api.admin, ESTIMATES).await.ok();
    let [open, past] = rows(&estimates) else {
        panic!("{estimates}")
    };
    assert_eq!(open["covers_from"], format!("{this_month}-01T00:00:00Z"));
    assert_eq!(open["covers_to"], open["estimated_at"]);
    let elapsed: f64 = open["days_elapsed"].as_str().unwrap().parse().unwrap();
    let days_in_month = open["days_in_month"].as_f64().unwrap();
    assert!(elapsed <= days_in_month, "{open}");
    // A preview that is read after the end of its month covers the whole month.
    assert_eq!(past["covers_to"], "2026-03-01T00:00:00Z");
    assert_eq!(past["days_elapsed"], "28");
    assert_eq!(past["days_in_month"], 28);
}
