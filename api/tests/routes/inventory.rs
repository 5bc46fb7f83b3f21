use insta::assert_json_snapshot;
use serde_json::json;

use crate::support::{TestApi, UNKNOWN, column};

async fn names(api: &TestApi, token: &str, query: &str) -> Vec<String> {
    let list = api
        .get(token, &format!("/api/v1/inventory?{query}"))
        .await
        .ok();
    column(&list, "name")
}

#[tokio::test]
async fn a_resource_is_shown_with_all_that_is_stored_of_it() {
    let api = TestApi::with_account().await;
    let list = api.get(&api.admin, "/api/v1/inventory?q=web-1").await.ok();
    assert_eq!(
        list["data"][0]["cloud_project_id"],
        api.project_id("alpha").await
    );
    assert_json_snapshot!(list, {
        ".data[].id" => "[uuid]",
        ".data[].cloud_project_id" => "[uuid]",
        ".data[].first_seen_at" => "[time]",
        ".data[].last_seen_at" => "[time]",
        ".meta.as_of" => "[time]",
        ".meta.freshness[].last_complete_at" => "[time]",
        ".meta.freshness[].last_attempt_at" => "[time]",
    }, @r#"
    {
      "data": [
        {
          "attribution": "membership",
          "attrs": {
            "size_slug": "s-1vcpu-1gb"
          },
          "cloud_project_id": "[uuid]",
          "deleted_at": null,
          "first_seen_at": "[time]",
          "id": "[uuid]",
          "kind": "droplet",
          "last_seen_at": "[time]",
          "name": "web-1",
          "provider": "digitalocean",
          "provider_id": "1",
          "region": "nyc3",
          "stale_strike_count": 0,
          "status": "active",
          "tags": [
            "production"
          ],
          "tenant_id": "acme"
        }
      ],
      "meta": {
        "as_of": "[time]",
        "freshness": [
          {
            "is_partial": false,
            "kind": "droplet",
            "last_attempt_at": "[time]",
            "last_attempt_failed": false,
            "last_complete_at": "[time]",
            "partial_reason": null,
            "state": "complete"
          }
        ],
        "limit": 100,
        "next_cursor": null
      }
    }
    "#);
    let id = api.resource_id("web-1").await;
    let one = api
        .get(&api.admin, &format!("/api/v1/inventory/{id}"))
        .await
        .ok();
    let mut expected = list["data"][0].clone();
    expected["pin"] = json!(null);
    assert_eq!(one["data"], expected);
}

#[tokio::test]
async fn every_filter_narrows_and_an_empty_one_does_not() {
    let api = TestApi::with_account().await;
    let beta = format!("project={}", api.project_id("beta").await);
    let live = ["acme.example", "orphan.example", "db-1", "web-1", "web-2"];
    for (query, expected) in [
        ("", live.to_vec()),
        (
            "kind=&project=&tenant=&state=&q=&limit=&cursor=",
            live.to_vec(),
        ),
        ("kind=dns_zone", vec!["acme.example", "orphan.example"]),
        ("kind=vpc", vec![]),
        (&beta, vec!["db-1"]),
        ("tenant=acme", vec!["acme.example", "web-1", "web-2"]),
        ("tenant=acme&kind=droplet&q=2", vec!["web-2"]),
        ("q=WEB", vec!["web-1", "web-2"]),
        ("q=%25", vec![]),
        ("state=deleted", vec!["gone-1"]),
        (
            "state=all&kind=droplet",
            vec!["db-1", "gone-1", "web-1", "web-2"],
        ),
    ] {
        assert_eq!(names(&api, &api.admin, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_tenant_sees_its_own_resources_only_gone_ones_included() {
    let api = TestApi::with_account().await;
    for (token, query, expected) in [
        (&api.acme, "", vec!["acme.example", "web-1", "web-2"]),
        (&api.acme, "tenant=acme&q=web-1", vec!["web-1"]),
        (&api.acme, "state=deleted", vec!["gone-1"]),
        (&api.acme, "q=db-1", vec![]),
        (&api.globex, "state=all", vec!["db-1"]),
    ] {
        assert_eq!(names(&api, token, query).await, expected, "{query}");
    }
    let beta = format!("project={}", api.project_id("beta").await);
    assert_eq!(names(&api, &api.acme, &beta).await, [""; 0]);

    let gone = api.resource_id("gone-1").await;
    let gone = api
        .get(&api.acme, &format!("/api/v1/inventory/{gone}"))
        .await
        .ok();
    assert!(gone["data"]["deleted_at"].is_string(), "{gone}");
}

#[tokio::test]
async fn another_tenants_resource_cannot_be_told_from_one_that_does_not_exist() {
    let api = TestApi::with_account().await;
    let theirs = api.resource_id("db-1").await;
    let nobodys = api.resource_id("orphan.example").await;
    for path in ["", "/events", "/timeline", "/relations", "/memberships"] {
        let details = [&*theirs, &*nobodys, UNKNOWN].map(async |id| {
            api.get(&api.acme, &format!("/api/v1/inventory/{id}{path}"))
                .await
                .problem(404)
                .replace(id, "ID")
        });
        let [theirs, nobodys, unknown] = details;
        let unknown = unknown.await;
        assert_eq!(theirs.await, unknown);
        assert_eq!(nobodys.await, unknown);
    }
}

#[tokio::test]
async fn a_tenant_that_asks_for_another_ones_resources_is_refused() {
    let api = TestApi::with_account().await;
    let detail = api
        .get(&api.acme, "/api/v1/inventory?tenant=globex")
        .await
        .problem(403);
    assert!(detail.contains("tenant"), "{detail}");
}
