//! Tests that ids in different spellings identify the same resource.

use digitalocean::kinds;
use domain::ResourceKind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::examples::read;
use crate::listing;
use crate::scripted::{self, Scripted};

const UPPER: &str = "5F1B0C3E-0A4D-4B7C-9D5E-2A1F3C4B5D6E";
const LOWER: &str = "5f1b0c3e-0a4d-4b7c-9d5e-2a1f3c4b5d6e";

async fn listed(kind: &ResourceKind, body: Value) -> domain::inventory::ObservedResource {
    let listing = listing(kind);
    let response = json!({ listing.envelope: [body] });
    let mut listed = read(listing, &response, &json!({ "replicas": null })).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    listed.items.remove(0)
}

#[tokio::test]
async fn spellings_of_an_id_in_lists_and_urns_are_one_resource() {
    for (kind, body, urn) in [
        (
            ResourceKind::VOLUME,
            json!({ "id": UPPER, "name": "data" }),
            format!("do:volume:{LOWER}"),
        ),
        (
            ResourceKind::DATABASE_CLUSTER,
            json!({ "id": LOWER, "name": "orders" }),
            format!("do:dbaas:{UPPER}"),
        ),
        (
            ResourceKind::DNS_ZONE,
            json!({ "name": "Example.COM", "ttl": 1800 }),
            "do:domain:example.com".to_owned(),
        ),
        (
            ResourceKind::DNS_ZONE,
            json!({ "name": "example.com", "ttl": 1800 }),
            "do:domain:EXAMPLE.com.".to_owned(),
        ),
        (
            ResourceKind::RESERVED_IPV6,
            json!({ "ip": "2604:a880:0800:0014:0000:0000:0dc9:c001" }),
            "do:reservedipv6:2604:A880:800:14::DC9:C001".to_owned(),
        ),
        (
            ResourceKind::RESERVED_IPV6,
            json!({ "ip": "2604:a880:800:14::dc9:c001" }),
            "do:reservedipv6:2604:A880:0800:14:0:0:0DC9:C001".to_owned(),
        ),
    ] {
        let resource = listed(&kind, body).await;
        let members =
            json!({ "resources": [{ "urn": urn, "status": "ok" }], "meta": { "total": 1 } });
        let server = Scripted::start(move |_, _| scripted::json(&members)).await;
        let of_project = server.client().list_project_resources(Uuid::nil()).await;
        let named = resource.kind.clone().with_id(&*resource.provider_id);
        assert_eq!(of_project.items[0].urn, named, "{urn}");
        assert_eq!(resource.provider_id, named.provider_id, "{urn}");
    }
}

#[tokio::test]
async fn references_in_bodies_are_normalised() {
    let snapshot =
        json!({ "id": "7", "name": "s", "resource_type": "volume", "resource_id": UPPER });
    let snapshot = listed(&ResourceKind::SNAPSHOT, snapshot).await;
    assert_eq!(snapshot.relations[0].other.provider_id, LOWER);
    let droplet = json!({ "id": 7, "name": "web-1", "vpc_uuid": UPPER });
    let droplet = listed(&ResourceKind::DROPLET, droplet).await;
    assert_eq!(droplet.relations[0].other.provider_id, LOWER);
    // Names of buckets are case-sensitive.
    let endpoint = json!({ "id": UPPER, "origin": "Static-Images.nyc3.digitaloceanspaces.com" });
    let endpoint = listed(&ResourceKind::CDN_ENDPOINT, endpoint).await;
    assert_eq!(endpoint.provider_id, LOWER);
    assert_eq!(endpoint.relations[0].other.provider_id, "Static-Images");
}

#[tokio::test]
async fn children_are_requested_by_the_id_as_listed() {
    for (listing, parent, child) in [
        (
            listing(&ResourceKind::DATABASE_CLUSTER),
            json!({ "databases": [{ "id": UPPER, "name": "orders" }] }),
            format!("/v2/databases/{UPPER}/replicas"),
        ),
        (
            kinds::zones_with_records(),
            json!({ "domains": [{ "name": "Example.COM" }] }),
            "/v2/domains/Example.COM/records".to_owned(),
        ),
    ] {
        let children = listing.children.as_ref().unwrap();
        let (response, child_response) = (
            parent,
            json!({ children.envelope: [{ "id": 7, "name": "child" }] }),
        );
        let path = child.clone();
        let server = Scripted::start(move |_, request| {
            let is_child = request.target.starts_with(&path);
            scripted::json(if is_child { &child_response } else { &response })
        })
        .await;
        let listed = crate::listed::list(&server.client(), listing).await;
        assert!(
            server
                .requests()
                .iter()
                .any(|request| request.target.starts_with(&child))
        );
        let parent = &listed.items[0];
        let relations = &listed.included[0].items[0].relations;
        assert!(
            relations
                .iter()
                .any(|relation| relation.other.provider_id == parent.provider_id),
            "{relations:?}"
        );
    }
}

#[tokio::test]
async fn resource_ids_of_invoice_items_are_normalised() {
    let item = json!({ "product": "Volumes", "amount": "10.00", "resource_uuid": UPPER });
    let body = json!({ "invoice_items": [item], "meta": { "total": 1 } });
    let server = Scripted::start(move |_, _| scripted::json(&body)).await;
    let mut items = Items::default();
    let key = digitalocean::InvoiceKey::Preview;
    let Ok(listed) = server.client().get_invoice(key, &mut items).await;
    assert!(listed.completeness.is_complete());
    assert_eq!(items.0[0].item.resource_uuid.as_deref(), Some(LOWER));
    // The raw JSON keeps the spelling.
    assert!(items.0[0].json.contains(UPPER));
}

#[derive(Default)]
struct Items(Vec<digitalocean::InvoiceItemRead>);

impl digitalocean::PageSink<digitalocean::InvoiceItemRead> for Items {
    type Error = std::convert::Infallible;

    async fn take(&mut self, items: Vec<digitalocean::InvoiceItemRead>) -> Result<(), Self::Error> {
        self.0.extend(items);
        Ok(())
    }
}
