//! Tests of `/inventory` and `/inventory/{id}`.

use super::Session;
use crate::support::{TestApi, UNKNOWN, rows};

#[tokio::test]
async fn rows_and_counts_are_those_of_the_json_api() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let now = format!("as_of={}", api.now().await);
    for query in [
        "",
        "kind=droplet",
        "tenant=acme&q=web",
        "state=deleted",
        "state=all&tag=production&region=nyc3",
        &now,
    ] {
        let page = session.page(&format!("/inventory?{query}")).await;
        let path = format!("/api/v1/inventory?{query}");
        let list = api.get(&api.admin, &path).await.ok();
        assert!(!rows(&list).is_empty(), "{query}");
        for resource in rows(&list) {
            let address = format!("href=\"/inventory/{}", resource["id"].as_str().unwrap());
            assert!(page.contains(&address), "{query}: {resource}");
        }
        let shown = page.matches("href=\"/inventory/").count();
        assert_eq!(shown, rows(&list).len(), "{query}");

        let of_all_kinds = query.replace("kind=droplet", "");
        let path = format!("/api/v1/inventory/counts?{of_all_kinds}");
        for count in rows(&api.get(&api.admin, &path).await.ok()) {
            let (kind, resources) = (count["kind"].as_str().unwrap(), &count["resources"]);
            let chip = format!(">{kind} <span class=\"faint\">{resources}</span>");
            assert!(page.contains(&chip), "{query}: {count}");
        }
    }
}

#[tokio::test]
async fn empty_fields_are_absent_and_invalid_ones_are_explained() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let empty = "kind=&project=&tenant=&region=&tag=&state=&q=&as_of=";
    let page = session.page(&format!("/inventory?{empty}")).await;
    assert!(page.contains("web-1"), "{page}");
    for (query, status, expected) in [
        ("kind=droplets", 400, "did you mean droplet?"),
        ("as_of=2999-01-01", 404, "in the future"),
        ("colour=red", 400, "colour"),
    ] {
        let response = session.get(&format!("/inventory?{query}")).await;
        assert_eq!(response.status, status, "{query}");
        assert!(response.text.contains("<!doctype html>"), "{response:?}");
        assert!(response.text.contains(expected), "{response:?}");
    }
    let page = session.page("/inventory?q=nothing").await;
    assert!(page.contains("Remove the filters"), "{page}");
}

#[tokio::test]
async fn an_installation_without_data_leads_to_the_sync() {
    let api = TestApi::empty().await;
    let page = Session::start(&api, &api.admin)
        .await
        .page("/inventory")
        .await;
    assert!(page.contains("href=\"/sync\""), "{page}");
}

#[tokio::test]
async fn a_long_list_has_a_link_to_the_next_page() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let first = session.page("/inventory?limit=4&state=live").await;
    let (_, rest) = first.split_once("rel=\"next\" href=\"").unwrap();
    let next = rest.split('"').next().unwrap().replace("&#38;", "&");
    let second = session.page(&next).await;
    assert!(second.contains("web-2") && !second.contains("rel=\"next\""));
    assert!(!first.contains("web-2"), "{first}");
}

#[tokio::test]
async fn a_tenant_sees_its_own_resources_only() {
    let api = TestApi::with_account().await;
    let (own, other) = (
        api.resource_id("web-1").await,
        api.resource_id("db-1").await,
    );
    let session = Session::start(&api, &api.acme).await;
    let page = session.page("/inventory?state=all").await;
    assert!(page.contains(&own) && page.contains("gone-1"), "{page}");
    for hidden in [&*other, "globex", "orphan.example", "/projects"] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    let page = session.page(&format!("/inventory/{own}")).await;
    for hidden in ["/lines", "Costs by month", "/override"] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    for id in [&other, UNKNOWN] {
        let response = session.get(&format!("/inventory/{id}")).await;
        assert_eq!(response.status, 404);
        assert!(response.text.contains("<!doctype html>"), "{response:?}");
    }
    for path in [
        "/projects".to_owned(),
        "/inventory?tenant=globex".to_owned(),
        format!("/inventory/{own}/override?tenant=acme"),
        format!("/projects/{UNKNOWN}/tenant"),
    ] {
        assert_eq!(session.get(&path).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn the_costs_of_a_resource_are_those_of_the_json_api() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page(&format!("/inventory/{id}")).await;
    let path = "/api/v1/billing/costs?group_by=resource&from=2026-01&to=2026-12&limit=500";
    let costs = api.get(&api.admin, path).await.ok();
    let own: Vec<_> = rows(&costs)
        .iter()
        .filter(|cost| cost["group"] == *id)
        .collect();
    assert_eq!(own.len(), 1, "{costs}");
    for cost in own {
        let month = &cost["period"].as_str().unwrap()[..7];
        let link = format!("/lines?period={month}&#38;resource={id}");
        assert!(page.contains(&link), "{link}: {page}");
        assert!(page.contains(&format!(">{}<", cost["amount"].as_str().unwrap())));
    }
}

#[tokio::test]
async fn a_resource_has_its_history_relations_and_attributes() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("gone-1").await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page(&format!("/inventory/{id}")).await;
    for expected in [
        "size_slug",
        "first seen",
        "deleted",
        "sync-inventory",
        "alpha",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let (_, rest) = page.split_once("class=\"date\"><a href=\"").unwrap();
    let latest = rest.split('"').next().unwrap();
    let past = session.page(latest).await;
    assert!(past.contains("Show the current state"), "{past}");

    let id = api.resource_id("web-1").await;
    let page = session.page(&format!("/inventory/{id}")).await;
    assert!(page.contains("https://cloud.digitalocean.com/droplets/1\""));
}

#[tokio::test]
async fn a_tenant_opens_a_resource_that_it_had_in_the_past() {
    let api = TestApi::with_account().await;
    let id = api.resource_id("web-1").await;
    let path = format!("/api/v1/inventory/{id}");
    let override_for = |tenant: &str| format!(r#"{{"tenant_id": "{tenant}"}}"#);
    api.patch(&api.admin, &path, &override_for("acme"))
        .await
        .ok();
    let past = api.now().await;
    api.patch(&api.admin, &path, &override_for("globex"))
        .await
        .ok();
    let session = Session::start(&api, &api.acme).await;
    assert_eq!(session.get(&format!("/inventory/{id}")).await.status, 404);
    let list = session.page(&format!("/inventory?as_of={past}")).await;
    let (_, link) = list.split_once(&format!("href=\"/inventory/{id}")).unwrap();
    let query = link.split('"').next().unwrap().replace("&#38;", "&");
    let page = session.page(&format!("/inventory/{id}{query}")).await;
    assert!(page.contains("no longer of your tenant"), "{page}");
    assert!(!page.contains("globex"), "{page}");
}

#[tokio::test]
async fn the_form_keeps_a_project_that_it_does_not_list() {
    let api = TestApi::with_account().await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page(&format!("/inventory?project={UNKNOWN}")).await;
    let option = format!("<option value=\"{UNKNOWN}\" selected>");
    assert!(page.contains(&option), "{page}");
}
