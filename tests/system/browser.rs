//! The pages in Chromium: accessibility, the content policy, narrow windows, and the paths of an
//! administrator, an operator and a tenant.

mod axe;
mod driver;

use serde_json::json;
use simulator::Account;
use store::Role;

use self::driver::{Browser, Driver, Theme, Window};
use crate::api::{Api, token};
use crate::support::TestSystem;

/// The pages of an administrator.
const PAGES: [&str; 5] = [
    "/",
    "/costs",
    "/costs?group_by=product&from=2026-01&to=2026-05",
    "/sync",
    "/settings/tokens",
];

/// A demo account with two tenants after each schedule has run once, its API, and a token of an
/// administrator.
async fn demo() -> (TestSystem, Api, String) {
    let system = TestSystem::start(Account::demo()).await;
    system.run_every_schedule_once().await;
    let api = Api::start(&system.store).await;
    let admin = token(&system.store, Role::PlatformAdmin).await;
    for (project, tenant) in [("Customer API", "acme"), ("Kestrel Website", "globex")] {
        let change = json!({ "tenant_id": tenant, "since": "2025-01-01" });
        api.change_project(project, &change, &admin).await;
    }
    (system, api, admin)
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[cfg_attr(missing_axe, ignore = "needs axe")]
#[tokio::test]
async fn pages_are_accessible_at_every_width_and_in_both_themes() {
    let (_system, api, admin) = demo().await;
    let driver = Driver::start();
    let mut problems = Vec::new();
    for (width, theme) in [
        (1280, Theme::Light),
        (1280, Theme::Dark),
        (360, Theme::Light),
        (360, Theme::Dark),
    ] {
        let window = Window {
            width,
            theme,
            has_scripts: true,
        };
        let browser = Browser::open(&driver, api.base(), window).await;
        browser.log_in(&admin).await;
        browser.problems().await;
        for page in PAGES {
            browser.go(page).await;
            let place = format!("{page} at {width} px, {theme:?}");
            let overflow = browser.overflow().await;
            if overflow > 0 {
                problems.push(format!("{place}: {overflow} px too wide"));
            }
            // Before axe: its script is not part of the page.
            let errors = browser.problems().await;
            let violations = browser.violations().await;
            let all = errors.into_iter().chain(violations);
            problems.extend(all.map(|problem| format!("{place}: {problem}")));
        }
        browser.close().await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn pages_have_the_same_figures_without_scripts() {
    let (_system, api, admin) = demo().await;
    let driver = Driver::start();
    let plain = Window {
        has_scripts: false,
        ..Window::WIDE
    };
    let with_scripts = Browser::open(&driver, api.base(), Window::WIDE).await;
    let without = Browser::open(&driver, api.base(), plain).await;
    for browser in [&with_scripts, &without] {
        browser.log_in(&admin).await;
    }
    for page in PAGES {
        let mut figures = Vec::new();
        for browser in [&with_scripts, &without] {
            browser.go(page).await;
            figures.push(browser.texts("td.num, .figure, .sum, tbody th").await);
        }
        assert!(!figures[0].is_empty(), "{page}");
        assert_eq!(figures[0], figures[1], "{page}");
    }
    with_scripts.close().await;
    without.close().await;
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn an_admin_follows_a_bar_to_a_line_and_overrides_its_match() {
    let (_system, api, admin) = demo().await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, api.base(), Window::WIDE).await;
    browser.log_in(&admin).await;
    browser.go("/costs?from=2026-03&to=2026-04").await;
    browser.follow("a[aria-label^='acme, April 2026']").await;
    let lines = browser.path().await;
    assert!(
        lines.contains("period=2026-04") && lines.contains("tenant=acme"),
        "{lines}"
    );
    let before = browser.texts("tfoot .num").await;

    browser.follow("tbody th a").await;
    let line = browser.path().await;
    assert!(line.starts_with("/lines/"), "{line}");
    browser.click("input[value='shared']").await;
    browser.fill("#reason", "paid for all tenants").await;
    browser.click("form:has(#reason) button").await;
    browser.wait_for("input[name='force']").await;
    browser.click("form.card button").await;
    browser.wait_for("[role='status']").await;

    browser.go(&lines).await;
    assert_ne!(browser.texts("tfoot .num").await, before);
    browser.go("/months/2026-04").await;
    let totals = browser.texts("tfoot .num").await;
    assert!(
        totals.iter().filter(|total| *total == "86.92").count() >= 2,
        "{totals:?}"
    );
    browser.close().await;
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn a_tenant_sees_its_inventory_and_no_costs() {
    let (system, api, _) = demo().await;
    let acme = token(&system.store, Role::Tenant("acme".parse().unwrap())).await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, api.base(), Window::WIDE).await;
    browser.log_in(&acme).await;
    browser.go("/").await;
    assert_eq!(browser.path().await, "/inventory");
    let text = browser.texts("main").await.concat();
    assert!(text.contains("kestrel-api-01"), "{text}");
    assert!(!text.contains("kestrel-web-01"), "{text}");
    for page in [
        "/costs",
        "/lines",
        "/months/2026-04",
        "/sync",
        "/settings/tokens",
    ] {
        browser.go(page).await;
        assert_eq!(browser.texts(".status").await, ["403"], "{page}");
    }
    browser.close().await;
}

#[ignore = "writes docs/images"]
#[tokio::test]
async fn record_screenshots() {
    let (_system, api, admin) = demo().await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, api.base(), Window::WIDE).await;
    browser.log_in(&admin).await;
    let images = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/images");
    std::fs::create_dir_all(images).unwrap();
    for (name, page) in [
        ("overview", "/"),
        ("costs", "/costs?group_by=product&from=2025-05&to=2026-05"),
    ] {
        browser.go(page).await;
        let png = browser.screenshot().await;
        std::fs::write(format!("{images}/{name}.png"), png).unwrap();
    }
    browser.close().await;
}
