//! What belongs together, and whose it is by that.

use domain::ResourceKind;
use domain::inventory::RelationKind;
use store::inventory::Commit;
use store::projects::ProjectChange;

use super::support::{Fixture, droplet, fixture, from, members, project, resource, to};

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
            .change_project(id, &change, "ann", Commit::Keep)
            .await
            .unwrap();
    }
    fixture
}

/// Where a resource is, whose it is, and how that is known.
async fn home(fixture: &Fixture, id: &str) -> (Option<String>, Option<String>, Option<String>) {
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
async fn relations_are_seen_from_both_ends_and_change_with_the_body() {
    let fixture = fixture().await;
    let mut volume = resource(ResourceKind::VOLUME, "v");
    volume.relations = vec![to(RelationKind::AttachedTo, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[volume.clone()]).await;
    let of_volume = fixture
        .relations(fixture.resource("v").await.id)
        .await
        .unwrap();
    // The droplet is not known yet: it is named all the same.
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
async fn a_snapshot_is_its_droplets_and_moves_with_it() {
    let fixture = with_projects().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture.walk(&[members(SHOP, &["do:droplet:1"])]).await;
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(RelationKind::SnapshotOf, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[snapshot]).await;
    assert_eq!(
        home(&fixture, "s").await,
        expected("shop", "acme", "parent")
    );
    // It was so from the start: there is nothing to correct.
    assert_eq!(fixture.events("s").await, ["discovered"]);

    fixture.walk(&[members(DEFAULT, &["do:droplet:1"])]).await;
    assert_eq!(
        home(&fixture, "s").await,
        expected("default", "ours", "parent")
    );
    assert_eq!(fixture.last_event("s").await.event, "drift_detected");
}

#[tokio::test]
async fn a_snapshot_keeps_the_project_of_a_droplet_that_is_gone() {
    let fixture = with_projects().await;
    fixture.sweep(&[droplet(1, "web-1")]).await;
    fixture.walk(&[members(SHOP, &["do:droplet:1"])]).await;
    let mut snapshot = resource(ResourceKind::SNAPSHOT, "s");
    snapshot.relations = vec![to(RelationKind::SnapshotOf, ResourceKind::DROPLET, "1")];
    fixture.sweep_kind(&[snapshot]).await;
    for _ in 0..4 {
        fixture.sweep(&[]).await;
        fixture.walk(&[members(SHOP, &[])]).await;
    }
    assert!(fixture.resource("1").await.deleted_at.is_some());
    assert_eq!(
        home(&fixture, "s").await,
        expected("shop", "acme", "parent")
    );
}

#[tokio::test]
async fn a_node_is_its_clusters_though_it_is_listed_in_the_default_project() {
    let fixture = with_projects().await;
    fixture
        .sweep(&[droplet(1, "node-1"), droplet(2, "web-2")])
        .await;
    fixture
        .walk(&[
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
        home(&fixture, "1").await,
        expected("shop", "acme", "parent")
    );
    assert_eq!(
        home(&fixture, "2").await,
        expected("default", "ours", "membership")
    );
    // A new node is the cluster's from its first sighting on.
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
        home(&fixture, "3").await,
        expected("shop", "acme", "parent")
    );
    assert_eq!(fixture.events("3").await, ["discovered"]);
}

#[tokio::test]
async fn what_is_seen_before_the_cluster_that_made_it_does_not_drift_out_of_the_default_project() {
    let fixture = with_projects().await;
    let mut node = droplet(1, "node-1");
    node.relations = vec![to(
        RelationKind::MadeByKubernetes,
        ResourceKind::KUBERNETES_CLUSTER,
        "k",
    )];
    let of_default = members(DEFAULT, &["do:droplet:1", "do:kubernetes:gone"]);
    fixture
        .walk(&[of_default, members(SHOP, &["do:kubernetes:k"])])
        .await;
    fixture.sweep(&[node]).await;
    assert_eq!(home(&fixture, "1").await, (None, None, None));

    let cluster = resource(ResourceKind::KUBERNETES_CLUSTER, "k");
    fixture.sweep_kind(&[cluster]).await;
    let run = fixture.new_run();
    fixture.attribute(&run).await.unwrap();
    assert_eq!(
        home(&fixture, "1").await,
        expected("shop", "acme", "parent")
    );
    assert_eq!(fixture.events("1").await, ["discovered", "updated"]);
}

#[tokio::test]
async fn what_names_a_cluster_that_no_list_shows_is_where_digitalocean_puts_it() {
    let fixture = with_projects().await;
    let mut volume = resource(ResourceKind::VOLUME, "v");
    volume.relations = vec![to(
        RelationKind::MadeByKubernetes,
        ResourceKind::KUBERNETES_CLUSTER,
        "k",
    )];
    fixture.walk(&[members(DEFAULT, &["do:volume:v"])]).await;
    fixture.sweep_kind(&[volume]).await;
    let run = fixture.new_run();
    fixture.attribute(&run).await.unwrap();
    assert_eq!(
        home(&fixture, "v").await,
        expected("default", "ours", "membership")
    );
    assert_eq!(fixture.events("v").await, ["discovered", "updated"]);
}

#[tokio::test]
async fn what_a_cluster_made_is_its_own_until_somebody_moves_it() {
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
        .walk(&[shop.clone(), members(DEFAULT, &["do:loadbalancer:lb"])])
        .await;
    assert_eq!(
        home(&fixture, "lb").await,
        expected("shop", "acme", "parent")
    );
    fixture
        .walk(&[shop, members(WEB, &["do:loadbalancer:lb"])])
        .await;
    assert_eq!(
        home(&fixture, "lb").await,
        (Some("web".to_owned()), None, Some("membership".to_owned()))
    );
}

#[tokio::test]
async fn ownership_reaches_through_several_relations() {
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
    // The wrong way round: what is last known is what the others hang on.
    fixture.sweep_kind(&[snapshot]).await;
    fixture.sweep_kind(&[volume]).await;
    fixture.sweep_kind(&[cluster]).await;
    fixture
        .walk(&[
            members(SHOP, &["do:kubernetes:k"]),
            members(DEFAULT, &["do:volume:v"]),
        ])
        .await;
    assert_eq!(
        home(&fixture, "s").await,
        expected("shop", "acme", "parent")
    );
}
