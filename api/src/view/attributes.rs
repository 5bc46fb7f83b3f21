//! Redaction of a resource's attributes for tenants: removes references to other resources, which
//! may belong to other tenants.
//!
//! `/relations` lists the related resources of the tenant. The rules follow `DigitalOcean`'s naming
//! of references instead of single kinds, so that they also apply to future kinds.

use serde_json::{Map, Value};
use uuid::Uuid;

/// Suffixes of keys with ids: `droplet_ids`, `vpc_uuid`, `load_balancer_uids`.
const REFERENCE_SUFFIXES: [&str; 6] = ["_id", "_ids", "_uid", "_uids", "_uuid", "_uuids"];

/// Keys of references with values that do not look like ids.
const REFERENCES: [&str; 4] = [
    // In the grants of a Spaces key.
    "bucket",
    // Partner attachments that are built on this one.
    "children",
    // The managed database, in the databases of an app.
    "cluster_name",
    // The resources that an alert policy monitors.
    "entities",
];

/// Keys that identify the resource in an embedded object.
const IDENTITY: [&str; 3] = ["id", "name", "uuid"];

/// Removes references from the attributes of a resource. A top-level `id` or `uuid` is the
/// resource's own and is kept.
pub(super) fn narrow(attrs: &mut Value) {
    match attrs {
        Value::Object(attrs) => retain(attrs, |key| matches!(key, "id" | "uuid")),
        other => *other = Value::Null,
    }
}

/// Removes references from one attribute; null if nothing else is left.
pub(super) fn narrow_one(key: &str, value: &mut Value) {
    let mut alone = Map::from_iter([(key.to_owned(), value.take())]);
    retain(&mut alone, |key| matches!(key, "id" | "uuid"));
    *value = alone.remove(key).unwrap_or_default();
}

fn retain(object: &mut Map<String, Value>, is_own: impl Fn(&str) -> bool) {
    object.retain(|key, value| is_own(key) || (!is_reference(key) && narrow_value(value)));
}

fn is_reference(key: &str) -> bool {
    REFERENCES.contains(&key)
        || REFERENCE_SUFFIXES
            .iter()
            .any(|suffix| key.ends_with(suffix))
}

/// Removes references from a value; returns true if anything is left.
fn narrow_value(value: &mut Value) -> bool {
    match value {
        Value::String(text) => !looks_like_an_id(text),
        Value::Object(object) => {
            let is_embedded_resource = object.contains_key("id") || object.contains_key("uuid");
            let had_parts = !object.is_empty();
            if is_embedded_resource {
                object.retain(|key, _| !IDENTITY.contains(&key.as_str()));
            }
            retain(object, |_| false);
            !(had_parts && object.is_empty())
        }
        Value::Array(elements) => {
            let before = elements.len();
            elements.retain_mut(narrow_value);
            // A partial list would look complete, so that it is removed as a whole.
            elements.len() == before
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Returns true for a UUID, or a number as text, such as the ids of droplets and images.
fn looks_like_an_id(text: &str) -> bool {
    text.parse::<Uuid>().is_ok() || (text.len() >= 6 && text.bytes().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OTHER: &str = "760e09ef-dc84-11e8-981e-3cfdfeaae000";

    #[test]
    fn own_attributes_are_kept_and_references_are_removed() {
        let mut attrs = json!({
            "id": OTHER,
            "memory": 1024,
            "droplet_ids": [1, 4],
            "vpc_uuid": OTHER,
            "droplet": { "id": 4, "name": "db-1" },
            "image": { "id": 7, "name": "secret", "slug": "ubuntu-24-04-x64" },
            "entities": ["4"],
            "grants": [{ "bucket": "secret", "permission": "read" }],
            "template": { "size": "c-2", "image": "192018292", "vpc_uuid": OTHER },
            "rules": [{ "type": "droplet", "value": "192018292" }, { "type": "tag", "value": "web" }],
            "versions": ["15", "16"],
            "features": [],
            "labels": {},
        });
        narrow(&mut attrs);
        assert_eq!(
            attrs,
            json!({
                "id": OTHER,
                "memory": 1024,
                "image": { "slug": "ubuntu-24-04-x64" },
                "grants": [{ "permission": "read" }],
                "template": { "size": "c-2" },
                "rules": [{ "type": "droplet" }, { "type": "tag", "value": "web" }],
                "versions": ["15", "16"],
                "features": [],
                "labels": {},
            })
        );
    }

    #[test]
    fn a_list_with_a_reference_is_removed_as_a_whole() {
        for list in [json!(["web", OTHER]), json!(["192018292", "web"])] {
            let mut attrs = json!({ "targets": list });
            narrow(&mut attrs);
            assert_eq!(attrs, json!({}));
        }
    }

    #[test]
    fn one_attribute_is_narrowed_like_all_attributes() {
        for (key, value, narrowed) in [
            ("volume_ids", json!(["v-1"]), json!(null)),
            ("id", json!(OTHER), json!(OTHER)),
            ("droplet", json!({ "id": 4, "name": "db-1" }), json!(null)),
            ("droplet", json!(null), json!(null)),
            ("size", json!({ "slug": "c-2" }), json!({ "slug": "c-2" })),
        ] {
            let mut value = value;
            narrow_one(key, &mut value);
            assert_eq!(value, narrowed, "{key}");
        }
    }
}
