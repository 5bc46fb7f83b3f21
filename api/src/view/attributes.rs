//! What a tenant reads of a resource's attributes: all but what names other things, which may be somebody else's.
//!
//! Which of them are the tenant's own, `/relations` tells. What `DigitalOcean` calls a reference follows a few habits, and so do the
//! rules: kinds that nobody has thought of yet are narrowed as well.

use serde_json::{Map, Value};
use uuid::Uuid;

/// How keys end that hold ids: `droplet_ids`, `vpc_uuid`, `load_balancer_uids`.
const ENDS_OF_REFERENCES: [&str; 6] = ["_id", "_ids", "_uid", "_uids", "_uuid", "_uuids"];

/// Keys that name something by what does not look like an id.
const REFERENCES: [&str; 4] = [
    // Of a Spaces key's grants.
    "bucket",
    // The attachments to a partner's network that are built on one.
    "children",
    // Of an app's databases: the managed database.
    "cluster_name",
    // What an alert policy watches.
    "entities",
];

/// Keys by which an object that stands for another thing says which.
const IDENTITY: [&str; 3] = ["id", "name", "uuid"];

/// Leaves out of a resource's attributes what names others. An `id` or `uuid` among them is its own.
pub(super) fn narrow(attrs: &mut Value) {
    match attrs {
        Value::Object(attrs) => retain(attrs, |key| matches!(key, "id" | "uuid")),
        other => *other = Value::Null,
    }
}

/// Leaves out of one attribute what names others; null for one that does nothing else.
pub(super) fn narrow_one(key: &str, value: &mut Value) {
    let mut alone = Map::from_iter([(key.to_owned(), value.take())]);
    retain(&mut alone, |key| matches!(key, "id" | "uuid"));
    *value = alone.remove(key).unwrap_or_default();
}

fn retain(object: &mut Map<String, Value>, is_own: impl Fn(&str) -> bool) {
    object.retain(|key, value| is_own(key) || (!is_reference(key) && narrow_value(value)));
}

fn is_reference(key: &str) -> bool {
    REFERENCES.contains(&key) || ENDS_OF_REFERENCES.iter().any(|end| key.ends_with(end))
}

/// Whether anything is left to be shown.
fn narrow_value(value: &mut Value) -> bool {
    match value {
        Value::String(text) => !looks_like_an_id(text),
        Value::Object(object) => {
            let stood_for_something = object.contains_key("id") || object.contains_key("uuid");
            let had_parts = !object.is_empty();
            if stood_for_something {
                object.retain(|key, _| !IDENTITY.contains(&key.as_str()));
            }
            retain(object, |_| false);
            !(had_parts && object.is_empty())
        }
        Value::Array(elements) => {
            let before = elements.len();
            elements.retain_mut(narrow_value);
            // A list without some of its elements would say that they are all.
            elements.len() == before
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// A uuid, or a number as text, as droplets and images are named by.
fn looks_like_an_id(text: &str) -> bool {
    text.parse::<Uuid>().is_ok() || (text.len() >= 6 && text.bytes().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OTHER: &str = "760e09ef-dc84-11e8-981e-3cfdfeaae000";

    #[test]
    fn what_a_resource_is_stays_and_what_it_names_goes() {
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
    fn a_list_that_names_others_goes_as_a_whole() {
        for list in [json!(["web", OTHER]), json!(["192018292", "web"])] {
            let mut attrs = json!({ "targets": list });
            narrow(&mut attrs);
            assert_eq!(attrs, json!({}));
        }
    }

    #[test]
    fn one_attribute_is_narrowed_as_all_are() {
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
