//! Handing pages over as they come, and several lists that make one kind.

use axum::http::StatusCode;
use digitalocean::{Error, PageSink, kinds};
use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};

use crate::listed::list;
use crate::listing;
use crate::scripted::{self, Asked, Scripted};

const PAGES: u64 = 20;

/// Twenty pages of one zone each.
async fn twenty_pages() -> Scripted {
    Scripted::start(|_, asked| {
        let name = format!("zone-{:02}.example", asked.page().unwrap());
        let domains = json!([{ "name": name, "ttl": 1800 }]);
        scripted::json(&json!({ "domains": domains, "meta": { "total": PAGES } }))
    })
    .await
}

/// Notes how many requests were made by the time of each page, and has enough at some point.
struct Noting<'a> {
    server: &'a Scripted,
    noted: Vec<usize>,
    enough: usize,
    begun_again: usize,
}

impl<'a> Noting<'a> {
    fn at(server: &'a Scripted, enough: usize) -> Self {
        Self {
            server,
            noted: Vec::new(),
            enough,
            begun_again: 0,
        }
    }
}

impl PageSink<ObservedResource> for Noting<'_> {
    type Error = &'static str;

    async fn take(&mut self, _resources: Vec<ObservedResource>) -> Result<(), &'static str> {
        self.noted.push(self.server.asked().len());
        if self.noted.len() < self.enough {
            Ok(())
        } else {
            Err("the disk is full")
        }
    }

    async fn begin_again(&mut self, _path: &str) -> Result<(), &'static str> {
        self.begun_again += 1;
        Ok(())
    }
}

#[tokio::test]
async fn a_page_is_handed_over_before_the_last_ones_are_asked_for() {
    let server = twenty_pages().await;
    let mut noting = Noting::at(&server, usize::MAX);
    let zones = listing(&ResourceKind::DNS_ZONE);
    let listed = server.client().list_resources(zones, &mut noting).await;
    assert!(listed.unwrap()[0].completeness.is_complete());
    assert_eq!(noting.noted.len(), 20);
    assert_eq!(noting.noted[0], 1);
    // Four are under way at a time.
    for (page, asked) in noting.noted.iter().enumerate() {
        assert!(*asked <= page + 5, "page {page} after {asked} requests");
    }
}

#[tokio::test]
async fn who_cannot_take_a_page_ends_the_listing() {
    let server = twenty_pages().await;
    let mut noting = Noting::at(&server, 3);
    let zones = listing(&ResourceKind::DNS_ZONE);
    let error = server.client().list_resources(zones, &mut noting).await;
    assert_eq!(error.unwrap_err(), "the disk is full");
    assert_eq!(noting.noted.len(), 3);
    assert!(server.asked().len() < 10);
}

#[tokio::test]
async fn who_takes_pages_is_told_that_they_come_again() {
    let server = Scripted::start(|_, _| {
        let domains = json!([{ "name": "example.com" }, { "name": "example.com" }]);
        scripted::json(&json!({ "domains": domains, "domain_records": [] }))
    })
    .await;
    let mut noting = Noting::at(&server, usize::MAX);
    let zones = kinds::zones_with_records();
    let listed = server.client().list_resources(zones, &mut noting).await;
    assert_eq!(noting.begun_again, 2);
    let listed = listed.unwrap();
    let reason = listed[0].completeness.reason().unwrap();
    assert!(reason.contains("in each of 3 readings"), "{reason}");
    // What is listed for each zone cannot be whole if the zones are not.
    assert_eq!(listed[1].kind, ResourceKind::DNS_RECORD);
    assert!(!listed[1].completeness.is_complete());
    assert!(listed.iter().all(|kind| kind.failure.is_none()));
}

fn zone_of(asked: &Asked) -> Option<&str> {
    let path = asked.target.split('?').next()?;
    path.strip_prefix("/v2/domains/")?.strip_suffix("/records")
}

fn record(zone: &str) -> Value {
    let id = zone.len();
    let record = json!({ "id": id, "type": "A", "name": "@", "data": "192.0.2.7" });
    json!({ "domain_records": [record], "meta": { "total": 1 } })
}

/// Three zones, one of which does not tell its records.
async fn with_one_failing_zone() -> Scripted {
    Scripted::start(|_, asked| match zone_of(asked) {
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
async fn a_parent_whose_children_cannot_be_listed_harms_no_other() {
    let server = with_one_failing_zone().await;
    let zones = list(&server.client(), kinds::zones_with_records()).await;
    assert!(zones.completeness.is_complete() && zones.failure.is_none());
    assert_eq!((zones.items.len(), zones.requests), (3, 1));

    let records = &zones.beside[0];
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
async fn no_children_are_asked_for_if_the_parents_cannot_be_listed() {
    let server = Scripted::start(|_, _| {
        let body = r#"{"id":"forbidden","message":"You are not authorized"}"#;
        scripted::with_type(StatusCode::FORBIDDEN, "application/json", body)
    })
    .await;
    let clusters = list(&server.client(), listing(&ResourceKind::DATABASE_CLUSTER)).await;
    assert!(matches!(clusters.failure, Some(Error::Forbidden { .. })));
    assert_eq!(server.asked().len(), 1);
    for listed in clusters.all() {
        assert!(!listed.completeness.is_complete(), "{listed:?}");
    }
}

#[tokio::test]
async fn what_two_lists_both_hold_counts_once() {
    let server = Scripted::start(|number, asked| {
        let mut droplets = vec![json!({ "id": 1, "name": format!("seen-{number}") })];
        if asked.target.contains("type=gpus") {
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
async fn kinds_that_are_read_along_are_as_complete_as_the_list_they_are_in() {
    let server = Scripted::start(|_, _| {
        let images = json!([{ "id": 1, "type": "backup", "name": "weekly" }]);
        scripted::json(&json!({ "images": images, "meta": { "total": 2 } }))
    })
    .await;
    let images = list(&server.client(), listing(&ResourceKind::IMAGE)).await;
    let backups = &images.beside[0];
    assert_eq!((images.items.len(), backups.items.len()), (0, 1));
    assert_eq!((images.total, backups.total), (Some(2), None));
    assert_eq!((images.requests, backups.requests), (6, 0));
    for listed in images.all() {
        let reason = listed.completeness.reason().unwrap();
        assert!(reason.contains("the total is 2"), "{reason}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_tell_its_parts_is_no_evidence_that_they_are_gone() {
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
async fn a_total_beside_the_list_promises_further_pages() {
    let server = Scripted::start(|_, asked| {
        let id = format!("vector-{}", asked.page().unwrap());
        let databases = json!([{ "id": id, "name": id }]);
        scripted::json(&json!({ "vector_dbs": databases, "total": 3 }))
    })
    .await;
    let databases = list(&server.client(), listing(&ResourceKind::VECTOR_DATABASE)).await;
    assert!(databases.completeness.is_complete(), "{databases:?}");
    assert_eq!((databases.items.len(), databases.total), (3, Some(3)));
}
