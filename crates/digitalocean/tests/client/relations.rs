//! Tests the relations that each kind reads from its bodies.

use digitalocean::kinds;
use domain::ResourceKind;
use domain::inventory::{Direction, Relation};
use simulator::Account;

use crate::examples::{resource, resources};
use crate::listed::list;
use crate::simulated;

/// Formats relations: `snapshot_of droplet 3164444`, or `droplet 205545370 node_of` if the other
/// resource is the subject.
fn formatted(relations: &[Relation]) -> Vec<String> {
    let format_one = |relation: &Relation| {
        let name = relation.relation.as_str();
        let other = format!("{} {}", relation.other.kind, relation.other.provider_id);
        match relation.direction {
            Direction::ToOther => format!("{name} {other}"),
            Direction::FromOther => format!("{other} {name}"),
        }
    };
    relations.iter().map(format_one).collect()
}

#[tokio::test]
async fn each_kind_reads_its_relations() {
    const VPC: &str = "in_vpc vpc c33931f2-a26a-4e61-b85c-4e95a2ec431b";
    for (kind, expected) in [
        (ResourceKind::APP, &[VPC][..]),
        (
            ResourceKind::CDN_ENDPOINT,
            &["serves spaces_bucket static-images"],
        ),
        (
            ResourceKind::DATABASE_CLUSTER,
            &["in_vpc vpc d455e75d-4858-4eec-8c95-da2f0a5f93a7"],
        ),
        (
            ResourceKind::DATABASE_REPLICA,
            &[
                "in_vpc vpc d455e75d-4858-4eec-8c95-da2f0a5f93a7",
                "replica_of database_cluster 5e1f9a3c-e9ea-4176-9dbc-a4cee4c4ff30",
            ],
        ),
        (
            ResourceKind::DEDICATED_INFERENCE,
            &["in_vpc vpc 997615ce-132d-4bae-9270-9ee21b395e5d"],
        ),
        (
            ResourceKind::DNS_RECORD,
            &["record_of dns_zone example.com"],
        ),
        (
            ResourceKind::DROPLET,
            &[
                "in_vpc vpc 760e09ef-dc84-11e8-981e-3cfdfeaae000",
                "droplet_backup 53893572 backup_of",
            ],
        ),
        // A node without a droplet has no relation.
        (
            ResourceKind::KUBERNETES_CLUSTER,
            &[
                VPC,
                "droplet 205545370 node_of",
                "droplet 205545373 node_of",
            ],
        ),
        (
            ResourceKind::KUBERNETES_NODE_POOL,
            &["part_of kubernetes_cluster bd5f5959-5e1e-4205-a714-a914373942af"],
        ),
        (ResourceKind::LOAD_BALANCER, &[VPC]),
        (
            ResourceKind::NAT_GATEWAY,
            &["in_vpc vpc 0eb1752f-807b-4562-a077-8018e13ab1fb"],
        ),
        (
            ResourceKind::NFS_SHARE,
            &["in_vpc vpc 796c6fe3-2a1d-4da2-9f3e-38239827dc91"],
        ),
        (
            ResourceKind::NFS_SNAPSHOT,
            &["snapshot_of nfs_share 0a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d"],
        ),
        (
            ResourceKind::PARTNER_ATTACHMENT,
            &[
                "in_vpc vpc 796c6fe3-2a1d-4da2-9f3e-38239827dc91",
                "in_vpc vpc ac1a3d83-349f-4f67-8214-c2803cec0cff",
            ],
        ),
        (ResourceKind::RESERVED_IP, &["attached_to droplet 3164444"]),
        (
            ResourceKind::RESERVED_IPV6,
            &["attached_to droplet 3164444"],
        ),
        (ResourceKind::SNAPSHOT, &["snapshot_of droplet 3164444"]),
        (
            ResourceKind::VPC_PEERING,
            &[
                "in_vpc vpc 997615ce-132d-4bae-9270-9ee21b395e5d",
                "in_vpc vpc e51aed59-3bb1-4a6a-8de0-9d1329e9c997",
            ],
        ),
        (ResourceKind::CERTIFICATE, &[]),
        (ResourceKind::VOLUME, &[]),
    ] {
        let seen = resource(&kind).await;
        assert_eq!(formatted(&seen.relations), expected, "{kind}");
    }
}

#[tokio::test]
async fn snapshots_of_volumes_and_balancers_of_clusters_are_related() {
    let snapshots = resources(&ResourceKind::SNAPSHOT).await;
    assert_eq!(
        formatted(&snapshots[1].relations),
        ["snapshot_of volume 506f78a4-e098-11e5-ad9f-000f53306ae1"]
    );
    let balancers = resources(&ResourceKind::LOAD_BALANCER).await;
    assert_eq!(
        formatted(&balancers[1].relations),
        [
            "in_vpc vpc c33931f2-a26a-4e61-b85c-4e95a2ec431b",
            "made_by_kubernetes kubernetes_cluster bd5f5959-5e1e-4205-a714-a914373942af"
        ]
    );
    assert_eq!(balancers[2].region, None);
    assert_eq!(formatted(&balancers[2].relations), [""; 0]);
}

#[tokio::test]
async fn a_simulated_account_has_all_relations() {
    let mut account = Account::empty();
    let droplet = account.add_droplet("web-1", "s-1vcpu-1gb", "syd1");
    let backup = account.add_droplet_backup(droplet, "web-1-weekly");
    let snapshot = account.add_droplet_snapshot(droplet, "web-1-before");
    let volume = account.add_volume("data", "syd1", 100);
    account.attach_volume(volume, droplet);
    let cluster = account.add_resource("kubernetes_cluster", "production", "syd1");
    let node = account.add_kubernetes_node(&cluster, "default-pool-1");
    let claim = account.add_kubernetes_volume(&cluster, "pvc-1", 20);
    let balancer = account.add_kubernetes_load_balancer(&cluster, "ingress");
    let database = account.add_resource("database_cluster", "orders", "syd1");
    let replica = account.add_database_replica(&database, "orders-read-1", "syd1");
    let (_simulator, client) = simulated(account).await;

    for (kind, id, expected) in [
        (
            ResourceKind::DROPLET,
            droplet.to_string(),
            format!("droplet_backup {backup} backup_of"),
        ),
        (
            ResourceKind::SNAPSHOT,
            snapshot,
            format!("snapshot_of droplet {droplet}"),
        ),
        (
            ResourceKind::VOLUME,
            volume.to_string(),
            format!("attached_to droplet {droplet}"),
        ),
        (
            ResourceKind::KUBERNETES_CLUSTER,
            cluster.clone(),
            format!("droplet {node} node_of"),
        ),
        (
            ResourceKind::DROPLET,
            node.to_string(),
            format!("made_by_kubernetes kubernetes_cluster {cluster}"),
        ),
        (
            ResourceKind::VOLUME,
            claim.to_string(),
            format!("made_by_kubernetes kubernetes_cluster {cluster}"),
        ),
        (
            ResourceKind::LOAD_BALANCER,
            balancer,
            format!("made_by_kubernetes kubernetes_cluster {cluster}"),
        ),
        (
            ResourceKind::DATABASE_REPLICA,
            replica,
            format!("replica_of database_cluster {database}"),
        ),
    ] {
        let listed = list(&client, kinds::listing(&kind).unwrap()).await;
        let of_kind = listed.all().find(|listed| listed.kind == kind).unwrap();
        assert!(of_kind.completeness.is_complete(), "{listed:?}");
        let seen = of_kind.items.iter().find(|seen| seen.provider_id == id);
        let relations = formatted(&seen.unwrap().relations);
        assert!(relations.contains(&expected), "{kind}: {relations:?}");
    }
}
