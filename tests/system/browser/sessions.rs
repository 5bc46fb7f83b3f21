//! Sessions end with their tokens, and forms of other origins are refused.

use devstack::testing::TestDatabase;
use store::{Role, Store};

use super::driver::{Browser, Driver, Window};
use super::foreign;
use crate::api::{Api, token};
use crate::support::eventually;

/// An API without data.
async fn empty() -> (TestDatabase, Store, Api) {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 4).await.unwrap();
    store.migrate().await.unwrap();
    let api = Api::start(&store).await;
    (database, store, api)
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn a_session_ends_when_its_token_is_revoked() {
    let (_database, store, api) = empty().await;
    let admin = token(&store, Role::PlatformAdmin).await;
    let other = token(&store, Role::PlatformAdmin).await;
    let other_id = store.authenticate(&other).await.unwrap().unwrap().token_id;
    let driver = Driver::start();
    let browser = Browser::open(&driver, api.base(), Window::WIDE).await;
    browser.log_in(&other).await;
    browser.go("/months").await;
    assert_eq!(browser.path().await, "/months");

    let of_admin = Browser::open(&driver, api.base(), Window::WIDE).await;
    of_admin.log_in(&admin).await;
    of_admin
        .go(&format!("/settings/tokens?revoke={other_id}"))
        .await;
    of_admin.click("button.danger").await;
    of_admin.wait_for("td .faint time").await;
    of_admin.close().await;

    browser.go("/months").await;
    let path = browser.path().await;
    assert!(path.starts_with("/login?"), "{path}");
    browser.close().await;
}

#[cfg_attr(missing_chromedriver, ignore = "needs chromedriver")]
#[tokio::test]
async fn a_form_of_another_origin_is_refused() {
    let (_database, store, api) = empty().await;
    let admin = token(&store, Role::PlatformAdmin).await;
    let driver = Driver::start();
    let browser = Browser::open(&driver, api.base(), Window::WIDE).await;
    browser.log_in(&admin).await;
    let base = api.base();
    let form = format!(
        "<form method=post action=\"{base}/settings/tokens\">
         <input name=name value=stolen><input name=role value=platform_admin><input name=tenant>
         <button>Win a prize</button></form>"
    );
    let port = foreign::serve(form).await;
    let before = store.tokens().await.unwrap().len();
    // Another site, and another origin of the same site, which gets the cookie.
    for host in ["localhost", "127.0.0.1"] {
        browser.visit(&format!("http://{host}:{port}/")).await;
        browser.click("button").await;
        eventually("the refusal", async || {
            let shown = browser.texts("body").await.concat();
            shown.contains("403").then_some(())
        })
        .await;
        assert_eq!(store.tokens().await.unwrap().len(), before, "{host}");
    }
    // The same form on a page of the API creates a token.
    browser.go("/settings/tokens").await;
    browser.fill("#name", "a test").await;
    browser.click("#role option[value='platform_admin']").await;
    browser.click("form.card button").await;
    eventually("the token is created", async || {
        let tokens = store.tokens().await.unwrap();
        (tokens.len() == before + 1).then_some(())
    })
    .await;
    browser.close().await;
}
