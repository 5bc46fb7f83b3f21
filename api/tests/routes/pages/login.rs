//! Tests of login, logout, and the protection of sessions.

use axum::body::Body;
use axum::http::Request;
use store::{NewToken, Role};

use super::{Session, post};
use crate::support::{TestApi, operator};

#[tokio::test]
async fn a_page_without_a_session_leads_to_the_login_and_back() {
    let api = TestApi::empty().await;
    let response = api.get("", "/costs?from=2026-04").await;
    // A bearer token is not a session.
    assert_eq!(response.status, 400);
    let request = Request::get("/costs?from=2026-04").body(Body::empty());
    let response = api.send(request).await;
    assert_eq!(response.status, 303);
    let login = response.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(login, "/login?next=/costs%3Ffrom%3D2026-04");
    let form = format!("token={}&next=/costs?from=2026-04", api.admin);
    let response = post(&api, None, "/login", &form).await;
    assert_eq!(response.headers["location"], "/costs?from=2026-04");
}

#[tokio::test]
async fn the_session_cookie_is_bound_to_host_and_scripts_cannot_read_it() {
    let api = TestApi::empty().await;
    let response = post(&api, None, "/login", &format!("token={}", api.admin)).await;
    let cookie = response.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-arcadia="), "{cookie}");
    for attribute in [
        "Path=/",
        "Secure",
        "HttpOnly",
        "SameSite=Lax",
        "Max-Age=604800",
    ] {
        assert!(cookie.contains(attribute), "{attribute}");
    }
    assert!(!cookie.contains(&api.admin));
}

#[tokio::test]
async fn an_unknown_token_and_a_used_link_start_no_session() {
    let api = TestApi::empty().await;
    let response = post(&api, None, "/login", "token=arc_unknown").await;
    assert_eq!(response.status, 422);
    assert!(response.text.contains("role=\"alert\""), "{response:?}");
    assert!(!response.headers.contains_key("set-cookie"));

    let access = api.store.authenticate(&api.admin).await.unwrap().unwrap();
    let code = "code-of-a-test";
    api.store
        .create_login_link(access.token_id, code, &operator())
        .await
        .unwrap();
    let form = format!("code={code}");
    assert_eq!(post(&api, None, "/login", &form).await.status, 303);
    assert_eq!(post(&api, None, "/login", &form).await.status, 422);
}

#[tokio::test]
async fn a_session_ends_with_its_logout_and_with_its_token() {
    let api = TestApi::with_account().await;
    let first = Session::start(&api, &api.admin).await;
    first.page("/costs").await;
    assert_eq!(first.post("/logout", "").await.status, 303);
    assert_eq!(first.get("/costs").await.status, 303);

    let second = Session::start(&api, &api.admin).await;
    second.page("/costs").await;
    let access = api.store.authenticate(&api.admin).await.unwrap().unwrap();
    api.store
        .revoke_token(access.token_id, &operator())
        .await
        .unwrap();
    assert_eq!(second.get("/costs").await.status, 303);
}

#[tokio::test]
async fn an_idle_session_and_an_old_one_have_ended() {
    let api = TestApi::empty().await;
    for change in [
        "update web_sessions set last_seen_at = now() - interval '8 hours 1 minute'",
        "update web_sessions set expires_at = now() - interval '1 second'",
    ] {
        let session = Session::start(&api, &api.admin).await;
        session.page("/costs").await;
        api.write_by_hand(change).await;
        assert_eq!(session.get("/costs").await.status, 303, "{change}");
    }
}

#[tokio::test]
async fn a_form_from_another_site_is_refused() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    let request = Request::post("/logout")
        .header("cookie", &session.cookie)
        .header("sec-fetch-site", "cross-site")
        .header("origin", "https://example.com")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::empty());
    assert_eq!(api.send(request).await.status, 403);
    session.page("/costs").await;
}

#[tokio::test]
async fn pages_have_a_strict_policy_and_are_not_cached() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    let response = session.get("/costs").await;
    let policy = response.headers["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
    assert!(!policy.contains("unsafe"));
    assert_eq!(response.headers["cache-control"], "no-store");
    assert_eq!(response.headers["referrer-policy"], "same-origin");
    let style = response.text.split("href=\"/assets/style-").nth(1).unwrap();
    let style = format!("/assets/style-{}", style.split('"').next().unwrap());
    let response = api.get("", &style).await;
    assert_eq!(response.status, 200);
    let caching = response.headers["cache-control"].to_str().unwrap();
    assert!(caching.contains("immutable"));
}

#[tokio::test]
async fn errors_of_pages_are_pages() {
    let api = TestApi::empty().await;
    let tenant = Session::start(&api, &api.acme).await;
    let response = tenant.get("/costs").await;
    assert_eq!(response.status, 403);
    assert_eq!(response.headers["content-type"], "text/html; charset=utf-8");
    let admin = Session::start(&api, &api.admin).await;
    let response = admin.get("/costs?group_by=colour").await;
    assert_eq!(response.status, 400);
    assert!(response.text.contains("<h1>"), "{}", response.text);
}

#[tokio::test]
async fn names_of_tokens_are_text_and_not_html() {
    let api = TestApi::empty().await;
    let token = api::generate_token();
    let token = secrecy::ExposeSecret::expose_secret(&token);
    let new = NewToken {
        name: "<script>alert(1)</script>",
        role: &Role::PlatformAdmin,
        costs: false,
        token,
        lifetime: None,
    };
    api.store.create_token(new, &operator()).await.unwrap();
    let page = Session::start(&api, token).await.page("/costs").await;
    assert!(!page.contains("<script>alert"), "{page}");
}
