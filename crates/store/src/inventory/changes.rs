//! What differs between a resource as it stands and as it was seen, in the form events keep it.

use domain::inventory::ObservedResource;
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

/// What happened to a resource, and `{"field": {"before": ..., "after": ...}}`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) event: &'static str,
    pub(super) changes: Value,
}

/// What to call the difference; none where nothing that matters differs.
pub(super) fn change(
    before: Option<&StoredFields>,
    was_deleted: bool,
    after: &ObservedResource,
) -> Option<Change> {
    let fields = differences(before, after);
    let event = match before {
        None => "discovered",
        Some(_) if was_deleted => "restored",
        Some(_) if fields.is_empty() => return None,
        Some(_) if fields.len() == 1 && fields.contains_key("tags") => "tagged",
        Some(_) => "updated",
    };
    Some(Change {
        event,
        changes: Value::Object(fields),
    })
}

fn differences(before: Option<&StoredFields>, after: &ObservedResource) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut compare = |field: &str, before: Value, after: Value| {
        if before != after {
            fields.insert(
                field.to_owned(),
                json!({ "before": before, "after": after }),
            );
        }
    };
    compare(
        "name",
        json!(before.map(|fields| &fields.name)),
        json!(after.name),
    );
    compare(
        "region",
        json!(before.and_then(|fields| fields.region.as_ref())),
        json!(after.region),
    );
    compare(
        "status",
        json!(before.and_then(|fields| fields.status.as_ref())),
        json!(after.status),
    );
    compare(
        "tags",
        json!(before.map(|fields| &fields.tags)),
        json!(sorted_tags(after)),
    );

    let nothing = Map::new();
    let attrs_before = before
        .and_then(|fields| fields.attrs.as_object())
        .unwrap_or(&nothing);
    let attrs_after = after.attrs.as_object().unwrap_or(&nothing);
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

/// SHA-256 over all that makes a change worth an event. `serde_json` keeps object keys sorted, so equal bodies hash alike.
pub(super) fn fingerprint(resource: &ObservedResource) -> Vec<u8> {
    let mut hash = Sha256::new();
    let fields = json!([
        resource.name,
        resource.region,
        resource.status,
        sorted_tags(resource),
        resource.project_id
    ]);
    hash.update(fields.to_string());
    hash.update(resource.attrs.to_string());
    hash.finalize().to_vec()
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
            attrs: json!({ "memory": 1024, "vcpus": 1 }),
        }
    }

    fn stored(resource: &ObservedResource) -> StoredFields {
        StoredFields {
            name: resource.name.clone(),
            region: resource.region.clone(),
            status: resource.status.clone(),
            tags: sorted_tags(resource),
            attrs: resource.attrs.clone(),
        }
    }

    #[test]
    fn what_was_never_seen_is_discovered_with_all_its_fields() {
        let change = change(None, false, &observed()).unwrap();
        assert_eq!(change.event, "discovered");
        assert_eq!(
            change.changes["name"],
            json!({ "before": null, "after": "web-1" })
        );
        assert_eq!(
            change.changes["attrs.memory"],
            json!({ "before": null, "after": 1024 })
        );
    }

    #[test]
    fn the_same_again_is_no_change_whatever_the_order_of_tags() {
        let before = stored(&observed());
        let mut after = observed();
        after.tags.reverse();
        assert_eq!(change(Some(&before), false, &after), None);
        assert_eq!(fingerprint(&after), fingerprint(&observed()));
    }

    #[test]
    fn tags_alone_are_tagged_and_anything_more_is_updated() {
        let before = stored(&observed());
        let mut after = observed();
        after.tags.push("new".to_owned());
        let tagged = change(Some(&before), false, &after).unwrap();
        assert_eq!(tagged.event, "tagged");
        assert_eq!(
            tagged.changes,
            json!({ "tags": { "before": ["prod", "web"], "after": ["new", "prod", "web"] } })
        );

        after.attrs = json!({ "memory": 2048 });
        let updated = change(Some(&before), false, &after).unwrap();
        assert_eq!(updated.event, "updated");
        assert_eq!(
            updated.changes["attrs.memory"],
            json!({ "before": 1024, "after": 2048 })
        );
        assert_eq!(
            updated.changes["attrs.vcpus"],
            json!({ "before": 1, "after": null })
        );
        assert_ne!(fingerprint(&after), fingerprint(&observed()));
    }

    #[test]
    fn a_tombstoned_row_seen_again_is_restored_even_if_nothing_else_differs() {
        let before = stored(&observed());
        assert_eq!(
            change(Some(&before), true, &observed()).unwrap().event,
            "restored"
        );
    }
}
