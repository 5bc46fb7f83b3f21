//! Checks every response against DigitalOcean's API specification, so that the simulator does not
//! merely repeat the assumptions of our client.
//!
//! The specification is not part of this repository; without it, these tests are ignored.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
mod support;

use reqwest::Response;
use serde_json::json;
use simulator::{
    Account, DEMO_TOKEN, EveryCent, Fault, FaultKind, Invoice, InvoiceLine, MemberStatus, NoneForm,
    Scopes,
};
use support::{TestClient, answered, specification::Specification};

/// The demo account with a resource of every kind that it lacks.
fn account_of_everything() -> Account {
    let mut account = Account::demo();
    let droplet = account.add_droplet("atlanta", "c-2", "atl1");
    account.add_gpu_droplet("trainer", "gpu-h100x1-80gb", "tor1");
    account.tag_droplet(droplet, "production");
    let volume = account.add_volume("data", "syd1", 100);
    account.attach_volume(volume, droplet);
    account.add_volume("spare", "nyc3", 10);
    account.add_reserved_ip("198.18.0.7", "atl1", Some(droplet));
    account.add_reserved_ip("198.18.0.8", "syd1", None);
    let project = account.default_project();
    account.add_member(project, "do:app:c2a4", MemberStatus::Ok);
    account.add_member(project, "do:droplet:1", MemberStatus::NotFound);
    account.add_member(project, "do:space:gone", MemberStatus::ServiceDown);
    let bare = InvoiceLine::new("Discounts", "Contract", rust_decimal::Decimal::new(-100, 2));
    account.add_invoice(Invoice::for_month(2014, 11, vec![bare]));
    account
}

const LISTS: &[(&str, &str)] = &[
    ("/v2/projects", "projects"),
    ("/v2/projects/default/resources", "resources"),
    ("/v2/droplets", "droplets"),
    ("/v2/domains", "domains"),
    ("/v2/volumes", "volumes"),
    ("/v2/tags", "tags"),
    ("/v2/floating_ips", "floating_ips"),
    ("/v2/reserved_ips", "reserved_ips"),
    ("/v2/customers/my/billing_history", "billing_history"),
    ("/v2/customers/my/invoices", "invoices"),
];

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn every_page_of_every_list_is_as_specified() {
    let specification = Specification::read();
    let client = TestClient::of(account_of_everything()).await;
    for (path, key) in LISTS {
        let mut items = 0;
        for page in 1.. {
            let body = client.ok(&format!("{path}?page={page}&per_page=3")).await;
            specification.check("get", path, 200, &body);
            items += body[key].as_array().unwrap().len();
            if body["links"]["pages"]["next"].is_null() {
                assert_eq!(body["meta"]["total"], items, "{path}");
                break;
            }
        }
        assert!(
            items > 0,
            "{path} is empty, so that nothing of its items was checked"
        );
    }
    let gpus = client.ok("/v2/droplets?type=gpus").await;
    assert_eq!(gpus["meta"]["total"], 1);
    specification.check("get", "/v2/droplets", 200, &gpus);
}

/// The lists of [`Account::everything`] that are not in [`LISTS`].
const OTHER_LISTS: &[(&str, &str)] = &[
    ("/v2/droplets/autoscale", "autoscale_pools"),
    ("/v2/snapshots", "snapshots"),
    ("/v2/images", "images"),
    ("/v2/reserved_ipv6", "reserved_ipv6s"),
    ("/v2/load_balancers", "load_balancers"),
    ("/v2/kubernetes/clusters", "kubernetes_clusters"),
    ("/v2/apps", "apps"),
    ("/v2/cdn/endpoints", "endpoints"),
    ("/v2/spaces/keys", "keys"),
    ("/v2/vpcs", "vpcs"),
    ("/v2/vpc_nat_gateways", "vpc_nat_gateways"),
    ("/v2/vpc_peerings", "vpc_peerings"),
    (
        "/v2/partner_network_connect/attachments",
        "partner_attachments",
    ),
    ("/v2/firewalls", "firewalls"),
    ("/v2/certificates", "certificates"),
    ("/v2/uptime/checks", "checks"),
    ("/v2/gen-ai/agents", "agents"),
    ("/v2/gen-ai/knowledge_bases", "knowledge_bases"),
    ("/v2/dedicated-inferences", "dedicated_inferences"),
    ("/v2/byoip_prefixes", "byoip_prefixes"),
    ("/v2/monitoring/alerts", "policies"),
    ("/v2/regions", "regions"),
];

const WHOLE_LISTS: &[(&str, &str)] = &[
    ("/v2/databases", "databases"),
    ("/v2/registries", "registries"),
    ("/v2/functions/namespaces", "namespaces"),
    ("/v2/nfs", "shares"),
    ("/v2/nfs/snapshots", "snapshots"),
    ("/v2/add-ons/saas", "resources"),
];

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn every_list_of_an_account_with_everything_is_as_specified() {
    let specification = Specification::read();
    let account = Account::everything();
    let cluster = account.resource_ids("database_cluster")[0].clone();
    let client = TestClient::of(account).await;
    let check = async |template: &str, path: &str, key: &str| {
        let body = client.ok(path).await;
        let items = body[key].as_array().unwrap().len();
        assert!(
            items > 0,
            "{path} is empty, so that nothing of its items was checked"
        );
        specification.check("get", template, 200, &body);
        (items, body)
    };
    for (path, key) in LISTS {
        // All lists except those of billing.
        if !path.contains("customers") {
            check(path, path, key).await;
        }
    }
    for (path, key) in OTHER_LISTS {
        let (items, body) = check(path, path, key).await;
        assert_eq!(body["meta"]["total"], items, "{path}");
        check(path, &format!("{path}?per_page=1"), key).await;
    }
    for (path, key) in WHOLE_LISTS {
        let (_, body) = check(path, path, key).await;
        assert_eq!(body.as_object().unwrap().len(), 1, "{path}");
    }
    let (_, vectors) = check("/v2/vector-databases", "/v2/vector-databases", "vector_dbs").await;
    assert_eq!(vectors["total"], 2);
    check("/v2/apps", "/v2/apps?with_projects=true", "apps").await;
    check("/v2/images", "/v2/images?private=true", "images").await;
    check("/v2/droplets", "/v2/droplets?type=gpus", "droplets").await;
    check(
        "/v2/databases/{database_cluster_uuid}/replicas",
        &format!("/v2/databases/{cluster}/replicas"),
        "replicas",
    )
    .await;
    check(
        "/v2/domains/{domain_name}/records",
        "/v2/domains/shop.example/records",
        "domain_records",
    )
    .await;
}

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn a_single_resource_of_every_kind_with_a_path_is_as_specified() {
    let specification = Specification::read();
    let account = Account::everything();
    let cases = [
        ("snapshot", "/v2/snapshots/", "{snapshot_id}"),
        ("load_balancer", "/v2/load_balancers/", "{lb_id}"),
        (
            "database_cluster",
            "/v2/databases/",
            "{database_cluster_uuid}",
        ),
        (
            "kubernetes_cluster",
            "/v2/kubernetes/clusters/",
            "{cluster_id}",
        ),
        ("app", "/v2/apps/", "{id}"),
    ]
    .map(|(kind, path, parameter)| (account.resource_ids(kind), path, parameter));
    let client = TestClient::of(account).await;
    for (ids, path, parameter) in cases {
        for id in ids {
            let body = client.ok(&format!("{path}{id}")).await;
            specification.check("get", &format!("{path}{parameter}"), 200, &body);
        }
    }
}

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn every_single_resource_is_as_specified() {
    let specification = Specification::read();
    let account = account_of_everything();
    let droplet = account.droplets()[0].id;
    let project = account.default_project();
    let volume = account.volumes()[0].id;
    let client = TestClient::of(account).await;
    for (template, path) in [
        ("/v2/account", "/v2/account".to_owned()),
        (
            "/v2/customers/my/balance",
            "/v2/customers/my/balance".to_owned(),
        ),
        ("/v2/projects/default", "/v2/projects/default".to_owned()),
        (
            "/v2/projects/{project_id}",
            format!("/v2/projects/{project}"),
        ),
        (
            "/v2/projects/{project_id}/resources",
            format!("/v2/projects/{project}/resources"),
        ),
        (
            "/v2/droplets/{droplet_id}",
            format!("/v2/droplets/{droplet}"),
        ),
        (
            "/v2/domains/{domain_name}",
            "/v2/domains/kestrel.example".to_owned(),
        ),
        ("/v2/volumes/{volume_id}", format!("/v2/volumes/{volume}")),
        (
            "/v2/floating_ips/{floating_ip}",
            "/v2/floating_ips/198.18.0.7".to_owned(),
        ),
        (
            "/v2/floating_ips/{floating_ip}",
            "/v2/floating_ips/198.18.0.8".to_owned(),
        ),
        (
            "/v2/reserved_ips/{reserved_ip}",
            "/v2/reserved_ips/198.18.0.7".to_owned(),
        ),
    ] {
        specification.check("get", template, 200, &client.ok(&path).await);
    }
}

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn every_list_of_the_account_with_every_trap_is_as_specified() {
    let specification = Specification::read();
    let EveryCent {
        mut account, traps, ..
    } = EveryCent::new();
    // The only form in the specification, although DigitalOcean uses others.
    account.set_none_form(NoneForm::EmptyList);
    let client = TestClient::of(account).await;
    let others = OTHER_LISTS.iter().chain(WHOLE_LISTS);
    for (path, key) in LISTS.iter().chain(others) {
        let mut body = client.ok(&format!("{path}?per_page=200")).await;
        assert!(body[key].is_array(), "{path}");
        if let Some(entries) = body["billing_history"].as_array_mut() {
            // A type that is not in the specification.
            entries.retain(|entry| entry["type"] != "GoodwillGesture");
        }
        specification.check("get", path, 200, &body);
    }
    let template = "/v2/customers/my/invoices/{invoice_uuid}";
    for (uuid, part) in [
        (traps.without_items, ""),
        (traps.without_csv, "/csv"),
        (traps.without_summary, "/summary"),
    ] {
        let path = format!("/v2/customers/my/invoices/{uuid}{part}");
        let missing = client.get(&path).await;
        check_error(&specification, &format!("{template}{part}"), missing).await;
    }
}

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn responses_of_creating_and_assigning_are_as_specified() {
    let specification = Specification::read();
    let account = Account::demo();
    let urn = account.droplets()[0].urn();
    let client = TestClient::of(account).await;
    let expected = json!({ "name": "new", "purpose": "Service or API" });
    let (status, created) = client.post("/v2/projects", expected.clone()).await;
    specification.check("post", "/v2/projects", status.as_u16(), &created);
    let (status, conflict) = client.post("/v2/projects", expected).await;
    specification.check("post", "/v2/projects", status.as_u16(), &conflict);
    let path = format!(
        "/v2/projects/{}/resources",
        created["project"]["id"].as_str().unwrap()
    );
    let (status, assigned) = client.post(&path, json!({ "resources": [urn] })).await;
    let template = "/v2/projects/{project_id}/resources";
    specification.check("post", template, status.as_u16(), &assigned);
}

#[tokio::test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
async fn errors_and_the_headers_of_every_response_are_as_specified() {
    let specification = Specification::read();
    let mut account = Account::empty();
    account.accept_token("dop_v1_nothing", Scopes::only([]));
    let client = TestClient::of(account).await;
    let template = "/v2/droplets";
    let kinds = [
        FaultKind::RateLimited { retry_after: 1 },
        FaultKind::ServerError { status: 500 },
        FaultKind::ServerError { status: 503 },
        FaultKind::Unauthorized,
        FaultKind::Forbidden,
    ];
    for kind in kinds {
        client.simulator.fail(Fault::new(kind, template).times(1));
        check_error(&specification, template, client.get(template).await).await;
    }
    check_error(
        &specification,
        template,
        client.get_with(template, "dop_v1_nothing").await,
    )
    .await;
    check_error(
        &specification,
        template,
        client.get_with(template, "dop_v1_wrong").await,
    )
    .await;
    check_error(
        &specification,
        template,
        client.get("/v2/droplets?per_page=201").await,
    )
    .await;
    let single = "/v2/droplets/{droplet_id}";
    check_error(
        &specification,
        single,
        client.get_with("/v2/droplets/1", DEMO_TOKEN).await,
    )
    .await;
}

async fn check_error(specification: &Specification, template: &str, response: Response) {
    for name in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"] {
        let value = response.headers()[name].to_str().unwrap();
        assert!(value.parse::<u64>().is_ok(), "{name}: {value}");
    }
    let (status, body) = answered(response).await;
    assert!(status.is_client_error() || status.is_server_error());
    specification.check("get", template, status.as_u16(), &body);
}

#[test]
#[cfg_attr(missing_specification, ignore = "needs specification")]
fn the_check_rejects_a_body_that_violates_the_specification() {
    let specification = Specification::read();
    let validator = specification.validator("get", "/v2/droplets", 200);
    let wrong = json!({ "droplets": [{ "id": "a string" }], "links": {}, "meta": { "total": 1 } });
    let found: Vec<String> = validator
        .iter_errors(&wrong)
        .map(|e| e.to_string())
        .collect();
    assert!(
        found.iter().any(|error| error.contains("integer")),
        "{found:?}"
    );
    assert!(
        !validator.is_valid(&json!({ "droplets": [] })),
        "meta is required"
    );
}
