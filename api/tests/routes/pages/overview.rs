//! Tests of the overview.

use domain::ResourceKind;

use super::Session;
use crate::support::{TestApi, live_droplets, resource, sweep};

const LINES: &str = "/api/v1/billing/cost-lines";

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
async fn each_item_on_open_lines_leads_to_the_lines_that_it_counts() {
    let api = TestApi::with_account().await;
    // Two droplets of one name: the line is ambiguous. A third line has no resource.
    let twin = resource(ResourceKind::DROPLET, "8".to_owned(), "web-1");
    let droplets: Vec<_> = live_droplets().into_iter().chain([twin]).collect();
    sweep(&api.store, &ResourceKind::DROPLET, &droplets).await;
    let lines = "Droplets,,web-1 (s-1vcpu-1gb),,,,$6.00,,iaas
Droplets,,unknown-1 (s-1vcpu-1gb),,,,$5.00,,iaas
Droplets,,unknown-2 (s-1vcpu-1gb),,,,$4.00,,iaas";
    api.invoice("2026-05", "15.00", lines).await;
    let session = Session::start(&api, &api.admin).await;
    let page = session.page("/").await;
    for (rule, expected) in [
        ("unmatched", "May 2026: 2 unmatched lines, 9.00 USD"),
        ("ambiguous", "May 2026: 1 ambiguous line, 6.00 USD"),
    ] {
        let (_, item) = page.split_once(expected).expect(&page);
        let link = item
            .split("href=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let link = link.replace("&#38;", "&");
        assert_eq!(link, format!("/lines?period=2026-05&match_rule={rule}"));
        let list = api
            .get(&api.admin, &link.replace("/lines", LINES))
            .await
            .ok();
        let meta = &list["meta"];
        let counted = format!(
            "{} {rule} {}, {} USD",
            meta["total_count"],
            if meta["total_count"] == 1 {
                "line"
            } else {
                "lines"
            },
            meta["total_amount"].as_str().unwrap()
        );
        assert!(expected.ends_with(&counted), "{expected}: {counted}");
        let target = session.page(&link).await;
        let total = format!(
            "<div class=\"figure\">{} ",
            meta["total_amount"].as_str().unwrap()
        );
        assert!(target.contains(&total), "{target}");
    }
}

#[tokio::test]
async fn a_token_that_expires_soon_needs_attention() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    assert!(
        !session
            .page("/")
            .await
            .contains("/settings/tokens\">Rotate")
    );
    api.write_by_hand(
        "update api_tokens set created_at = now() - interval '80 days', expires_at = now() + interval '5 days 1 hour'
         where tenant_id = 'acme'",
    )
    .await;
    let page = session.page("/").await;
    assert!(
        page.contains("the token “test” expires in 5 days"),
        "{page}"
    );
    assert!(
        page.contains("href=\"/settings/tokens\">Rotate</a>"),
        "{page}"
    );
    let tokens = session.page("/settings/tokens").await;
    assert!(tokens.contains("1 token expires soon"), "{tokens}");
}
