//! Tests of the costs that a tenant sees: its own parts, and nothing of other tenants.

use rust_decimal::Decimal;

use crate::support::{TestApi, UNKNOWN, assert_nothing_foreign, column, rows, sum, token_of, usd};

const PATHS: [&str; 8] = [
    "/api/v1/my/statements?period=2026-04",
    "/api/v1/my/cost-lines?period=2026-04",
    "/api/v1/my/costs?group_by=tenant&from=2026-03&to=2026-04",
    "/api/v1/my/costs?group_by=project&from=2026-03&to=2026-04",
    "/api/v1/my/costs?group_by=kind&from=2026-03&to=2026-04",
    "/api/v1/my/costs?group_by=product&from=2026-03&to=2026-04",
    "/api/v1/my/costs?group_by=resource&from=2026-03&to=2026-04",
    "/api/v1/my/statement?period=2026-04",
];

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
        let total = usd(&expected["total"]);
        let own = api.get(&token, PATHS[0]).await.ok();
        assert_eq!(rows(&own).len(), 1);
        for field in ["tenant_id", "direct", "shared", "total"] {
            assert_eq!(rows(&own)[0][field], expected[field], "{tenant} {field}");
        }
        let lines = api.get(&token, PATHS[1]).await.ok();
        assert_eq!(sum(&lines, "amount"), total, "{lines}");
        assert_eq!(lines["meta"]["total_amount"], expected["total"]);
        assert_eq!(lines["meta"]["total_count"], rows(&lines).len());
        for path in &PATHS[2..7] {
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

#[tokio::test]
async fn nothing_of_another_tenant_appears() {
    let api = TestApi::entangled().await;
    let path = "/api/v1/billing/cost-lines?period=2026-04&limit=500";
    let lines = api.get(&api.admin, path).await.ok();
    let acme = token_of(&api, "acme").await;
    let mut is_split = false;
    for path in PATHS {
        for format in ["json", "csv"] {
            let response = api.get(&acme, &format!("{path}&format={format}")).await;
            assert_eq!(response.status, 200, "{response:?}");
            let text = response.text;
            assert_nothing_foreign(path, &text);
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
    let api = TestApi::entangled().await;
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
        total += usd(&none["total"]);
    }
    assert_eq!(
        statements["meta"]["total"].as_str().unwrap(),
        total.to_string()
    );
}

#[tokio::test]
async fn pages_of_own_lines_have_each_line_once() {
    let api = TestApi::entangled().await;
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

#[tokio::test]
async fn the_lines_of_a_group_total_the_group() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let mut groups = 0;
    for by in ["project", "kind", "product", "resource"] {
        let path = format!("/api/v1/my/costs?group_by={by}&from=2026-04&to=2026-04");
        for cost in rows(&api.get(&acme, &path).await.ok()) {
            let filter = match cost["group"].as_str() {
                Some(group) => format!("{by}={}", group.replace(' ', "%20")),
                None => format!("without={by}"),
            };
            let lines = format!("{}&{filter}", PATHS[1]);
            let lines = api.get(&acme, &lines).await.ok();
            assert_eq!(
                lines["meta"]["total_amount"], cost["amount"],
                "{filter}: {lines}"
            );
            assert_eq!(sum(&lines, "amount"), usd(&cost["amount"]), "{filter}");
            groups += 1;
        }
    }
    assert!(groups > 6, "{groups}");
}

#[tokio::test]
async fn a_filter_does_not_reveal_names_and_ids_of_others() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let foreign = api.resource_id("db-1").await;
    for filter in [
        "project=SECRET-PROJECT".to_owned(),
        "project=beta".to_owned(),
        format!("resource={foreign}"),
        "kind=volume".to_owned(),
        "product=Taxes".to_owned(),
    ] {
        let path = format!("{}&{filter}", PATHS[1]);
        let lines = api.get(&acme, &path).await.ok();
        assert!(rows(&lines).is_empty(), "{filter}: {lines}");
        assert_eq!(lines["meta"]["total_amount"], "0.00", "{filter}");
    }
}

#[tokio::test]
async fn one_line_has_the_time_of_the_tenant_only() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let own = api.get(&acme, PATHS[1]).await.ok();
    let mut shares = Vec::new();
    for line in rows(&own) {
        let path = format!("/api/v1/my/cost-lines/{}", line["id"].as_str().unwrap());
        let response = api.get(&acme, &path).await;
        assert_nothing_foreign(&path, &response.text);
        let mut detail = response.ok()["data"].take();
        let intervals = detail.as_object_mut().unwrap().remove("intervals").unwrap();
        assert_eq!(&detail, line);
        match line["share"].as_str().unwrap() {
            "shared" => assert_eq!(intervals.as_array().unwrap().len(), 0),
            "split" => {
                assert_eq!(intervals[0]["from"], "2026-04-01T00:00:00Z", "{intervals}");
                assert_eq!(intervals[0]["to"], "2026-04-16T00:00:00Z", "{intervals}");
                assert!(intervals[1].is_null(), "{intervals}");
            }
            _ if line["resource_name"] == "web-1" => {
                assert_eq!(intervals[0]["attributed_by"], "resource", "{intervals}");
            }
            _ => assert_eq!(intervals[0]["to"], "2026-04-01T01:00:00Z", "{intervals}"),
        }
        shares.push(line["share"].as_str().unwrap().to_owned());
    }
    shares.sort();
    shares.dedup();
    assert_eq!(shares, ["shared", "split", "whole"]);
}

#[tokio::test]
async fn a_line_of_another_tenant_is_not_found() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let path = "/api/v1/billing/cost-lines?period=2026-04&tenant=globex";
    let lines = api.get(&api.admin, path).await.ok();
    let mut foreign: Vec<&str> = rows(&lines)
        .iter()
        .filter(|line| line["shares"].is_null())
        .map(|line| line["id"].as_str().unwrap())
        .collect();
    assert!(!foreign.is_empty(), "{lines}");
    foreign.push(UNKNOWN);
    for id in foreign {
        let path = format!("/api/v1/my/cost-lines/{id}");
        let detail = api.get(&acme, &path).await.problem(404);
        assert_eq!(detail, format!("cost line not found: {id}"));
        api.get(&api.admin, &path).await.problem(403);
        api.get(&api.acme, &path).await.problem(403);
    }
}
