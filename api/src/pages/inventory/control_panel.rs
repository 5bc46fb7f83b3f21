//! Addresses of resources in DigitalOcean's control panel, where they are publicly known.

use crate::temporal::path_segment;

/// Addresses below `https://cloud.digitalocean.com/`: the kind, the path before the id, and the
/// path after it.
const PATHS: [(&str, &str, &str); 8] = [
    ("app", "apps/", ""),
    ("database_cluster", "databases/", ""),
    ("dns_zone", "networking/domains/", ""),
    ("droplet", "droplets/", ""),
    ("firewall", "networking/firewalls/", "/rules"),
    ("kubernetes_cluster", "kubernetes/clusters/", ""),
    ("load_balancer", "networking/load_balancers/", ""),
    ("spaces_bucket", "spaces/", ""),
];

/// Returns the address of a resource in DigitalOcean's control panel, if it is known.
pub(super) fn address(kind: &str, provider_id: &str) -> Option<String> {
    let (_, before, after) = PATHS.into_iter().find(|(known, ..)| *known == kind)?;
    Some(format!(
        "https://cloud.digitalocean.com/{before}{}{after}",
        path_segment(provider_id)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_kinds_have_an_address() {
        for (kind, id, expected) in [
            ("droplet", "528771406", Some("droplets/528771406")),
            (
                "firewall",
                "fb6045f1",
                Some("networking/firewalls/fb6045f1/rules"),
            ),
            (
                "dns_zone",
                "a.example",
                Some("networking/domains/a.example"),
            ),
            ("vpc", "f7a7e616", None),
        ] {
            let expected = expected.map(|path| format!("https://cloud.digitalocean.com/{path}"));
            assert_eq!(address(kind, id), expected, "{kind}");
        }
    }
}
