//! Decides which kinds of resources a cost line can charge.

/// A charge listed under the name of a cluster or a database may be for one of its parts.
const PARTS: &[(&str, &[&str])] = &[
    (
        "kubernetes_cluster",
        &["kubernetes_node_pool", "droplet", "load_balancer", "volume"],
    ),
    ("database_cluster", &["database_replica"]),
    // A team's images include its snapshots.
    ("snapshot", &["image"]),
    ("image", &["snapshot"]),
    ("reserved_ip", &["reserved_ipv6"]),
];

/// Returns true if a line of these kinds can charge a resource of the kind `resource`.
///
/// `kind` is the charged kind, and `identified` the kind of the resource that the line names: a
/// charge for a backup names its droplet, and fits both. A line with an unknown product (`kind` is
/// none) fits any resource. A line of a droplet does not fit an attached volume, since volumes have
/// their own lines.
pub fn fits(kind: Option<&str>, identified: Option<&str>, resource: &str) -> bool {
    let Some(kind) = kind.or(identified) else {
        return true;
    };
    kind == resource
        || identified == Some(resource)
        || PARTS
            .iter()
            .any(|(whole, parts)| *whole == kind && parts.contains(&resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_its_own_kind_and_the_parts_of_it() {
        for (kind, identified, resource, expected) in [
            ("droplet", "droplet", "droplet", true),
            ("droplet", "droplet", "volume", false),
            ("droplet", "droplet", "droplet_backup", false),
            ("droplet_backup", "droplet", "droplet", true),
            ("droplet_backup", "droplet", "droplet_backup", true),
            ("droplet_backup", "droplet", "snapshot", false),
            ("spaces_bucket", "spaces_bucket", "spaces_bucket", true),
            ("spaces_bucket", "spaces_bucket", "droplet", false),
            ("spaces_bucket", "spaces_bucket", "spaces_key", false),
            ("kubernetes_cluster", "kubernetes_cluster", "droplet", true),
            (
                "kubernetes_cluster",
                "kubernetes_cluster",
                "load_balancer",
                true,
            ),
            (
                "kubernetes_cluster",
                "kubernetes_cluster",
                "database_cluster",
                false,
            ),
            (
                "load_balancer",
                "load_balancer",
                "kubernetes_cluster",
                false,
            ),
            (
                "database_cluster",
                "database_cluster",
                "database_replica",
                true,
            ),
            ("snapshot", "snapshot", "image", true),
            ("reserved_ip", "reserved_ip", "reserved_ipv6", true),
            ("reserved_ip", "reserved_ip", "droplet", false),
        ] {
            assert_eq!(
                fits(Some(kind), Some(identified), resource),
                expected,
                "{kind} {resource}"
            );
        }
    }

    #[test]
    fn a_line_of_an_unknown_product_fits_any_resource() {
        assert!(fits(None, None, "droplet") && fits(None, None, "a_kind_of_the_future"));
    }
}
