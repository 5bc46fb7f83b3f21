//! Tests that lists are read completely, and that incomplete ones are detected.

use std::ops::Range;

use axum::http::StatusCode;
use digitalocean::Error;
use domain::ResourceKind;
use serde_json::{Value, json};
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind};

use crate::listed::list;
use crate::scripted::{self, ReceivedRequest, Scripted};
use crate::{listing, simulated};

fn with_domains(count: usize) -> Account {
    let mut account = Account::empty();
    for number in 0..count {
        account.add_domain(&format!("zone-{number:04}.example"));
    }
    account
}

fn zones(numbers: Range<u64>) -> Vec<Value> {
    numbers
        .map(|number| json!({ "name": format!("zone-{number:04}.example"), "ttl": 1800 }))
        .collect()
}

fn page_range(request: &ReceivedRequest, size: u64, total: u64) -> Range<u64> {
    let start = (request.page().unwrap() - 1) * size;
    start.min(total)..(start + size).min(total)
}

#[tokio::test]
async fn twenty_thousand_droplets_take_a_hundred_requests() {
    let (simulator, client) = simulated(Account::with_droplets(20_000)).await;
    let listed = list(&client, listing(&ResourceKind::DROPLET)).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    assert_eq!((listed.items.len(), listed.total), (20_000, Some(20_000)));
    let requests = simulator.requests();
    let (gpus, plain): (Vec<_>, Vec<_>) = requests
        .iter()
        .partition(|request| request.query.contains("type=gpus"));
    assert_eq!((plain.len(), gpus.len(), listed.requests), (100, 1, 101));
    assert!(
        plain
            .iter()
            .all(|request| request.query.contains("per_page=200"))
    );
}

#[tokio::test]
async fn gpu_droplets_are_listed_with_the_others() {
    let mut account = Account::empty();
    let plain = account.add_droplet("web-1", "s-1vcpu-1gb", "syd1");
    let gpu = account.add_gpu_droplet("train-1", "gpu-h100x1-80gb", "tor1");
    let (simulator, client) = simulated(account).await;
    let droplets = listing(&ResourceKind::DROPLET);
    let listed = list(&client, droplets).await;
    let ids: Vec<_> = listed.items.iter().map(|item| &item.provider_id).collect();
    assert_eq!(ids, [&plain.to_string(), &gpu.to_string()]);
    assert_eq!(listed.total, Some(2));
    assert!(listed.completeness.is_complete());

    let status = 503;
    simulator.fail(Fault::new(
        FaultKind::ServerError { status },
        "/v2/droplets?type=gpus",
    ));
    let listed = list(&client, droplets).await;
    assert_eq!(listed.items.len(), 1);
    assert!(!listed.completeness.is_complete());
    assert!(matches!(listed.failure, Some(Error::Server { .. })));
}

#[tokio::test]
async fn a_list_is_reread_if_an_item_moved_between_pages() {
    let (simulator, client) = simulated(with_domains(250)).await;
    simulator.fail(Fault::new(FaultKind::ItemMovesBetweenPages, "/v2/domains").times(1));
    let listed = list(&client, listing(&ResourceKind::DNS_ZONE)).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    assert_eq!((listed.items.len(), listed.requests), (250, 4));
}

#[tokio::test]
async fn a_list_that_keeps_changing_is_incomplete_after_three_attempts() {
    let (simulator, client) = simulated(with_domains(250)).await;
    simulator.fail(Fault::new(FaultKind::ItemMovesBetweenPages, "/v2/domains"));
    let listed = list(&client, listing(&ResourceKind::DNS_ZONE)).await;
    let reason = listed.completeness.reason().unwrap();
    assert!(
        reason.starts_with("/v2/domains: ") && reason.contains("249"),
        "{reason}"
    );
    assert_eq!((listed.items.len(), listed.requests), (249, 6));
    assert!(listed.failure.is_none());
}

#[tokio::test]
async fn items_of_contradicting_attempts_are_merged() {
    // The total is too large by one, and each attempt has another last zone.
    let server = Scripted::start(|number, request| {
        if request.page() != Some(1) {
            return scripted::json(&json!({ "domains": [], "meta": { "total": 4 } }));
        }
        let mut domains = zones(0..2);
        domains.push(json!({ "name": format!("late-{number}.example"), "ttl": number }));
        domains[0]["ttl"] = json!(number);
        scripted::json(&json!({ "domains": domains, "meta": { "total": 4 } }))
    })
    .await;
    let listed = list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
    assert!(!listed.completeness.is_complete());
    let names: Vec<_> = listed.items.iter().map(|zone| zone.name.as_str()).collect();
    let late = ["late-0.example", "late-2.example", "late-4.example"];
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(late.iter().all(|name| names.contains(name)), "{names:?}");
    // The last version is kept.
    assert_eq!(listed.items[0].attrs.to_value()["ttl"], 4);
}

#[tokio::test]
async fn a_total_that_changes_between_pages_causes_a_reread() {
    let server = Scripted::start(|number, request| {
        let total = if number == 1 { 251 } else { 250 };
        let domains = zones(page_range(request, 200, 250));
        scripted::json(&json!({ "domains": domains, "meta": { "total": total } }))
    })
    .await;
    let listed = list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    assert_eq!((listed.items.len(), listed.requests), (250, 4));
}

#[tokio::test]
async fn a_failed_page_keeps_the_items_of_the_others() {
    let (simulator, client) = simulated(with_domains(450)).await;
    let status = 500;
    simulator.fail(Fault::new(
        FaultKind::ServerError { status },
        "/v2/domains?page=3",
    ));
    let listed = list(&client, listing(&ResourceKind::DNS_ZONE)).await;
    assert_eq!((listed.items.len(), listed.total), (400, Some(450)));
    assert!(matches!(listed.failure, Some(Error::Server { .. })));
    let reason = listed.completeness.reason().unwrap();
    assert!(reason.contains("page=3"), "{reason}");
}

#[tokio::test]
async fn a_server_may_return_smaller_pages_than_requested() {
    let server = Scripted::start(|_, request| {
        let domains = zones(page_range(request, 50, 230));
        scripted::json(&json!({ "domains": domains, "meta": { "total": 230 } }))
    })
    .await;
    let listed = list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    assert_eq!((listed.items.len(), listed.requests), (230, 5));
}

#[tokio::test]
async fn without_a_total_next_pages_are_numbered_and_links_ignored() {
    let elsewhere = Scripted::start(|_, _| scripted::json(&json!({ "domains": [] }))).await;
    let trap = elsewhere.url.clone();
    let server = Scripted::start(move |_, request| {
        let range = page_range(request, 200, 450);
        let next = (range.end < 450).then(|| format!("{trap}/v2/domains?page=7"));
        let links = json!({ "pages": { "next": next } });
        scripted::json(&json!({ "domains": zones(range), "links": links }))
    })
    .await;
    let listed = list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    assert_eq!((listed.items.len(), listed.total), (450, None));
    let pages: Vec<_> = server
        .requests()
        .iter()
        .filter_map(ReceivedRequest::page)
        .collect();
    assert_eq!(pages, [1, 2, 3]);
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_repeated_item_without_a_total_makes_a_list_incomplete() {
    let server = Scripted::start(|_, request| {
        let page = request.page().unwrap();
        let range = if page == 1 { 0..3 } else { 2..5 };
        let next = (page == 1).then_some("?page=2");
        scripted::json(&json!({ "domains": zones(range), "links": { "pages": { "next": next } } }))
    })
    .await;
    let listed = list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
    assert_eq!((listed.items.len(), listed.requests), (5, 6));
    assert!(!listed.completeness.is_complete());
}

#[tokio::test]
async fn an_html_page_with_status_200_is_not_a_list() {
    let server = Scripted::start(|_, _| {
        let page = "<!DOCTYPE html><html><title>Just a moment...</title></html>";
        scripted::with_type(StatusCode::OK, "text/html", page)
    })
    .await;
    let listed = list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
    let reason = listed.completeness.reason().unwrap();
    assert!(reason.contains("Just a moment..."), "{reason}");
    assert!(listed.failure.unwrap().is_retryable());
}

#[tokio::test]
async fn an_invalid_item_makes_a_list_incomplete_and_keeps_the_others() {
    let server = Scripted::start(|_, _| {
        let mut domains = zones(0..3);
        domains[1] = json!({ "ttl": 1800 });
        scripted::json(&json!({ "domains": domains, "meta": { "total": 3 } }))
    })
    .await;
    let listed = list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
    assert_eq!((listed.items.len(), listed.requests), (2, 1));
    let reason = listed.completeness.reason().unwrap();
    assert!(
        reason.contains("/v2/domains") && reason.contains("name"),
        "{reason}"
    );
    assert!(listed.failure.is_none());
}

#[tokio::test]
async fn the_token_is_sent_in_a_header_only() {
    let server = Scripted::start(|_, _| {
        scripted::json(&json!({ "domains": [], "links": {}, "meta": { "total": 0 } }))
    })
    .await;
    list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
    let request = server.requests().remove(0);
    assert_eq!(
        request.headers["authorization"],
        format!("Bearer {DEMO_TOKEN}")
    );
    assert_eq!(request.target, "/v2/domains?page=1&per_page=200");
    let agent = request.headers["user-agent"].to_str().unwrap();
    assert!(agent.starts_with("arcadia-cloud/"), "{agent}");
}

#[tokio::test]
async fn a_server_that_repeats_one_page_receives_few_requests() {
    for meta in [json!({}), json!({ "total": 70 }), json!({ "total": 3 })] {
        let server = Scripted::start(move |_, _| {
            scripted::json(&json!({
                "domains": zones(0..2),
                "links": { "pages": { "next": "https://api.digitalocean.com/v2/domains?page=2" } },
                "meta": meta,
            }))
        })
        .await;
        let listed = list(&server.client(), listing(&ResourceKind::DNS_ZONE)).await;
        assert!(!listed.completeness.is_complete(), "{listed:?}");
        assert_eq!(listed.items.len(), 2);
        assert!(listed.requests <= 3 * 6, "{} requests", listed.requests);
    }
}
