//! What differs between a resource as it stands and as it was seen, in the form events keep it.

use std::collections::BTreeMap;

use domain::inventory::ObservedResource;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The fields of a stored resource that a listing can change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredFields {
    pub(super) name: String,
    pub(super) region: Option<String>,
    pub(super) status: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) attrs: Value,
}

/// What happened to a resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) event: &'static str,
    /// `{"field": {"before": ..., "after": ...}}`, as JSON.
    pub(super) changes: String,
}

/// What was never seen before. Fields that are null are as they were, and so are not among the changes.
pub(super) fn discovery(resource: &ObservedResource) -> Change {
    let mut changes = String::with_capacity(2 * resource.attrs.as_json().len() + 256);
    let mut add = |field: &str, after: &str| {
        if after != "null" {
            changes.push(if changes.is_empty() { '{' } else { ',' });
            changes.push_str(&json!(field).to_string());
            changes.push_str(":{\"before\":null,\"after\":");
            changes.push_str(after);
            changes.push('}');
        }
    };
    add("name", &json!(resource.name).to_string());
    add("region", &json!(resource.region).to_string());
    add("status", &json!(resource.status).to_string());
    add("tags", &json!(sorted_tags(resource)).to_string());
    // Taken over as they are written: this runs over every resource of an account that is new.
    let attrs: BTreeMap<String, &RawValue> =
        serde_json::from_str(resource.attrs.as_json()).unwrap_or_default();
    for (key, value) in attrs {
        add(&format!("attrs.{key}"), value.get());
    }
    changes.push('}');
    Change {
        event: "discovered",
        changes,
    }
}

/// What to call the difference; none where nothing that matters differs.
pub(super) fn change(
    before: &StoredFields,
    was_deleted: bool,
    after: &ObservedResource,
) -> Option<Change> {
    let fields = differences(before, after);
    let event = if was_deleted {
        "restored"
    } else if fields.is_empty() {
        return None;
    } else if fields.len() == 1 && fields.contains_key("tags") {
        "tagged"
    } else {
        "updated"
    };
    Some(Change {
        event,
        changes: Value::Object(fields).to_string(),
    })
}

fn differences(before: &StoredFields, after: &ObservedResource) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut compare = |field: &str, before: Value, after: Value| {
        if before != after {
            fields.insert(
                field.to_owned(),
                json!({ "before": before, "after": after }),
            );
        }
    };
    compare("name", json!(before.name), json!(after.name));
    compare("region", json!(before.region), json!(after.region));
    compare("status", json!(before.status), json!(after.status));
    compare("tags", json!(before.tags), json!(sorted_tags(after)));

    let nothing = Map::new();
    let attrs_before = before.attrs.as_object().unwrap_or(&nothing);
    let attrs_after = after.attrs.to_value();
    let attrs_after = attrs_after.as_object().unwrap_or(&nothing);
    for (key, value) in attrs_after {
        compare(
            &format!("attrs.{key}"),
            attrs_before.get(key).cloned().unwrap_or_default(),
            value.clone(),
        );
    }
    for (key, value) in attrs_before
        .iter()
        .filter(|(key, _)| !attrs_after.contains_key(*key))
    {
        compare(&format!("attrs.{key}"), value.clone(), Value::Null);
    }
    fields
}

/// Tags are a set: `DigitalOcean` promises no order of them.
pub(super) fn sorted_tags(resource: &ObservedResource) -> Vec<String> {
    let mut tags = resource.tags.clone();
    tags.sort_unstable();
    tags.dedup();
    tags
}

pub(super) type Fingerprint = [u8; 32];

/// SHA-256 over all that makes a change worth an event. Bodies that differ only in how they are written have different ones:
/// the comparison that follows finds no change then.
pub(super) fn fingerprint(resource: &ObservedResource) -> Fingerprint {
    let fields = json!([
        resource.name,
        resource.region,
        resource.status,
        sorted_tags(resource),
        resource.project_id
    ]);
    let mut hash = Sha256::new();
    hash.update(fields.to_string());
    hash.update(resource.attrs.as_json());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed() -> ObservedResource {
        ObservedResource {
            provider_id: "1".to_owned(),
            name: "web-1".to_owned(),
            region: Some("nyc3".to_owned()),
            status: Some("active".to_owned()),
            tags: vec!["web".to_owned(), "prod".to_owned()],
            project_id: None,
            attrs: json!({ "memory": 1024, "vcpus": 1 }).into(),
        }
    }

    fn stored(resource: &ObservedResource) -> StoredFields {
        StoredFields {
            name: resource.name.clone(),
            region: resource.region.clone(),
            status: resource.status.clone(),
            tags: sorted_tags(resource),
            attrs: resource.attrs.to_value(),
        }
    }

    fn changes(change: &Change) -> Value {
        serde_json::from_str(&change.changes).unwrap()
    }

    #[test]
    fn what_was_never_seen_is_discovered_with_all_its_fields() {
        let mut resource = observed();
        resource.region = None;
        resource.attrs = json!({ "image": { "slug": "a \"b\"" }, "kernel": null }).into();
        let change = discovery(&resource);
        assert_eq!(change.event, "discovered");
        assert_eq!(
            changes(&change),
            json!({
                "name": { "before": null, "after": "web-1" },
                "status": { "before": null, "after": "active" },
                "tags": { "before": null, "after": ["prod", "web"] },
                "attrs.image": { "before": null, "after": { "slug": "a \"b\"" } },
            })
        );
    }

    #[test]
    fn the_same_again_is_no_change_whatever_the_order_of_tags() {
        let before = stored(&observed());
        let mut after = observed();
        after.tags.reverse();
        assert_eq!(change(&before, false, &after), None);
        assert_eq!(fingerprint(&after), fingerprint(&observed()));
    }

    #[test]
    fn tags_alone_are_tagged_and_anything_more_is_updated() {
        let before = stored(&observed());
        let mut after = observed();
        after.tags.push("new".to_owned());
        let tagged = change(&before, false, &after).unwrap();
        assert_eq!(tagged.event, "tagged");
        assert_eq!(
            changes(&tagged),
            json!({ "tags": { "before": ["prod", "web"], "after": ["new", "prod", "web"] } })
        );

        after.attrs = json!({ "memory": 2048 }).into();
        let updated = change(&before, false, &after).unwrap();
        assert_eq!(updated.event, "updated");
        assert_eq!(
            changes(&updated)["attrs.memory"],
            json!({ "before": 1024, "after": 2048 })
        );
        assert_eq!(
            changes(&updated)["attrs.vcpus"],
            json!({ "before": 1, "after": null })
        );
        assert_ne!(fingerprint(&after), fingerprint(&observed()));
    }

    #[test]
    fn a_tombstoned_row_seen_again_is_restored_even_if_nothing_else_differs() {
        let before = stored(&observed());
        assert_eq!(
            change(&before, true, &observed()).unwrap().event,
            "restored"
        );
    }
}
