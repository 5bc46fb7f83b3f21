//! Tests of the lists of resources and their filters.

use std::collections::BTreeMap;

use domain::ResourceKind;
use insta::assert_json_snapshot;
use serde_json::json;

use crate::support::{TestApi, UNKNOWN, column, facts, resource, sweep_with};

async fn names(api: &TestApi, token: &str, query: &str) -> Vec<String> {
    let list = api
        .get(token, &format!("/api/v1/inventory?{query}"))
        .await
        .ok();
    column(&list, "name")
}

#[tokio::test]
async fn a_resource_has_all_its_stored_fields() {
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
async fn the_last_sighting_is_the_end_of_the_last_listing_with_the_resource() {
    let api = TestApi::with_account().await;
    let seen = async |token: &str, query: &str| {
        let path = format!("/api/v1/inventory?state=all&kind=droplet&{query}");
        let list = api.get(token, &path).await.ok();
        let names = column(&list, "name").into_iter();
        let seen: BTreeMap<_, _> = names.zip(column(&list, "last_seen_at")).collect();
        seen
    };
    let before = seen(&api.admin, "").await;
    let facts = facts(&api.store).await;
    let kind = ResourceKind::DROPLET;
    let web = resource(kind.clone(), "1".to_owned(), "web-1");
    sweep_with(&api.store, &kind, &[web], &facts).await;

    let mut expected = before.clone();
    let end = json!(facts.finished_at).as_str().unwrap().to_owned();
    expected.insert("web-1".to_owned(), end.clone());
    assert_eq!(seen(&api.admin, "").await, expected);
    let own = seen(&api.acme, "q=web-1").await;
    assert_eq!(
        own.into_iter().collect::<Vec<_>>(),
        [("web-1".to_owned(), end.clone())]
    );
    let id = api.resource_id("web-1").await;
    let one = api
        .get(&api.admin, &format!("/api/v1/inventory/{id}"))
        .await;
    assert_eq!(one.ok()["data"]["last_seen_at"], end);
}

#[tokio::test]
async fn every_filter_applies() {
    let api = TestApi::with_account().await;
    let beta = format!("project={}", api.project_id("beta").await);
    let live = ["acme.example", "orphan.example", "db-1", "web-1", "web-2"];
    for (query, expected) in [
        ("", live.to_vec()),
        ("kind=dns_zone", vec!["acme.example", "orphan.example"]),
        ("kind=vpc", vec![]),
        (&beta, vec!["db-1"]),
        ("tenant=acme", vec!["acme.example", "web-1", "web-2"]),
        ("tenant=acme&kind=droplet&q=2", vec!["web-2"]),
        ("q=WEB", vec!["web-1", "web-2"]),
        ("q=%25", vec![]),
        ("region=nyc3&q=web", vec!["web-1", "web-2"]),
        ("region=ams3", vec![]),
        (
            "tag=PRODUCTION&kind=droplet",
            vec!["db-1", "web-1", "web-2"],
        ),
        ("tag=prod", vec![]),
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
async fn counts_by_kind_have_the_filters_of_the_list() {
    let api = TestApi::with_account().await;
    let now = format!("as_of={}", api.now().await);
    for (token, query, expected) in [
        (&api.admin, "", vec![("dns_zone", 2), ("droplet", 3)]),
        (&api.admin, &*now, vec![("dns_zone", 2), ("droplet", 3)]),
        (&api.admin, "as_of=2020-01-01", vec![]),
        (&api.admin, "kind=droplet&state=all", vec![("droplet", 4)]),
        (&api.admin, "tag=production&q=web", vec![("droplet", 2)]),
        (&api.acme, "", vec![("dns_zone", 1), ("droplet", 2)]),
        (&api.acme, &now, vec![("dns_zone", 1), ("droplet", 2)]),
        (&api.acme, "region=ams3", vec![]),
    ] {
        let path = format!("/api/v1/inventory/counts?{query}");
        let counts = api.get(token, &path).await.ok();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(kind, resources)| json!({ "kind": kind, "resources": resources }))
            .collect();
        assert_eq!(counts["data"], json!(expected), "{query}");
    }
}

#[tokio::test]
async fn a_tenant_sees_only_its_own_resources_live_and_deleted() {
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

    let deleted = api.resource_id("gone-1").await;
    let deleted = api
        .get(&api.acme, &format!("/api/v1/inventory/{deleted}"))
        .await
        .ok();
    assert!(deleted["data"]["deleted_at"].is_string(), "{deleted}");
}

#[tokio::test]
async fn a_resource_of_another_tenant_has_the_error_of_an_unknown_one() {
    let api = TestApi::with_account().await;
    let theirs = api.resource_id("db-1").await;
    let unassigned = api.resource_id("orphan.example").await;
    for path in ["", "/events", "/timeline", "/relations", "/memberships"] {
        let details = [&*theirs, &*unassigned, UNKNOWN].map(async |id| {
            api.get(&api.acme, &format!("/api/v1/inventory/{id}{path}"))
                .await
                .problem(404)
                .replace(id, "ID")
        });
        let [theirs, unassigned, unknown] = details;
        let unknown = unknown.await;
        assert_eq!(theirs.await, unknown);
        assert_eq!(unassigned.await, unknown);
    }
}

#[tokio::test]
async fn a_tenant_cannot_filter_by_another_tenant() {
    let api = TestApi::with_account().await;
    let detail = api
        .get(&api.acme, "/api/v1/inventory?tenant=globex")
        .await
        .problem(403);
    assert!(detail.contains("tenant"), "{detail}");
}
