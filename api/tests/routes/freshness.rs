//! Tests of `meta.freshness`.

use domain::{Completeness, ResourceKind};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use store::inventory::Shortfall;

use crate::support::{TestApi, facts, live_droplets, sweep_with};

fn kinds(response: &Value) -> Vec<&str> {
    let freshness = response["meta"]["freshness"].as_array();
    freshness
        .unwrap_or_else(|| panic!("no freshness: {response}"))
        .iter()
        .map(|fresh| fresh["kind"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_response_has_the_freshness_of_its_kinds() {
    let api = TestApi::with_account().await;
    let web_1 = api.resource_id("web-1").await;
    let alpha = api.project_id("alpha").await;
    let projects = vec!["project", "project_member"];
    for (path, expected) in [
        ("inventory".to_owned(), vec!["dns_zone", "droplet"]),
        ("inventory?q=web".to_owned(), vec!["droplet"]),
        ("inventory?kind=dns_zone&q=web".to_owned(), vec!["dns_zone"]),
        ("inventory?q=nothing".to_owned(), vec![]),
        (format!("inventory/{web_1}"), vec!["droplet"]),
        (format!("inventory/{web_1}/events"), vec!["droplet"]),
        (format!("inventory/{web_1}/timeline"), vec!["droplet"]),
        (
            format!("inventory/{web_1}/memberships"),
            vec!["droplet", "project", "project_member"],
        ),
        ("projects".to_owned(), projects.clone()),
        (format!("projects/{alpha}"), projects.clone()),
        (format!("projects/{alpha}/tenants"), projects),
    ] {
        for token in [&api.admin, &api.acme] {
            let response = api.get(token, &format!("/api/v1/{path}")).await.ok();
            assert!(response["meta"]["as_of"].is_string(), "{path}: {response}");
            if *token == api.admin || !path.starts_with("inventory?") {
                assert_eq!(kinds(&response), expected, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_failed_attempt_keeps_the_last_complete_listing() {
    let api = TestApi::with_account().await;
    let path = "/api/v1/inventory?kind=droplet";
    let before = api.get(&api.acme, path).await.ok();
    let mut facts = facts(&api.store).await;
    facts.completeness = Completeness::Incomplete("page 2 returned 503".to_owned());
    facts.shortfall = Shortfall::Failed;
    sweep_with(
        &api.store,
        &ResourceKind::DROPLET,
        &live_droplets()[..1],
        &facts,
    )
    .await;

    let after = api.get(&api.acme, path).await.ok();
    assert_eq!(after["data"].as_array().unwrap().len(), 2);
    let [before, after] =
        [&before, &after].map(|response| response["meta"]["freshness"][0].clone());
    assert_json_snapshot!(after, {
        ".last_complete_at" => "[time]",
        ".last_attempt_at" => "[time]",
    }, @r#"
    {
      "is_partial": false,
      "kind": "droplet",
      "last_attempt_at": "[time]",
      "last_attempt_failed": true,
      "last_complete_at": "[time]",
      "partial_reason": null,
      "state": "failed"
    }
    "#);
    assert_eq!(after["last_complete_at"], before["last_complete_at"]);
    assert_ne!(after["last_attempt_at"], before["last_attempt_at"]);
}

#[tokio::test]
async fn a_kind_without_a_listing_is_unlisted() {
    let api = TestApi::empty().await;
    let response = api
        .get(&api.admin, "/api/v1/inventory?kind=volume")
        .await
        .ok();
    assert_eq!(
        response["meta"]["freshness"],
        json!([{
            "is_partial": false,
            "kind": "volume",
            "last_complete_at": null,
            "last_attempt_at": null,
            "last_attempt_failed": false,
            "partial_reason": null,
            "state": "unlisted",
        }])
    );
}
