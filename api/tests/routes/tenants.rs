//! Tests of the list of tenants.

use serde_json::json;
use store::Role;

use crate::support::{TestApi, column, operator, rows, token};

const TENANTS: &str = "/api/v1/tenants";

#[tokio::test]
async fn every_tenant_is_listed_with_its_projects_resources_and_costs() {
    let api = TestApi::with_account().await;
    let (id, _) = token(&api.store, &Role::Tenant("mistyped".parse().unwrap())).await;
    api.store.revoke_token(id, &operator()).await.unwrap();
    token(&api.store, &Role::Tenant("newcomer".parse().unwrap())).await;
    let rule = r#"{"rule": "fixed", "weights": {"partner": "1"}}"#;
    let path = "/api/v1/billing/spread-rules/2026-04";
    api.put(&api.admin, path, rule).await.ok();

    let tenants = api.get(&api.admin, TENANTS).await.ok();
    assert_eq!(
        column(&tenants, "tenant_id"),
        ["acme", "globex", "newcomer", "partner"]
    );
    let counts: Vec<_> = rows(&tenants)
        .iter()
        .map(|row| json!([row["projects"], row["live_resources"], row["has_costs"]]))
        .collect();
    assert_eq!(
        json!(counts),
        json!([[1, 3, true], [1, 1, true], [0, 0, false], [0, 0, false]])
    );
    assert_eq!(rows(&tenants)[3]["known_since"], json!(null));
    assert!(rows(&tenants)[2]["known_since"].is_string());
}

#[tokio::test]
async fn a_tenant_with_only_former_assignments_is_listed() {
    let api = TestApi::with_account().await;
    api.assign_project("alpha", "initech").await;
    api.assign_project("alpha", "hooli").await;
    let tenants = api.get(&api.admin, TENANTS).await.ok();
    let names = column(&tenants, "tenant_id");
    assert!(names.contains(&"initech".to_owned()), "{names:?}");
}

#[tokio::test]
async fn tenants_are_paged_and_for_admins_only() {
    let api = TestApi::with_account().await;
    let first = api.get(&api.admin, "/api/v1/tenants?limit=1").await.ok();
    assert_eq!(column(&first, "tenant_id"), ["acme"]);
    let cursor = first["meta"]["next_cursor"].as_str().unwrap();
    let path = format!("/api/v1/tenants?limit=1&cursor={cursor}");
    let last = api.get(&api.admin, &path).await.ok();
    assert_eq!(column(&last, "tenant_id"), ["globex"]);
    assert_eq!(last["meta"]["next_cursor"], json!(null));
    api.get(&api.acme, TENANTS).await.problem(403);
}
