//! Reads the example responses of this repository, under `fixtures/`.

use std::fs;
use std::path::Path;

use digitalocean::{ResourceListing, kinds};
use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};

use crate::listed::{Listed, list};
use crate::scripted::{self, Scripted};

/// Returns the example of a kind's list.
pub(crate) fn fixture(kind: &ResourceKind) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{kind}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "the kind {kind} needs an example: {}: {error}",
            path.display()
        )
    });
    serde_json::from_str(&text).unwrap()
}

/// Reads a listing from a server that sends one response to every request for the list, and the
/// other to requests for its items.
pub(crate) async fn read(listing: &ResourceListing, response: &Value, children: &Value) -> Listed {
    let (response, children) = (response.clone(), children.clone());
    let paths = listing.paths;
    let server = Scripted::start(move |_, request| {
        let own = |path: &&str| request.target.starts_with(path);
        let below = paths.iter().find(|path| own(path)).is_none_or(|path| {
            let rest = &request.target[path.len()..];
            rest.starts_with('/')
        });
        scripted::json(if below { &children } else { &response })
    })
    .await;
    list(&server.client(), listing).await
}

/// Reads a listing from the examples.
pub(crate) async fn read_fixtures(listing: &ResourceListing) -> Listed {
    let children = listing.children.as_ref();
    let children = children.map_or(json!({}), |children| fixture(&children.kind));
    read(listing, &fixture(&listing.kind), &children).await
}

/// Returns every resource in the example of a kind's list.
pub(crate) async fn resources(kind: &ResourceKind) -> Vec<ObservedResource> {
    let records = *kind == ResourceKind::DNS_RECORD;
    let listing = if records {
        kinds::zones_with_records()
    } else {
        kinds::listing(kind).unwrap()
    };
    let listed = read_fixtures(listing).await;
    let of_kind = listed.all().find(|listed| listed.kind == *kind).unwrap();
    of_kind.items.clone()
}

/// Returns the first resource in the example of a kind's list.
pub(crate) async fn resource(kind: &ResourceKind) -> ObservedResource {
    resources(kind).await.remove(0)
}
