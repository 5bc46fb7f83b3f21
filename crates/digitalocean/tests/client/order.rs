//! Tests that the order of lists in bodies, which differs between responses, is not a change.

use std::collections::BTreeMap;

use digitalocean::{ResourceListing, kinds};
use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};

use crate::examples::{fixture, read};
use crate::listing;

/// Pseudo-random numbers, the same in each run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed >> 33) % bound as u64).unwrap()
    }

    fn shuffle(&mut self, list: &mut [Value]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// Shuffles every list of a body except the ordered ones. Returns the number of shuffled lists.
fn shuffle(body: &mut Value, path: &str, ordered: &[&str], random: &mut Random) -> usize {
    match body {
        Value::Array(elements) => {
            let below = elements
                .iter_mut()
                .map(|element| shuffle(element, path, ordered, random));
            let below: usize = below.sum();
            if ordered.contains(&path) || elements.len() < 2 {
                return below;
            }
            random.shuffle(elements);
            below + 1
        }
        Value::Object(members) => {
            let below = members.iter_mut().map(|(key, value)| {
                let path = [path, key].join(".");
                shuffle(value, path.trim_start_matches('.'), ordered, random)
            });
            below.sum()
        }
        _ => 0,
    }
}

/// Reverses each list at a path. Returns true if a list changed.
fn reverse(body: &mut Value, path: &str) -> bool {
    match (body, path.split_once('.')) {
        (Value::Array(elements), None) if path.is_empty() => {
            elements.reverse();
            elements.len() > 1 && elements.first() != elements.last()
        }
        (Value::Array(elements), _) => {
            let reversed = elements.iter_mut().map(|element| reverse(element, path));
            reversed.fold(false, |any, one| any | one)
        }
        (Value::Object(members), split) => {
            let (key, rest) = split.unwrap_or((path, ""));
            members
                .get_mut(key)
                .is_some_and(|value| reverse(value, rest))
        }
        _ => false,
    }
}

/// All properties that can cause an event, by kind and id. The store ignores the order of tags and
/// relations.
type Seen = BTreeMap<(ResourceKind, String), (ObservedResource, String)>;

async fn seen(listing: &ResourceListing, response: &Value, children: &Value) -> Seen {
    let listed = read(listing, response, children).await;
    let all = listed.all().inspect(|listed| {
        assert!(listed.completeness.is_complete(), "{listed:?}");
    });
    let resources = all.flat_map(|listed| listed.items.clone());
    resources
        .map(|mut resource| {
            resource.tags.sort_unstable();
            resource.relations.sort_unstable();
            let key = (resource.kind.clone(), resource.provider_id.clone());
            let attrs = resource.attrs.as_json().to_owned();
            (key, (resource, attrs))
        })
        .collect()
}

fn children_of(listing: &ResourceListing) -> Value {
    let children = listing.children.as_ref();
    children.map_or(json!({}), |children| fixture(&children.kind))
}

#[tokio::test]
async fn no_kind_depends_on_the_order_of_a_set() {
    let mut shuffled = 0;
    for listing in kinds::listings()
        .iter()
        .chain([kinds::zones_with_records()])
    {
        let (response, children) = (fixture(&listing.kind), children_of(listing));
        let before = seen(listing, &response, &children).await;
        for seed in 0..8 {
            let mut random = Random(seed);
            let (mut response, mut children) = (response.clone(), children.clone());
            shuffled += shuffle(
                &mut response[listing.envelope],
                "",
                listing.ordered,
                &mut random,
            );
            if let Some(own) = &listing.children {
                shuffle(&mut children[own.envelope], "", own.ordered, &mut random);
            }
            assert_eq!(
                seen(listing, &response, &children).await,
                before,
                "{}",
                listing.kind
            );
        }
    }
    assert!(shuffled > 8 * 30, "the examples hold few lists: {shuffled}");
}

#[tokio::test]
async fn the_order_of_an_ordered_list_is_a_change() {
    let mut ordered = 0;
    for listing in kinds::listings() {
        let (response, children) = (fixture(&listing.kind), children_of(listing));
        let before = seen(listing, &response, &children).await;
        for path in listing.ordered {
            let mut response = response.clone();
            let is_reversed = reverse(&mut response[listing.envelope], path);
            assert!(is_reversed, "no example of {}'s {path}", listing.kind);
            assert_ne!(seen(listing, &response, &children).await, before, "{path}");
            ordered += 1;
        }
    }
    assert!(ordered > 0);
}

async fn attrs_of(kind: &ResourceKind, body: Value) -> Value {
    let listing = listing(kind);
    let response = json!({ listing.envelope: [body] });
    let listed = read(listing, &response, &json!({})).await;
    assert!(listed.completeness.is_complete(), "{listed:?}");
    listed.items[0].attrs.to_value()
}

#[tokio::test]
async fn an_added_or_removed_element_is_a_change() {
    let with_rules = async |rules: Value| {
        let body = json!({ "id": "fb6045f1", "name": "web", "inbound_rules": rules });
        attrs_of(&ResourceKind::FIREWALL, body).await["inbound_rules"].take()
    };
    let rule = |ports: &str, addresses: Value| json!({ "protocol": "tcp", "ports": ports, "sources": { "addresses": addresses } });
    let http = rule("80", json!(["0.0.0.0/0", "::/0"]));
    let ssh = rule("22", json!(["198.51.100.7"]));
    let one = with_rules(json!([http, ssh])).await;
    let reordered = with_rules(json!([ssh, rule("80", json!(["::/0", "0.0.0.0/0"]))])).await;
    assert_eq!(one, reordered);
    assert_eq!(one, json!([ssh, http]));
    let narrower = with_rules(json!([ssh, rule("80", json!(["::/0"]))])).await;
    assert_ne!(one, narrower);
    assert_ne!(one, with_rules(json!([http])).await);
}

#[tokio::test]
async fn null_an_empty_list_and_an_absent_list_are_equal() {
    for (kind, key) in [
        (ResourceKind::DROPLET, "volume_ids"),
        (ResourceKind::DROPLET, "features"),
        (ResourceKind::DROPLET, "tags"),
        (ResourceKind::SNAPSHOT, "regions"),
        (ResourceKind::FIREWALL, "inbound_rules"),
        (ResourceKind::DATABASE_CLUSTER, "rules"),
        (ResourceKind::DATABASE_CLUSTER, "users"),
        (ResourceKind::KUBERNETES_CLUSTER, "node_pools"),
        (ResourceKind::SPACES_KEY, "grants"),
        (ResourceKind::LOAD_BALANCER, "droplet_ids"),
        (ResourceKind::VPC_PEERING, "vpc_ids"),
        (ResourceKind::NAT_GATEWAY, "vpcs"),
    ] {
        let body = |list: Option<Value>| {
            let mut body =
                json!({ "id": "7", "access_key": "DO00", "name": "one", "size": "small" });
            if let Some(list) = list {
                body[key] = list;
            }
            body
        };
        let without = attrs_of(&kind, body(None)).await;
        assert_eq!(
            without,
            attrs_of(&kind, body(Some(json!(null)))).await,
            "{kind} {key}"
        );
        assert_eq!(
            without,
            attrs_of(&kind, body(Some(json!([])))).await,
            "{kind} {key}"
        );
    }
}
