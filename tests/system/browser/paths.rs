//! The paths of an administrator who closes a month, of an operator and of a tenant.

use rust_decimal::Decimal;
use serde_json::Value;
use simulator::Account;
use store::Role;

use super::driver::{Browser, Driver, Window};
use crate::api::{Api, token, token_with_costs};
use crate::living_demo::{self, LivingDemo};
use crate::support::TestSystem;

/// Number of pages of a PDF, from the root of its page tree.
fn pages_of(pdf: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pdf);
    let pages = regex::Regex::new(r"/Type\s*/Page\b[^s]").unwrap();
    pages.find_iter(&text).count()
}

/// The cells of a CSV; quoted cells may contain commas and line breaks.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    for character in csv.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !is_quoted => {}
            character => cell.push(character),
        }
    }
    rows
}

/// The number of rows of a CSV and the sum of a column.
fn sum_of(csv: &str, column: &str) -> (usize, Decimal) {
    let rows = cells(csv);
    let place = rows[0].iter().position(|name| name == column).unwrap();
    let amounts = rows[1..]
        .iter()
        .map(|row| row[place].parse::<Decimal>().unwrap());
    (rows.len() - 1, amounts.sum())
}

/// The total of a statement on the page that is open.
async fn total(browser: &Browser) -> String {
    let totals = browser.texts("table.total .num").await;
    totals.concat()
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn an_admin_explains_overrides_prints_and_exports_a_month() {
    let demo = LivingDemo::start().await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, demo.api.base(), Window::WIDE).await;
    browser.log_in(&demo.admin).await;

    // From the overview to the month, and from its costs by a bar to lines.
    browser.go("/").await;
    browser.click_link("April 2026").await;
    assert_eq!(browser.path().await, "/months/2026-04");
    browser.click_link("product").await;
    let statement = browser.path().await;
    assert_eq!(statement, "/months/2026-04/statements/product");
    let total_before = total(&browser).await;
    browser.go("/months/2026-04").await;
    browser.follow("main a[href^='/costs?from=2026-04']").await;
    browser.follow("a[aria-label^='product, April 2026']").await;
    let lines = browser.path().await;
    assert!(
        lines.contains("period=2026-04") && lines.contains("tenant=product"),
        "{lines}"
    );
    let sums_before = browser.texts("tfoot .num").await;

    // A line is explained: its evidence, its resource, its tenants over time.
    browser.follow("tbody th a").await;
    let line = browser.path().await;
    assert!(line.starts_with("/lines/"), "{line}");
    let headings = browser.texts("h2").await;
    for heading in ["Why this resource", "Why this tenant", "History"] {
        assert!(
            headings.iter().any(|known| known == heading),
            "{headings:?}"
        );
    }
    assert!(!browser.texts("svg.strip title").await.is_empty());

    // An override shows its effect first.
    browser.click("input[value='shared']").await;
    browser.fill("#reason", "paid for all tenants").await;
    browser.click("form:has(#reason) button").await;
    browser.wait_for("input[name='force']").await;
    let moved = browser.texts("table caption").await.concat();
    assert!(moved.contains("Totals of tenants"), "{moved}");
    browser.click("form.card button").await;
    browser.wait_for("[role='status']").await;

    // The statement is another one, and all of them still total the invoice.
    browser.go(&lines).await;
    assert_ne!(browser.texts("tfoot .num").await, sums_before);
    browser.go(&statement).await;
    assert_ne!(total(&browser).await, total_before);
    browser.go("/months/2026-04").await;
    let totals = browser.texts("tfoot .num").await;
    let is_invoice = |total: &&String| *total == "86.92";
    assert!(totals.iter().filter(is_invoice).count() >= 2, "{totals:?}");
    assert!(totals.iter().any(|total| total == "0.00"), "{totals:?}");

    // The statement prints on one page.
    browser.go(&statement).await;
    let pdf = browser.print().await;
    assert!(pdf.starts_with(b"%PDF"));
    assert_eq!(pages_of(&pdf), 1);

    // The CSV of the month totals its invoice.
    browser.go("/lines?period=2026-04").await;
    let csv = browser.download("a[download]").await;
    assert_eq!(sum_of(&csv, "amount"), (33, "86.92".parse().unwrap()));
    assert_eq!(browser.problems().await, [""; 0]);
    browser.close().await;
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn an_operator_approves_a_held_deletion() {
    let now = chrono::Utc::now();
    let system = TestSystem::start(Account::demo_at(now, now)).await;
    system.sync_inventory().await.unwrap();
    let api = Api::start(&system.store).await;
    let admin = token(&system.store, Role::PlatformAdmin).await;
    living_demo::change(&system, &api, &admin).await;
    let live = async || {
        let path = "/api/v1/inventory?kind=snapshot";
        let live = api.data(path, &admin).await;
        live.as_array().map(Vec::len)
    };
    assert_eq!(live().await, Some(14));

    let driver = Driver::start();
    let browser = Browser::open(&driver, api.base(), Window::WIDE).await;
    browser.log_in(&admin).await;
    browser.go("/sync").await;
    browser.click_link("See the resources and decide").await;
    let resources = browser.texts("tbody th").await;
    assert_eq!(resources.len(), 12, "{resources:?}");
    browser.click_link("Approve…").await;
    browser.click("button.danger").await;
    browser.wait_for(".help a[href^='/sync#kind-']").await;
    let notice = browser.texts(".notice").await.concat();
    assert!(
        notice.contains("approved") && notice.contains("12 of 12"),
        "{notice}"
    );
    assert_eq!(browser.problems().await, [""; 0]);
    browser.close().await;

    assert_eq!(live().await, Some(2));
    let holds = api.data("/api/v1/held-deletions", &admin).await;
    assert_eq!(holds[0]["state"], "approved", "{holds}");
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn a_tenant_follows_its_costs_to_a_line_and_prints_its_statement() {
    let demo = LivingDemo::start().await;
    let product = token_with_costs(&demo.system.store, "product").await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, demo.api.base(), Window::WIDE).await;
    browser.log_in(&product).await;
    browser.go("/costs?from=2026-03&to=2026-04").await;
    browser
        .follow("a[aria-label^='Droplets, April 2026']")
        .await;
    let lines = browser.path().await;
    assert!(lines.contains("product=Droplets"), "{lines}");
    browser.follow("tbody th a").await;
    assert!(browser.path().await.starts_with("/lines/"));
    let text = browser.texts("main").await.concat();
    assert!(text.contains("Reason for the charge"), "{text}");
    browser.follow("a[href$='/statements/product']").await;
    let total = browser.texts(".statement.total td").await;
    browser.go("/costs?from=2026-04&to=2026-04").await;
    let figure = browser.texts("tfoot .num").await;
    assert_eq!(total, [format!("{} USD", figure[0])]);
    browser.close().await;
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn a_tenant_sees_its_inventory_and_no_costs() {
    let system = TestSystem::start(Account::demo()).await;
    system.sync_projects().await.unwrap();
    system.sync_inventory().await.unwrap();
    system.sync_projects().await.unwrap();
    let api = Api::start(&system.store).await;
    let admin = token(&system.store, Role::PlatformAdmin).await;
    for (project, tenant) in Account::DEMO_TENANTS {
        let change = serde_json::json!({ "tenant_id": tenant });
        api.change_project(project, &change, &admin).await;
    }
    let of_others = api.data("/api/v1/inventory?q=kestrel-web-01", &admin).await;
    let of_others = format!("/inventory/{}", text(&of_others[0]["id"]));

    let product = Role::Tenant("product".parse().unwrap());
    let product = token(&system.store, product).await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, api.base(), Window::WIDE).await;
    browser.log_in(&product).await;
    browser.go("/").await;
    browser.follow("a[href='/inventory']").await;
    let shown = browser.texts("main").await.concat();
    assert!(shown.contains("kestrel-api-01"), "{shown}");
    assert!(!shown.contains("kestrel-web-01"), "{shown}");
    browser.click_link("kestrel-api-01").await;
    assert_eq!(browser.texts("h1").await, ["kestrel-api-01"]);
    for page in [
        "/costs",
        "/lines",
        "/invoices",
        "/months/2026-04",
        "/months/2026-04/statements/product",
        "/projects",
        "/sync",
        "/settings/tokens",
    ] {
        browser.go(page).await;
        assert_eq!(browser.texts(".status").await, ["403"], "{page}");
    }
    // A resource of another tenant is as unknown as one that does not exist.
    browser.go(&of_others).await;
    assert_eq!(browser.texts(".status").await, ["404"]);
    browser.close().await;
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
