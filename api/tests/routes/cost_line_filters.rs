//! Tests of the filters of cost lines and of their totals.

use serde_json::json;

use crate::support::{TestApi, column, rows};

const LINES: &str = "/api/v1/billing/cost-lines";

#[tokio::test]
async fn lines_and_their_total_are_filtered() {
    let api = TestApi::with_account().await;
    let april = format!("{LINES}?period=2026-04-01");
    let web_1 = api.resource_id("web-1").await;
    for (filter, line_numbers, total) in [
        ("match_rule=name", &["1", "2", "3"][..], "30.60"),
        ("match_rule=account", &["4"], "3.06"),
        ("match_rule=unmatched", &[], "0.00"),
        ("tenant=acme", &["1", "3"], "6.10"),
        (&*format!("resource={web_1}"), &["1"], "6.00"),
        (
            "tenant=acme&kind=droplet&match_rule=name",
            &["1", "3"],
            "6.10",
        ),
        ("product=Droplets", &["1", "2", "3"], "30.60"),
        ("product=Droplets&project=beta", &["2"], "24.50"),
        ("project=alpha", &["1", "3"], "6.10"),
        ("project=Alpha", &[], "0.00"),
        ("without=project", &["4"], "3.06"),
        ("without=kind", &["4"], "3.06"),
        ("without=resource", &["4"], "3.06"),
        ("without=tenant", &[], "0.00"),
        ("without=product", &[], "0.00"),
        ("limit=100", &["1", "2", "3", "4"], "33.66"),
    ] {
        let found = api.get(&api.admin, &format!("{april}&{filter}")).await.ok();
        assert_eq!(column(&found, "line_no"), line_numbers, "{filter}");
        assert_eq!(found["meta"]["total_amount"], total, "{filter}");
    }
}

#[tokio::test]
async fn the_filter_of_a_tenant_alone_has_its_statement() {
    let api = TestApi::with_account().await;
    let april = format!("{LINES}?period=2026-04-01");
    let statements = "/api/v1/billing/statements?period=2026-04";
    let statements = api.get(&api.admin, statements).await.ok();
    for statement in rows(&statements) {
        let tenant = statement["tenant_id"].as_str().unwrap();
        let path = format!("{april}&tenant={tenant}");
        let found = api.get(&api.admin, &path).await.ok();
        assert_eq!(found["meta"]["statement"], *statement, "{tenant}");
        assert_eq!(found["meta"]["attributed_amount"], statement["direct"]);
    }
    let none = api
        .get(&api.admin, &format!("{april}&without=tenant"))
        .await
        .ok();
    assert_eq!(none["meta"]["statement"]["total"], "0.00", "{none}");
    for filter in ["", "&tenant=acme&kind=droplet", "&without=kind"] {
        let found = api.get(&api.admin, &format!("{april}{filter}")).await.ok();
        assert_eq!(found["meta"]["statement"], json!(null), "{filter}");
    }
}

#[tokio::test]
async fn the_error_for_an_invalid_filter_has_the_expected_value() {
    let api = TestApi::empty().await;
    for (query, expected) in [
        (
            "cost-lines?period=2026-05-01&match_rule=guess",
            "operator, uuid, id, group, name, project",
        ),
        ("cost-lines?period=2026-05-01&resource=web-1", "resource"),
        ("cost-lines?period=2026-05-01&tenant=%00", "U+0000"),
        (
            "cost-lines?period=2026-05-01&product=",
            "omit the parameter",
        ),
        (
            "cost-lines?period=2026-05-01&project=",
            "omit the parameter",
        ),
        (
            "cost-lines?period=2026-05-01&resource=droplet:",
            "KIND:PROVIDER_ID",
        ),
        (
            "cost-lines?period=2026-05-01&without=owner",
            "tenant, project, kind",
        ),
        (
            "cost-lines?period=2026-05-01&rule=name",
            "unknown parameter \"rule\"",
        ),
        ("unmatched", "period"),
        ("unmatched?period=2026-05-02", "first of a month"),
        (
            "unmatched?period=2026-05-01&include=all",
            "expected historic",
        ),
        (
            "cost-lines/nonsense",
            "22737513-0ea7-4206-8ceb-98a575af7681",
        ),
    ] {
        let detail = api
            .get(&api.admin, &format!("/api/v1/billing/{query}"))
            .await
            .problem(400);
        assert!(detail.contains(expected), "{query}: {detail}");
    }
}
