//! Tests of `/settings/tokens`.

use store::Role;

use super::{Session, post};
use crate::support::TestApi;

const PATH: &str = "/settings/tokens";

#[tokio::test]
async fn a_created_token_is_shown_once_and_works() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    let fields = "name=ci+of+acme&role=tenant&tenant=acme";
    let created = session.post(PATH, fields).await;
    assert_eq!(created.status, 200, "{created:?}");
    assert_eq!(created.headers["cache-control"], "no-store");
    let start = created.text.find("arc_").unwrap();
    let token = created.text[start..].split('<').next().unwrap();
    let access = api.store.authenticate(token).await.unwrap().unwrap();
    assert_eq!(access.token_name, "ci of acme");
    assert_eq!(access.role, Role::Tenant("acme".parse().unwrap()));

    let page = session.page(PATH).await;
    assert!(
        page.contains("ci of acme") && !page.contains(token),
        "{page}"
    );
}

#[tokio::test]
async fn an_invalid_form_keeps_its_fields_and_creates_nothing() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    let before = api.store.tokens().await.unwrap().len();
    for fields in [
        "name=&role=platform_admin&tenant=",
        "name=%3Cb%3E&role=tenant&tenant=",
        "name=%3Cb%3E&role=platform_admin&tenant=acme",
        "name=%3Cb%3E&role=owner&tenant=",
    ] {
        let response = session.post(PATH, fields).await;
        assert_eq!(response.status, 422, "{fields}");
        assert!(response.text.contains("role=\"alert\""), "{fields}");
        let is_kept = response.text.contains("value=\"&#60;b&#62;\"");
        assert_eq!(is_kept, !fields.starts_with("name=&"), "{fields}");
    }
    assert_eq!(api.store.tokens().await.unwrap().len(), before);
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_its_sessions_end() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    let tokens = api.store.tokens().await.unwrap();
    let is_acme = |role: &Role| {
        role.tenant()
            .is_some_and(|tenant| tenant.as_str() == "acme")
    };
    let acme = tokens.iter().find(|token| is_acme(&token.role)).unwrap();
    let confirm = session.page(&format!("{PATH}?revoke={}", acme.id)).await;
    let action = format!("{PATH}/{}/revoke", acme.id);
    assert!(
        confirm.contains(&format!("action=\"{action}\"")),
        "{confirm}"
    );
    assert!(api.store.authenticate(&api.acme).await.unwrap().is_some());

    let response = session.post(&action, "").await;
    assert_eq!(response.headers["location"], PATH);
    assert!(api.store.authenticate(&api.acme).await.unwrap().is_none());
    assert!(session.page(PATH).await.contains(">revoked<"));

    // The own token: the session ends with it.
    let own = api.store.authenticate(&api.admin).await.unwrap().unwrap();
    let action = format!("{PATH}/{}/revoke", own.token_id);
    assert_eq!(session.post(&action, "").await.status, 303);
    let after = session.get(PATH).await;
    assert!(
        after.headers["location"]
            .to_str()
            .unwrap()
            .starts_with("/login")
    );
}

#[tokio::test]
async fn a_token_expires_after_the_chosen_time_and_its_sessions_end() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    for (expires, days) in [("", Some(365)), ("90d", Some(90)), ("never", None)] {
        let fields = format!("name=n{expires}&role=tenant&tenant=acme&expires={expires}");
        let created = session.post(PATH, &fields).await;
        assert_eq!(created.status, 200, "{created:?}");
        let tokens = api.store.tokens().await.unwrap();
        let token = &tokens[0];
        let lifetime = token
            .expires_at
            .map(|end| (end - token.created_at).num_days());
        assert_eq!(lifetime, days, "{expires}");
    }
    let refused = session
        .post(PATH, "name=n&role=platform_admin&expires=2y")
        .await;
    assert_eq!(refused.status, 422);

    let tenant = Session::start(&api, &api.acme).await;
    tenant.page("/").await;
    api.write_by_hand("update api_tokens set expires_at = now() where tenant_id = 'acme'")
        .await;
    assert_eq!(tenant.get("/").await.status, 303);
    let detail = api.get(&api.acme, "/api/v1/inventory").await.problem(401);
    assert!(detail.contains("expired"), "{detail}");
    let login = post(&api, None, "/login", &format!("token={}", api.acme)).await;
    assert_eq!(login.status, 422);
    let page = session.page(PATH).await;
    assert!(page.contains(">expired<"), "{page}");
}

#[tokio::test]
async fn a_rotation_shows_another_token_and_both_work_in_the_overlap() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.admin).await;
    let acme = api.store.authenticate(&api.acme).await.unwrap().unwrap();
    let form = session
        .page(&format!("{PATH}?rotate={}", acme.token_id))
        .await;
    let action = format!("{PATH}/{}/rotate", acme.token_id);
    assert!(form.contains(&format!("action=\"{action}\"")), "{form}");

    let created = session.post(&action, "overlap=1d&expires=90d").await;
    assert_eq!(created.status, 200, "{created:?}");
    let start = created.text.find("arc_").unwrap();
    let new = created.text[start..].split('<').next().unwrap();
    let access = api.store.authenticate(new).await.unwrap().unwrap();
    assert_eq!(
        (access.role, access.token_name),
        (acme.role, acme.token_name)
    );
    assert_ne!(access.token_id, acme.token_id);
    api.get(&api.acme, "/api/v1/inventory").await.ok();
    api.get(new, "/api/v1/inventory").await.ok();
    assert!(session.page(PATH).await.contains(">replaced<"));

    // The button was pressed twice.
    assert_eq!(
        session.post(&action, "overlap=1d&expires=90d").await.status,
        409
    );
    let ended = "update api_tokens set expires_at = now() where replaced_by is not null";
    api.write_by_hand(ended).await;
    api.get(&api.acme, "/api/v1/inventory").await.problem(401);
    api.get(new, "/api/v1/inventory").await.ok();
}

#[tokio::test]
async fn tokens_are_for_administrators() {
    let api = TestApi::empty().await;
    let session = Session::start(&api, &api.acme).await;
    assert_eq!(session.get(PATH).await.status, 403);
    let fields = "name=x&role=platform_admin&tenant=";
    assert_eq!(session.post(PATH, fields).await.status, 403);
    let own = api.store.authenticate(&api.acme).await.unwrap().unwrap();
    let rotate = format!("{PATH}/{}/rotate", own.token_id);
    assert_eq!(session.post(&rotate, "").await.status, 403);
    let admin = Session::start(&api, &api.admin).await;
    let unknown = format!("{PATH}/{}/revoke", crate::support::UNKNOWN);
    assert_eq!(admin.post(&unknown, "").await.status, 404);
}
