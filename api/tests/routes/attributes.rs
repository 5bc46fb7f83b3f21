//! Redaction of attributes: for no kind do a tenant's responses reference resources of others.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use digitalocean::{Client, PageSink, ResourceListing, kinds};
use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApi, resource, rows, sweep};

/// Creates a volume of acme, and attaches it to a droplet of globex by every attribute that can
/// reference a droplet.
async fn attach_by_attributes(api: &TestApi) -> String {
    let kind = ResourceKind::VOLUME;
    let mut volume = resource(kind.clone(), "v-1".to_owned(), "data-1");
    volume.relations = vec![crate::relations::attached_to("1")];
    volume.attrs = json!({ "size_gigabytes": 10, "droplet_ids": ["none-yet"] }).into();
    sweep(&api.store, &kind, std::slice::from_ref(&volume)).await;
    volume.attrs = json!({
        "size_gigabytes": 20,
        "droplet_ids": [1, "droplet-of-globex"],
        "droplet": { "id": "id-of-globex", "name": "name-of-globex" },
    })
    .into();
    sweep(&api.store, &kind, &[volume]).await;
    api.resource_id("data-1").await
}

#[tokio::test]
async fn a_tenant_sees_no_references_to_resources_of_others() {
    let api = TestApi::with_account().await;
    let id = attach_by_attributes(&api).await;
    let now = api.now().await;
    for path in [
        "/api/v1/inventory?kind=volume".to_owned(),
        format!("/api/v1/inventory?kind=volume&as_of={now}"),
        format!("/api/v1/inventory/{id}"),
        format!("/api/v1/inventory/{id}?as_of={now}"),
        format!("/api/v1/inventory/{id}/timeline"),
        format!("/api/v1/inventory/{id}/events"),
    ] {
        let by_admin = api.get(&api.admin, &path).await.ok().to_string();
        assert!(by_admin.contains("of-globex"), "{path}: {by_admin}");
        let by_acme = api.get(&api.acme, &path).await.ok().to_string();
        for secret in ["of-globex", "none-yet", "droplet_ids\":["] {
            assert!(!by_acme.contains(secret), "{path}: {by_acme}");
        }
        assert!(by_acme.contains("size_gigabytes"), "{path}: {by_acme}");
    }
}

/// Returns the example response of `DigitalOcean` for a kind; each listed kind has one.
fn example(kind: &ResourceKind) -> Value {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/digitalocean/fixtures");
    let text = fs::read_to_string(examples.join(format!("{kind}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Collects the listed resources.
#[derive(Default)]
struct Collected(Vec<ObservedResource>);

impl PageSink<ObservedResource> for Collected {
    type Error = Infallible;

    async fn take(&mut self, resources: Vec<ObservedResource>) -> Result<(), Infallible> {
        self.0.extend(resources);
        Ok(())
    }
}

/// Runs a listing on the example responses and returns the resources of all its kinds.
async fn read_example(listing: &'static ResourceListing) -> Vec<ObservedResource> {
    let list = example(&listing.kind).to_string();
    let children = listing.children.as_ref();
    let children = children.map_or("{}".to_owned(), |below| example(&below.kind).to_string());
    let respond = move |request: Request| async move {
        let target = request.uri().to_string();
        let is_list = listing.paths.iter().any(|path| {
            let below = target.strip_prefix(path);
            below.is_some_and(|rest| !rest.starts_with('/'))
        });
        let body = if is_list { list } else { children };
        ([("content-type", "application/json")], body).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = axum::serve(listener, Router::new().fallback(respond));
    let server = tokio::spawn(async move { serving.await });
    let client = Client::new(&url, "no-token".into()).unwrap();
    let mut collected = Collected::default();
    let Ok(listed) = client.list_resources(listing, &mut collected).await;
    for kind in listed {
        assert!(kind.completeness.is_complete(), "{kind:?}");
    }
    server.abort();
    collected.0
}

/// Collects all texts and numbers of a value as text.
fn scalars(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(parts) => parts.values().for_each(|part| scalars(part, found)),
        Value::Array(parts) => parts.iter().for_each(|part| scalars(part, found)),
        Value::String(text) => found.push(text.clone()),
        Value::Number(number) => found.push(number.to_string()),
        Value::Null | Value::Bool(_) => {}
    }
}

#[tokio::test]
async fn attributes_of_each_kind_are_redacted_for_a_tenant() {
    let api = TestApi::empty().await;
    let mut read = Vec::new();
    for listing in kinds::listings()
        .iter()
        .chain([kinds::zones_with_records()])
    {
        let resources = read_example(listing).await;
        for kind in listing.kinds() {
            let of_kind: Vec<_> = resources
                .iter()
                .filter(|resource| resource.kind == *kind)
                .cloned()
                .collect();
            assert!(!of_kind.is_empty(), "no example of {kind}");
            sweep(&api.store, kind, &of_kind).await;
        }
        read.extend(resources);
    }
    api.write_by_hand("update cloud_resources set tenant_id = 'acme'")
        .await;
    let others: HashSet<String> = read
        .iter()
        .flat_map(|resource| {
            let related = resource.relations.iter();
            let related = related.map(|relation| relation.other.provider_id.clone());
            related.chain([resource.provider_id.clone()])
        })
        .collect();
    let kept = |resource: &Value| {
        let mut kept = Vec::new();
        scalars(&resource["attrs"], &mut kept);
        kept
    };
    let path = "/api/v1/inventory?limit=500";
    let by_admin = api.get(&api.admin, path).await.ok();
    let named = rows(&by_admin).iter().flat_map(kept);
    assert!(named.filter(|kept| others.contains(kept)).count() > 20);

    let by_acme = api.get(&api.acme, path).await.ok();
    assert_eq!(rows(&by_acme).len(), rows(&by_admin).len());
    for resource in rows(&by_acme) {
        // The UUID of a namespace is part of its name.
        let own = resource["provider_id"].as_str().unwrap();
        for kept in kept(resource).iter().filter(|kept| !own.contains(&***kept)) {
            let names_another = others.contains(kept) || kept.parse::<Uuid>().is_ok();
            assert!(!names_another, "{kept}: {resource}");
        }
    }
}
