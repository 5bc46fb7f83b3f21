//! The pages in Chromium: accessibility, the content policy, narrow windows, and the paths of an
//! administrator, an operator and a tenant.

mod axe;
mod closing;
mod driver;
mod foreign;
mod images;
mod paths;
mod sessions;

use serde_json::Value;

use self::driver::{Browser, Driver, Theme, Window};
use crate::api::token_with_costs;
use crate::living_demo::LivingDemo;
use crate::support::eventually;

/// The addresses of pages of each kind.
async fn pages(demo: &LivingDemo) -> Vec<String> {
    let first = async |path: &str, field: &str| {
        let list = demo.api.data(path, &demo.admin).await;
        list[0][field].as_str().unwrap().to_owned()
    };
    let line = first("/api/v1/billing/cost-lines?period=2026-04", "id").await;
    let invoice = first("/api/v1/billing/invoices", "invoice_uuid").await;
    let resource = first("/api/v1/inventory?q=status-page", "id").await;
    let project = first("/api/v1/projects", "id").await;
    let run = demo.api.data("/api/v1/sync", &demo.admin).await;
    let run = &run["kinds"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let run = [text(&run["workflow_id"]), text(&run["run_id"])].join("/");
    let hold = &demo.hold;
    vec![
        "/".to_owned(),
        "/costs".to_owned(),
        "/costs?group_by=product&from=2026-01&to=2026-04".to_owned(),
        "/costs?group_by=resource".to_owned(),
        "/lines".to_owned(),
        "/lines?period=2026-04&tenant=product".to_owned(),
        format!("/lines/{line}"),
        format!("/lines/{line}/match?choice=shared&reason=a+test"),
        "/invoices".to_owned(),
        format!("/invoices/{invoice}"),
        "/months".to_owned(),
        "/months/2026-04".to_owned(),
        "/months/2026-04/rule".to_owned(),
        "/months/2026-04/statements/product".to_owned(),
        "/inventory".to_owned(),
        format!("/inventory/{resource}"),
        "/projects".to_owned(),
        format!("/projects/{project}/tenant"),
        "/sync".to_owned(),
        format!("/sync/runs/{run}"),
        format!("/sync/held-deletions/{hold}"),
        "/settings/tokens".to_owned(),
        "/settings/audit?verify=chain".to_owned(),
    ]
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[cfg_attr(missing_axe, ignore = "needs axe")]
#[tokio::test]
async fn pages_are_accessible_at_every_width_and_in_both_themes() {
    let demo = LivingDemo::start().await;
    let pages = pages(&demo).await;
    let product = token_with_costs(&demo.system.store, "product").await;
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
        let browser = Browser::open(&driver, demo.api.base(), window).await;
        browser.go("/login").await;
        let of_login = browser.violations().await;
        problems.extend(
            of_login
                .into_iter()
                .map(|problem| format!("/login: {problem}")),
        );
        browser.log_in(&demo.admin).await;
        problems.extend(problems_of(&browser, &pages, window).await);
        browser.close().await;

        let browser = Browser::open(&driver, demo.api.base(), window).await;
        browser.log_in(&product).await;
        let pages = own_pages(&browser).await;
        problems.extend(problems_of(&browser, &pages, window).await);
        browser.close().await;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Returns the problems of pages: those of accessibility, errors in the console, and an overflow.
async fn problems_of(browser: &Browser, pages: &[String], window: Window) -> Vec<String> {
    let Window { width, theme, .. } = window;
    let mut problems = Vec::new();
    browser.problems().await;
    for page in pages {
        browser.go(page).await;
        let place = format!("{page} at {width} px, {theme:?}");
        assert_eq!(browser.texts(".status").await, [""; 0], "{place}");
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
    problems
}

/// Returns the pages of the tenant `product` with its costs, among them one line and one resource.
async fn own_pages(browser: &Browser) -> Vec<String> {
    let lines = "/lines?period=2026-04";
    browser.go(lines).await;
    browser.follow("tbody th a").await;
    let line = browser.path().await;
    browser.go("/inventory").await;
    browser.follow("tbody th a").await;
    let resource = browser.path().await;
    let pages = [
        "/",
        "/costs",
        lines,
        "/months/2026-04/statements/product",
        "/inventory",
    ];
    let pages = pages.into_iter().map(str::to_owned);
    pages.chain([line, resource]).collect()
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn pages_have_the_same_figures_without_scripts() {
    let demo = LivingDemo::start().await;
    let driver = Driver::start();
    let plain = Window {
        has_scripts: false,
        ..Window::WIDE
    };
    let with_scripts = Browser::open(&driver, demo.api.base(), Window::WIDE).await;
    let without = Browser::open(&driver, demo.api.base(), plain).await;
    for browser in [&with_scripts, &without] {
        browser.log_in(&demo.admin).await;
    }
    for page in pages(&demo).await {
        // A sync between the two requests changes the figures of some pages.
        eventually(&format!("{page} has the same figures"), async || {
            let mut figures = Vec::new();
            for browser in [&with_scripts, &without] {
                browser.go(&page).await;
                figures.push(browser.texts("h1, td.num, .figure, .sum, tbody th").await);
            }
            assert!(!figures[0].is_empty(), "{page}");
            (figures[0] == figures[1]).then_some(())
        })
        .await;
    }
    with_scripts.close().await;
    without.close().await;
}
