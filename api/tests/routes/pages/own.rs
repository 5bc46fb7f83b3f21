//! Tests of the pages of a tenant: its own resources and costs, and nothing of others.

use super::{Session, crawl, unescaped};
use crate::support::{TestApi, UNKNOWN, assert_nothing_foreign, column, rows, sum, token_of, usd};

/// Pages of costs; the statement is that of `acme`.
const COSTS: [&str; 9] = [
    "/costs",
    "/costs?group_by=resource&from=2026-03&to=2026-04",
    "/lines?period=2026-04",
    "/lines?period=2026-04&without=product",
    "/months/2026-04/statements/acme",
    "/months/2026-04/statements/acme?format=csv&table=lines",
    "/months/2026-04/statements/acme?format=csv&table=shared",
    "/months/2026-04/statements/acme/json",
    "/?format=csv&table=changes",
];

/// Pages for administrators.
const ADMIN: [&str; 12] = [
    "/invoices",
    "/months",
    "/months/2026-04",
    "/months/2026-04/rule",
    "/months/2026-04/statements/globex",
    "/months/2026-04/statements/~unallocated",
    "/months/2026-04/statements/globex/json",
    "/months/2026-04/files/manifest.json",
    "/projects",
    "/sync",
    "/settings/tokens",
    "/settings/audit",
];

#[tokio::test]
async fn no_page_of_a_tenant_has_anything_of_another_one() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let session = Session::start(&api, &acme).await;
    let opened = crawl(&session, &["/"], 400).await;
    let mut texts: Vec<(String, String)> = opened
        .into_iter()
        .map(|(path, response)| (path, response.text))
        .collect();
    for path in COSTS {
        let response = session.get(path).await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
        texts.push((path.to_owned(), response.text));
    }
    for (path, text) in &texts {
        assert_nothing_foreign(path, text);
    }
    // All pages were reached.
    for page in ["/costs?", "/lines?", "/lines/", "/months/", "/inventory/"] {
        let is_reached = texts.iter().any(|(path, _)| path.starts_with(page));
        assert!(is_reached, "{page}");
    }
    for table in ["intervals", "shared", "lines", "kinds", "costs", "events"] {
        let parameter = format!("table={table}");
        let is_reached = texts.iter().any(|(path, _)| path.ends_with(&parameter));
        assert!(is_reached, "{table}");
    }
}

#[tokio::test]
async fn a_tenant_without_costs_has_pages_of_its_inventory_alone() {
    let api = TestApi::entangled().await;
    let session = Session::start(&api, &api.acme).await;
    for (path, response) in crawl(&session, &["/"], 200).await {
        assert_nothing_foreign(&path, &response.text);
        for cost in ["Costs by month", "Statement", "/lines", "/costs", "6.00"] {
            assert!(!response.text.contains(cost), "{cost} in {path}");
        }
    }
    let resource = api.resource_id("web-1").await;
    let table = format!("/inventory/{resource}?format=csv&table=costs");
    for path in COSTS.into_iter().take(8).chain([&*table]).chain(ADMIN) {
        assert_eq!(session.get(path).await.status, 403, "{path}");
    }
    let token = token_of(&api, "acme").await;
    let lines = "/api/v1/my/cost-lines?period=2026-04";
    let lines = api.get(&token, lines).await.ok();
    for id in column(&lines, "id") {
        assert_eq!(session.get(&format!("/lines/{id}")).await.status, 403);
    }
}

#[tokio::test]
async fn a_tenant_is_refused_the_pages_of_administrators_and_of_others() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let session = Session::start(&api, &acme).await;
    for path in ADMIN {
        let refused = session.get(path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(!refused.text.contains("SECRET"), "{path}");
    }
    // A refusal does not reveal whether a tenant, a line or a resource exists.
    let unknown = session.get("/months/2026-04/statements/initech").await;
    let known = session.get("/months/2026-04/statements/globex").await;
    assert_eq!(unknown.text, known.text);
    let of_globex = "/api/v1/billing/cost-lines?period=2026-04&tenant=globex";
    let lines = api.get(&api.admin, of_globex).await.ok();
    let whole = rows(&lines).iter().filter(|line| line["shares"].is_null());
    let mut lines: Vec<&str> = whole.map(|line| line["id"].as_str().unwrap()).collect();
    lines.push(UNKNOWN);
    assert!(lines.len() > 1);
    for id in lines {
        let refused = session.get(&format!("/lines/{id}")).await;
        assert_eq!(refused.status, 404, "{id}");
        let changed = session
            .get(&format!("/lines/{id}/match?choice=shared"))
            .await;
        assert_eq!(changed.status, 403, "{id}");
    }
    let foreign = api.resource_id("db-1").await;
    for table in ["", "?format=csv&table=costs"] {
        let path = format!("/inventory/{foreign}{table}");
        assert_eq!(session.get(&path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_navigation_has_the_pages_that_the_viewer_may_open() {
    let api = TestApi::with_account().await;
    let costs = token_of(&api, "acme").await;
    for (token, expected) in [
        (&api.acme, &["/", "/inventory"][..]),
        (&costs, &["/", "/costs", "/lines", "/inventory"]),
        (
            &api.admin,
            &[
                "/",
                "/costs",
                "/lines",
                "/invoices",
                "/months",
                "/inventory",
                "/projects",
                "/sync",
                "/settings/tokens",
                "/settings/audit",
            ],
        ),
    ] {
        let page = Session::start(&api, token).await.page("/").await;
        let navigation = page.split("<nav aria-label=\"Pages\">").nth(1).unwrap();
        let navigation = navigation.split("</nav>").next().unwrap();
        let entries = navigation.split(" href=\"").skip(1);
        let entries: Vec<&str> = entries
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert_eq!(entries, expected);
    }
}

#[tokio::test]
async fn the_costs_of_a_tenant_are_those_of_the_json_api() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let session = Session::start(&api, &acme).await;
    for by in ["tenant", "project", "kind", "product", "resource"] {
        let query = format!("from=2026-03&to=2026-04&group_by={by}");
        let page = session.page(&format!("/costs?{query}")).await;
        let path = format!("/api/v1/my/costs?{query}");
        let costs = api.get(&acme, &path).await.ok();
        assert!(!rows(&costs).is_empty(), "{by}");
        for cost in rows(&costs) {
            let amount = cost["amount"].as_str().unwrap();
            assert!(page.contains(&format!(">{amount}<")), "{by}: {cost}");
        }
        let total = costs["meta"]["total"].as_str().unwrap();
        let cell = format!("<td class=\"num\">{total}</td>");
        assert!(page.contains(&cell), "{by}: {total}");
        // Each cell leads to lines with its amount.
        let body = page.split("<tbody>").nth(1).unwrap().split("</tbody>");
        let cells = body.into_iter().next().unwrap();
        let mut count = 0;
        for cell in cells.split("<td class=\"num\"><a href=\"").skip(1) {
            let (link, rest) = cell.split_once("\">").unwrap();
            let amount = rest.split('<').next().unwrap();
            let lines = session.page(&unescaped(link)).await;
            let figure = lines.split("<div class=\"figure\">").nth(1).unwrap();
            assert!(figure.starts_with(&format!("{amount} ")), "{by}: {link}");
            count += 1;
        }
        assert_eq!(count, rows(&costs).len(), "{by}");
    }
}

#[tokio::test]
async fn the_statement_of_a_tenant_totals_its_lines_and_hides_other_totals() {
    let api = TestApi::entangled().await;
    for tenant in ["acme", "globex"] {
        let token = token_of(&api, tenant).await;
        let session = Session::start(&api, &token).await;
        let path = format!("/months/2026-04/statements/{tenant}");
        let page = session.page(&path).await;
        let own = "/api/v1/my/statements?period=2026-04";
        let own = api.get(&token, own).await.ok();
        for field in ["direct", "shared", "total"] {
            let amount = rows(&own)[0][field].as_str().unwrap();
            let figure = format!("<div class=\"figure\">{amount}</div>");
            assert!(page.contains(&figure), "{field}: {page}");
        }
        assert!(page.contains("in proportion to the direct costs"), "{page}");
        assert!(!page.contains(" %"), "{page}");
        let csv = format!("{path}?format=csv&table=shared");
        let csv = session.get(&csv).await;
        let name = csv.headers["content-disposition"].to_str().unwrap();
        assert!(
            name.contains(&format!("shared-costs-2026-04-{tenant}.csv")),
            "{name}"
        );
        let parts = csv.text.lines().skip(1);
        let parts = parts.map(|row| row.rsplit(',').next().unwrap());
        let parts: rust_decimal::Decimal = parts
            .map(|part| part.parse::<rust_decimal::Decimal>().unwrap())
            .sum();
        assert_eq!(parts, usd(&rows(&own)[0]["shared"]), "{}", csv.text);
    }
    // A tenant without costs in a month.
    let session = Session::start(&api, &token_of(&api, "initech").await).await;
    let page = session.page("/months/2026-04/statements/initech").await;
    assert!(
        page.contains("initech has no costs in April 2026"),
        "{page}"
    );
}

#[tokio::test]
async fn a_line_is_explained_by_the_time_of_the_tenant() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let session = Session::start(&api, &acme).await;
    let lines = "/api/v1/my/cost-lines?period=2026-04";
    let lines = api.get(&acme, lines).await.ok();
    for line in rows(&lines) {
        let path = format!("/lines/{}", line["id"].as_str().unwrap());
        let page = session.page(&path).await;
        let amount = line["amount"].as_str().unwrap();
        assert!(page.contains(&format!(">{amount} ")), "{page}");
        for form in ["choice", "candidate", "override", "Matched", "/match"] {
            assert!(!page.contains(form), "{form}: {page}");
        }
        let (reason, interval) = match line["share"].as_str().unwrap() {
            "shared" => ("A shared cost", None),
            "split" => (
                "for a part of the charged time",
                Some("2026-04-16T00:00:00Z"),
            ),
            _ => ("so you pay the whole line", Some("2026-04-01T00:00:00Z")),
        };
        assert!(page.contains(reason), "{page}");
        let shown = interval.map(|time| page.contains(&format!("datetime=\"{time}\"")));
        assert_ne!(shown, Some(false), "{page}");
        assert_eq!(page.contains("<svg class=\"strip\""), interval.is_some());
    }
}

#[tokio::test]
async fn the_overview_of_a_tenant_has_its_months_and_resources() {
    let api = TestApi::entangled().await;
    let estimate = "Droplets,,web-1 (s-1vcpu-1gb),,,,$4.20,alpha,iaas
Droplets,,db-1 (s-1vcpu-1gb),,,,$99.90,beta,iaas";
    api.estimate("2026-05", "104.10", estimate).await;
    let acme = token_of(&api, "acme").await;
    let session = Session::start(&api, &acme).await;
    let page = session.page("/").await;
    assert_nothing_foreign("/", &page);
    assert!(
        !page.contains("99.90") && !page.contains("104.10"),
        "{page}"
    );
    assert!(
        page.contains("<div class=\"figure\">4.20 <small>USD"),
        "{page}"
    );
    let costs = "/api/v1/my/costs?group_by=tenant&from=2025-05&to=2026-05";
    let costs = api.get(&acme, costs).await.ok();
    for row in rows(&costs) {
        for field in ["direct", "shared", "amount"] {
            let cell = format!("<td class=\"num\">{}</td>", row[field].as_str().unwrap());
            assert!(page.contains(&cell), "{field}: {row}");
        }
    }
    assert_eq!(sum(&costs, "amount"), usd(&costs["meta"]["total"]));
    for path in ["2026-05", "2026-04"] {
        let path = format!("/months/{path}/statements/acme");
        assert!(page.contains(&format!("href=\"{path}\"")), "{path}");
    }
    let counts = api.get(&acme, "/api/v1/inventory/counts").await.ok();
    for count in rows(&counts) {
        let cell = format!(
            ">{}</a></th><td class=\"num\">{}</td>",
            count["kind"].as_str().unwrap(),
            count["resources"]
        );
        assert!(page.contains(&cell), "{count}");
    }
    assert!(!page.contains("/sync"), "{page}");
}

#[tokio::test]
async fn the_resource_of_a_tenant_has_its_own_costs() {
    let api = TestApi::entangled().await;
    let acme = token_of(&api, "acme").await;
    let session = Session::start(&api, &acme).await;
    let id = api.resource_id("web-1").await;
    let path = "/api/v1/my/costs?group_by=resource&from=2026-04&to=2026-04";
    let costs = api.get(&acme, path).await.ok();
    let cost = rows(&costs).iter().find(|cost| cost["group"] == *id);
    let amount = cost.unwrap()["amount"].as_str().unwrap();
    let page = session.page(&format!("/inventory/{id}")).await;
    let link = format!("/lines?period=2026-04&#38;resource={id}");
    assert!(page.contains(&link), "{page}");
    assert!(page.contains(&format!(">{amount}</a>")), "{amount}: {page}");
    let csv = session
        .get(&format!("/inventory/{id}?format=csv&table=costs"))
        .await;
    assert!(
        csv.text.contains(&format!("2026-04-01,{amount},false")),
        "{}",
        csv.text
    );
}
