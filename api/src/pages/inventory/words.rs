//! Relations, attributions and events of resources in words.

/// Returns the words for a relation: of this resource to the other if `is_subject`, else the
/// reverse.
pub(super) fn relation(relation: &str, is_subject: bool) -> String {
    let words = match relation {
        "attached_to" => ["is attached to", "has attached"],
        "backup_of" => ["is a backup of", "has the backup"],
        "in_vpc" => ["is in the VPC", "contains"],
        "made_by_kubernetes" => ["was created by the cluster", "created"],
        "node_of" => ["is a node of", "has the node"],
        "part_of" => ["is part of", "has the part"],
        "record_of" => ["is a record of", "has the record"],
        "replica_of" => ["is a replica of", "has the replica"],
        "serves" => ["serves", "is served by"],
        "snapshot_of" => ["is a snapshot of", "has the snapshot"],
        other if is_subject => return other.replace('_', " "),
        other => return format!("{}, from the other side", other.replace('_', " ")),
    };
    words[usize::from(!is_subject)].to_owned()
}

/// Returns the reason why a resource has its project and its tenant.
pub(super) fn attribution(attribution: Option<&str>) -> &'static str {
    match attribution {
        Some("operator") => {
            "An operator overrides DigitalOcean's data for this resource or for the one it belongs to."
        }
        Some("membership") => "DigitalOcean lists it in this project.",
        Some("body") => "Its own data at DigitalOcean names this project.",
        Some("parent") => "It follows the resource that it belongs to: see the relations.",
        Some("fallback") => {
            "DigitalOcean lists it in no project, and its kind always has one: it is in the internal project until it is listed."
        }
        _ => {
            "DigitalOcean lists it in no project, and its kind may have none: it is unassigned until an operator assigns it."
        }
    }
}

/// Returns the words for an event.
pub(super) fn event(event: &str) -> &str {
    match event {
        "discovered" => "first seen",
        "updated" => "changed",
        "tagged" => "tags changed",
        "deleted" => "deleted",
        "restored" => "seen again after its deletion",
        "drift_detected" => "moved between projects",
        other => other,
    }
}
