//! Tests of the FOCUS export.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use rust_decimal::Decimal;
use serde_json::Value;
use store::invoices::CostLineFilter;
use tower::ServiceExt as _;

use crate::support::{
    APRIL, TestApi, hour_before_and_after, live_droplets, rows, sum, sweep, usd, with_token,
};

const FOCUS: &str = "/api/v1/billing/focus";

/// A row by column; null is an empty text.
type Row = BTreeMap<String, String>;

/// Returns the rows of a CSV.
async fn exported(api: &TestApi, query: &str) -> Vec<Row> {
    let response = api.get(&api.admin, &format!("{FOCUS}?{query}")).await;
    assert_eq!(response.status, 200, "{response:?}");
    let mut reader = csv::Reader::from_reader(response.text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let records = reader.records().map(|record| {
        let record = record.unwrap();
        let cells = names.iter().zip(record.iter());
        cells
            .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
            .collect()
    });
    records.collect()
}

fn total<'a>(rows: impl IntoIterator<Item = &'a Row>, column: &str) -> Decimal {
    rows.into_iter()
        .map(|row| row[column].parse::<Decimal>().unwrap())
        .sum()
}

/// Returns the total of a column by the value of another.
fn totals_by(rows: &[Row], by: &str, column: &str) -> BTreeMap<String, Decimal> {
    let mut totals: BTreeMap<String, Decimal> = BTreeMap::new();
    for row in rows {
        *totals.entry(row[by].clone()).or_default() += total([row], column);
    }
    totals
}

fn one<'a>(rows: &'a [Row], column: &str, value: &str) -> &'a Row {
    let mut found = rows.iter().filter(|row| row[column] == value);
    let row = found.next().unwrap();
    assert!(found.next().is_none(), "{column} {value}");
    row
}

#[tokio::test]
async fn the_rows_of_a_month_total_its_invoices() {
    let api = TestApi::with_account().await;
    for version in ["1.4", "1.2"] {
        let rows = exported(&api, &format!("period=2026-04&version={version}")).await;
        let totals = totals_by(&rows, "InvoiceId", "BilledCost");
        assert_eq!(
            totals,
            BTreeMap::from([(APRIL.to_owned(), "33.66".parse().unwrap())])
        );
        let web = one(&rows, "ResourceName", "web-1");
        assert_eq!(web["ResourceId"], "do:droplet:1");
        assert_eq!(web["SubAccountName"], "alpha");
        assert_eq!(web["SubAccountId"], "00000000-0000-0000-0000-00000000a000");
        assert_eq!(web["Tags"], r#"{"production":true}"#);
        assert_eq!(web["RegionName"], "New York 3");
        assert_eq!(web["x_TenantId"], "acme");
        let tax = one(&rows, "ChargeCategory", "Tax");
        assert_eq!(tax["ChargePeriodEnd"], "2026-05-01T00:00:00Z");
        assert_eq!(tax["SkuId"], "");
    }
    let headers = api
        .get(&api.admin, &format!("{FOCUS}?period=2026-04"))
        .await
        .headers;
    assert_eq!(
        headers["content-disposition"],
        r#"attachment; filename="focus-1.4-cost-and-usage-2026-04.csv""#
    );
    assert_eq!(exported(&api, "period=2026-03").await, Vec::<Row>::new());
}

#[tokio::test]
async fn shares_total_their_lines_and_the_statements() {
    let api = TestApi::with_account().await;
    let (before, after) = hour_before_and_after(&api.store).await;
    // The tenants of both lines change during the charge.
    let rows = format!(
        "Droplets,,web-1 (s-1vcpu-1gb),2,{before},{after},$0.07,alpha,iaas\n\
         Droplets,,db-1 (s-1vcpu-1gb),2,{before},{after},$5.01,beta,iaas\n\
         Taxes,,GST,,,,$0.05,,\nCredits,,Referral,,,,$-1.00,,"
    );
    api.invoice("2026-05", "4.13", &rows).await;
    api.assign_project("alpha", "globex").await;
    for rule in ["proportional", "even"] {
        let body = format!(r#"{{"rule": "{rule}"}}"#);
        let path = "/api/v1/billing/spread-rules/2026-05";
        api.put(&api.admin, path, &body).await.ok();
        let lines = exported(&api, "period=2026-05").await;
        let shares = exported(&api, "period=2026-05&rows=shares").await;
        assert!(shares.len() > lines.len(), "{shares:?}");
        for column in ["BilledCost", "ListCost", "ContractedCost"] {
            assert_eq!(
                totals_by(&shares, "x_LineNumber", column),
                totals_by(&lines, "x_LineNumber", column),
                "{column}"
            );
        }
        let statements = api.statements("2026-05").await;
        let mut expected: BTreeMap<String, Decimal> = BTreeMap::new();
        for statement in self::rows(&statements) {
            let tenant = statement["tenant_id"].as_str().unwrap_or_default();
            expected.insert(tenant.to_owned(), usd(&statement["total"]));
        }
        let mut found = totals_by(&shares, "x_TenantId", "BilledCost");
        expected.retain(|_, total| !total.is_zero());
        found.retain(|_, total| !total.is_zero());
        assert_eq!(found, expected, "{rule}");
        let methods: BTreeSet<&str> = shares
            .iter()
            .map(|row| row["AllocatedMethodId"].as_str())
            .collect();
        let spread = format!("arcadia-spread-{rule}");
        assert!(methods.contains(spread.as_str()), "{methods:?}");
        assert!(methods.contains("arcadia-time-in-project"), "{methods:?}");
    }
}

#[tokio::test]
async fn invoice_details_total_the_rows_with_their_id() {
    let api = TestApi::with_account().await;
    let refund =
        "Droplets Refund,,web-1,,2026-04-01 00:00:00 +0000,2026-04-30 23:59:59 +0000,$-1.00,,";
    let lines = format!(
        "Droplets,,web-1 (s-1vcpu-1gb),24,,,$6.00,alpha,\nDroplets,,x (s-1vcpu-1gb),1,,,$-0.50,,\n\
         {refund}\nCredits,,Promo,,,,$-1.00,,\nSpaces Subscription,,Spaces,,,,$5.00,,"
    );
    api.invoice("2026-05", "8.50", &lines).await;
    let rows = exported(&api, "period=2026-05").await;
    let details = exported(&api, "period=2026-05&dataset=invoice-detail").await;
    assert_eq!(
        totals_by(&details, "InvoiceDetailId", "BilledCost"),
        totals_by(&rows, "InvoiceDetailId", "BilledCost")
    );
    for detail in &details {
        let id = &detail["InvoiceDetailId"];
        let of_detail: Vec<_> = rows
            .iter()
            .filter(|row| row["InvoiceDetailId"] == *id)
            .collect();
        for row in of_detail {
            assert_eq!(row["ChargeCategory"], detail["ChargeCategory"], "{id}");
        }
    }
    let corrections = rows.iter().filter(|row| row["ChargeClass"] == "Correction");
    assert_eq!(corrections.count(), 1);
}

#[tokio::test]
async fn estimates_are_in_a_separate_file() {
    let api = TestApi::with_account().await;
    api.estimate(
        "2026-05",
        "1.50",
        "Droplets,,web-1 (s-1vcpu-1gb),1,,,$1.50,alpha,",
    )
    .await;
    assert_eq!(exported(&api, "period=2026-05").await, Vec::<Row>::new());
    let estimate = exported(&api, "period=2026-05&estimates=true").await;
    let row = one(&estimate, "x_IsEstimate", "true");
    assert_eq!(
        (row["InvoiceId"].as_str(), row["BilledCost"].as_str()),
        ("", "1.50")
    );
    assert_eq!(
        exported(&api, "period=2026-04&estimates=true").await,
        Vec::<Row>::new()
    );
    for (period, status) in [("2026-05", "Open"), ("2026-04", "Closed")] {
        let query = format!("period={period}&dataset=billing-period");
        let found = exported(&api, &query).await;
        assert_eq!(found[0]["BillingPeriodStatus"], status, "{period}");
    }
    let metadata = format!("{FOCUS}/metadata?period=2026-05");
    let metadata = api.get(&api.admin, &metadata).await.ok();
    let recency = &metadata["data"]["recency"];
    assert_eq!(recency["is_complete"], false);
    assert!(
        !recency["reasons"].as_array().unwrap().is_empty(),
        "{recency}"
    );
}

#[tokio::test]
async fn tags_are_those_at_the_end_of_the_month() {
    let api = TestApi::with_account().await;
    let tagged = live_droplets().into_iter().map(|mut droplet| {
        droplet.tags = vec!["Retired".to_owned()];
        droplet.region = Some("ams3".to_owned());
        droplet
    });
    let tagged: Vec<_> = tagged.collect();
    sweep(&api.store, &tagged[0].kind, &tagged).await;
    let april = exported(&api, "period=2026-04").await;
    let web = one(&april, "ResourceName", "web-1");
    assert_eq!(
        (web["Tags"].as_str(), web["RegionId"].as_str()),
        (r#"{"production":true}"#, "nyc3")
    );

    let now = api.now().await;
    let month = &now[..7];
    let line = "Droplets,,web-1 (s-1vcpu-1gb),1,,,$1.50,alpha,";
    api.estimate(month, "1.50", line).await;
    let open = exported(&api, &format!("period={month}&estimates=true")).await;
    let web = one(&open, "ResourceName", "web-1");
    assert_eq!(
        (web["Tags"].as_str(), web["RegionId"].as_str()),
        (r#"{"Retired":true}"#, "ams3")
    );
}

#[tokio::test]
async fn a_text_that_starts_a_formula_is_quoted_in_csv() {
    let api = TestApi::with_account().await;
    api.invoice(
        "2026-05",
        "1.50",
        "\"=Droplets\",,\"=x, \"\"y\"\"\",1,,,$1.50,,",
    )
    .await;
    let rows = exported(&api, "period=2026-05").await;
    assert_eq!(rows[0]["ServiceName"], "'=Droplets");
    assert_eq!(rows[0]["ChargeDescription"], "'=x, \"y\"");
}

#[tokio::test]
async fn parquet_is_a_complete_file() {
    let api = TestApi::with_account().await;
    for query in [
        "period=2026-04",
        "period=2026-04&version=1.2&rows=shares",
        "period=2026-04&dataset=invoice-detail",
        "period=2026-04&dataset=billing-period",
        "period=2020-01",
    ] {
        let path = format!("{FOCUS}?format=parquet&{query}");
        let request = with_token(&api.admin, Request::get(path));
        let request = request
            .header("accept-encoding", "gzip")
            .body(Body::empty());
        let response = api.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, 200, "{query}");
        assert_eq!(
            parts.headers["content-type"],
            "application/vnd.apache.parquet"
        );
        assert!(!parts.headers.contains_key("content-encoding"), "{query}");
        let name = parts.headers["content-disposition"].to_str().unwrap();
        assert!(name.ends_with(".parquet\""), "{name}");
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        assert!(
            bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn parameters_without_an_effect_are_refused() {
    let api = TestApi::empty().await;
    for (query, name) in [
        (
            "period=2026-04&version=1.2&dataset=invoice-detail",
            "dataset",
        ),
        ("period=2026-04&rows=shares&dataset=billing-period", "rows"),
        (
            "period=2026-04&estimates=true&dataset=invoice-detail",
            "estimates",
        ),
        ("period=2026-04&version=1.3", "version"),
        ("period=2026-04&format=json", "format"),
        ("period=2026-04&estimates=1", "estimates"),
        ("period=2026-04&limit=1", "limit"),
    ] {
        let detail = api
            .get(&api.admin, &format!("{FOCUS}?{query}"))
            .await
            .problem(400);
        assert!(detail.contains(name), "{query}: {detail}");
    }
    api.get(&api.acme, &format!("{FOCUS}?period=2026-04"))
        .await
        .problem(403);
}

#[tokio::test]
async fn the_metadata_describes_the_columns_of_the_files() {
    let api = TestApi::with_account().await;
    for version in ["1.4", "1.2"] {
        let path = format!("{FOCUS}/metadata?period=2026-04&version={version}");
        let metadata = api.get(&api.admin, &path).await.ok()["data"].take();
        assert_eq!(metadata["focus_version"], version);
        assert_eq!(metadata["delivery"]["mechanism"], "Overwrite");
        assert_eq!(metadata["recency"]["is_complete"], true);
        let rows = exported(&api, &format!("period=2026-04&version={version}")).await;
        let columns = metadata["datasets"][0]["columns"].as_array().unwrap();
        let names: BTreeSet<&str> = columns
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        let found: BTreeSet<&str> = rows[0].keys().map(String::as_str).collect();
        assert_eq!(names, found);
        let billed = columns
            .iter()
            .find(|column| column["name"] == "BilledCost")
            .unwrap();
        assert_eq!(billed["scale"], Value::from(14));
    }
}

#[tokio::test]
async fn the_stamp_changes_with_the_rows_only() {
    let api = TestApi::with_account().await;
    let april = "2026-04-01".parse().unwrap();
    let stamp = async || {
        api.store
            .focus_month(april)
            .await
            .unwrap()
            .stamp()
            .await
            .unwrap()
    };
    let first = stamp().await;
    assert_eq!(stamp().await, first);
    let path = format!("/api/v1/projects/{}", api.project_id("beta").await);
    let since_2015 = r#"{"tenant_id": "acme", "tenant_since": "2015-01-01T00:00:00Z"}"#;
    api.patch(&api.admin, &path, since_2015).await.ok();
    let second = stamp().await;
    assert_ne!(second, first);
    let filter = CostLineFilter {
        period: april,
        ..CostLineFilter::default()
    };
    assert_eq!(
        api.store.cost_lines(&filter, None, 10).await.unwrap().len(),
        4
    );
    assert_eq!(stamp().await, second);
}

#[tokio::test]
async fn a_month_of_several_pages_has_every_line_once() {
    let api = TestApi::empty().await;
    let line = |number| match number {
        1 => "Taxes,,GST,,,,$0.01,,".to_owned(),
        number => format!("Droplets,,web-{number} (s-1vcpu-1gb),1,,,$0.01,,"),
    };
    let lines = (1..=4_500).map(line).collect::<Vec<_>>().join("\n");
    api.invoice("2026-05", "45.00", &lines).await;
    let rows = exported(&api, "period=2026-05").await;
    let numbers: Vec<usize> = rows
        .iter()
        .map(|row| row["x_LineNumber"].parse().unwrap())
        .collect();
    assert_eq!(numbers, (1..=4_500).collect::<Vec<_>>());
    assert_eq!(total(&rows, "BilledCost"), Decimal::from(45));
    let statements = api.statements("2026-05").await;
    let shares = exported(&api, "period=2026-05&rows=shares").await;
    assert_eq!(total(&shares, "BilledCost"), sum(&statements, "total"));
}

#[tokio::test]
async fn a_compressed_file_is_complete() {
    let api = TestApi::with_account().await;
    for query in ["period=2026-04", "period=2026-12"] {
        let request = with_token(&api.admin, Request::get(format!("{FOCUS}?{query}")))
            .header("accept-encoding", "gzip")
            .body(Body::empty());
        let response = api.router.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip", "{query}");
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(bytes.starts_with(&[0x1f, 0x8b]), "{query}");
    }
}
