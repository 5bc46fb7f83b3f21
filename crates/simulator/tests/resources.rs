//! Creating, changing and removing resources of every kind, and their relations.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::{Account, MemberStatus};
use support::TestClient;

/// Returns a field of each item of a list.
fn column(body: &Value, key: &str, field: &str) -> Vec<String> {
    let items = body[key].as_array().unwrap().iter();
    items
        .map(|item| item.pointer(field).unwrap().as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_resource_of_every_kind_can_be_created_found_and_removed() {
    let mut account = Account::empty();
    for kind in Account::resource_kinds() {
        let name = match kind {
            "reserved_ip" => "198.18.0.7",
            "reserved_ipv6" => "2001:db8::7",
            _ => "first",
        };
        let id = account.add_resource(kind, name, "syd1");
        assert!(account.resource_ids(kind).contains(&id), "{kind}");
        let urn = Account::resource_urn(kind, &id);
        let assigned = urn.as_ref().and_then(|urn| account.project_of(urn));
        assert_eq!(
            assigned,
            urn.as_ref().map(|_| account.default_project()),
            "{kind}"
        );
        account.rename_resource(kind, &id, "second");
        account.remove_resource(kind, &id);
        assert!(!account.resource_ids(kind).contains(&id), "{kind}");
        assert!(urn.is_none_or(|urn| account.project_of(&urn).is_none()));
    }
}

#[test]
fn the_account_with_everything_has_some_of_every_kind() {
    let account = Account::everything();
    for kind in Account::resource_kinds() {
        assert!(account.resource_ids(kind).len() >= 2, "{kind}");
    }
    assert_eq!(account.projects().len(), 4);
    let statuses = account.projects().iter().flat_map(|project| {
        let members = project.members.iter();
        members.map(|member| member.status)
    });
    let statuses: Vec<MemberStatus> = statuses.collect();
    assert!(statuses.contains(&MemberStatus::NotFound));
    assert!(statuses.contains(&MemberStatus::ServiceDown));
}

#[test]
#[should_panic(expected = "teapot")]
fn an_unknown_kind_of_resource_panics() {
    Account::empty().add_resource("teapot", "brown", "syd1");
}

#[tokio::test]
async fn renamed_and_changed_bodies_are_in_the_next_response() {
    let client = TestClient::of(Account::empty()).await;
    let (app, pool) = client.simulator.change(|account| {
        let app = account.add_resource("app", "web", "nyc3");
        let pool = account.add_resource("autoscale_pool", "pool", "syd1");
        account.rename_resource("app", &app, "shop");
        account.set_resource_field("app", &app, "tier_slug", "professional".into());
        account.set_resource_field("autoscale_pool", &pool, "/config/max_instances", 9.into());
        (app, pool)
    });
    let body = client.ok(&format!("/v2/apps/{app}")).await;
    assert_eq!(body["app"]["spec"]["name"], "shop");
    assert_eq!(body["app"]["tier_slug"], "professional");
    let body = client.ok(&format!("/v2/droplets/autoscale/{pool}")).await;
    assert_eq!(body["autoscale_pool"]["config"]["max_instances"], 9);
    client
        .simulator
        .change(|account| account.remove_resource("app", &app));
    let (status, _) = client.json(&format!("/v2/apps/{app}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(client.ok("/v2/apps").await["meta"]["total"], 0);
}

#[test]
fn resources_with_a_separate_type_are_renamed_and_changed_too() {
    let mut account = Account::empty();
    let droplet = account.add_resource("droplet", "web", "syd1");
    let volume = account.add_resource("volume", "data", "syd1");
    account.rename_resource("droplet", &droplet, "web-1");
    account.set_resource_field("droplet", &droplet, "tags", json!(["blue"]));
    account.rename_resource("volume", &volume, "data-1");
    account.set_resource_field("volume", &volume, "size_gigabytes", 200.into());
    assert_eq!(account.droplets()[0].name, "web-1");
    assert_eq!(account.droplets()[0].tags, ["blue"]);
    assert_eq!(account.volumes()[0].name, "data-1");
    assert_eq!(account.volumes()[0].size_gigabytes, 200);
}

#[test]
fn a_body_has_the_project_to_which_its_resource_was_moved() {
    let mut account = Account::empty();
    let project = account.add_project("web");
    let ids = [
        "load_balancer",
        "database_cluster",
        "genai_agent",
        "byoip_prefix",
    ]
    .map(|kind| {
        let id = account.add_resource(kind, "one", "syd1");
        account.set_resource_project(kind, &id, project);
        (kind, id)
    });
    let project_id = |account: &Account, (kind, id): &(&str, String)| {
        account.resource_body(kind, id).unwrap()["project_id"].clone()
    };
    for resource in &ids {
        assert_eq!(
            project_id(&account, resource),
            project.to_string(),
            "{resource:?}"
        );
    }
    account.remove_project(project);
    let default = account.default_project().to_string();
    for resource in &ids {
        assert_eq!(project_id(&account, resource), default, "{resource:?}");
    }
}

#[tokio::test]
async fn a_member_is_moved_over_http_by_its_urn() {
    let mut account = Account::empty();
    let project = account.add_project("web");
    let kinds = [
        "load_balancer",
        "database_cluster",
        "kubernetes_cluster",
        "app",
        "spaces_bucket",
    ];
    let urns = kinds.map(|kind| {
        let id = account.add_resource(kind, "one", "syd1");
        Account::resource_urn(kind, &id).unwrap()
    });
    let client = TestClient::of(account).await;
    let path = format!("/v2/projects/{project}/resources");
    let (status, _) = client.post(&path, json!({ "resources": urns })).await;
    assert_eq!(status, StatusCode::OK);
    let members = client.ok(&path).await;
    assert_eq!(column(&members, "resources", "/urn"), urns);
    let balancers = client.ok("/v2/load_balancers").await;
    let project_id = &balancers["load_balancers"][0]["project_id"];
    assert_eq!(*project_id, project.to_string());
    assert!(client.ok("/v2/apps").await["apps"][0]["project_id"].is_null());
    let apps = client.ok("/v2/apps?with_projects=true").await;
    assert_eq!(apps["apps"][0]["project_id"], project.to_string());
}

#[tokio::test]
async fn a_droplet_snapshot_is_also_an_image_and_a_backup_only_an_image() {
    let mut account = Account::empty();
    let droplet = account.add_droplet("web", "c-2", "syd1");
    let volume = account.add_volume("data", "syd1", 100);
    let snapshot = account.add_droplet_snapshot(droplet, "web-1");
    let other = account.add_volume_snapshot(volume, "data-1");
    let backup = account.add_droplet_backup(droplet, "web-weekly");
    account.add_resource("image", "golden", "syd1");
    let client = TestClient::of(account).await;
    let snapshots = client.ok("/v2/snapshots").await;
    assert_eq!(
        column(&snapshots, "snapshots", "/id"),
        [snapshot.clone(), other.clone()]
    );
    let volumes = client.ok("/v2/snapshots?resource_type=volume").await;
    assert_eq!(column(&volumes, "snapshots", "/id"), [other]);
    assert_eq!(volumes["snapshots"][0]["resource_id"], volume.to_string());
    let images = client.ok("/v2/images?private=true").await;
    assert_eq!(
        column(&images, "images", "/type"),
        ["custom", "backup", "snapshot"]
    );
    assert_eq!(images["images"][2]["id"].to_string(), snapshot);
    let backups = client.ok(&format!("/v2/droplets/{droplet}/backups")).await;
    assert_eq!(backups["backups"][0]["id"].to_string(), backup);
    assert_eq!(backups["meta"]["total"], 1);
    let body = client.ok(&format!("/v2/droplets/{droplet}")).await;
    assert_eq!(body["droplet"]["backup_ids"][0].to_string(), backup);
    assert_eq!(body["droplet"]["snapshot_ids"][0].to_string(), snapshot);
    assert_eq!(client.ok("/v2/images").await["meta"]["total"], 7);

    client.simulator.change(|account| {
        account.remove_resource("snapshot", &snapshot);
        account.remove_droplet(droplet);
    });
    let images = client.ok("/v2/images?private=true").await;
    assert_eq!(column(&images, "images", "/type"), ["custom"]);
    let (status, _) = client
        .json(&format!("/v2/droplets/{droplet}/backups"))
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_droplets_of_the_default_project() {
    let mut account = Account::empty();
    let project = account.add_project("platform");
    let cluster = account.create_in(project, |account| {
        account.add_resource("kubernetes_cluster", "production", "syd1")
    });
    let node = account.add_kubernetes_node(&cluster, "pool-3niq");
    let balancer = account.add_kubernetes_load_balancer(&cluster, "a56e086a317d");
    let volume = account.add_kubernetes_volume(&cluster, "pvc-1", 10);
    let project_of = |urn: &str| account.project_of(urn).unwrap();
    assert_eq!(project_of(&format!("do:kubernetes:{cluster}")), project);
    for urn in [
        format!("do:droplet:{node}"),
        format!("do:loadbalancer:{balancer}"),
        format!("do:volume:{volume}"),
    ] {
        assert_eq!(project_of(&urn), account.default_project(), "{urn}");
    }
    let tag = format!("k8s:{cluster}");
    let client = TestClient::of(account).await;
    let clusters = client.ok("/v2/kubernetes/clusters").await;
    let pool = &clusters["kubernetes_clusters"][0]["node_pools"][0];
    assert_eq!(pool["count"], 1);
    assert_eq!(pool["nodes"][0]["droplet_id"], node.to_string());
    let droplets = client.ok("/v2/droplets").await;
    assert_eq!(
        droplets["droplets"][0]["tags"],
        json!(["k8s", tag, "k8s:worker"])
    );
    let balancers = client.ok("/v2/load_balancers").await;
    assert_eq!(balancers["load_balancers"][0]["tag"], tag);
    assert_eq!(balancers["load_balancers"][0]["droplet_ids"], json!([node]));
    assert_eq!(
        client.ok("/v2/volumes").await["volumes"][0]["tags"],
        json!([tag])
    );

    client
        .simulator
        .change(|account| account.remove_resource("kubernetes_cluster", &cluster));
    assert_eq!(client.ok("/v2/droplets").await["meta"]["total"], 0);
    assert_eq!(client.ok("/v2/load_balancers").await["meta"]["total"], 1);
}

#[tokio::test]
async fn a_replica_is_listed_below_its_cluster_and_deleted_with_it() {
    let mut account = Account::empty();
    let cluster = account.add_resource("database_cluster", "orders", "syd1");
    let other = account.add_resource("database_cluster", "stock", "syd1");
    let replica = account.add_database_replica(&cluster, "orders-read", "nyc3");
    let client = TestClient::of(account).await;
    let path = format!("/v2/databases/{cluster}/replicas");
    let replicas = client.ok(&path).await;
    assert_eq!(column(&replicas, "replicas", "/id"), [replica]);
    let none = client.ok(&format!("/v2/databases/{other}/replicas")).await;
    assert_eq!(none, json!({ "replicas": null }));
    client
        .simulator
        .change(|account| account.remove_resource("database_cluster", &cluster));
    assert_eq!(client.json(&path).await.0, StatusCode::NOT_FOUND);
    let left = client
        .simulator
        .read(|account| account.resource_ids("database_replica"));
    assert!(left.is_empty());
}

#[tokio::test]
async fn a_resource_has_the_vpc_that_was_set() {
    let mut account = Account::empty();
    let vpc = account.add_resource("vpc", "private", "syd1");
    for (kind, pointer) in [
        ("load_balancer", "/vpc_uuid"),
        ("database_cluster", "/private_network_uuid"),
        ("nat_gateway", "/vpcs/0/vpc_uuid"),
        ("nfs_share", "/vpc_ids/0"),
        ("app", "/vpc/id"),
    ] {
        let id = account.add_resource(kind, "one", "syd1");
        account.put_in_vpc(kind, &id, &vpc);
        let body = account.resource_body(kind, &id).unwrap();
        assert_eq!(body.pointer(pointer).unwrap(), &vpc, "{kind}");
    }
    let droplet = account.add_droplet("web", "c-2", "syd1");
    account.put_in_vpc("droplet", &droplet.to_string(), &vpc);
    let client = TestClient::of(account).await;
    let body = client.ok(&format!("/v2/droplets/{droplet}")).await;
    assert_eq!(body["droplet"]["vpc_uuid"], vpc);
}

#[tokio::test]
async fn a_reserved_address_contains_its_current_droplet() {
    let mut account = Account::empty();
    let project = account.add_project("web");
    let droplet = account.create_in(project, |account| account.add_droplet("web", "c-2", "syd1"));
    account.add_reserved_ip("198.18.0.7", "syd1", None);
    account.attach_reserved_ip("198.18.0.7", droplet);
    let client = TestClient::of(account).await;
    let ip = client.ok("/v2/reserved_ips/198.18.0.7").await;
    assert_eq!(ip["reserved_ip"]["droplet"]["id"], droplet);
    assert_eq!(ip["reserved_ip"]["project_id"], project.to_string());
}

#[tokio::test]
async fn a_key_has_the_granted_buckets() {
    let mut account = Account::empty();
    let key = account.add_resource("spaces_key", "uploader", "syd1");
    account.grant_bucket(&key, "images", "readwrite");
    account.grant_bucket(&key, "exports", "read");
    let client = TestClient::of(account).await;
    let keys = client.ok("/v2/spaces/keys").await;
    assert_eq!(
        keys["keys"][0]["grants"],
        json!([
            { "bucket": "images", "permission": "readwrite" },
            { "bucket": "exports", "permission": "read" },
        ])
    );
}
