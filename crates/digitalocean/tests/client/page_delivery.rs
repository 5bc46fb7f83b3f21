//! Tests that pages are passed to a sink as they are received, and that several lists form one
//! kind.

use axum::http::StatusCode;
use digitalocean::{Error, PageSink, kinds};
use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};

use crate::listed::list;
use crate::listing;
use crate::scripted::{self, ReceivedRequest, Scripted};

const PAGES: u64 = 20;

/// Starts a server with twenty pages of one zone each.
async fn twenty_pages() -> Scripted {
    Scripted::start(|_, request| {
        let name = format!("zone-{:02}.example", request.page().unwrap());
        let domains = json!([{ "name": name, "ttl": 1800 }]);
        scripted::json(&json!({ "domains": domains, "meta": { "total": PAGES } }))
    })
    .await
}

/// Records the number of requests at each page, and fails at a given page.
struct CountingSink<'a> {
    server: &'a Scripted,
    requests_at_page: Vec<usize>,
    fails_at: usize,
    restarts: usize,
}

impl<'a> CountingSink<'a> {
    fn failing_at(server: &'a Scripted, fails_at: usize) -> Self {
        Self {
            server,
            requests_at_page: Vec::new(),
            fails_at,
            restarts: 0,
        }
    }
}

impl PageSink<ObservedResource> for CountingSink<'_> {
    type Error = &'static str;

    async fn take(&mut self, _resources: Vec<ObservedResource>) -> Result<(), &'static str> {
        self.requests_at_page.push(self.server.requests().len());
        if self.requests_at_page.len() < self.fails_at {
            Ok(())
        } else {
            Err("the disk is full")
        }
    }

    async fn restart_list(&mut self, _path: &str) -> Result<(), &'static str> {
        self.restarts += 1;
        Ok(())
    }
}

#[tokio::test]
async fn pages_are_delivered_while_later_ones_are_requested() {
    let server = twenty_pages().await;
    let mut sink = CountingSink::failing_at(&server, usize::MAX);
    let zones = listing(&ResourceKind::DNS_ZONE);
    let listed = server.client().list_resources(zones, &mut sink).await;
    assert!(listed.unwrap()[0].completeness.is_complete());
    assert_eq!(sink.requests_at_page.len(), 20);
    assert_eq!(sink.requests_at_page[0], 1);
    // Four pages are requested concurrently.
    for (page, requests) in sink.requests_at_page.iter().enumerate() {
        assert!(
            *requests <= page + 5,
            "page {page} after {requests} requests"
        );
    }
}

#[tokio::test]
async fn a_failing_sink_ends_the_listing() {
    let server = twenty_pages().await;
    let mut sink = CountingSink::failing_at(&server, 3);
    let zones = listing(&ResourceKind::DNS_ZONE);
    let error = server.client().list_resources(zones, &mut sink).await;
    assert_eq!(error.unwrap_err(), "the disk is full");
    assert_eq!(sink.requests_at_page.len(), 3);
    assert!(server.requests().len() < 10);
}

#[tokio::test]
async fn a_sink_is_notified_when_a_list_restarts() {
    let server = Scripted::start(|_, _| {
        let domains = json!([{ "name": "example.com" }, { "name": "example.com" }]);
        scripted::json(&json!({ "domains": domains, "domain_records": [] }))
    })
    .await;
    let mut sink = CountingSink::failing_at(&server, usize::MAX);
    let zones = kinds::zones_with_records();
    let listed = server.client().list_resources(zones, &mut sink).await;
    assert_eq!(sink.restarts, 2);
    let listed = listed.unwrap();
    let reason = listed[0].completeness.reason().unwrap();
    assert!(reason.contains("in each of 3 "), "{reason}");
    // The records cannot be complete if the zones are not.
    assert_eq!(listed[1].kind, ResourceKind::DNS_RECORD);
    assert!(!listed[1].completeness.is_complete());
    assert!(listed.iter().all(|kind| kind.failure.is_none()));
}

fn zone_of(request: &ReceivedRequest) -> Option<&str> {
    let path = request.target.split('?').next()?;
    path.strip_prefix("/v2/domains/")?.strip_suffix("/records")
}

fn record(zone: &str) -> Value {
    let id = zone.len();
    let record = json!({ "id": id, "type": "A", "name": "@", "data": "192.0.2.7" });
    json!({ "domain_records": [record], "meta": { "total": 1 } })
}

/// Starts a server with three zones, one with failing records.
async fn with_one_failing_zone() -> Scripted {
    Scripted::start(|_, request| match zone_of(request) {
        None => {
            let names = ["a.example", "bb.example", "ccc.example"];
            let domains: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
            scripted::json(&json!({ "domains": domains, "meta": { "total": 3 } }))
        }
        Some("bb.example") => {
            let body = r#"{"id":"server_error","message":"Unexpected server-side error"}"#;
            scripted::with_type(StatusCode::INTERNAL_SERVER_ERROR, "application/json", body)
        }
        Some(zone) => scripted::json(&record(zone)),
    })
    .await
}

#[tokio::test]
async fn a_failing_list_of_children_does_not_affect_other_parents() {
    let server = with_one_failing_zone().await;
    let zones = list(&server.client(), kinds::zones_with_records()).await;
    assert!(zones.completeness.is_complete() && zones.failure.is_none());
    assert_eq!((zones.items.len(), zones.requests), (3, 1));

    let records = &zones.included[0];
    let ids: Vec<_> = records
        .items
        .iter()
        .map(|seen| &*seen.provider_id)
        .collect();
    assert_eq!(ids, ["9", "11"]);
    assert_eq!(records.requests, 3);
    assert!(matches!(records.failure, Some(Error::Server { .. })));
    let reason = records.completeness.reason().unwrap();
    assert!(
        reason.contains("/v2/domains/bb.example/records"),
        "{reason}"
    );
}

#[tokio::test]
async fn no_children_are_requested_if_the_list_of_parents_fails() {
    let server = Scripted::start(|_, _| {
        let body = r#"{"id":"forbidden","message":"You are not authorized"}"#;
        scripted::with_type(StatusCode::FORBIDDEN, "application/json", body)
    })
    .await;
    let clusters = list(&server.client(), listing(&ResourceKind::DATABASE_CLUSTER)).await;
    assert!(matches!(clusters.failure, Some(Error::Forbidden { .. })));
    assert_eq!(server.requests().len(), 1);
    for listed in clusters.all() {
        assert!(!listed.completeness.is_complete(), "{listed:?}");
    }
}

#[tokio::test]
async fn an_item_in_two_lists_counts_once() {
    let server = Scripted::start(|number, request| {
        let mut droplets = vec![json!({ "id": 1, "name": format!("seen-{number}") })];
        if request.target.contains("type=gpus") {
            droplets.push(json!({ "id": 2, "name": "gpu" }));
        }
        let total = droplets.len();
        scripted::json(&json!({ "droplets": droplets, "meta": { "total": total } }))
    })
    .await;
    let droplets = list(&server.client(), listing(&ResourceKind::DROPLET)).await;
    assert!(droplets.completeness.is_complete());
    assert_eq!((droplets.items.len(), droplets.total), (2, Some(2)));
    assert_eq!(droplets.items[0].name, "seen-1");
}

#[tokio::test]
async fn included_kinds_are_as_complete_as_their_list() {
    let server = Scripted::start(|_, _| {
        let images = json!([{ "id": 1, "type": "backup", "name": "weekly" }]);
        scripted::json(&json!({ "images": images, "meta": { "total": 2 } }))
    })
    .await;
    let images = list(&server.client(), listing(&ResourceKind::IMAGE)).await;
    let backups = &images.included[0];
    assert_eq!((images.items.len(), backups.items.len()), (0, 1));
    assert_eq!((images.total, backups.total), (Some(2), None));
    assert_eq!((images.requests, backups.requests), (6, 0));
    for listed in images.all() {
        let reason = listed.completeness.reason().unwrap();
        assert!(reason.contains("the total is 2"), "{reason}");
    }
}

#[tokio::test]
async fn an_invalid_included_list_makes_the_listing_incomplete() {
    let server = Scripted::start(|_, _| {
        let cluster = json!({ "id": "bd5f5959", "name": "production", "node_pools": "many" });
        scripted::json(&json!({ "kubernetes_clusters": [cluster], "meta": { "total": 1 } }))
    })
    .await;
    let kind = ResourceKind::KUBERNETES_CLUSTER;
    let clusters = list(&server.client(), listing(&kind)).await;
    for listed in clusters.all() {
        assert!(!listed.completeness.is_complete(), "{listed:?}");
    }
}

#[tokio::test]
async fn a_total_next_to_the_list_counts_all_pages() {
    let server = Scripted::start(|_, request| {
        let id = format!("vector-{}", request.page().unwrap());
        let databases = json!([{ "id": id, "name": id }]);
        scripted::json(&json!({ "vector_dbs": databases, "total": 3 }))
    })
    .await;
    let databases = list(&server.client(), listing(&ResourceKind::VECTOR_DATABASE)).await;
    assert!(databases.completeness.is_complete(), "{databases:?}");
    assert_eq!((databases.items.len(), databases.total), (3, Some(3)));
}

#[tokio::test]
async fn a_next_page_of_a_list_without_pages_makes_it_incomplete() {
    let server = Scripted::start(|_, _| {
        let clusters = json!([{ "id": "db-1", "name": "db-1" }]);
        let next = "https://api.digitalocean.com/v2/databases?page=2";
        scripted::json(&json!({ "databases": clusters, "links": { "pages": { "next": next } } }))
    })
    .await;
    let clusters = list(&server.client(), listing(&ResourceKind::DATABASE_CLUSTER)).await;
    assert_eq!(clusters.items.len(), 1);
    let reason = clusters.completeness.reason().unwrap_or_default();
    assert!(reason.contains("next page"), "{clusters:?}");
}
