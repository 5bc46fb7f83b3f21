//! Tests that every kind reads the responses that its listing describes: one example of this
//! repository each, and DigitalOcean's own example if there is one.

use digitalocean::{ResourceListing, kinds};
use domain::ResourceKind;
use serde_json::{Value, json};

use crate::examples;
use crate::listed::Listed;
use crate::published_examples::{PUBLISHED, published};

fn assert_conforms(listed: &Listed, response: &Value) {
    let items = response.as_array().unwrap();
    // Snapshots of droplets have their own list; backups in the list of images are another kind.
    let other_kinds = ["snapshot", "backup"];
    let own = items.iter().filter(|item| {
        listed.kind != ResourceKind::IMAGE || !other_kinds.iter().any(|kind| item["type"] == *kind)
    });
    let own = own.count();
    assert!(own > 0, "{}", listed.kind);
    assert_eq!(listed.items.len(), own, "{}", listed.kind);
    for listed in listed.all() {
        let kind = &listed.kind;
        assert!(listed.completeness.is_complete(), "{kind}: {listed:?}");
        for resource in &listed.items {
            assert!(!resource.provider_id.is_empty() && !resource.name.is_empty());
            let attrs = resource.attrs.to_value();
            let bare = *kind == ResourceKind::SPACES_BUCKET;
            assert_eq!(attrs == json!({}), bare, "{kind}");
            assert_eq!(attrs.to_string(), resource.attrs.as_json(), "{kind}");
        }
    }
}

#[tokio::test]
async fn every_kind_reads_an_example_of_its_list() {
    for listing in kinds::listings()
        .iter()
        .chain([kinds::zones_with_records()])
    {
        let listed = examples::read_fixtures(listing).await;
        let response = examples::fixture(&listing.kind);
        assert_conforms(&listed, &response[listing.envelope]);
        for listed in listed.all() {
            assert!(!listed.items.is_empty(), "no example of {}", listed.kind);
        }
    }
}

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn every_kind_reads_digitaloceans_examples() {
    for listing in kinds::listings()
        .iter()
        .chain([kinds::zones_with_records()])
    {
        let of = |kind: &ResourceKind| {
            let places: Vec<_> = PUBLISHED.iter().filter(|(of, _)| of == kind).collect();
            assert!(!places.is_empty(), "{kind} has no entry in PUBLISHED");
            places
        };
        let mut children_response = json!({});
        if let Some(children) = &listing.children {
            children_response = json!({ children.envelope: [] });
            for (_, place) in of(&children.kind) {
                let response = published(place, "", children.envelope);
                children_response = response.unwrap_or(children_response);
            }
        }
        for (_, place) in of(&listing.kind) {
            let response = published(place, listing.paths[0], listing.envelope);
            if let Some(response) = response {
                let listed = examples::read(listing, &response, &children_response).await;
                assert_conforms(&listed, &response[listing.envelope]);
            }
        }
    }
}

#[test]
fn no_kind_is_listed_twice() {
    let mut kinds: Vec<_> = kinds::listings()
        .iter()
        .flat_map(ResourceListing::kinds)
        .collect();
    kinds.sort();
    assert!(kinds.is_sorted_by(|one, next| one < next), "{kinds:?}");
    assert!(kinds::listing(&ResourceKind::named("unknown")).is_none());
}
