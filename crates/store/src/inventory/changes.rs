//! What differs between a resource as it stands and as it was seen, in the form events keep it.

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
    /// As [`relations_json`] writes them; null for none.
    pub(super) relations: Value,
}

/// What happened to a resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) event: &'static str,
    /// `{"field": {"before": ..., "after": ...}}`
    pub(super) changes: Map<String, Value>,
}

/// What to call the difference; none where nothing that matters differs. `deleted_at` is when it was tombstoned, if it was.
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

/// Tags are a set: `DigitalOcean` promises no order of them.
pub(super) fn sorted_tags(resource: &ObservedResource) -> Vec<String> {
    let mut tags = resource.tags.clone();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// Relations are a set too. None for none.
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
            let (word, direction, kind, provider_id) = key(relation);
            json!({ "relation": word, "direction": direction, "kind": kind, "provider_id": provider_id })
        })
        .collect();
    Some(Value::Array(rows).to_string())
}

/// As the columns hold it, and in the order in which the database gives rows back.
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

/// What a resource is a part of. A cluster that made it comes first: whatever else it is attached to is the cluster's as well.
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

/// Half of a SHA-256 over all that makes a change worth an event, and over what it is of. Bodies that differ only in how they are
/// written have different ones: the comparison that follows finds no change then.
pub(super) fn fingerprint(resource: &ObservedResource) -> Fingerprint {
    let mut hash = Sha256::new();
    let mut add = |text: Option<&str>| {
        // Lengths keep fields apart: "ab", "c" is not "a", "bc".
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
    fn the_same_again_is_no_change_whatever_the_order_of_tags_and_relations() {
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
    fn two_resources_that_are_alike_have_different_fingerprints() {
        let mut other = observed();
        other.provider_id = "2".to_owned();
        assert_ne!(fingerprint(&other), fingerprint(&observed()));
    }

    #[test]
    fn tags_alone_are_tagged_and_anything_more_is_updated() {
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
    fn a_tombstoned_row_seen_again_is_restored_even_if_nothing_else_differs() {
        let before = fields(&observed());
        let restored = change(&before, Some(json!("2026-05-09T05:00:00Z")), &before).unwrap();
        assert_eq!(restored.event, "restored");
        assert_eq!(
            Value::Object(restored.changes),
            json!({ "deleted_at": { "before": "2026-05-09T05:00:00Z", "after": null } })
        );
    }

    #[test]
    fn what_a_cluster_made_is_the_clusters_before_it_is_the_droplets_that_it_is_attached_to() {
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
