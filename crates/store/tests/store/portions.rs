//! The attribution of many resources, in several transactions.

use std::sync::Arc;

use domain::ResourceKind;
use domain::inventory::{ObservedResource, RelationKind};
use sqlx::{PgPool, Postgres, Transaction};
use store::inventory::ResourceFilter;
use store::projects::ProjectMembers;

use super::support::{Fixture, droplet, fixture, from, members, project, resource};

/// More than one transaction attributes.
const NODES: u32 = 6_000;

/// Stores a cluster with its nodes, and two projects. A node has the project of its cluster,
/// although another project lists it.
async fn cluster() -> (Fixture, [ProjectMembers; 2]) {
    let fixture = fixture().await;
    fixture
        .sweep_projects(&[project(1, "web"), project(2, "data")])
        .await;
    let nodes: Vec<_> = (1..=NODES)
        .map(|id| droplet(id, &format!("node-{id}")))
        .collect();
    fixture.sweep(&nodes).await;
    let ids = nodes.iter().map(|node| node.provider_id.as_str());
    let relations = ids.map(|id| from(RelationKind::NodeOf, ResourceKind::DROPLET, id));
    let cluster = ObservedResource {
        relations: relations.collect(),
        ..resource(ResourceKind::KUBERNETES_CLUSTER, "cluster")
    };
    fixture.sweep_kind(&[cluster]).await;
    let urns: Vec<_> = (1..=NODES).map(|id| format!("do:droplet:{id}")).collect();
    let urns: Vec<_> = urns.iter().map(String::as_str).collect();
    let of_cluster = members(1, &["do:kubernetes:cluster"]);
    (fixture, [of_cluster, members(2, &urns)])
}

/// Returns the number of resources in the project of the cluster.
async fn attributed(fixture: &Fixture) -> i64 {
    let filter = ResourceFilter {
        project: Some(fixture.project_row("web").await),
        ..ResourceFilter::default()
    };
    let counts = fixture.resource_counts(&filter).await.unwrap();
    counts.iter().map(|count| count.resources).sum()
}

/// Asserts that each resource is in the project of the cluster, and was in no other.
async fn assert_attributed(fixture: &Fixture) {
    assert_eq!(attributed(fixture).await, 6_001);
    let sql = "select count(*) from cloud_resource_events where event = 'updated'";
    assert_eq!(fixture.count(sql).await, 6_001);
    let sql =
        "select count(*) from cloud_resource_events where event not in ('discovered', 'updated')";
    assert_eq!(fixture.count(sql).await, 0);
}

#[tokio::test]
async fn a_pass_over_many_resources_attributes_them_in_portions() {
    let (fixture, projects) = cluster().await;
    let passed = fixture.store_members(&projects).await;
    assert_eq!((passed.members, passed.moved), (6_001, 0));
    assert_attributed(&fixture).await;
    let portions =
        "select count(distinct occurred_at) from cloud_resource_events where event = 'updated'";
    assert_eq!(fixture.count(portions).await, 2);
}

/// Acquires the lock of the inventory in shared mode, as the sync of a kind.
async fn share_inventory(pool: &PgPool) -> Transaction<'static, Postgres> {
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock_shared(2, hashtext(''))")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx
}

/// Waits until this number of transactions wait for an advisory lock.
pub(crate) async fn until_waiting(fixture: &Fixture, number: i64) {
    let waiting = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
        where d.datname = current_database() and l.locktype = 'advisory' and not l.granted";
    while fixture.count(waiting).await != number {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_pass_is_continued_by_the_next() {
    let (fixture, projects) = cluster().await;
    let fixture = Arc::new(fixture);
    let earlier = share_inventory(&fixture.pool).await;
    let pass = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        let projects = projects.clone();
        async move { fixture.store_members(&projects).await }
    });
    until_waiting(&fixture, 1).await;
    // A sync that begins during a pass follows its first portion, not the whole pass.
    let sync = tokio::spawn({
        let pool = fixture.pool.clone();
        async move { share_inventory(&pool).await }
    });
    until_waiting(&fixture, 2).await;
    earlier.commit().await.unwrap();
    let sync = sync.await.unwrap();
    assert_eq!(attributed(&fixture).await, 5_000);
    pass.abort();
    assert!(pass.await.unwrap_err().is_cancelled());
    sync.commit().await.unwrap();

    fixture.store_members(&projects).await;
    assert_attributed(&fixture).await;
}
