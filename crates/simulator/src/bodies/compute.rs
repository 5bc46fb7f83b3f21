//! Autoscale pools, images, snapshots and backups, Kubernetes clusters.

use serde_json::{Value, json};

use crate::{
    bodies::New,
    catalogue::{REGION_SLUGS, default_vpc},
    secrets,
};

pub(crate) fn autoscale_pool(new: &New<'_>) -> Value {
    json!({
        "id": new.id,
        "name": new.name,
        "config": {
            "min_instances": 1,
            "max_instances": 5,
            "target_cpu_utilization": 0.5,
            "target_memory_utilization": 0.5,
            "cooldown_minutes": 10,
        },
        "droplet_template": {
            "name": new.name,
            "region": new.region,
            "size": "c-2",
            "image": "ubuntu-24-04-x64",
            "ssh_keys": ["3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45"],
            "tags": ["autoscaled"],
            "vpc_uuid": default_vpc(new.region),
            "with_droplet_agent": true,
            "project_id": new.project,
            "ipv6": true,
            "user_data": format!("#cloud-config\nruncmd:\n  - register --token {}\n", secrets::AUTOSCALE_USER_DATA),
        },
        "current_utilization": { "memory": 0.36, "cpu": 0.07 },
        "created_at": new.created_at,
        "updated_at": new.created_at,
        "status": "active",
        "active_resources_count": 1,
    })
}

/// A snapshot of the parent, or of a deleted volume.
pub(crate) fn snapshot(new: &New<'_>) -> Value {
    let (kind, id) = new.parent.as_ref().map_or_else(
        || ("volume", new.part("gone volume").to_string()),
        |parent| (parent.kind, parent.id.clone()),
    );
    json!({
        "id": new.id,
        "name": new.name,
        "created_at": new.created_at,
        "regions": [new.region],
        "resource_id": id,
        "resource_type": kind,
        "min_disk_size": 25,
        "size_gigabytes": 2.34,
        "tags": ["snapshots"],
    })
}

pub(crate) fn custom_image(new: &New<'_>) -> Value {
    image(new, "custom", "Uploaded by hand")
}

pub(crate) fn snapshot_image(new: &New<'_>) -> Value {
    image(new, "snapshot", "")
}

pub(crate) fn backup(new: &New<'_>) -> Value {
    image(new, "backup", "")
}

fn image(new: &New<'_>, kind: &str, description: &str) -> Value {
    json!({
        "id": new.id.parse::<u64>().unwrap_or(new.number),
        "name": new.name,
        "type": kind,
        "distribution": if kind == "custom" { "Unknown" } else { "Ubuntu" },
        "slug": null,
        "public": false,
        "regions": [new.region],
        "created_at": new.created_at,
        "min_disk_size": 25,
        "size_gigabytes": 2.34,
        "description": description,
        "tags": [],
        "status": "available",
        "error_message": "",
    })
}

/// DigitalOcean's public images.
pub(crate) fn public_images() -> Vec<Value> {
    const ROWS: &[(u64, &str, &str, &str)] = &[
        (155_133_621, "Ubuntu", "24.04 (LTS) x64", "ubuntu-24-04-x64"),
        (129_211_873, "Ubuntu", "22.04 (LTS) x64", "ubuntu-22-04-x64"),
        (133_536_549, "Debian", "12 x64", "debian-12-x64"),
        (160_232_537, "Fedora", "40 x64", "fedora-40-x64"),
    ];
    let image = |&(id, distribution, name, slug): &(u64, &str, &str, &str)| {
        json!({
            "id": id,
            "name": name,
            "type": "base",
            "distribution": distribution,
            "slug": slug,
            "public": true,
            "regions": REGION_SLUGS,
            "created_at": "2024-04-25T16:41:16Z",
            "min_disk_size": 7,
            "size_gigabytes": 0.64,
            "description": format!("{distribution} {name}"),
            "tags": [],
            "status": "available",
            "error_message": "",
        })
    };
    ROWS.iter().map(image).collect()
}

/// A cluster with one pool without nodes.
pub(crate) fn kubernetes_cluster(new: &New<'_>) -> Value {
    let cluster_tag = format!("k8s:{}", new.id);
    json!({
        "id": new.id,
        "name": new.name,
        "region": new.region,
        "version": "1.33.1-do.3",
        "cluster_subnet": "10.244.0.0/16",
        "service_subnet": "10.245.0.0/16",
        "vpc_uuid": default_vpc(new.region),
        "ipv4": new.address(),
        "endpoint": format!("https://{}.k8s.ondigitalocean.com", new.id),
        "tags": ["k8s", cluster_tag],
        "node_pools": [{
            "id": new.part("node pool"),
            "name": "default-pool",
            "size": "s-2vcpu-4gb",
            "count": 0,
            "tags": ["k8s", cluster_tag, "k8s:worker"],
            "labels": null,
            "taints": [],
            "auto_scale": false,
            "min_nodes": 0,
            "max_nodes": 0,
            "nodes": [],
        }],
        "maintenance_policy": { "start_time": "12:00", "duration": "4h0m0s", "day": "any" },
        "auto_upgrade": false,
        "surge_upgrade": true,
        "ha": false,
        "registry_enabled": false,
        "control_plane_firewall": { "enabled": false, "allowed_addresses": [] },
        "status": { "state": "running", "message": "" },
        "created_at": new.created_at,
        "updated_at": new.created_at,
    })
}
