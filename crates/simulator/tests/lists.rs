//! The lists of every kind: their styles, filters, secrets and faults.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::{Account, DEMO_SPACES_SECRET, Fault, FaultKind, NoneForm, SECRETS, Scopes};
use support::{TestClient, answered};

fn count(body: &Value, key: &str) -> usize {
    body[key].as_array().unwrap().len()
}

#[tokio::test]
async fn gen_ai_lists_link_to_previous_and_count_pages() {
    let mut account = Account::empty();
    for number in 0..5 {
        account.add_resource("genai_agent", &format!("agent-{number}"), "tor1");
    }
    let client = TestClient::of(account).await;
    let url = client.simulator.url();
    let link = |page: u32| format!("{url}/v2/gen-ai/agents?page={page}&per_page=2");
    let body = client.ok("/v2/gen-ai/agents?page=2&per_page=2").await;
    assert_eq!(body["agents"][0]["name"], "agent-2");
    assert_eq!(body["meta"], json!({ "page": 2, "pages": 3, "total": 5 }));
    assert_eq!(
        body["links"]["pages"],
        json!({ "first": link(1), "previous": link(1), "next": link(3), "last": link(3) })
    );
    let body = client.ok("/v2/gen-ai/agents?page=3&per_page=2").await;
    assert!(body["links"]["pages"]["next"].is_null());
    assert_eq!(count(&body, "agents"), 1);
}

#[tokio::test]
async fn vector_databases_have_a_total_and_no_links() {
    let mut account = Account::empty();
    for number in 0..3 {
        account.add_resource("vector_database", &format!("vectors-{number}"), "tor1");
    }
    let client = TestClient::of(account).await;
    let body = client.ok("/v2/vector-databases?page=2&per_page=2").await;
    assert_eq!(count(&body, "vector_dbs"), 1);
    assert_eq!(body["total"], 3);
    assert_eq!(body.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_list_without_pages_ignores_the_requested_page() {
    let mut account = Account::empty();
    for number in 0..30 {
        account.add_resource("database_cluster", &format!("db-{number}"), "syd1");
    }
    let client = TestClient::of(account).await;
    for query in ["", "?page=2", "?per_page=1", "?per_page=1000"] {
        let body = client.ok(&format!("/v2/databases{query}")).await;
        assert_eq!(count(&body, "databases"), 30, "{query}");
        assert_eq!(body.as_object().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn lists_support_their_documented_filters() {
    let client = TestClient::of(Account::everything()).await;
    for (path, key, items) in [
        ("/v2/nfs", "shares", 3),
        ("/v2/nfs?region=atl1", "shares", 2),
        ("/v2/nfs?region=lon1", "shares", 0),
        ("/v2/nfs/snapshots?region=atl1", "snapshots", 2),
        ("/v2/certificates?name=api", "certificates", 1),
        (
            "/v2/domains/shop.example/records?type=MX",
            "domain_records",
            1,
        ),
        ("/v2/snapshots?resource_type=droplet", "snapshots", 3),
        ("/v2/snapshots?resource_type=volume", "snapshots", 2),
    ] {
        let body = client.ok(path).await;
        assert_eq!(count(&body, key), items, "{path}");
        assert!(body["meta"]["total"].is_null() || body["meta"]["total"] == items);
    }
    let (status, _) = client.json("/v2/snapshots?resource_type=app").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn every_secret_is_in_a_response() {
    let account = Account::everything();
    let clusters = account.resource_ids("database_cluster");
    let client = TestClient::of(account).await;
    let mut answers = String::new();
    for path in [
        "/v2/databases",
        "/v2/apps",
        "/v2/functions/namespaces",
        "/v2/droplets/autoscale",
        "/v2/monitoring/alerts",
        "/v2/add-ons/saas",
    ] {
        answers.push_str(&client.ok(path).await.to_string());
    }
    for cluster in clusters {
        let path = format!("/v2/databases/{cluster}/replicas");
        answers.push_str(&client.ok(&path).await.to_string());
    }
    // This secret is used to sign requests and is never sent.
    let sent = SECRETS
        .iter()
        .filter(|secret| **secret != DEMO_SPACES_SECRET);
    for secret in sent {
        assert!(answers.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn bodies_lack_credentials_and_projects_without_their_scopes() {
    let mut account = Account::everything();
    account.accept_token("dop_v1_narrow", Scopes::only(["database:read"]));
    account.accept_token(
        "dop_v1_wide",
        Scopes::only([
            "database:read",
            "database:view_credentials",
            "project:read",
            "load_balancer:read",
        ]),
    );
    let client = TestClient::of(account).await;
    let get = async |path: &str, token: &str| answered(client.get_with(path, token).await).await;
    let (status, body) = get("/v2/databases", "dop_v1_narrow").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        SECRETS
            .iter()
            .all(|secret| !body.to_string().contains(secret))
    );
    assert_eq!(body["databases"][0]["users"][0]["name"], "doadmin");
    assert!(body["databases"][0]["project_id"].is_null());
    let (_, body) = get("/v2/databases", "dop_v1_wide").await;
    assert!(body["databases"][0]["connection"]["password"].is_string());
    assert!(body["databases"][0]["project_id"].is_string());
    let (status, _) = get("/v2/load_balancers", "dop_v1_narrow").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bodies_lack_tags_without_their_scope() {
    let mut account = Account::everything();
    let scopes = ["droplet:read", "block_storage:read", "database:read"];
    account.accept_token("dop_v1_narrow", Scopes::only(scopes));
    let client = TestClient::of(account).await;
    for (path, key) in [
        ("/v2/droplets", "droplets"),
        ("/v2/volumes", "volumes"),
        ("/v2/databases", "databases"),
    ] {
        let (_, body) = answered(client.get_with(path, "dop_v1_narrow").await).await;
        assert!(body[key][0].get("tags").is_none(), "{path}: {body}");
        assert!(client.ok(path).await[key][0]["tags"].is_array(), "{path}");
    }
    let (status, _) = answered(client.get_with("/v2/tags", "dop_v1_narrow").await).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let tags = client.ok("/v2/tags").await;
    let cluster = tags["tags"].as_array().unwrap().iter();
    let mut cluster = cluster.filter(|tag| tag["name"] == "k8s");
    assert!(cluster.next().unwrap()["resources"]["droplets"]["count"].as_u64() > Some(0));
}

#[tokio::test]
async fn faults_apply_to_every_path_and_to_lists_without_pages() {
    let client = TestClient::of(Account::everything()).await;
    let fail = |kind: FaultKind, path: &str| {
        client.simulator.fail(Fault::new(kind, path).times(1));
    };
    for path in [
        "/v2/kubernetes/clusters",
        "/v2/databases",
        "/v2/images",
        "/v2/gen-ai/agents",
    ] {
        fail(FaultKind::NotFound, path);
        let (status, body) = client.json(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(body["id"], "not_found");
        fail(FaultKind::ServerError { status: 503 }, path);
        let (status, _) = client.json(path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    fail(FaultKind::EmptyList, "/v2/databases");
    assert_eq!(client.ok("/v2/databases").await, json!({ "databases": [] }));
    fail(FaultKind::EmptyList, "/v2/gen-ai/agents");
    let body = client.ok("/v2/gen-ai/agents").await;
    assert_eq!(body["agents"], json!([]));
    assert_eq!(body["meta"]["total"], 0);
    assert_eq!(count(&client.ok("/v2/databases").await, "databases"), 2);
}

#[tokio::test]
async fn a_short_page_lacks_its_last_item_but_counts_it() {
    let client = TestClient::of(Account::with_resources(100)).await;
    let fault = || Fault::new(FaultKind::ShortPage, "/v2/*").times(1);
    client.simulator.fail(fault());
    let body = client.ok("/v2/vpcs?per_page=4").await;
    assert_eq!(count(&body, "vpcs"), 3);
    assert_eq!(body["meta"]["total"], 10);
    assert!(body["links"]["pages"]["next"].is_string());
    let client = TestClient::of(Account::everything()).await;
    client.simulator.fail(fault());
    assert_eq!(count(&client.ok("/v2/registries").await, "registries"), 1);
    assert_eq!(count(&client.ok("/v2/registries").await, "registries"), 2);
}

#[tokio::test]
async fn a_thousand_resources_are_a_hundred_of_ten_kinds_in_four_projects() {
    let account = Account::with_resources(1000);
    let sizes: Vec<usize> = account
        .projects()
        .iter()
        .map(|project| project.members.len())
        .collect();
    assert_eq!(sizes, [125, 125, 125, 125]);
    let client = TestClient::of(account).await;
    for (path, key) in [
        ("/v2/droplets", "droplets"),
        ("/v2/volumes", "volumes"),
        ("/v2/domains", "domains"),
        ("/v2/reserved_ips", "reserved_ips"),
        ("/v2/snapshots", "snapshots"),
        ("/v2/load_balancers", "load_balancers"),
        ("/v2/vpcs", "vpcs"),
        ("/v2/firewalls", "firewalls"),
        ("/v2/certificates", "certificates"),
        ("/v2/uptime/checks", "checks"),
    ] {
        let all = client.all(path, key).await;
        assert_eq!(all.len(), 100, "{path}");
    }
    let own = client.ok("/v2/images?private=true").await;
    assert_eq!(own["meta"]["total"], 0);
}

#[tokio::test]
async fn an_empty_list_has_its_observed_form() {
    let client = TestClient::of(Account::empty()).await;
    for (path, expected) in [
        (
            "/v2/droplets",
            json!({ "droplets": [], "links": {}, "meta": { "total": 0 } }),
        ),
        (
            "/v2/apps",
            json!({ "links": { "pages": {} }, "meta": { "total": 0 } }),
        ),
        ("/v2/databases", json!({ "databases": null })),
        (
            "/v2/vpc_nat_gateways",
            json!({ "vpc_nat_gateways": null, "links": {}, "meta": { "total": 0 } }),
        ),
        ("/v2/registries", json!({ "registries": [] })),
    ] {
        assert_eq!(client.ok(path).await, expected, "{path}");
    }
    let mut account = Account::empty();
    let cluster = account.add_resource("database_cluster", "orders", "nyc3");
    let client = TestClient::of(account).await;
    let replicas = client
        .ok(&format!("/v2/databases/{cluster}/replicas"))
        .await;
    assert_eq!(replicas, json!({ "replicas": null }));
    assert_eq!(count(&client.ok("/v2/databases").await, "databases"), 1);
}

#[tokio::test]
async fn every_empty_list_has_the_configured_form() {
    for (form, droplets, registries, vectors) in [
        (
            NoneForm::EmptyList,
            json!({ "droplets": [], "links": {}, "meta": { "total": 0 } }),
            json!({ "registries": [] }),
            json!({ "vector_dbs": [], "total": 0 }),
        ),
        (
            NoneForm::Null,
            json!({ "droplets": null, "links": {}, "meta": { "total": 0 } }),
            json!({ "registries": null }),
            json!({ "vector_dbs": null, "total": 0 }),
        ),
        (
            NoneForm::NoKey,
            json!({ "links": { "pages": {} }, "meta": { "total": 0 } }),
            json!({ "registries": null }),
            json!({ "total": 0 }),
        ),
    ] {
        let mut account = Account::empty();
        account.set_none_form(form);
        let client = TestClient::of(account).await;
        assert_eq!(client.ok("/v2/droplets").await, droplets);
        assert_eq!(client.ok("/v2/registries").await, registries);
        assert_eq!(client.ok("/v2/vector-databases").await, vectors);
    }
}

#[tokio::test]
async fn the_account_with_one_droplet_has_it_in_its_default_project() {
    let account = Account::named("one-droplet").unwrap();
    let urn = format!("do:droplet:{}", account.resource_ids("droplet")[0]);
    assert_eq!(account.project_of(&urn), Some(account.default_project()));
    let client = TestClient::of(account).await;
    assert_eq!(count(&client.ok("/v2/projects").await, "projects"), 1);
    assert_eq!(count(&client.ok("/v2/droplets").await, "droplets"), 1);
}
