//! Tests of pages and cursors on every list.

use std::collections::BTreeSet;

use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};

use crate::support::{TestApi, column, entry, rows, sweep};

/// Follows the cursors to the last page and returns all rows in order.
async fn walk(api: &TestApi, token: &str, path: &str) -> Vec<String> {
    let mut walked = Vec::new();
    let mut address = path.to_owned();
    loop {
        let page = api.get(token, &address).await.ok();
        let shown = whole_rows(&page);
        assert!(!shown.is_empty(), "{path} ends with an empty page");
        walked.extend(shown);
        match &page["meta"]["next_cursor"] {
            Value::Null => return walked,
            next => address = format!("{path}&cursor={}", next.as_str().unwrap()),
        }
        assert!(walked.len() < 1000, "{path} does not end");
    }
}

fn whole_rows(list: &Value) -> Vec<String> {
    rows(list).iter().map(Value::to_string).collect()
}

async fn sweep_resources_of_one_name(api: &TestApi, count: usize) {
    let kind = ResourceKind::named("uptime_check");
    // All have the same name, so that only the id orders them across pages.
    let resources: Vec<_> = (0..count)
        .map(|id| ObservedResource {
            kind: kind.clone(),
            provider_id: format!("alike-{id}"),
            name: "alike \" \\ ü".to_owned(),
            region: None,
            status: None,
            tags: Vec::new(),
            project_id: None,
            relations: Vec::new(),
            attrs: json!({}).into(),
        })
        .collect();
    sweep(&api.store, &kind, &resources).await;
}

/// Creates two estimates, three rules, and entries of the billing history that are equal in every
/// field.
async fn fill_billing(api: &TestApi) {
    let row = "Droplets,,nobody (s-1vcpu-1gb),1,,,$1.00,,";
    for period in ["2026-05", "2026-06"] {
        let rows = [row; 3].join("\n");
        api.estimate(period, "3.00", &rows).await;
    }
    for period in ["2026-01-01", "2026-02-01", "2026-03-01"] {
        let path = format!("/api/v1/billing/spread-rules/{period}");
        api.put(&api.admin, &path, r#"{"rule": "even"}"#).await.ok();
    }
    let entries = [(); 4].map(|()| entry("Payment", "-1.00", "2026-05-01T00:00:00Z"));
    api.ledger(&entries).await;
}

#[tokio::test]
async fn pages_of_every_size_have_each_row_once() {
    let api = TestApi::with_account().await;
    sweep_resources_of_one_name(&api, 7).await;
    fill_billing(&api).await;
    let events = format!(
        "/api/v1/inventory/{}/events?",
        api.resource_id("gone-1").await
    );
    for (path, count) in [
        ("/api/v1/inventory?state=all", 13),
        ("/api/v1/inventory?q=alike", 7),
        ("/api/v1/projects?", 3),
        ("/api/v1/billing/invoices?", 2),
        ("/api/v1/billing/cost-lines?period=2026-04-01", 4),
        ("/api/v1/billing/cost-lines?period=2026-06-01", 3),
        ("/api/v1/billing/unmatched?period=2026-06-01", 3),
        ("/api/v1/billing/statements?period=2026-04-01", 2),
        (
            "/api/v1/billing/costs?group_by=tenant&from=2026-04-01&to=2026-06-01",
            4,
        ),
        (
            "/api/v1/billing/costs?group_by=resource&from=2026-04-01&to=2026-06-01",
            6,
        ),
        ("/api/v1/billing/spread-rules?", 3),
        ("/api/v1/billing/estimates?", 2),
        ("/api/v1/billing/entries?", 4),
        (&*events, 3),
    ] {
        let at_once = whole_rows(&api.get(&api.admin, path).await.ok());
        assert_eq!(at_once.len(), count, "{path}");
        assert_eq!(
            at_once.iter().collect::<BTreeSet<_>>().len(),
            count,
            "{path}"
        );
        for limit in [1, 2, 3, count] {
            let walked = walk(&api, &api.admin, &format!("{path}&limit={limit}")).await;
            assert_eq!(walked, at_once, "{path} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_cursor_is_valid_for_its_own_list_only() {
    let api = TestApi::with_account().await;
    let page = api
        .get(&api.admin, "/api/v1/inventory?kind=droplet&limit=1")
        .await
        .ok();
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    for path in [
        "/api/v1/inventory?",
        "/api/v1/inventory?kind=dns_zone",
        "/api/v1/inventory?kind=droplet&state=all",
        "/api/v1/projects?",
        "/api/v1/billing/invoices?",
        "/api/v1/billing/cost-lines?period=2026-04-01",
        "/api/v1/billing/unmatched?period=2026-04-01",
        "/api/v1/billing/statements?period=2026-04-01",
        "/api/v1/billing/costs?group_by=kind&from=2026-04-01&to=2026-04-01",
        "/api/v1/billing/entries?",
    ] {
        let detail = api
            .get(&api.admin, &format!("{path}&cursor={cursor}"))
            .await
            .problem(404);
        assert!(detail.contains("cursor"), "{path}: {detail}");
    }
    // The page size is not part of the filter.
    let path = format!("/api/v1/inventory?kind=droplet&limit=2&cursor={cursor}");
    let next = api.get(&api.admin, &path).await.ok();
    assert_eq!(column(&next, "name"), ["web-1", "web-2"]);
}

#[tokio::test]
async fn the_cursor_of_an_admin_is_invalid_for_a_tenant() {
    let api = TestApi::with_account().await;
    let page = api.get(&api.admin, "/api/v1/inventory?limit=1").await.ok();
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    api.get(&api.acme, &format!("/api/v1/inventory?cursor={cursor}"))
        .await
        .problem(404);
}
