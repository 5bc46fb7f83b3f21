//! The close of a month on its page, a change after it, and the reopening.

use simulator::Account;
use store::Role;
use worker::schedules::{self, Installation};

use super::driver::{Browser, Driver, Window};
use crate::api::token;
use crate::months::{assign, mirror};
use crate::program::Program;
use crate::support::{TestSystem, eventually};

const MONTH: &str = "/months/2026-04";

/// Waits until the section of the close shows this state.
async fn until_month_is(browser: &Browser, state: &str) {
    eventually(state, async || {
        browser.go(MONTH).await;
        let states = browser.texts("#close + .notice strong").await;
        (states == [state]).then_some(())
    })
    .await;
}

/// The figures of all statements of the month.
async fn statements(browser: &Browser) -> Vec<String> {
    browser.go(MONTH).await;
    let rows = "div[aria-label='Statements'] td";
    browser.texts(rows).await
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn an_admin_closes_a_month_which_keeps_its_figures_and_reopens_it() {
    let system = TestSystem::start(Account::demo()).await;
    mirror(&system).await;
    let installation = Installation::of(&system.store).await.unwrap();
    let installed = schedules::apply(&system.client, &installation).await;
    installed.unwrap();
    let program = Program::api(&system).await;
    let admin = token(&system.store, Role::PlatformAdmin).await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, &program.url, Window::WIDE).await;
    browser.log_in(&admin).await;

    let before = statements(&browser).await;
    assert!(!before.is_empty());
    browser.fill("#approve-reason", "checked by ann").await;
    browser.click("form:has(#approve-reason) button").await;
    browser.confirm().await;
    eventually("the page of the run", async || {
        browser
            .path()
            .await
            .starts_with("/sync/runs/")
            .then_some(())
    })
    .await;
    until_month_is(&browser, "Closed").await;
    let notice = browser.texts("#close + .notice").await.concat();
    assert!(notice.contains("checked by ann"), "{notice}");
    let manifest = browser.download("a[href$='/manifest.json']").await;
    let root = browser.texts("#close ~ dl code").await;
    assert!(manifest.contains(&root[0]), "{root:?}");

    // The lines of the project are another tenant's now; the closed month is as before.
    assign(&system, "Customer API", "acme").await;
    assert_eq!(statements(&browser).await, before);
    browser.go("/months/2026-05").await;
    let adjustments = browser.texts("#adjustments ~ .scroll tbody th").await;
    assert!(
        adjustments.iter().any(|name| name == "acme"),
        "{adjustments:?}"
    );

    browser.go(MONTH).await;
    browser.click("details:has(#reopen-reason) summary").await;
    browser.fill("#reopen-reason", "wrong tenant").await;
    browser.click("form:has(#reopen-reason) button").await;
    browser.confirm().await;
    until_month_is(&browser, "Open:").await;
    assert_ne!(statements(&browser).await, before);
    assert_eq!(browser.problems().await, [""; 0]);
    browser.close().await;
}
