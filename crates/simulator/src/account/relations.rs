//! Resources that depend on other resources.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Account, resources::put};
use crate::{identifiers::identifier, kinds, stock::Parent};

impl Account {
    /// Takes a snapshot of a droplet and returns its id, a number that also identifies an image.
    pub fn add_droplet_snapshot(&mut self, droplet_id: u64, name: &str) -> String {
        let region = self.region_of_droplet(droplet_id);
        let parent = Parent::new("droplet", &droplet_id.to_string());
        self.add_child("snapshot", name, &region, Some(parent))
    }

    /// Creates a backup of a droplet and returns its id: the number of an image of type `backup`.
    pub fn add_droplet_backup(&mut self, droplet_id: u64, name: &str) -> String {
        let region = self.region_of_droplet(droplet_id);
        let parent = Parent::new("droplet", &droplet_id.to_string());
        self.add_child("droplet_backup", name, &region, Some(parent))
    }

    fn region_of_droplet(&self, id: u64) -> String {
        self.droplet(id)
            .map_or_else(String::new, |droplet| droplet.region.clone())
    }

    /// Takes a snapshot of a volume and returns its id, a UUID.
    pub fn add_volume_snapshot(&mut self, volume_id: Uuid, name: &str) -> String {
        let volume = self.volumes().iter().find(|volume| volume.id == volume_id);
        let region = volume.map_or_else(String::new, |volume| volume.region.clone());
        let parent = Parent::new("volume", &volume_id.to_string());
        self.add_child("snapshot", name, &region, Some(parent))
    }

    /// Takes a snapshot of a file share and returns its id.
    pub fn add_nfs_snapshot(&mut self, share_id: &str, name: &str) -> String {
        let region = self.text_of("nfs_share", share_id, "region");
        let parent = Parent::new("nfs_share", share_id);
        self.add_child("nfs_snapshot", name, &region, Some(parent))
    }

    fn text_of(&self, kind: &str, id: &str, field: &str) -> String {
        let body = self.resource_body(kind, id).unwrap_or_default();
        body[field].as_str().unwrap_or_default().to_owned()
    }

    /// Adds a read-only replica to a database cluster and returns its id.
    pub fn add_database_replica(&mut self, cluster_id: &str, name: &str, region: &str) -> String {
        let parent = Parent::new("database_cluster", cluster_id);
        self.add_child("database_replica", name, region, Some(parent))
    }

    /// Adds a record, such as type `MX`, name `@` and data `mail.example.com.`, to a zone and
    /// returns its id.
    pub fn add_dns_record(&mut self, domain: &str, kind: &str, name: &str, data: &str) -> String {
        let parent = Parent::new("dns_zone", domain);
        let id = self.add_child("dns_record", name, "", Some(parent));
        self.set_resource_field("dns_record", &id, "type", kind.into());
        self.set_resource_field("dns_record", &id, "data", data.into());
        id
    }

    /// Adds a node to the newest pool of a Kubernetes cluster: a droplet with the tags `k8s`,
    /// `k8s:CLUSTER` and `k8s:worker`, always in the default project. Returns its id.
    pub fn add_kubernetes_node(&mut self, cluster_id: &str, droplet_name: &str) -> u64 {
        let region = self.text_of("kubernetes_cluster", cluster_id, "region");
        let default = self.default_project();
        let id = self.create_in(default, |account| {
            account.add_droplet(droplet_name, "s-2vcpu-4gb", &region)
        });
        let vpc = self.text_of("kubernetes_cluster", cluster_id, "vpc_uuid");
        let mut created_at = Value::Null;
        self.change_droplet(id, |droplet| {
            droplet.tags = vec![
                "k8s".to_owned(),
                cluster_tag(cluster_id),
                "k8s:worker".to_owned(),
            ];
            droplet.vpc_id = Uuid::parse_str(&vpc).ok();
            created_at = json!(droplet.created_at);
        });
        let node = json!({
            "id": identifier("kubernetes node", id),
            "name": droplet_name,
            "status": { "state": "running" },
            "droplet_id": id.to_string(),
            "created_at": created_at,
            "updated_at": created_at,
        });
        self.change_pools(cluster_id, |pools| {
            if let Some(nodes) = pools.last_mut().and_then(nodes_of) {
                nodes.push(node);
            }
        });
        id
    }

    /// Adds an empty pool to a Kubernetes cluster and returns its id. New nodes join the newest
    /// pool.
    pub fn add_kubernetes_node_pool(&mut self, cluster_id: &str, name: &str, size: &str) -> String {
        let id = identifier("kubernetes node pool", self.next_number()).to_string();
        let pool = json!({
            "id": id,
            "name": name,
            "size": size,
            "count": 0,
            "tags": ["k8s", cluster_tag(cluster_id), "k8s:worker"],
            "labels": null,
            "taints": [],
            "auto_scale": false,
            "min_nodes": 0,
            "max_nodes": 0,
            "nodes": [],
        });
        self.change_pools(cluster_id, |pools| pools.push(pool));
        id
    }

    /// Changes a cluster's pools and updates their node counts.
    fn change_pools(&mut self, cluster_id: &str, change: impl FnOnce(&mut Vec<Value>)) {
        self.stock.change("kubernetes_cluster", cluster_id, |body| {
            let Some(pools) = body["node_pools"].as_array_mut() else {
                return;
            };
            change(pools);
            for pool in pools {
                pool["count"] = pool["nodes"].as_array().map_or(0, Vec::len).into();
            }
        });
    }

    /// The droplets that are the nodes of a cluster.
    pub fn kubernetes_nodes(&self, cluster_id: &str) -> Vec<u64> {
        let body = self.resource_body("kubernetes_cluster", cluster_id);
        let pools = body.as_ref().and_then(|body| body["node_pools"].as_array());
        let nodes = pools.into_iter().flatten().flat_map(|pool| {
            let nodes = pool["nodes"].as_array();
            nodes.into_iter().flatten()
        });
        nodes
            .filter_map(|node| node["droplet_id"].as_str()?.parse().ok())
            .collect()
    }

    /// Creates a load balancer as a Kubernetes service does: it has the cluster's tag, points to
    /// the nodes, and is in the default project. Returns its id.
    pub fn add_kubernetes_load_balancer(&mut self, cluster_id: &str, name: &str) -> String {
        let region = self.text_of("kubernetes_cluster", cluster_id, "region");
        let default = self.default_project();
        let id = self.create_in(default, |account| {
            account.add_resource("load_balancer", name, &region)
        });
        let nodes = self.kubernetes_nodes(cluster_id);
        let tag = cluster_tag(cluster_id);
        let kind = "load_balancer";
        self.set_resource_field(kind, &id, "tag", tag.clone().into());
        // Not in the specification; DigitalOcean's Go client reads and writes it.
        self.set_resource_field(kind, &id, "tags", json!([tag]));
        self.set_resource_field(kind, &id, "droplet_ids", json!(nodes));
        id
    }

    /// Creates a volume as a Kubernetes claim does: it has the cluster's tag and is in the default
    /// project. Returns its id.
    pub fn add_kubernetes_volume(
        &mut self,
        cluster_id: &str,
        name: &str,
        size_gigabytes: u32,
    ) -> Uuid {
        let region = self.text_of("kubernetes_cluster", cluster_id, "region");
        let default = self.default_project();
        let id = self.create_in(default, |account| {
            account.add_volume(name, &region, size_gigabytes)
        });
        self.change_volume(id, |volume| volume.tags = vec![cluster_tag(cluster_id)]);
        id
    }

    /// Sets the VPC in a resource's body (`vpc_uuid`, `private_network_uuid`, …). Does nothing for
    /// kinds without a VPC.
    pub fn put_in_vpc(&mut self, kind: &str, id: &str, vpc_id: &str) {
        if kind == "droplet" {
            self.change_droplet(id.parse().unwrap_or_default(), |droplet| {
                droplet.vpc_id = Uuid::parse_str(vpc_id).ok();
            });
        } else if let Some(kind) = kinds::named(kind)
            && let Some(pointer) = kind.vpc
        {
            self.stock.change(kind.slug, id, |body| {
                put(body, pointer, vpc_id.into());
                if kind.slug == "dedicated_inference" {
                    put(body, "/spec/vpc/uuid", vpc_id.into());
                }
            });
        }
    }

    /// Assigns an IPv6 address to a droplet. The address's body contains the current droplet.
    pub fn attach_reserved_ipv6(&mut self, ip: &str, droplet_id: u64) {
        let droplet = self
            .droplet(droplet_id)
            .map(|droplet| json!(droplet.body(true)));
        let droplet = droplet.unwrap_or_default();
        self.set_resource_field("reserved_ipv6", ip, "droplet", droplet);
    }

    /// Grants a Spaces key `read`, `readwrite` or `fullaccess` to a bucket. The first grant
    /// replaces the full access to all buckets that a new key has.
    pub fn grant_bucket(&mut self, key_id: &str, bucket: &str, permission: &str) {
        self.stock.change("spaces_key", key_id, |body| {
            if let Some(grants) = body["grants"].as_array_mut() {
                grants.retain(|grant| grant["bucket"] != "");
                grants.push(json!({ "bucket": bucket, "permission": permission }));
            }
        });
    }
}

fn nodes_of(pool: &mut Value) -> Option<&mut Vec<Value>> {
    pool["nodes"].as_array_mut()
}

fn cluster_tag(cluster_id: &str) -> String {
    format!("k8s:{cluster_id}")
}
