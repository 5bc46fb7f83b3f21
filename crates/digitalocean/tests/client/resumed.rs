//! Tests that an interrupted list resumes after its recorded pages, or restarts if it has changed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::Response;
use digitalocean::{ListedKind, PageRecord, PageSink, kinds};
use domain::inventory::ObservedResource;
use domain::{RecordedPage, ResourceKind};
use serde_json::json;

use crate::listing;
use crate::scripted::{self, ReceivedRequest, Scripted};

/// Smaller than the page size that the client requests.
const PAGE_SIZE: usize = 2;

type Zones = Arc<Mutex<Vec<String>>>;

fn zones(count: usize) -> Zones {
    let names = (0..count).map(|number| format!("zone-{number:02}.example"));
    Arc::new(Mutex::new(names.collect()))
}

fn respond(zones: &Zones, request: &ReceivedRequest) -> Response {
    if request.target.contains("/records") {
        return scripted::json(&json!({ "domain_records": [], "meta": { "total": 0 } }));
    }
    let zones = zones.lock().unwrap();
    let page = usize::try_from(request.page().unwrap()).unwrap();
    let start = (page - 1) * PAGE_SIZE;
    let on_page = zones.iter().skip(start).take(PAGE_SIZE);
    let domains: Vec<_> = on_page.map(|name| json!({ "name": name })).collect();
    let mut links = json!({});
    if start + PAGE_SIZE < zones.len() {
        links = json!({ "pages": { "next": "there is more" } });
    }
    let meta = json!({ "total": zones.len() });
    scripted::json(&json!({ "domains": domains, "links": links, "meta": meta }))
}

async fn serve(zones: &Zones) -> Scripted {
    let zones = zones.clone();
    Scripted::start(move |_, request| respond(&zones, request)).await
}

/// Records pages like the database, and fails after a number of pages.
#[derive(Default)]
struct RecordingSink {
    recorded: BTreeMap<String, Vec<RecordedPage>>,
    seen: Vec<String>,
    fails_after: Option<usize>,
    restarts: usize,
}

impl PageSink<ObservedResource> for RecordingSink {
    type Error = &'static str;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), &'static str> {
        let ids = resources.into_iter().map(|seen| seen.provider_id);
        self.seen.extend(ids);
        Ok(())
    }

    async fn record_page(&mut self, page: PageRecord<'_>) -> Result<(), &'static str> {
        let Some(record) = page.record else {
            return Ok(());
        };
        let pages = self.recorded.entry(page.path.to_owned()).or_default();
        pages.push(record);
        assert_eq!(u64::try_from(pages.len()), Ok(page.number));
        let count: usize = self.recorded.values().map(Vec::len).sum();
        match self.fails_after.take_if(|after| *after == count) {
            Some(_) => Err("killed"),
            None => Ok(()),
        }
    }

    fn resumable_pages(&mut self, path: &str) -> Vec<RecordedPage> {
        self.recorded.get(path).cloned().unwrap_or_default()
    }

    async fn restart_list(&mut self, path: &str) -> Result<(), &'static str> {
        self.restarts += 1;
        self.recorded.remove(path);
        Ok(())
    }
}

/// Returns the pages of zones requested after the first `before` requests.
fn pages_since(server: &Scripted, before: usize) -> Vec<u64> {
    let requests = server.requests().split_off(before);
    let of_zones = requests
        .iter()
        .filter(|request| !request.target.contains("/records"));
    let mut pages: Vec<u64> = of_zones.filter_map(ReceivedRequest::page).collect();
    pages.sort_unstable();
    pages
}

/// Interrupts a list of seven pages after three recorded pages, applies a change, and resumes the
/// list.
async fn interrupt_and_resume(
    change: impl FnOnce(&mut Vec<String>),
) -> (Vec<u64>, RecordingSink, ListedKind) {
    let account = zones(13);
    let server = serve(&account).await;
    let mut sink = RecordingSink {
        fails_after: Some(3),
        ..RecordingSink::default()
    };
    let kind = listing(&ResourceKind::DNS_ZONE);
    let client = server.client();
    let interrupted = client.list_resources(kind, &mut sink).await;
    assert_eq!(interrupted.unwrap_err(), "killed");
    let before = server.requests().len();
    change(&mut account.lock().unwrap());
    let listed = client.list_resources(kind, &mut sink).await;
    let listed = listed.unwrap().remove(0);
    sink.seen.sort();
    sink.seen.dedup();
    (pages_since(&server, before), sink, listed)
}

#[tokio::test]
async fn only_the_last_recorded_page_is_refetched() {
    let (pages, sink, listed) = interrupt_and_resume(|_| {}).await;
    assert_eq!(pages, [3, 4, 5, 6, 7]);
    assert!(listed.completeness.is_complete());
    assert_eq!((listed.total, listed.requests), (Some(13), 5));
    assert_eq!((sink.seen.len(), sink.restarts), (13, 0));
}

#[tokio::test]
async fn an_added_item_restarts_the_list() {
    let more = |zones: &mut Vec<String>| zones.push("zone-99.example".to_owned());
    let (pages, sink, listed) = interrupt_and_resume(more).await;
    assert_eq!(pages, [1, 2, 3, 3, 4, 5, 6, 7]);
    assert!(listed.completeness.is_complete());
    assert_eq!((sink.seen.len(), sink.restarts), (14, 1));
}

/// An item was deleted from a recorded page and another added: the total is unchanged, and zone-06
/// is now on page 3.
#[tokio::test]
async fn an_item_that_moved_before_the_position_restarts_the_list() {
    let moved = |zones: &mut Vec<String>| {
        zones.remove(1);
        zones.push("zone-99.example".to_owned());
    };
    let (pages, sink, listed) = interrupt_and_resume(moved).await;
    assert_eq!(pages, [1, 2, 3, 3, 4, 5, 6, 7]);
    assert!(listed.completeness.is_complete());
    assert!(sink.seen.contains(&"zone-06.example".to_owned()));
}

#[tokio::test]
async fn an_item_that_moved_after_the_position_is_read_there() {
    let moved = |zones: &mut Vec<String>| {
        zones.remove(9);
        zones.insert(11, "zone-99.example".to_owned());
    };
    let (pages, sink, listed) = interrupt_and_resume(moved).await;
    assert_eq!(pages, [3, 4, 5, 6, 7]);
    assert!(listed.completeness.is_complete());
    assert!(!sink.seen.contains(&"zone-09.example".to_owned()));
    assert_eq!(sink.seen.len(), 13);
}

/// An item moved from after the position to before it, and another in the opposite direction: one
/// item would be read twice, and another missed.
#[tokio::test]
async fn items_swapped_across_the_position_restart_the_list() {
    let (pages, sink, listed) = interrupt_and_resume(|zones| zones.swap(0, 12)).await;
    assert_eq!(pages, [1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
    assert!(listed.completeness.is_complete());
    assert_eq!((sink.seen.len(), sink.restarts), (13, 1));
}

#[tokio::test]
async fn a_completed_list_is_not_requested_again() {
    let account = zones(5);
    let server = serve(&account).await;
    // Three pages of zones, then the records of each.
    let mut sink = RecordingSink::default();
    let kind = kinds::zones_with_records();
    let client = server.client();
    client.list_resources(kind, &mut sink).await.unwrap();
    let before = server.requests().len();
    let listed = client.list_resources(kind, &mut sink).await.unwrap();
    assert_eq!(pages_since(&server, before), Vec::<u64>::new());
    // An empty list has no page to record.
    assert_eq!((listed[0].requests, listed[1].requests), (0, 5));
    for kind in listed {
        assert!(kind.completeness.is_complete(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_list_with_an_invalid_item_is_not_resumed() {
    let account = zones(8);
    let shown = account.clone();
    let server = Scripted::start(move |_, request| {
        if request.page() == Some(2) {
            let domains = json!([{ "name": "zone-02.example" }, { "ttl": 1800 }]);
            let links = json!({ "pages": { "next": "there is more" } });
            let meta = json!({ "total": 8 });
            let page = json!({ "domains": domains, "links": links, "meta": meta });
            return scripted::json(&page);
        }
        respond(&shown, request)
    })
    .await;
    let mut sink = RecordingSink::default();
    let kind = listing(&ResourceKind::DNS_ZONE);
    let client = server.client();
    client.list_resources(kind, &mut sink).await.unwrap();
    assert_eq!(sink.recorded["/v2/domains"].len(), 1);
    let before = server.requests().len();
    let retried = client.list_resources(kind, &mut sink).await.unwrap();
    assert_eq!(pages_since(&server, before), [1, 2, 3, 4]);
    let reason = retried[0].completeness.reason().unwrap();
    assert!(reason.contains("/v2/domains"), "{reason}");
}

#[tokio::test]
async fn the_next_attempt_resumes_at_the_failed_page() {
    let account = zones(13);
    let shown = account.clone();
    let has_failed = Arc::new(AtomicBool::new(false));
    let server = Scripted::start(move |_, request| {
        if request.page() == Some(5) && !has_failed.swap(true, Ordering::Relaxed) {
            let body = r#"{"id":"server_error","message":"Unexpected server-side error"}"#;
            return scripted::with_type(StatusCode::BAD_GATEWAY, "application/json", body);
        }
        respond(&shown, request)
    })
    .await;
    let mut sink = RecordingSink::default();
    let kind = listing(&ResourceKind::DNS_ZONE);
    let client = server.client();
    let failed = client.list_resources(kind, &mut sink).await.unwrap();
    assert!(failed[0].failure.is_some() && !failed[0].completeness.is_complete());
    let before = server.requests().len();
    let listed = client.list_resources(kind, &mut sink).await.unwrap();
    assert!(listed[0].completeness.is_complete());
    assert_eq!(pages_since(&server, before), [4, 5, 6, 7]);
}
