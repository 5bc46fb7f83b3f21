//! Every kind reads the answers that its descriptor promises: one example of ours each, and DigitalOcean's own where at hand.

use std::fs;
use std::path::{Path, PathBuf};

use digitalocean::{Listing, ResourceListing, kinds};
use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};

use crate::scripted::{self, Scripted};

/// DigitalOcean's own examples by kind.
const EXAMPLES: &[(ResourceKind, &str)] = &[
    (ResourceKind::DROPLET, "droplets_list_All_Droplets.json"),
    (ResourceKind::DROPLET, "droplets_list_GPU_Droplets.json"),
    (ResourceKind::DNS_ZONE, "domains_list_schema_example.json"),
    (ResourceKind::VOLUME, "volumes_list_All_Volumes.json"),
    (
        ResourceKind::RESERVED_IP,
        "reservedIPs_list_schema_example.json",
    ),
];

/// What the listing reads from a server that gives this answer to all it asks.
async fn read(listing: &ResourceListing, answer: &Value) -> Listing<ObservedResource> {
    let answer = answer.clone();
    let server = Scripted::start(move |_, _| scripted::json(&answer)).await;
    server.client().list_resources(listing).await
}

fn fixture(kind: &ResourceKind) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{kind}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "the kind {kind} needs an example: {}: {error}",
            path.display()
        )
    });
    serde_json::from_str(&text).unwrap()
}

fn assert_conforms(listing: &ResourceListing, answer: &Value, listed: &Listing<ObservedResource>) {
    let kind = &listing.kind;
    assert!(listed.completeness.is_complete(), "{kind}: {listed:?}");
    let given = answer[listing.envelope].as_array().unwrap();
    assert!(!given.is_empty(), "{kind}");
    assert_eq!(listed.items.len(), given.len(), "{kind}");
    for resource in &listed.items {
        assert!(!resource.provider_id.is_empty() && !resource.name.is_empty());
        let attrs = resource.attrs.to_value();
        assert_ne!(attrs, json!({}), "{kind}");
        assert_eq!(attrs.to_string(), resource.attrs.as_json(), "{kind}");
    }
}

#[tokio::test]
async fn every_kind_reads_an_example_of_its_list() {
    for listing in kinds::listings() {
        let answer = fixture(&listing.kind);
        let listed = read(listing, &answer).await;
        assert_conforms(listing, &answer, &listed);
    }
}

#[tokio::test]
async fn every_kind_reads_digitaloceans_own_examples() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("ARCADIA_SHARED_DIR").map_or(beside, PathBuf::from);
    let examples = shared.join("digitalocean/examples");
    if !examples.is_dir() {
        println!("skipped: no {}; set ARCADIA_SHARED_DIR", examples.display());
        return;
    }
    for listing in kinds::listings() {
        let mut files = EXAMPLES
            .iter()
            .filter(|(kind, _)| *kind == listing.kind)
            .peekable();
        assert!(files.peek().is_some(), "no example of {}", listing.kind);
        for (_, file) in files {
            let text = fs::read_to_string(examples.join(file)).unwrap();
            let answer: Value = serde_json::from_str(&text).unwrap();
            let listed = read(listing, &answer).await;
            assert_conforms(listing, &answer, &listed);
        }
    }
}

#[test]
fn no_kind_is_listed_twice() {
    let mut kinds: Vec<_> = kinds::listings()
        .iter()
        .map(|listing| &listing.kind)
        .collect();
    kinds.sort();
    assert!(kinds.is_sorted_by(|one, next| one < next), "{kinds:?}");
    assert!(kinds::listing(&ResourceKind::named("unheard of")).is_none());
}

async fn read_fixture(kind: &ResourceKind) -> ObservedResource {
    let listed = read(kinds::listing(kind).unwrap(), &fixture(kind)).await;
    listed.items.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_droplet_keeps_what_it_is_and_not_what_is_on_offer() {
    let droplet = read_fixture(&ResourceKind::DROPLET).await;
    assert_eq!(droplet.provider_id, "3164444");
    assert_eq!(droplet.name, "example.com");
    assert_eq!(droplet.region.as_deref(), Some("nyc3"));
    assert_eq!(droplet.status.as_deref(), Some("active"));
    assert_eq!(droplet.tags, ["web", "env:prod"]);
    let attrs = droplet.attrs.to_value();
    assert_eq!(attrs["memory"], 1024);
    assert_eq!(attrs["size"]["slug"], "s-1vcpu-1gb");
    assert_eq!(attrs["image"]["slug"], "ubuntu-20-04-x64");
    // What has a field of its own is kept there only: a new tag changes the tags and nothing else.
    for elsewhere in ["/name", "/region", "/status", "/tags"] {
        assert_eq!(attrs.pointer(elsewhere), None, "{elsewhere}");
    }
    for volatile in [
        "/next_backup_window",
        "/size/regions",
        "/size/available",
        "/image/regions",
    ] {
        assert_eq!(attrs.pointer(volatile), None, "{volatile}");
    }
}

#[tokio::test]
async fn a_zone_is_its_name_without_its_records() {
    let zone = read_fixture(&ResourceKind::DNS_ZONE).await;
    assert_eq!(
        (&*zone.provider_id, &*zone.name),
        ("example.com", "example.com")
    );
    assert_eq!(zone.attrs.to_value(), json!({ "ttl": 1800 }));
}

#[tokio::test]
async fn a_volume_without_the_scope_for_tags_has_none() {
    let volume = read_fixture(&ResourceKind::VOLUME).await;
    assert_eq!(volume.provider_id, "506f78a4-e098-11e5-ad9f-000f53306ae1");
    assert_eq!(
        (&*volume.name, volume.region.as_deref()),
        ("example", Some("nyc1"))
    );
    assert_eq!(volume.tags, [""; 0]);
    assert_eq!(volume.attrs.to_value()["size_gigabytes"], 10);
}

#[tokio::test]
async fn a_reserved_ip_names_its_project_and_only_names_its_droplet() {
    let address = read_fixture(&ResourceKind::RESERVED_IP).await;
    assert_eq!(
        (&*address.provider_id, &*address.name),
        ("45.55.96.47", "45.55.96.47")
    );
    assert_eq!(
        address.project_id.unwrap().to_string(),
        "746c6152-2fa2-11ed-92d3-27aaa54e4988"
    );
    assert_eq!(
        address.attrs.to_value()["droplet"],
        json!({ "id": 3_164_444, "name": "example.com" })
    );
}
