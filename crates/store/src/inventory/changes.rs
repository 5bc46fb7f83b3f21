//! Compares a stored resource to an observed one. The differences have the format of events.

use domain::inventory::{Direction, ObservedResource, Relation, RelationKind};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The fields of a resource that a listing can change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fields {
    pub(super) name: String,
    pub(super) region: Option<String>,
    pub(super) status: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) attrs: Value,
    /// In the format of [`relations_json`]; null if there are none.
    pub(super) relations: Value,
}

/// An event of a resource and its changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) event: &'static str,
    /// `{"field": {"before": ..., "after": ...}}`
    pub(super) changes: Map<String, Value>,
}

/// Compares two states; `None` if nothing relevant differs. `deleted_at` is the time at which the
/// stored row was marked as deleted, if it was.
pub(super) fn change(before: &Fields, deleted_at: Option<Value>, after: &Fields) -> Option<Change> {
    let mut changes = differences(before, after);
    let event = if let Some(deleted_at) = deleted_at {
        changes.insert(
            "deleted_at".to_owned(),
            json!({ "before": deleted_at, "after": null }),
        );
        "restored"
    } else if changes.is_empty() {
        return None;
    } else if changes.len() == 1 && changes.contains_key("tags") {
        "tagged"
    } else {
        "updated"
    };
    Some(Change { event, changes })
}

fn differences(before: &Fields, after: &Fields) -> Map<String, Value> {
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
    compare("tags", json!(before.tags), json!(after.tags));
    compare(
        "relations",
        before.relations.clone(),
        after.relations.clone(),
    );

    let nothing = Map::new();
    let attrs_before = before.attrs.as_object().unwrap_or(&nothing);
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

/// Sorts and deduplicates the tags, because DigitalOcean guarantees no order.
pub(super) fn sorted_tags(resource: &ObservedResource) -> Vec<String> {
    let mut tags = resource.tags.clone();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// Encodes the relations as JSON, sorted and deduplicated, because they have no order either.
/// `None` if there are none.
pub(super) fn relations_json(relations: &[Relation]) -> Option<String> {
    if relations.is_empty() {
        return None;
    }
    let mut sorted: Vec<&Relation> = relations.iter().collect();
    sorted.sort_unstable_by_key(|relation| key(relation));
    sorted.dedup();
    let rows: Vec<Value> = sorted
        .into_iter()
        .map(|relation| {
            let (name, direction, kind, provider_id) = key(relation);
            json!({ "relation": name, "direction": direction, "kind": kind, "provider_id": provider_id })
        })
        .collect();
    Some(Value::Array(rows).to_string())
}

/// Returns the values of the columns of a relation, in the database's sort order.
fn key(relation: &Relation) -> (&'static str, &'static str, &str, &str) {
    let direction = match relation.direction {
        Direction::ToOther => "to_other",
        Direction::FromOther => "from_other",
    };
    (
        relation.relation.as_str(),
        direction,
        relation.other.kind.as_str(),
        &relation.other.provider_id,
    )
}

/// Returns the relation to the parent of a resource. The cluster that created it takes precedence:
/// other resources that it is attached to belong to that cluster as well.
pub(super) fn owner(relations: &[Relation]) -> Option<&Relation> {
    relations
        .iter()
        .filter(|relation| {
            relation.relation.makes_a_part() && relation.direction == Direction::ToOther
        })
        .min_by_key(|relation| {
            (
                relation.relation != RelationKind::MadeByKubernetes,
                key(relation),
            )
        })
}

pub(super) type Fingerprint = [u8; 16];

/// The first half of a SHA-256 hash of the resource's identity and of all fields with changes that
/// are recorded as events. Bodies that differ only in formatting have different fingerprints; the
/// subsequent comparison finds no change then.
pub(super) fn fingerprint(resource: &ObservedResource) -> Fingerprint {
    let mut hash = Sha256::new();
    let mut add = |text: Option<&str>| {
        // Each field is preceded by its length, so that "ab", "c" and "a", "bc" have different
        // hashes.
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        hash.update(length.to_le_bytes());
        hash.update(text.unwrap_or_default());
    };
    add(Some(resource.kind.as_str()));
    add(Some(&resource.provider_id));
    add(Some(&resource.name));
    add(resource.region.as_deref());
    add(resource.status.as_deref());
    for tag in sorted_tags(resource) {
        add(Some(&tag));
    }
    add(None);
    add(resource.project_id.map(|id| id.to_string()).as_deref());
    add(relations_json(&resource.relations).as_deref());
    add(Some(resource.attrs.as_json()));
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

#[cfg(test)]
mod tests {
    use domain::ResourceKind;

    use super::*;

    fn observed() -> ObservedResource {
        ObservedResource {
            kind: ResourceKind::DROPLET,
            provider_id: "1".to_owned(),
            name: "web-1".to_owned(),
            region: Some("nyc3".to_owned()),
            status: Some("active".to_owned()),
            tags: vec!["web".to_owned(), "prod".to_owned()],
            project_id: None,
            relations: Vec::new(),
            attrs: json!({ "memory": 1024, "vcpus": 1 }).into(),
        }
    }

    fn to(relation: RelationKind, kind: ResourceKind, id: &str) -> Relation {
        Relation {
            relation,
            other: kind.with_id(id),
            direction: Direction::ToOther,
        }
    }

    fn fields(resource: &ObservedResource) -> Fields {
        Fields {
            name: resource.name.clone(),
            region: resource.region.clone(),
            status: resource.status.clone(),
            tags: sorted_tags(resource),
            attrs: resource.attrs.to_value(),
            relations: relations_json(&resource.relations)
                .map(|json| serde_json::from_str(&json).unwrap())
                .unwrap_or_default(),
        }
    }

    #[test]
    fn the_order_of_tags_and_relations_is_ignored() {
        let mut before = observed();
        before.relations = vec![
            to(RelationKind::InVpc, ResourceKind::VPC, "v"),
            to(RelationKind::AttachedTo, ResourceKind::DROPLET, "2"),
        ];
        let mut after = before.clone();
        after.tags.reverse();
        after.relations.reverse();
        assert_eq!(change(&fields(&before), None, &fields(&after)), None);
        assert_eq!(fingerprint(&after), fingerprint(&before));
    }

    #[test]
    fn equal_resources_with_different_ids_have_different_fingerprints() {
        let mut other = observed();
        other.provider_id = "2".to_owned();
        assert_ne!(fingerprint(&other), fingerprint(&observed()));
    }

    #[test]
    fn a_change_of_tags_is_tagged_and_any_other_is_updated() {
        let before = fields(&observed());
        let mut after = observed();
        after.tags.push("new".to_owned());
        let tagged = change(&before, None, &fields(&after)).unwrap();
        assert_eq!(tagged.event, "tagged");
        assert_eq!(
            Value::Object(tagged.changes),
            json!({ "tags": { "before": ["prod", "web"], "after": ["new", "prod", "web"] } })
        );

        after.attrs = json!({ "memory": 2048 }).into();
        let updated = change(&before, None, &fields(&after)).unwrap();
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
    fn a_deleted_resource_that_is_observed_again_is_restored() {
        let before = fields(&observed());
        let restored = change(&before, Some(json!("2026-05-09T05:00:00Z")), &before).unwrap();
        assert_eq!(restored.event, "restored");
        assert_eq!(
            Value::Object(restored.changes),
            json!({ "deleted_at": { "before": "2026-05-09T05:00:00Z", "after": null } })
        );
    }

    #[test]
    fn a_cluster_takes_precedence_as_parent_over_a_droplet() {
        let relations = [
            to(RelationKind::InVpc, ResourceKind::VPC, "v"),
            to(RelationKind::AttachedTo, ResourceKind::DROPLET, "2"),
            to(
                RelationKind::MadeByKubernetes,
                ResourceKind::KUBERNETES_CLUSTER,
                "c",
            ),
        ];
        assert_eq!(owner(&relations), Some(&relations[2]));
        assert_eq!(owner(&relations[..2]), Some(&relations[1]));
        assert_eq!(owner(&relations[..1]), None);
    }
}
