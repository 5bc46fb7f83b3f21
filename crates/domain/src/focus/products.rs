//! The services of FOCUS for the products on invoices.

/// `ServiceCategory` and `ServiceSubcategory`, and the noun of the meter of hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) category: &'static str,
    pub(super) subcategory: &'static str,
    pub(super) hours: &'static str,
}

const fn service(
    category: &'static str,
    subcategory: &'static str,
    hours: &'static str,
) -> Service {
    Service {
        category,
        subcategory,
        hours,
    }
}

/// Taxes, credits, and products that are not in the table.
const OTHER: Service = service("Other", "Other (Other)", "Usage Hours");
pub(super) const BLOCK_STORAGE: Service = service("Storage", "Block Storage", "Volume Hours");
pub(super) const CONNECTIVITY: Service =
    service("Networking", "Network Connectivity", "Network Hours");

const RELATIONAL: Service = service("Databases", "Relational Databases", "Node Hours");
const CACHING: Service = service("Databases", "Caching", "Node Hours");
const DOCUMENTS: Service = service("Databases", "NoSQL Databases", "Node Hours");
const MESSAGING: Service = service("Integration", "Messaging", "Node Hours");
const SEARCH: Service = service("Analytics", "Search", "Node Hours");
const DATABASES: Service = service("Databases", "Other (Databases)", "Node Hours");
const BACKUPS: Service = service("Storage", "Backup Storage", "Storage Hours");
const OBJECTS: Service = service("Storage", "Object Storage", "Storage Hours");
const FILES: Service = service("Storage", "File Storage", "Storage Hours");
const APPS: Service = service("Web", "Application Platforms", "App Hours");
const MACHINES: Service = service("Compute", "Virtual Machines", "Droplet Hours");
const OBSERVABILITY: Service = service(
    "Management and Governance",
    "Observability",
    "Monitoring Hours",
);
const GENERATIVE_AI: Service = service(
    "AI and Machine Learning",
    "Generative AI",
    "Inference Hours",
);

/// Services by the beginning of a word, or of several, in the name of a product. The first match
/// counts, so that `droplet backups` are no droplets. Each phrase follows a blank.
const SERVICES: &[(&str, Service)] = &[
    (" postgres", RELATIONAL),
    (" mysql", RELATIONAL),
    (" redis", CACHING),
    (" valkey", CACHING),
    (" caching", CACHING),
    (" mongo", DOCUMENTS),
    (" kafka", MESSAGING),
    (" opensearch", SEARCH),
    (" database", DATABASES),
    (" backup", BACKUPS),
    (" snapshot", BACKUPS),
    (" custom image", BACKUPS),
    (" bandwidth", CONNECTIVITY),
    (" nat gateway", CONNECTIVITY),
    (" peering", CONNECTIVITY),
    (" partner", CONNECTIVITY),
    (
        " load balancer",
        service(
            "Networking",
            "Application Networking",
            "Load Balancer Hours",
        ),
    ),
    (
        " floating ip",
        service("Networking", "Network Infrastructure", "Address Hours"),
    ),
    (
        " reserved ip",
        service("Networking", "Network Infrastructure", "Address Hours"),
    ),
    (
        " byoip",
        service("Networking", "Network Infrastructure", "Address Hours"),
    ),
    (
        " cdn",
        service("Networking", "Content Delivery", "Endpoint Hours"),
    ),
    (
        " kubernetes",
        service("Compute", "Containers", "Node Hours"),
    ),
    (
        " function",
        service("Compute", "Serverless Compute", "Function Hours"),
    ),
    (
        " container registry",
        service("Developer Tools", "Developer Platforms", "Registry Hours"),
    ),
    (" app platform", APPS),
    (" apps", APPS),
    (" spaces", OBJECTS),
    (" nfs", FILES),
    (" network file", FILES),
    (" volume", BLOCK_STORAGE),
    (" uptime", OBSERVABILITY),
    (" monitoring", OBSERVABILITY),
    (" genai", GENERATIVE_AI),
    (" gradient", GENERATIVE_AI),
    (
        " dedicated inference",
        service("AI and Machine Learning", "AI Platforms", "Inference Hours"),
    ),
    (
        " premier support",
        service("Management and Governance", "Support", "Support Hours"),
    ),
    (" droplet", MACHINES),
];

/// Words of products that are bought for a month, not used by the hour.
const PURCHASES: [&str; 6] = [
    " subscription",
    " support",
    " add on",
    " addon",
    " marketplace",
    " commitment",
];

/// The facts of a product that its lines share. A name has one service, so that neither the engine
/// of a database nor the category of a charge counts.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) service: Service,
    /// `SkuId`
    pub(super) sku_id: String,
}

impl Product {
    pub(super) fn of(product: &str) -> Self {
        let service = find(product);
        let words = words(product);
        let key = words.trim().replace(' ', "-");
        Self {
            service: service.unwrap_or(OTHER),
            sku_id: format!("do:{}", if key.is_empty() { "other" } else { &key }),
        }
    }
}

/// Returns true if the product is bought for a month.
pub(super) fn is_purchase(product: &str) -> bool {
    let words = words(product);
    PURCHASES.iter().any(|word| words.contains(word))
}

/// Returns true if the text names a known product.
pub(super) fn is_known(product: &str) -> bool {
    find(product).is_some()
}

fn find(product: &str) -> Option<Service> {
    let words = words(product);
    let found = SERVICES.iter().find(|(phrase, _)| words.contains(phrase));
    found.map(|(_, service)| *service)
}

/// Returns the words of a text in lower case, each after a blank.
fn words(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + 1);
    for word in text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        words.push(' ');
        words.extend(word.chars().flat_map(char::to_lowercase));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_product_has_its_service_and_sku() {
        for (product, subcategory, sku_id) in [
            ("Droplets", "Virtual Machines", "do:droplets"),
            ("GPU Droplets", "Virtual Machines", "do:gpu-droplets"),
            ("Droplet Backups", "Backup Storage", "do:droplet-backups"),
            ("Volume Snapshots", "Backup Storage", "do:volume-snapshots"),
            ("Volumes", "Block Storage", "do:volumes"),
            (
                "Droplet Bandwidth",
                "Network Connectivity",
                "do:droplet-bandwidth",
            ),
            (
                "Spaces Subscription",
                "Object Storage",
                "do:spaces-subscription",
            ),
            (
                "Managed Databases: PostgreSQL",
                "Relational Databases",
                "do:managed-databases-postgresql",
            ),
            (
                "Database Clusters",
                "Other (Databases)",
                "do:database-clusters",
            ),
            (
                "Kubernetes Clusters",
                "Containers",
                "do:kubernetes-clusters",
            ),
            ("Uptime & Alerts", "Observability", "do:uptime-alerts"),
            (
                "Premier Support Subscription",
                "Support",
                "do:premier-support-subscription",
            ),
            ("Quantum Computers", "Other (Other)", "do:quantum-computers"),
            ("", "Other (Other)", "do:other"),
        ] {
            let found = Product::of(product);
            assert_eq!(found.service.subcategory, subcategory, "{product}");
            assert_eq!(found.sku_id, sku_id, "{product}");
        }
    }

    #[test]
    fn subscriptions_are_purchases() {
        for (product, expected) in [
            ("Spaces Subscription", true),
            ("Premier Support Subscription", true),
            ("Container Registry Subscription", true),
            ("SaaS Add-ons", true),
            ("Droplets", false),
            ("Uptime & Alerts", false),
        ] {
            assert_eq!(is_purchase(product), expected, "{product}");
        }
    }
}
