//! Tests of held deletions and of the decisions on them.

use domain::ResourceKind;
use domain::inventory::ObservedResource;
use serde_json::{Value, json};

use crate::support::{TestApi, UNKNOWN, column, resource, rows, sweep};

const HOLDS: &str = "/api/v1/held-deletions";
/// More than the guard allows to delete at once.
const VOLUMES: usize = 12;

fn volumes() -> Vec<ObservedResource> {
    (0..VOLUMES)
        .map(|id| {
            resource(
                ResourceKind::VOLUME,
                format!("v-{id}"),
                &format!("data-{id:02}"),
            )
        })
        .collect()
}

/// Creates volumes, and removes them from three complete listings. Returns the path of the held
/// deletion.
async fn with_hold(api: &TestApi) -> String {
    sweep(&api.store, &ResourceKind::VOLUME, &volumes()).await;
    for _strike in 0..3 {
        sweep(&api.store, &ResourceKind::VOLUME, &[]).await;
    }
    let holds = api.get(&api.admin, HOLDS).await.ok();
    let [hold] = rows(&holds) else {
        panic!("{holds}")
    };
    format!("{HOLDS}/{}", hold["id"].as_str().unwrap())
}

async fn volumes_in(api: &TestApi, state: &str) -> usize {
    let path = format!("/api/v1/inventory?kind=volume&state={state}");
    rows(&api.get(&api.admin, &path).await.ok()).len()
}

async fn decide(api: &TestApi, path: &str, decision: &str) -> Value {
    let body = json!({ "decision": decision }).to_string();
    api.patch(&api.admin, path, &body).await.ok()["data"].clone()
}

#[tokio::test]
async fn a_held_deletion_has_all_resources_that_it_would_delete() {
    let api = TestApi::with_account().await;
    let path = with_hold(&api).await;
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = format!("{path}?limit=5{cursor}");
        let page = api.get(&api.admin, &page).await.ok();
        let hold = &page["data"];
        assert_eq!(hold["state"], "pending");
        assert_eq!(
            (&hold["kind"], &hold["would_delete"], &hold["live"]),
            (&json!("volume"), &json!(VOLUMES), &json!(VOLUMES))
        );
        assert_eq!(page["meta"]["freshness"][0]["state"], "held");
        let resources = hold["resources"].as_array().unwrap();
        names.extend(resources.iter().map(|row| row["name"].clone()));
        match page["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = volumes().iter().map(|volume| json!(volume.name)).collect();
    assert_eq!(names, expected);
    assert_eq!(volumes_in(&api, "live").await, VOLUMES);
}

#[tokio::test]
async fn an_approved_deletion_is_made_by_the_token_and_stays_decided() {
    let api = TestApi::with_account().await;
    let path = with_hold(&api).await;
    let approved = decide(&api, &path, "approve").await;
    assert_eq!(approved["state"], "approved");
    assert_eq!(approved["decided_by"], "test");
    assert_eq!(approved["deleted"], VOLUMES);
    assert_eq!(volumes_in(&api, "live").await, 0);
    assert_eq!(volumes_in(&api, "deleted").await, VOLUMES);

    assert_eq!(decide(&api, &path, "approve").await, approved);
    let detail = api
        .patch(&api.admin, &path, r#"{"decision": "reject"}"#)
        .await
        .problem(409);
    assert!(detail.contains("approved"), "{detail}");
}

#[tokio::test]
async fn a_rejected_deletion_deletes_nothing() {
    let api = TestApi::with_account().await;
    let path = with_hold(&api).await;
    let rejected = decide(&api, &path, "reject").await;
    assert_eq!(rejected["state"], "rejected");
    assert_eq!(rejected["deleted"], 0);
    assert_eq!(volumes_in(&api, "live").await, VOLUMES);
    api.patch(&api.admin, &path, r#"{"decision": "approve"}"#)
        .await
        .problem(409);
}

#[tokio::test]
async fn pending_holds_are_listed_before_decided_ones() {
    let api = TestApi::with_account().await;
    let first = with_hold(&api).await;
    decide(&api, &first, "reject").await;
    for _strike in 0..3 {
        sweep(&api.store, &ResourceKind::VOLUME, &[]).await;
    }
    let all = api.get(&api.admin, HOLDS).await.ok();
    assert_eq!(column(&all, "state"), ["pending", "rejected"]);
    let page = api.get(&api.admin, &format!("{HOLDS}?limit=1")).await.ok();
    let cursor = page["meta"]["next_cursor"].as_str().unwrap();
    let next = format!("{HOLDS}?limit=1&cursor={cursor}");
    let next = api.get(&api.admin, &next).await.ok();
    assert_eq!(column(&next, "state"), ["rejected"]);
    assert_eq!(next["meta"]["next_cursor"], json!(null));
}

#[tokio::test]
async fn an_invalid_decision_or_unknown_hold_is_refused() {
    let api = TestApi::with_account().await;
    let path = with_hold(&api).await;
    for (body, expected) in [
        ("{}", "decision"),
        (r#"{"decision": "maybe"}"#, "approve"),
        (r#"{"decision": "approve", "by": "ann"}"#, "by"),
    ] {
        let detail = api.patch(&api.admin, &path, body).await.problem(400);
        assert!(detail.contains(expected), "{body}: {detail}");
    }
    let unknown = format!("{HOLDS}/{UNKNOWN}");
    api.patch(&api.admin, &unknown, r#"{"decision": "approve"}"#)
        .await
        .problem(404);
    assert_eq!(volumes_in(&api, "live").await, VOLUMES);
}
