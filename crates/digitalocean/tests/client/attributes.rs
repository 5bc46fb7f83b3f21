//! Tests the fields that each kind keeps of a body.

use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};

use crate::examples::{fixture, resource, resources};
use crate::listed::list;
use crate::listing;
use crate::scripted::{self, Scripted};

/// Columns: kind, id, name, region, status.
const HEADS: &str = "
    alert_policy         | 78b3da62-27e5-49ba-ac70-5db0b5935c64        | CPU is high            | -    | -
    app                  | 4f6c71e2-1e90-4762-9fee-6cc4a0a9f2cf        | shop                   | syd  | -
    autoscale_pool       | 0d3db13e-a604-4944-9827-7ec2642d32ac        | checkout               | tor1 | active
    byoip_prefix         | f47ac10b-58cc-4372-a567-0e02b2c3d479        | documentation          | nyc3 | active
    cdn_endpoint         | 19f06b6a-3ace-4315-b086-499a0e521b76        | static-images.nyc3.digitaloceanspaces.com | nyc3 | -
    certificate          | 892071a0-bb95-49bc-8021-3afd67a210bf        | web-cert-01            | -    | verified
    database_replica     | e3a57b0c-6b5a-4a44-8e1a-1c7f7f1b2d33        | orders-read-1          | nyc3 | online
    dedicated_inference  | 6b5c619c-359c-44ca-87e2-47e98170c01d        | mistral                | atl1 | active
    dns_record           | 28448429                                    | @                      | -    | -
    droplet_backup       | 53893572                                    | example.com 2020-07-29 | nyc3 | available
    firewall             | fb6045f1-cf1d-4ca3-bfac-18832663025b        | web                    | -    | -
    function_namespace   | fn-ec741f63-6c2c-4f2e-8b46-1f8b3a5d2c10     | webhooks               | syd1 | -
    genai_agent          | 95ea6652-75ed-11ef-bf8f-4e013e2ddde4        | support                | tor1 | STATUS_RUNNING
    image                | 7555620                                     | golden-image           | nyc3 | available
    kubernetes_cluster   | bd5f5959-5e1e-4205-a714-a914373942af        | production             | nyc1 | running
    kubernetes_node_pool | cdda885e-7663-40c8-bc74-3a036c66545d        | frontend-pool          | nyc1 | -
    load_balancer        | 4de7ac8b-495b-4884-9a69-1050c6793cd6        | shop                   | nyc3 | active
    nat_gateway          | 70e1b58d-cdec-4e95-b3ee-2d4d95feff51        | egress                 | tor1 | ACTIVE
    partner_attachment   | 5a4981aa-9653-4bd1-bef5-d6bff52042e4        | megaport-nyc           | nyc  | active
    registry             | team-images                                 | team-images            | fra1 | -
    reserved_ipv6        | 2001:db8::7                                 | 2001:db8::7            | nyc3 | -
    saas_addon           | 123e4567-e89b-12d3-a456-426614174000        | mail                   | -    | provisioned
    snapshot             | 67512819                                    | before-upgrade         | -    | -
    spaces_bucket        | shop-images                                 | shop-images            | -    | -
    spaces_key           | DOACCESSKEYEXAMPLE                          | uploader               | -    | -
";

#[tokio::test]
async fn names_regions_and_statuses_are_read_from_each_kinds_fields() {
    for line in HEADS.trim().lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let seen = resource(&ResourceKind::named(cells[0])).await;
        let or_none = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
        assert_eq!(
            cells[1..],
            [
                seen.provider_id,
                seen.name,
                or_none(seen.region),
                or_none(seen.status)
            ],
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_project_is_read_from_bodies_that_name_it() {
    for kind in [
        ResourceKind::APP,
        ResourceKind::BYOIP_PREFIX,
        ResourceKind::DATABASE_CLUSTER,
        ResourceKind::GENAI_AGENT,
        ResourceKind::GENAI_KNOWLEDGE_BASE,
        ResourceKind::LOAD_BALANCER,
        ResourceKind::NAT_GATEWAY,
        ResourceKind::VECTOR_DATABASE,
    ] {
        let project = resource(&kind).await.project_id.map(|id| id.to_string());
        assert_eq!(
            project.as_deref(),
            Some("9cc10173-e9ea-4176-9dbc-a4cee4c4ff30"),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn volatile_fields_are_not_attributes() {
    for line in "
        autoscale_pool       /current_utilization /active_resources_count /updated_at
        database_cluster     /maintenance_window/pending /maintenance_window/description
        dedicated_inference  /pending_deployment_spec /spec/model_deployments/0/accelerators/0/status
        firewall             /pending_changes /droplet_ids /status
        genai_knowledge_base /last_indexing_job /added_to_agent_at
        kubernetes_cluster   /node_pools /updated_at /status
        kubernetes_node_pool /nodes
        nfs_share            /access_points/0/status /access_points/0/updated_at
        registry             /storage_usage_bytes /storage_usage_bytes_updated_at /subscription/updated_at
    "
    .trim()
    .lines()
    {
        let mut parts = line.split_whitespace();
        let kind = ResourceKind::named(parts.next().unwrap());
        let attrs = resource(&kind).await.attrs.to_value();
        for pointer in parts {
            assert_eq!(attrs.pointer(pointer), None, "{kind}: {pointer}");
        }
    }
}

#[tokio::test]
async fn priced_fields_are_attributes() {
    for line in r#"
        app                  /spec/services/0/instance_size_slug "apps-s-1vcpu-0.5gb"
        app                  /spec/services/0/autoscaling/metrics/requests_per_second/per_instance 50
        app                  /spec/workers/0/image/repository "mailer"
        autoscale_pool       /droplet_template/size "c-2"
        database_cluster     /size "db-s-2vcpu-4gb"
        database_cluster     /num_nodes 2
        database_cluster     /users/1/name "reporting"
        database_replica     /storage_size_mib 61440
        dedicated_inference  /spec/model_deployments/0/accelerators/0/scale 1
        droplet_backup       /size_gigabytes 2.34
        kubernetes_cluster   /ha true
        kubernetes_node_pool /count 2
        load_balancer        /size_unit 1
        nat_gateway          /size 1
        nfs_share            /size_gib 1024
        partner_attachment   /connection_bandwidth_in_mbps 1000
        registry             /subscription/tier/monthly_price_in_cents 500
        saas_addon           /plan_price_per_month 10
        spaces_key           /grants/1/permission "readwrite"
        uptime_check         /target "https://shop.example/health"
        vector_database      /size "small"
    "#
    .trim()
    .lines()
    {
        let parts: Vec<_> = line.split_whitespace().collect();
        let attrs = resource(&ResourceKind::named(parts[0])).await.attrs;
        let attrs = attrs.to_value();
        let value: Value = parts[2].parse().unwrap();
        assert_eq!(attrs.pointer(parts[1]), Some(&value), "{line}: {attrs}");
    }
}

#[tokio::test]
async fn a_load_balancer_keeps_only_droplets_selected_by_id() {
    let kept: Vec<_> = resources(&ResourceKind::LOAD_BALANCER)
        .await
        .iter()
        .map(|balancer| balancer.attrs.to_value()["droplet_ids"].clone())
        .collect();
    assert_eq!(
        kept,
        [json!([3_164_444, 3_164_445]), json!(null), json!(null)]
    );
}

#[tokio::test]
async fn each_grant_with_a_bucket_yields_the_bucket() {
    let names: Vec<_> = resources(&ResourceKind::SPACES_BUCKET)
        .await
        .into_iter()
        .map(|bucket| bucket.name)
        .collect();
    assert_eq!(names, ["shop-images", "shop-exports"]);
}

#[tokio::test]
async fn the_images_list_yields_images_and_backups_but_no_snapshots() {
    let ids = |seen: Vec<ObservedResource>| {
        let ids = seen.into_iter().map(|resource| resource.provider_id);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(
        ids(resources(&ResourceKind::IMAGE).await),
        ["7555620", "7555622"]
    );
    assert_eq!(
        ids(resources(&ResourceKind::DROPLET_BACKUP).await),
        ["53893572"]
    );
}

#[tokio::test]
async fn a_droplet_keeps_its_properties_but_not_availabilities() {
    let droplet = resource(&ResourceKind::DROPLET).await;
    assert_eq!(droplet.provider_id, "3164444");
    assert_eq!(droplet.name, "example.com");
    assert_eq!(droplet.region.as_deref(), Some("nyc3"));
    assert_eq!(droplet.status.as_deref(), Some("active"));
    assert_eq!(droplet.tags, ["web", "env:prod"]);
    let attrs = droplet.attrs.to_value();
    assert_eq!(attrs["memory"], 1024);
    assert_eq!(attrs["size"]["slug"], "s-1vcpu-1gb");
    assert_eq!(attrs["image"]["slug"], "ubuntu-20-04-x64");
    // Fields with columns are stored there only: a new tag changes only the tags.
    for column in ["/name", "/region", "/status", "/tags"] {
        assert_eq!(attrs.pointer(column), None, "{column}");
    }
    for volatile in [
        "/next_backup_window",
        "/size/regions",
        "/size/available",
        "/image/regions",
    ] {
        assert_eq!(attrs.pointer(volatile), None, "{volatile}");
    }
}

#[tokio::test]
async fn a_zone_has_its_name_as_id_and_no_zone_file() {
    let zone = resource(&ResourceKind::DNS_ZONE).await;
    assert_eq!(
        (&*zone.provider_id, &*zone.name),
        ("example.com", "example.com")
    );
    assert_eq!(zone.attrs.to_value(), json!({ "ttl": 1800 }));
}

#[tokio::test]
async fn a_volume_without_the_tag_scope_has_no_tags() {
    let volume = resource(&ResourceKind::VOLUME).await;
    assert_eq!(volume.provider_id, "506f78a4-e098-11e5-ad9f-000f53306ae1");
    assert_eq!(
        (&*volume.name, volume.region.as_deref()),
        ("example", Some("nyc1"))
    );
    assert_eq!(volume.tags, [""; 0]);
    assert_eq!(volume.attrs.to_value()["size_gigabytes"], 10);
}

#[tokio::test]
async fn a_reserved_ip_keeps_its_project_and_its_droplets_name() {
    let address = resource(&ResourceKind::RESERVED_IP).await;
    assert_eq!(
        (&*address.provider_id, &*address.name),
        ("45.55.96.47", "45.55.96.47")
    );
    assert_eq!(
        address.project_id.unwrap().to_string(),
        "746c6152-2fa2-11ed-92d3-27aaa54e4988"
    );
    assert_eq!(
        address.attrs.to_value()["droplet"],
        json!({ "id": 3_164_444, "name": "example.com" })
    );
}

#[tokio::test]
async fn the_character_nul_is_replaced_in_every_field() {
    let mut body = fixture(&ResourceKind::VOLUME);
    let volume = &mut body["volumes"][0];
    volume["name"] = "a\0b".into();
    volume["tags"] = json!(["t\0", "\\u0000"]);
    volume["description"] = "\0".into();
    volume["droplet_ids"] = json!(["1\0"]);
    let server = Scripted::start(move |_, _| scripted::json(&body)).await;
    let listed = list(&server.client(), listing(&ResourceKind::VOLUME)).await;
    let seen = &listed.items[0];
    assert_eq!(seen.name, "a\u{fffd}b");
    assert_eq!(seen.tags, ["t\u{fffd}", "\\u0000"]);
    let attrs: Value = serde_json::from_str(seen.attrs.as_json()).unwrap();
    assert_eq!(attrs["description"], "\u{fffd}");
    assert_eq!(seen.relations[0].other.provider_id, "1\u{fffd}");
}
