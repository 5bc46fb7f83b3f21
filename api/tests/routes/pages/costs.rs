//! Tests of `/costs`.

use super::Session;
use crate::support::{TestApi, rows};

#[tokio::test]
async fn the_figures_are_those_of_the_json_api() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    for group_by in ["tenant", "project", "kind", "product", "resource"] {
        let query = format!("from=2026-03&to=2026-04&group_by={group_by}");
        let page = session.page(&format!("/costs?{query}")).await;
        let path = format!("/api/v1/billing/costs?{query}&limit=500");
        let costs = api.get(&api.admin, &path).await.ok();
        assert!(!rows(&costs).is_empty(), "{group_by}");
        for cost in rows(&costs) {
            let amount = cost["amount"].as_str().unwrap();
            assert!(page.contains(&format!(">{amount}<")), "{group_by}: {cost}");
        }
        let total = costs["meta"]["total"].as_str().unwrap();
        assert!(
            page.contains(&format!("<td class=\"num\">{total}</td>")),
            "{group_by}: {total}"
        );
    }
}

#[tokio::test]
async fn months_without_costs_are_explained() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page("/costs?from=2026-03&to=2026-04").await;
    assert!(page.contains("href=\"/sync\""), "{page}");
    assert!(!page.contains("<svg viewBox=\"0 0 960"), "{page}");
}

#[tokio::test]
async fn empty_fields_of_the_form_are_absent() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    session.page("/costs?from=&to=&group_by=").await;
    let page = session
        .page("/costs?from=2026-04&to=2026-03&group_by=kind")
        .await;
    assert!(page.contains("value=\"2026-03\""), "{page}");
}
