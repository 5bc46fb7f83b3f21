//! Reads DigitalOcean's published examples of its lists.

use std::fs;
use std::path::{Path, PathBuf};

use domain::ResourceKind;
use serde_json::{Value, json};

use Place::{In, Nowhere, WithPath};

/// The place of a published example of a list.
pub(crate) enum Place {
    /// In a file of examples, under this key: a list, or an item of it.
    In(&'static str, &'static str),
    /// In the specification of the list itself.
    WithPath,
    Nowhere,
}

/// Returns a list with the items of the example, or none if there is no example.
pub(crate) fn published(place: &Place, path: &str, envelope: &str) -> Option<Value> {
    let directory = shared();
    let (example, key) = match place {
        Place::In(file, key) => (read_json(&directory.join("examples").join(file)), *key),
        Place::WithPath => {
            let spec = read_json(&directory.join("openapi-subset.json"));
            let path = path.split('?').next().unwrap();
            let mut response = &spec["paths"][path]["get"]["responses"]["200"];
            while let Some(target) = response["$ref"].as_str() {
                response = spec.pointer(target.trim_start_matches('#')).unwrap();
            }
            let example = &response["content"]["application/json"]["example"];
            (example.clone(), envelope)
        }
        Place::Nowhere => return None,
    };
    let mut items = match &example[key] {
        Value::Array(items) => items.clone(),
        item => vec![item.clone()],
    };
    // The example of replicas is the only one without ids.
    if envelope == "replicas" {
        items[0]["id"] = json!("e3a57b0c-6b5a-4a44-8e1a-1c7f7f1b2d33");
    }
    Some(json!({ envelope: items }))
}

/// Returns the directory of DigitalOcean's specification and examples.
fn shared() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("ARCADIA_SHARED_DIR").map_or(default, PathBuf::from);
    shared.join("digitalocean")
}

fn read_json(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// DigitalOcean's examples, by kind.
pub(crate) const PUBLISHED: &[(ResourceKind, Place)] = &[
    (ResourceKind::ALERT_POLICY, Nowhere),
    (ResourceKind::APP, In("apps_list_apps.json", "apps")),
    (
        ResourceKind::AUTOSCALE_POOL,
        In(
            "autoscalepools_list_All_Autoscale_Pools.json",
            "autoscale_pools",
        ),
    ),
    (ResourceKind::BYOIP_PREFIX, WithPath),
    (
        ResourceKind::CDN_ENDPOINT,
        In("cdn_list_endpoints_schema_example.json", "endpoints"),
    ),
    (
        ResourceKind::CERTIFICATE,
        In("certificates_list_AllCertificates.json", "certificates"),
    ),
    (
        ResourceKind::DATABASE_CLUSTER,
        In("databases_list_clusters_example.json", "databases"),
    ),
    (
        ResourceKind::DATABASE_REPLICA,
        In("databases_list_replicas_example.json", "replicas"),
    ),
    (ResourceKind::DEDICATED_INFERENCE, WithPath),
    (
        ResourceKind::DNS_RECORD,
        In(
            "domains_list_records_All_Domain_Records.json",
            "domain_records",
        ),
    ),
    (
        ResourceKind::DNS_ZONE,
        In("domains_list_schema_example.json", "domains"),
    ),
    (
        ResourceKind::DROPLET,
        In("droplets_list_All_Droplets.json", "droplets"),
    ),
    (
        ResourceKind::DROPLET,
        In("droplets_list_GPU_Droplets.json", "droplets"),
    ),
    (
        ResourceKind::FIREWALL,
        In("firewalls_list_example.json", "firewalls"),
    ),
    (ResourceKind::FUNCTION_NAMESPACE, Nowhere),
    (ResourceKind::GENAI_AGENT, Nowhere),
    (ResourceKind::GENAI_KNOWLEDGE_BASE, Nowhere),
    // The example of the unfiltered list has the same id three times.
    (ResourceKind::IMAGE, In("images_list_Custom.json", "images")),
    (
        ResourceKind::KUBERNETES_CLUSTER,
        In(
            "kubernetes_list_clusters_All_Kubernetes_Clusters.json",
            "kubernetes_clusters",
        ),
    ),
    (
        ResourceKind::LOAD_BALANCER,
        In(
            "loadBalancers_list_All_Load_Balancers.json",
            "load_balancers",
        ),
    ),
    (
        ResourceKind::NAT_GATEWAY,
        In(
            "vpcnatgateways_list_VPC_NAT_Gateways_List_Response.json",
            "vpc_nat_gateways",
        ),
    ),
    (
        ResourceKind::NFS_SHARE,
        In("nfs_get_Active_Share.json", "share"),
    ),
    (ResourceKind::NFS_SNAPSHOT, Nowhere),
    (ResourceKind::PARTNER_ATTACHMENT, Nowhere),
    (ResourceKind::REGISTRY, Nowhere),
    (
        ResourceKind::RESERVED_IP,
        In("reservedIPs_list_schema_example.json", "reserved_ips"),
    ),
    (
        ResourceKind::RESERVED_IP,
        In("reservedIPs_get_reserved_ip_assigned.json", "reserved_ip"),
    ),
    (
        ResourceKind::RESERVED_IPV6,
        In("reservedIPv6_list_schema_example.json", "reserved_ipv6s"),
    ),
    (
        ResourceKind::RESERVED_IPV6,
        In(
            "reservedIPv6_get_reserved_ipv6_assigned.json",
            "reserved_ipv6",
        ),
    ),
    (ResourceKind::SAAS_ADDON, Nowhere),
    (
        ResourceKind::SNAPSHOT,
        In("snapshots_list_All_Snapshots.json", "snapshots"),
    ),
    (
        ResourceKind::SPACES_KEY,
        In("spacesKey_list_schema_example.json", "keys"),
    ),
    (ResourceKind::UPTIME_CHECK, Nowhere),
    (ResourceKind::VECTOR_DATABASE, Nowhere),
    (
        ResourceKind::VOLUME,
        In("volumes_list_All_Volumes.json", "volumes"),
    ),
    (
        ResourceKind::VPC,
        In("vpcs_list_schema_example.json", "vpcs"),
    ),
    // The example of the peerings of one VPC.
    (
        ResourceKind::VPC_PEERING,
        In("vpcs_list_peerings_schema_example.json", "peerings"),
    ),
];
