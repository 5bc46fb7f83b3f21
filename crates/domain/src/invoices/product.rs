//! What an invoice line paid for, read from its product and description.

use crate::kind::ResourceKind;

/// What a line paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargedFor {
    /// A resource, by kind and name; the name is none where the line does not give one.
    Resource {
        kind: ResourceKind,
        name: Option<String>,
    },
    /// The account: taxes, credits, support, subscriptions.
    Account,
    /// A product this system does not know.
    Unknown,
}

/// Where a product's lines carry the resource's name.
#[derive(Clone, Copy)]
enum NamedBy {
    /// `NAME (SIZE)` or `NAME (REGION) 100GB`.
    Description,
    /// `group_description`, with single charges below it in `description`.
    Group,
    /// `Unused Floating IP - ADDRESS`.
    Address,
}

/// The products seen on invoices (API description, tests of DigitalOcean's clients, public exports).
const RESOURCES: &[(&str, ResourceKind, NamedBy)] = &[
    ("droplets", ResourceKind::DROPLET, NamedBy::Description),
    ("gpu droplets", ResourceKind::DROPLET, NamedBy::Description),
    (
        "droplet backups",
        ResourceKind::DROPLET_BACKUP,
        NamedBy::Description,
    ),
    (
        "backups",
        ResourceKind::DROPLET_BACKUP,
        NamedBy::Description,
    ),
    (
        "droplet snapshots",
        ResourceKind::SNAPSHOT,
        NamedBy::Description,
    ),
    (
        "volume snapshots",
        ResourceKind::SNAPSHOT,
        NamedBy::Description,
    ),
    ("snapshots", ResourceKind::SNAPSHOT, NamedBy::Description),
    ("volumes", ResourceKind::VOLUME, NamedBy::Description),
    (
        "load balancers",
        ResourceKind::LOAD_BALANCER,
        NamedBy::Description,
    ),
    (
        "kubernetes clusters",
        ResourceKind::KUBERNETES_CLUSTER,
        NamedBy::Group,
    ),
    (
        "database clusters",
        ResourceKind::DATABASE_CLUSTER,
        NamedBy::Group,
    ),
    ("apps", ResourceKind::APP, NamedBy::Description),
    ("app platform", ResourceKind::APP, NamedBy::Description),
    ("spaces", ResourceKind::SPACES_BUCKET, NamedBy::Description),
    (
        "spaces buckets",
        ResourceKind::SPACES_BUCKET,
        NamedBy::Description,
    ),
    ("floating ips", ResourceKind::RESERVED_IP, NamedBy::Address),
    ("reserved ips", ResourceKind::RESERVED_IP, NamedBy::Address),
];

/// Products that no single resource stands behind.
const ACCOUNT: &[&str] = &[
    "taxes",
    "credits",
    "discounts",
    "bandwidth",
    "droplet bandwidth",
    "droplet bandwidth overage",
    "spaces subscription",
    "container registry subscription",
    "uptime health check",
    "commitment deal surcharge",
    "premier support subscription",
];

/// What a line paid for. A product that is not known here is no error: the set is open.
pub fn charged_for(product: &str, group_description: &str, description: &str) -> ChargedFor {
    let product = product.trim().to_lowercase();
    if ACCOUNT.contains(&product.as_str()) {
        return ChargedFor::Account;
    }
    let Some((_, kind, named_by)) = RESOURCES.iter().find(|(word, ..)| *word == product) else {
        return ChargedFor::Unknown;
    };
    let name = match named_by {
        NamedBy::Description => before_size(description),
        NamedBy::Group if group_description.trim().is_empty() => before_size(description),
        NamedBy::Group => group_description.trim(),
        NamedBy::Address => description
            .rsplit(" - ")
            .next()
            .unwrap_or(description)
            .trim(),
    };
    ChargedFor::Resource {
        kind: kind.clone(),
        name: (!name.is_empty()).then(|| name.to_owned()),
    }
}

/// `web-1` of `web-1 (s-1vcpu-2gb)` and of `web-1 (sfo2) 100GB`; the text as it is where there are no brackets. A bracket that
/// belongs to the name itself comes before the last one.
fn before_size(description: &str) -> &str {
    let name = description
        .rsplit_once(" (")
        .map_or(description, |(name, _)| name);
    name.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(kind: ResourceKind, name: &str) -> ChargedFor {
        ChargedFor::Resource {
            kind,
            name: Some(name.to_owned()),
        }
    }

    #[test]
    fn the_name_is_taken_out_of_the_description() {
        for (product, group, description, expected) in [
            (
                "Droplets",
                "",
                "web-1 (s-1vcpu-2gb)",
                resource(ResourceKind::DROPLET, "web-1"),
            ),
            (
                "Droplets",
                "",
                "web-1",
                resource(ResourceKind::DROPLET, "web-1"),
            ),
            (
                "droplets",
                "",
                "Web-1 (s-1vcpu-2gb)",
                resource(ResourceKind::DROPLET, "Web-1"),
            ),
            (
                "Volumes",
                "",
                "data (sfo2) 100GB",
                resource(ResourceKind::VOLUME, "data"),
            ),
            (
                "Volumes",
                "",
                "data (old) (sfo2) 100GB",
                resource(ResourceKind::VOLUME, "data (old)"),
            ),
            (
                "Floating IPs",
                "",
                "Unused Floating IP - 192.0.2.7",
                resource(ResourceKind::RESERVED_IP, "192.0.2.7"),
            ),
            (
                "Kubernetes Clusters",
                "prod",
                "3 nodes - 4 GB",
                resource(ResourceKind::KUBERNETES_CLUSTER, "prod"),
            ),
            ("Taxes", "", "GST (18%)", ChargedFor::Account),
            (
                "Spaces Subscription",
                "",
                "Spaces ($5/mo 250GB storage & 1TB bandwidth)",
                ChargedFor::Account,
            ),
            ("Quantum Computers", "", "q-1", ChargedFor::Unknown),
            (
                "Droplets",
                "",
                "",
                ChargedFor::Resource {
                    kind: ResourceKind::DROPLET,
                    name: None,
                },
            ),
        ] {
            assert_eq!(
                charged_for(product, group, description),
                expected,
                "{product} {description}"
            );
        }
    }
}
