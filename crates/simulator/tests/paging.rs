//! Pages, their links and the total.

mod support;

use reqwest::StatusCode;
use serde_json::json;
use simulator::Account;
use support::TestClient;

#[tokio::test]
async fn the_first_page_has_20_items_and_no_previous_link() {
    let client = TestClient::of(Account::with_droplets(45)).await;
    let url = client.simulator.url();
    let body = client.ok("/v2/droplets").await;
    assert_eq!(body["droplets"].as_array().unwrap().len(), 20);
    assert_eq!(body["meta"], json!({ "total": 45 }));
    assert_eq!(
        body["links"],
        json!({ "pages": {
            "next": format!("{url}/v2/droplets?page=2"),
            "last": format!("{url}/v2/droplets?page=3"),
        }})
    );
}

#[tokio::test]
async fn a_middle_page_has_all_links_and_the_last_one_no_next() {
    let client = TestClient::of(Account::with_droplets(45)).await;
    let url = client.simulator.url();
    let link = |page: u32| format!("{url}/v2/droplets?page={page}&per_page=15&type=droplets");
    let body = client
        .ok("/v2/droplets?per_page=15&page=2&type=droplets")
        .await;
    assert_eq!(
        body["links"]["pages"],
        json!({ "first": link(1), "prev": link(1), "next": link(3), "last": link(3) })
    );
    let body = client
        .ok("/v2/droplets?per_page=15&page=3&type=droplets")
        .await;
    assert_eq!(
        body["links"]["pages"],
        json!({ "first": link(1), "prev": link(2) })
    );
    assert_eq!(body["droplets"][14]["name"], "node-000044.fra1");
}

#[tokio::test]
async fn a_single_page_has_no_links() {
    let client = TestClient::of(Account::with_droplets(20)).await;
    assert_eq!(client.ok("/v2/droplets").await["links"], json!({}));
}

#[tokio::test]
async fn a_page_past_the_end_is_empty_but_has_the_total() {
    let client = TestClient::of(Account::with_droplets(3)).await;
    let body = client.ok("/v2/droplets?page=9").await;
    assert_eq!(body["droplets"], json!([]));
    assert_eq!(body["meta"]["total"], 3);
    assert!(body["links"]["pages"]["next"].is_null());
}

#[tokio::test]
async fn a_page_size_above_200_or_below_1_is_refused() {
    let client = TestClient::of(Account::with_droplets(3)).await;
    for query in [
        "per_page=201",
        "per_page=0",
        "page=0",
        "page=-1",
        "per_page=many",
    ] {
        let (status, body) = client.json(&format!("/v2/droplets?{query}")).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert_eq!(body["id"], "unprocessable_entity");
    }
    client.ok("/v2/droplets?per_page=200").await;
}

#[tokio::test]
async fn the_preview_is_on_every_page_of_the_invoices_and_not_in_the_total() {
    let client = TestClient::of(Account::demo()).await;
    let first = client.ok("/v2/customers/my/invoices?per_page=100").await;
    let second = client
        .ok("/v2/customers/my/invoices?per_page=100&page=2")
        .await;
    assert_eq!(first["meta"]["total"], 137);
    assert_eq!(first["invoice_preview"]["invoice_period"], "2026-05");
    assert_eq!(first["invoice_preview"], second["invoice_preview"]);
    assert_eq!(second["invoices"].as_array().unwrap().len(), 37);
    assert_eq!(second["invoices"][36]["invoice_period"], "2014-12");
}

#[tokio::test]
async fn filters_apply_to_the_list_and_its_total() {
    let mut account = Account::with_droplets(3);
    let id = account.add_droplet("web", "c-2", "syd1");
    account.tag_droplet(id, "blue");
    account.add_gpu_droplet("trainer", "gpu-h100x1-80gb", "tor1");
    account.add_volume("data", "syd1", 10);
    account.add_volume("data", "nyc3", 10);
    let client = TestClient::of(account).await;
    for (path, names) in [
        ("/v2/droplets?tag_name=blue", vec!["web"]),
        ("/v2/droplets?name=web", vec!["web"]),
        ("/v2/droplets?type=gpus", vec!["trainer"]),
        ("/v2/droplets?name=unknown", vec![]),
    ] {
        let body = client.ok(path).await;
        let droplets = body["droplets"].as_array().unwrap();
        let found: Vec<&str> = droplets
            .iter()
            .map(|d| d["name"].as_str().unwrap())
            .collect();
        assert_eq!(found, names, "{path}");
        assert_eq!(body["meta"]["total"], names.len(), "{path}");
    }
    assert_eq!(client.ok("/v2/droplets").await["meta"]["total"], 4);
    let volumes = client.ok("/v2/volumes?name=data&region=nyc3").await;
    assert_eq!(volumes["volumes"][0]["region"]["slug"], "nyc3");
    assert_eq!(volumes["meta"]["total"], 1);
}
