//! Tests of the overview.

use super::Session;
use crate::support::TestApi;

#[tokio::test]
async fn an_installation_without_data_explains_each_empty_part() {
    let api = TestApi::empty().await;
    let page = Session::start(&api, &api.admin).await.page("/").await;
    for schedule in ["billing-history", "poll-balance"] {
        assert!(page.contains(schedule), "{schedule}: {page}");
    }
}

#[tokio::test]
async fn the_last_month_has_the_total_of_its_statements() {
    let api = TestApi::with_account().await;
    let page = Session::start(&api, &api.admin).await.page("/").await;
    let path = "/api/v1/billing/statements?period=2026-04";
    let statements = api.get(&api.admin, path).await.ok();
    let total = statements["meta"]["total"].as_str().unwrap();
    assert!(
        page.contains(&format!("<div class=\"figure\">{total} ")),
        "{total}: {page}"
    );
    assert!(page.contains("/months/2026-04"));
}

#[tokio::test]
async fn a_tenant_is_led_to_its_inventory() {
    let api = TestApi::empty().await;
    let response = Session::start(&api, &api.acme).await.get("/").await;
    assert_eq!(response.headers["location"], "/inventory");
}
