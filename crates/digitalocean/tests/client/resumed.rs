//! A list that was broken off, and goes on where it was or begins again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::Response;
use digitalocean::{ListedKind, PageNote, PageSink, kinds};
use domain::inventory::ObservedResource;
use domain::{ResourceKind, TakenPage};
use serde_json::json;

use crate::listing;
use crate::scripted::{self, Asked, Scripted};

/// Fewer than the client asks for.
const ITEMS_A_PAGE: usize = 2;

type Zones = Arc<Mutex<Vec<String>>>;

fn zones(count: usize) -> Zones {
    let names = (0..count).map(|number| format!("zone-{number:02}.example"));
    Arc::new(Mutex::new(names.collect()))
}

fn answer(zones: &Zones, asked: &Asked) -> Response {
    if asked.target.contains("/records") {
        return scripted::json(&json!({ "domain_records": [], "meta": { "total": 0 } }));
    }
    let zones = zones.lock().unwrap();
    let page = usize::try_from(asked.page().unwrap()).unwrap();
    let start = (page - 1) * ITEMS_A_PAGE;
    let on_page = zones.iter().skip(start).take(ITEMS_A_PAGE);
    let domains: Vec<_> = on_page.map(|name| json!({ "name": name })).collect();
    let mut links = json!({});
    if start + ITEMS_A_PAGE < zones.len() {
        links = json!({ "pages": { "next": "there is more" } });
    }
    let meta = json!({ "total": zones.len() });
    scripted::json(&json!({ "domains": domains, "links": links, "meta": meta }))
}

async fn serve(zones: &Zones) -> Scripted {
    let zones = zones.clone();
    Scripted::start(move |_, asked| answer(&zones, asked)).await
}

/// Remembers pages as the database does, and breaks off after some.
#[derive(Default)]
struct Remembering {
    taken: BTreeMap<String, Vec<TakenPage>>,
    seen: Vec<String>,
    breaks_off_after: Option<usize>,
    begun_again: usize,
}

impl PageSink<ObservedResource> for Remembering {
    type Error = &'static str;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), &'static str> {
        let ids = resources.into_iter().map(|seen| seen.provider_id);
        self.seen.extend(ids);
        Ok(())
    }

    async fn note(&mut self, page: PageNote<'_>) -> Result<(), &'static str> {
        let Some(taken) = page.taken else {
            return Ok(());
        };
        let pages = self.taken.entry(page.path.to_owned()).or_default();
        pages.push(taken);
        assert_eq!(u64::try_from(pages.len()), Ok(page.number));
        let taken: usize = self.taken.values().map(Vec::len).sum();
        match self.breaks_off_after.take_if(|after| *after == taken) {
            Some(_) => Err("killed"),
            None => Ok(()),
        }
    }

    fn taken_before(&mut self, path: &str) -> Vec<TakenPage> {
        self.taken.get(path).cloned().unwrap_or_default()
    }

    async fn begin_again(&mut self, path: &str) -> Result<(), &'static str> {
        self.begun_again += 1;
        self.taken.remove(path);
        Ok(())
    }
}

/// Which pages were asked for since the last time.
fn pages_since(server: &Scripted, before: usize) -> Vec<u64> {
    let asked = server.asked().split_off(before);
    let of_zones = asked
        .iter()
        .filter(|asked| !asked.target.contains("/records"));
    let mut pages: Vec<u64> = of_zones.filter_map(Asked::page).collect();
    pages.sort_unstable();
    pages
}

/// Seven pages, three of which are taken; then something happens, and the list goes on.
async fn break_off_and_go_on(
    happens: impl FnOnce(&mut Vec<String>),
) -> (Vec<u64>, Remembering, ListedKind) {
    let account = zones(13);
    let server = serve(&account).await;
    let mut remembering = Remembering {
        breaks_off_after: Some(3),
        ..Remembering::default()
    };
    let kind = listing(&ResourceKind::DNS_ZONE);
    let client = server.client();
    let broken = client.list_resources(kind, &mut remembering).await;
    assert_eq!(broken.unwrap_err(), "killed");
    let before = server.asked().len();
    happens(&mut account.lock().unwrap());
    let listed = client.list_resources(kind, &mut remembering).await;
    let listed = listed.unwrap().remove(0);
    remembering.seen.sort();
    remembering.seen.dedup();
    (pages_since(&server, before), remembering, listed)
}

#[tokio::test]
async fn only_the_last_page_is_asked_for_again() {
    let (asked, remembering, listed) = break_off_and_go_on(|_| {}).await;
    assert_eq!(asked, [3, 4, 5, 6, 7]);
    assert!(listed.completeness.is_complete());
    assert_eq!((listed.total, listed.requests), (Some(13), 5));
    assert_eq!((remembering.seen.len(), remembering.begun_again), (13, 0));
}

#[tokio::test]
async fn what_is_added_behind_is_noticed_by_the_total() {
    let more = |zones: &mut Vec<String>| zones.push("zone-99.example".to_owned());
    let (asked, remembering, listed) = break_off_and_go_on(more).await;
    assert_eq!(asked, [1, 2, 3, 3, 4, 5, 6, 7]);
    assert!(listed.completeness.is_complete());
    assert_eq!((remembering.seen.len(), remembering.begun_again), (14, 1));
}

/// One is gone from a page that was taken, and another has come: the total is as it was, and zone-06 stands on page 3 now.
#[tokio::test]
async fn what_moved_past_the_break_is_noticed_though_the_total_is_the_same() {
    let moved = |zones: &mut Vec<String>| {
        zones.remove(1);
        zones.push("zone-99.example".to_owned());
    };
    let (asked, remembering, listed) = break_off_and_go_on(moved).await;
    assert_eq!(asked, [1, 2, 3, 3, 4, 5, 6, 7]);
    assert!(listed.completeness.is_complete());
    assert!(remembering.seen.contains(&"zone-06.example".to_owned()));
}

#[tokio::test]
async fn what_moved_behind_the_break_is_seen_where_it_is_now() {
    let moved = |zones: &mut Vec<String>| {
        zones.remove(9);
        zones.insert(11, "zone-99.example".to_owned());
    };
    let (asked, remembering, listed) = break_off_and_go_on(moved).await;
    assert_eq!(asked, [3, 4, 5, 6, 7]);
    assert!(listed.completeness.is_complete());
    assert!(!remembering.seen.contains(&"zone-09.example".to_owned()));
    assert_eq!(remembering.seen.len(), 13);
}

/// What stood behind the break stands before it now, and the other way round: one item is seen twice, and another is missing.
#[tokio::test]
async fn items_that_changed_places_across_the_break_make_it_begin_again() {
    let (asked, remembering, listed) = break_off_and_go_on(|zones| zones.swap(0, 12)).await;
    assert_eq!(asked, [1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
    assert!(listed.completeness.is_complete());
    assert_eq!((remembering.seen.len(), remembering.begun_again), (13, 1));
}

#[tokio::test]
async fn a_list_that_was_read_to_its_end_is_not_asked_for_again() {
    let account = zones(5);
    let server = serve(&account).await;
    // Three pages of zones, and then the records of two.
    let mut remembering = Remembering::default();
    let kind = kinds::zones_with_records();
    let client = server.client();
    client.list_resources(kind, &mut remembering).await.unwrap();
    let before = server.asked().len();
    let listed = client.list_resources(kind, &mut remembering).await.unwrap();
    assert_eq!(pages_since(&server, before), Vec::<u64>::new());
    // A list without items tells nothing to remember it by.
    assert_eq!((listed[0].requests, listed[1].requests), (0, 5));
    for kind in listed {
        assert!(kind.completeness.is_complete(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_list_with_an_item_that_cannot_be_read_is_not_gone_on_with() {
    let account = zones(8);
    let shown = account.clone();
    let server = Scripted::start(move |_, asked| {
        if asked.page() == Some(2) {
            let domains = json!([{ "name": "zone-02.example" }, { "ttl": 1800 }]);
            let links = json!({ "pages": { "next": "there is more" } });
            let meta = json!({ "total": 8 });
            let page = json!({ "domains": domains, "links": links, "meta": meta });
            return scripted::json(&page);
        }
        answer(&shown, asked)
    })
    .await;
    let mut remembering = Remembering::default();
    let kind = listing(&ResourceKind::DNS_ZONE);
    let client = server.client();
    client.list_resources(kind, &mut remembering).await.unwrap();
    assert_eq!(remembering.taken["/v2/domains"].len(), 1);
    let before = server.asked().len();
    let again = client.list_resources(kind, &mut remembering).await.unwrap();
    assert_eq!(pages_since(&server, before), [1, 2, 3, 4]);
    let reason = again[0].completeness.reason().unwrap();
    assert!(reason.contains("cannot be read"), "{reason}");
}

#[tokio::test]
async fn a_page_that_fails_is_where_the_next_attempt_goes_on() {
    let account = zones(13);
    let shown = account.clone();
    let has_failed = Arc::new(AtomicBool::new(false));
    let server = Scripted::start(move |_, asked| {
        if asked.page() == Some(5) && !has_failed.swap(true, Ordering::Relaxed) {
            let body = r#"{"id":"server_error","message":"Unexpected server-side error"}"#;
            return scripted::with_type(StatusCode::BAD_GATEWAY, "application/json", body);
        }
        answer(&shown, asked)
    })
    .await;
    let mut remembering = Remembering::default();
    let kind = listing(&ResourceKind::DNS_ZONE);
    let client = server.client();
    let failed = client.list_resources(kind, &mut remembering).await.unwrap();
    assert!(failed[0].failure.is_some() && !failed[0].completeness.is_complete());
    let before = server.asked().len();
    let listed = client.list_resources(kind, &mut remembering).await.unwrap();
    assert!(listed[0].completeness.is_complete());
    assert_eq!(pages_since(&server, before), [4, 5, 6, 7]);
}
