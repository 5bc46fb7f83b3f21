//! Tests of the costs that a tenant sees: its own parts, and nothing of other tenants.

use rust_decimal::Decimal;
use serde_json::Value;
use store::Role;

use crate::support::{TestApi, column, rows, token_with_costs};

const PATHS: [&str; 7] = [
    "/api/v1/my/statements?period=2026-04",
    "/api/v1/my/cost-lines?period=2026-04",
    "/api/v1/my/costs?group_by=tenant&from=2026-03&to=2026-04",
    "/api/v1/my/costs?group_by=project&from=2026-03&to=2026-04",
    "/api/v1/my/costs?group_by=kind&from=2026-03&to=2026-04",
    "/api/v1/my/costs?group_by=product&from=2026-03&to=2026-04",
    "/api/v1/my/costs?group_by=resource&from=2026-03&to=2026-04",
];

async fn token_of(api: &TestApi, tenant: &str) -> String {
    let role = Role::Tenant(tenant.parse().unwrap());
    token_with_costs(&api.store, &role).await.1
}

fn sum(list: &Value, field: &str) -> Decimal {
    let amounts = column(list, field);
    amounts
        .iter()
        .map(|text| text.parse::<Decimal>().unwrap())
        .sum()
}

#[tokio::test]
async fn costs_require_a_tenant_token_that_permits_them() {
    let api = TestApi::with_account().await;
    let acme = token_of(&api, "acme").await;
    for path in PATHS {
        api.get("", path).await.problem(401);
        let refused = api.get(&api.acme, path).await.problem(403);
        assert!(refused.contains("--costs"), "{refused}");
        let refused = api.get(&api.admin, path).await.problem(403);
        assert!(refused.contains("/api/v1/billing/costs"), "{refused}");
        api.get(&acme, path).await.ok();
    }
    // The costs of others stay with the admin.
    for path in [
        "/api/v1/billing/statements?period=2026-04",
        "/api/v1/billing/cost-lines?period=2026-04",
        "/api/v1/billing/invoices",
    ] {
        api.get(&acme, path).await.problem(403);
    }
}

#[tokio::test]
async fn the_own_costs_of_a_tenant_total_its_statement() {
    let api = TestApi::with_account().await;
    let statements = "/api/v1/billing/statements?period=2026-04";
    let statements = api.get(&api.admin, statements).await.ok();
    for tenant in ["acme", "globex"] {
        let token = token_of(&api, tenant).await;
        let expected = rows(&statements)
            .iter()
            .find(|row| row["tenant_id"] == tenant)
            .unwrap();
        let total: Decimal = expected["total"].as_str().unwrap().parse().unwrap();
        let own = api.get(&token, PATHS[0]).await.ok();
        assert_eq!(rows(&own).len(), 1);
        for field in ["tenant_id", "direct", "shared", "total"] {
            assert_eq!(rows(&own)[0][field], expected[field], "{tenant} {field}");
        }
        let lines = api.get(&token, PATHS[1]).await.ok();
        assert_eq!(sum(&lines, "amount"), total, "{lines}");
        assert_eq!(lines["meta"]["total_amount"], expected["total"]);
        assert_eq!(lines["meta"]["total_count"], rows(&lines).len());
        for path in &PATHS[2..] {
            let costs = api.get(&token, path).await.ok();
            assert_eq!(sum(&costs, "amount"), total, "{path}: {costs}");
            assert_eq!(costs["meta"]["total"], expected["total"], "{path}");
        }
    }
}

#[tokio::test]
async fn a_shared_line_has_the_part_of_the_tenant_and_no_text() {
    let api = TestApi::with_account().await;
    let token = token_of(&api, "acme").await;
    let lines = api.get(&token, PATHS[1]).await.ok();
    let shared = rows(&lines).iter().find(|row| row["share"] == "shared");
    let shared = shared.unwrap();
    assert_eq!(shared["product"], "Taxes");
    // 3.06 by direct costs of 6.10 and 24.50.
    assert_eq!(shared["amount"], "0.61");
    for field in ["description", "group_description", "project_name", "hours"] {
        assert!(shared[field].is_null(), "{field}: {shared}");
    }
}

/// The tenant `acme` has a droplet in the month of April for half of the time; then it is renamed
/// by the other tenant. It also has a resource in the project of the other tenant, by an override.
async fn entangled() -> TestApi {
    let api = TestApi::with_account().await;
    let bill = [
        "Droplets,,SECRET-RENAMED (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$10.00,alpha,iaas",
        "Droplets,,web-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$6.00,SECRET-PROJECT,iaas",
        "Droplets,,db-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$24.50,beta,iaas",
        "Droplets,SECRET-GROUP,SECRET-SHARED (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$7.77,beta,iaas",
        "Taxes,,SECRET-TAX of db-1,,2026-04-01 00:00:00 +0000,2026-04-30 23:59:59 +0000,$3.06,,iaas",
    ];
    api.invoice("2026-04", "51.33", &bill.join("\n")).await;
    let alpha = format!("/api/v1/projects/{}", api.project_id("alpha").await);
    let change = r#"{"tenant_id": "globex", "since": "2026-04-16"}"#;
    api.patch(&api.admin, &alpha, change).await.ok();
    let web = format!("/api/v1/inventory/{}", api.resource_id("web-1").await);
    let change = r#"{"tenant_id": "acme", "since": "2020-01-01"}"#;
    api.patch(&api.admin, &web, change).await.ok();
    let path = "/api/v1/billing/cost-lines?period=2026-04&limit=500";
    let lines = api.get(&api.admin, path).await.ok();
    let to_share = rows(&lines).iter().find(|row| {
        row["description"]
            .as_str()
            .unwrap()
            .contains("SECRET-SHARED")
    });
    let path = format!(
        "/api/v1/billing/cost-lines/{}/match",
        to_share.unwrap()["id"].as_str().unwrap()
    );
    api.put(&api.admin, &path, r#"{"resource_id": null}"#)
        .await
        .ok();
    api
}

#[tokio::test]
async fn nothing_of_another_tenant_appears() {
    let api = entangled().await;
    let path = "/api/v1/billing/cost-lines?period=2026-04&limit=500";
    let lines = api.get(&api.admin, path).await.ok();
    let acme = token_of(&api, "acme").await;
    let mut is_split = false;
    for path in PATHS {
        for format in ["json", "csv"] {
            let response = api.get(&acme, &format!("{path}&format={format}")).await;
            assert_eq!(response.status, 200, "{response:?}");
            let text = response.text;
            for foreign in [
                "SECRET", "globex", "beta", "db-1", "51.33", "24.50", "10.00", "7.77", "3.06",
            ] {
                assert!(!text.contains(foreign), "{foreign} in {path}: {text}");
            }
            is_split |= text.contains("split");
            for line in rows(&lines) {
                for field in ["invoice_uuid", "invoice_id"] {
                    let id = line[field].as_str().unwrap();
                    assert!(!text.contains(id), "{field} in {path}: {text}");
                }
                if line["tenant_id"] == "globex" {
                    let id = line["id"].as_str().unwrap();
                    assert!(!text.contains(id), "line of another tenant in {path}");
                }
            }
        }
    }
    assert!(is_split, "{lines}");
    // Its own data appear.
    let own = api.get(&acme, PATHS[1]).await.ok();
    let split = rows(&own).iter().find(|row| row["share"] == "split");
    assert_eq!(split.unwrap()["amount"], "5.00", "{own}");
    let web = rows(&own)
        .iter()
        .find(|row| row["resource_name"] == "web-1");
    assert_eq!(web.unwrap()["amount"], "6.00", "{own}");
}

#[tokio::test]
async fn the_costs_of_all_tenants_total_the_invoices() {
    let api = entangled().await;
    let statements = "/api/v1/billing/statements?period=2026-04";
    let statements = api.get(&api.admin, statements).await.ok();
    let mut total = Decimal::ZERO;
    for tenant in ["acme", "globex"] {
        let token = token_of(&api, tenant).await;
        let own = sum(&api.get(&token, PATHS[0]).await.ok(), "total");
        let lines = sum(&api.get(&token, PATHS[1]).await.ok(), "amount");
        assert_eq!(own, lines, "{tenant}");
        total += own;
    }
    let none = rows(&statements)
        .iter()
        .find(|row| row["tenant_id"].is_null());
    if let Some(none) = none {
        total += none["total"].as_str().unwrap().parse::<Decimal>().unwrap();
    }
    assert_eq!(
        statements["meta"]["total"].as_str().unwrap(),
        total.to_string()
    );
}

#[tokio::test]
async fn pages_of_own_lines_have_each_line_once() {
    let api = entangled().await;
    let acme = token_of(&api, "acme").await;
    let path = format!("{}&limit=1", PATHS[1]);
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&acme, &format!("{path}{cursor}")).await.ok();
        ids.extend(column(&page, "id"));
        match page["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(ids, column(&api.get(&acme, PATHS[1]).await.ok(), "id"));
    assert!(ids.len() > 2);
    // A cursor of one tenant is none of another.
    let globex = token_of(&api, "globex").await;
    api.get(&globex, &format!("{path}{cursor}"))
        .await
        .problem(404);
}
