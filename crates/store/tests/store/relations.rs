//! Relations between resources, and attribution by them.

use domain::ResourceKind;
use domain::inventory::RelationKind;
use store::inventory::Commit;
use store::projects::ProjectChange;

use super::support::{Fixture, by, droplet, fixture, from, members, project, resource, to};

const DEFAULT: u128 = 1;
const SHOP: u128 = 2;
const WEB: u128 = 3;

async fn with_projects() -> Fixture {
    let fixture = fixture().await;
    let mut default = project(DEFAULT, "default");
    default.is_default = true;
    let projects = [default, project(SHOP, "shop"), project(WEB, "web")];
    fixture.sweep_projects(&projects).await;
    for (name, tenant) in [("shop", "acme"), ("default", "ours")] {
        let change = ProjectChange {
            tenant_id: Some(Some(tenant.parse().unwrap())),
            tenant_since: None,
            purpose: None,
        };
        let id = fixture.project_row(name).await;
        fixture
            .change_project(id, &change, &by("ann"), Commit::Keep)
            .await
            .unwrap();
    }
    fixture
}

/// Returns the project, the tenant and the attribution of a resource.
async fn attribution_of(
    fixture: &Fixture,
    id: &str,
) -> (Option<String>, Option<String>, Option<String>) {
    let resource = fixture.resource(id).await;
    (
        fixture.project_of(id).await,
        resource.tenant_id,
        resource.attribution,
    )
}

fn expected(
    project: &str,
    tenant: &str,
    attribution: &str,
) -> (Option<String>, Option<String>, Option<String>) {
    (
        Some(project.to_owned()),
        Some(tenant.to_owned()),
        Some(attribution.to_owned()),
    )
}

#[tokio::test]
async fn relations_are_listed_from_both_ends_and_change_with_the_body() {
    let fixture = fixture().await;
    let mut volume = resource(ResourceKind::VOLUME, "v");
    volume.relations = vec![to(RelationKind::AttachedTo, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[volume.clone()]).await;
    let of_volume = fixture
        .relations(fixture.resource("v").await.id)
        .await
        .unwrap();
    // The droplet is not stored yet, so only its provider id is known.
    assert_eq!(
        (
            of_volume[0].id,
            of_volume[0].kind.as_str(),
            of_volume[0].provider_id.as_str()
        ),
        (None, "droplet", "1")
    );

    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "web-2")])
        .await;
    let of_droplet = fixture
        .relations(fixture.resource("1").await.id)
        .await
        .unwrap();
    assert_eq!(of_droplet.len(), 1);
    assert_eq!(
        (
            of_droplet[0].relation.as_str(),
            of_droplet[0].is_subject,
            of_droplet[0].id
        ),
        ("attached_to", false, Some(fixture.resource("v").await.id))
    );

    volume.relations = vec![to(RelationKind::AttachedTo, ResourceKind::DROPLET, "2")];
    assert_eq!(fixture.sweep_kind(&[volume]).await.updated, 1);
    let event = fixture.last_event("v").await;
    assert_eq!(event.changes["relations"]["before"][0]["provider_id"], "1");
    assert_eq!(event.changes["relations"]["after"][0]["provider_id"], "2");
    let of_droplet = fixture
        .relations(fixture.resource("1").await.id)
        .await
        .unwrap();
    assert_eq!(of_droplet, []);
    let view = "select count(*) from cloud_relations where resource_id is not null and related_id is not null";
    assert_eq!(fixture.count(view).await, 1);
}

#[tokio::test]
async fn a_snapshot_has_the_project_of_its_droplet_and_moves_with_it() {
    let fixture = with_projects().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(SHOP, &["do:droplet:1"])])
        .await;
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(RelationKind::SnapshotOf, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[snapshot]).await;
    assert_eq!(
        attribution_of(&fixture, "s").await,
        expected("shop", "acme", "parent")
    );
    // Attributed on insert, so there is no later event.
    assert_eq!(fixture.events("s").await, ["discovered"]);

    fixture
        .store_members(&[members(DEFAULT, &["do:droplet:1"])])
        .await;
    assert_eq!(
        attribution_of(&fixture, "s").await,
        expected("default", "ours", "parent")
    );
    assert_eq!(fixture.last_event("s").await.event, "drift_detected");
}

#[tokio::test]
async fn a_snapshot_keeps_the_project_of_a_deleted_droplet() {
    let fixture = with_projects().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture
        .store_members(&[members(SHOP, &["do:droplet:1"])])
        .await;
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(RelationKind::SnapshotOf, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[snapshot]).await;
    for _ in 0..4 {
        fixture.sweep(&[]).await;
        fixture.store_members(&[members(SHOP, &[])]).await;
    }
    assert!(fixture.resource("1").await.deleted_at.is_some());
    assert_eq!(
        attribution_of(&fixture, "s").await,
        expected("shop", "acme", "parent")
    );
}

#[tokio::test]
async fn a_node_in_the_default_project_is_attributed_to_its_cluster() {
    let fixture = with_projects().await;
    fixture
        .sweep(&[droplet(1, "node-1"), droplet(2, "web-2")])
        .await;
    fixture
        .store_members(&[
            members(DEFAULT, &["do:droplet:1", "do:droplet:2"]),
            members(SHOP, &["do:kubernetes:k"]),
        ])
        .await;
    let mut cluster = resource(ResourceKind::KUBERNETES_CLUSTER, "k");
    cluster.relations = vec![from(RelationKind::NodeOf, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[cluster.clone()]).await;
    let run = fixture.new_run();
    fixture.attribute(&run).await.unwrap();
    assert_eq!(
        attribution_of(&fixture, "1").await,
        expected("shop", "acme", "parent")
    );
    assert_eq!(
        attribution_of(&fixture, "2").await,
        expected("default", "ours", "membership")
    );
    // A new node is attributed to the cluster from its first observation on.
    cluster
        .relations
        .push(from(RelationKind::NodeOf, ResourceKind::DROPLET, "3"));
    fixture.sweep_kind(&[cluster]).await;
    fixture
        .sweep(&[
            droplet(1, "node-1"),
            droplet(2, "web-2"),
            droplet(3, "node-3"),
        ])
        .await;
    assert_eq!(
        attribution_of(&fixture, "3").await,
        expected("shop", "acme", "parent")
    );
    assert_eq!(fixture.events("3").await, ["discovered"]);
}

#[tokio::test]
async fn a_resource_observed_before_its_cluster_has_no_drift_event() {
    let fixture = with_projects().await;
    let mut node = droplet(1, "node-1");
    node.relations = vec![to(
        RelationKind::MadeByKubernetes,
        ResourceKind::KUBERNETES_CLUSTER,
        "k",
    )];
    let of_default = members(DEFAULT, &["do:droplet:1", "do:kubernetes:other"]);
    fixture
        .store_members(&[of_default, members(SHOP, &["do:kubernetes:k"])])
        .await;
    fixture.sweep(&[node]).await;
    assert_eq!(attribution_of(&fixture, "1").await, (None, None, None));

    let cluster = resource(ResourceKind::KUBERNETES_CLUSTER, "k");
    fixture.sweep_kind(&[cluster]).await;
    let run = fixture.new_run();
    fixture.attribute(&run).await.unwrap();
    assert_eq!(
        attribution_of(&fixture, "1").await,
        expected("shop", "acme", "parent")
    );
    assert_eq!(fixture.events("1").await, ["discovered", "updated"]);
}

#[tokio::test]
async fn a_resource_of_an_unknown_cluster_keeps_its_membership() {
    let fixture = with_projects().await;
    let mut volume = resource(ResourceKind::VOLUME, "v");
    volume.relations = vec![to(
        RelationKind::MadeByKubernetes,
        ResourceKind::KUBERNETES_CLUSTER,
        "k",
    )];
    fixture
        .store_members(&[members(DEFAULT, &["do:volume:v"])])
        .await;
    fixture.sweep_kind(&[volume]).await;
    let run = fixture.new_run();
    fixture.attribute(&run).await.unwrap();
    assert_eq!(
        attribution_of(&fixture, "v").await,
        expected("default", "ours", "membership")
    );
    assert_eq!(fixture.events("v").await, ["discovered", "updated"]);
}

#[tokio::test]
async fn a_resource_of_a_cluster_follows_it_until_a_user_moves_it() {
    let fixture = with_projects().await;
    let cluster = resource(ResourceKind::KUBERNETES_CLUSTER, "k");
    let mut balancer = resource(ResourceKind::LOAD_BALANCER, "lb");
    balancer.relations = vec![to(
        RelationKind::MadeByKubernetes,
        ResourceKind::KUBERNETES_CLUSTER,
        "k",
    )];
    fixture.sweep_kind(&[cluster]).await;
    fixture.sweep_kind(&[balancer]).await;
    let shop = members(SHOP, &["do:kubernetes:k"]);
    fixture
        .store_members(&[shop.clone(), members(DEFAULT, &["do:loadbalancer:lb"])])
        .await;
    assert_eq!(
        attribution_of(&fixture, "lb").await,
        expected("shop", "acme", "parent")
    );
    fixture
        .store_members(&[shop, members(WEB, &["do:loadbalancer:lb"])])
        .await;
    assert_eq!(
        attribution_of(&fixture, "lb").await,
        (Some("web".to_owned()), None, Some("membership".to_owned()))
    );
    // The project of the cluster is unknown, and a user moved the balancer.
    fixture
        .store_members(&[members(WEB, &["do:loadbalancer:lb"])])
        .await;
    sqlx::query("delete from cloud_project_members where kind = 'kubernetes_cluster'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture
        .store_members(&[members(WEB, &["do:loadbalancer:lb"])])
        .await;
    assert_eq!(
        attribution_of(&fixture, "lb").await,
        (Some("web".to_owned()), None, Some("membership".to_owned()))
    );
    // DigitalOcean creates the resources of a cluster in its project.
    let shop = members(SHOP, &["do:kubernetes:k", "do:loadbalancer:lb"]);
    fixture.store_members(&[shop]).await;
    assert_eq!(
        attribution_of(&fixture, "lb").await,
        expected("shop", "acme", "parent")
    );
}

#[tokio::test]
async fn attribution_follows_a_chain_of_parents() {
    let fixture = with_projects().await;
    let cluster = resource(ResourceKind::KUBERNETES_CLUSTER, "k");
    let mut volume = resource(ResourceKind::VOLUME, "v");
    volume.relations = vec![to(
        RelationKind::MadeByKubernetes,
        ResourceKind::KUBERNETES_CLUSTER,
        "k",
    )];
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(RelationKind::SnapshotOf, ResourceKind::VOLUME, "v")];
    // In reverse order: each parent is observed after its parts.
    fixture.sweep_kind(&[snapshot]).await;
    fixture.sweep_kind(&[volume]).await;
    fixture.sweep_kind(&[cluster]).await;
    fixture
        .store_members(&[
            members(SHOP, &["do:kubernetes:k"]),
            members(DEFAULT, &["do:volume:v"]),
        ])
        .await;
    assert_eq!(
        attribution_of(&fixture, "s").await,
        expected("shop", "acme", "parent")
    );
}
