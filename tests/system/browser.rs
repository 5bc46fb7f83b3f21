//! The pages in Chromium: accessibility, the content policy, narrow windows, and the paths of an
//! administrator, an operator and a tenant.

mod axe;
mod driver;

use simulator::Account;
use store::Role;

use self::driver::{Browser, Driver, Theme, Window};
use crate::api::{Api, token};
use crate::support::TestSystem;

/// The pages of an administrator.
const PAGES: [&str; 3] = [
    "/",
    "/costs",
    "/costs?group_by=product&from=2026-01&to=2026-05",
];

/// A demo account after each schedule has run once, its API, and a token of an administrator.
async fn demo() -> (TestSystem, Api, String) {
    let system = TestSystem::start(Account::demo()).await;
    system.run_every_schedule_once().await;
    let api = Api::start(&system.store).await;
    let admin = token(&system.store, Role::PlatformAdmin).await;
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
            figures.push(browser.texts("td.num, .figure, .sum").await);
        }
        assert!(!figures[0].is_empty(), "{page}");
        assert_eq!(figures[0], figures[1], "{page}");
    }
    with_scripts.close().await;
    without.close().await;
}
