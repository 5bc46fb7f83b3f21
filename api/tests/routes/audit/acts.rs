//! Every route that changes data leaves an entry in the audit, or is exempt with a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use domain::ResourceKind;
use store::Role;
use store::audit::AuditFilter;
use uuid::Uuid;

use crate::pages::Session;
use crate::pages::sync::{connect, with_hold_of};
use crate::support::{APRIL, TestApi, column, operator, rows, token};

/// Routes that leave no entry, with the reason.
const EXEMPT: [(&str, &str); 1] = [("POST /theme", "stores nothing: the browser keeps the theme")];

/// A request that changes data.
struct Act {
    /// Method and path of the route.
    route: &'static str,
    path: String,
    /// A JSON object, or the fields of a form.
    body: String,
    /// The actions of the entries that it leaves.
    actions: &'static [&'static str],
}

fn act(
    route: &'static str,
    path: impl Into<String>,
    body: impl Into<String>,
    actions: &'static [&'static str],
) -> Act {
    Act {
        route,
        path: path.into(),
        body: body.into(),
        actions,
    }
}

/// The objects of the acts.
struct Objects {
    resource: String,
    project: String,
    line: String,
    /// Held deletions.
    volumes: String,
    vpcs: String,
    token: Uuid,
    /// Overrides without a line, and a line to apply them to.
    orphans: Vec<String>,
    new_line: String,
}

/// Overrides lines of May that a correction removes. Returns them, and a line that remains.
async fn orphans(api: &TestApi) -> (Vec<String>, String) {
    let lines = async || {
        let path = "/api/v1/billing/cost-lines?period=2026-05";
        column(&api.get(&api.admin, path).await.ok(), "id")
    };
    let row = |name| format!("Droplets,,{name} (s-1vcpu-1gb),1,,,$1.00,,");
    let names = ["a", "b", "c", "d"].map(row);
    api.invoice("2026-05", "4.00", &names.join("\n")).await;
    let removed = lines().await;
    for line in &removed {
        let path = format!("/api/v1/billing/cost-lines/{line}/match");
        let shared = r#"{"resource_id": null}"#;
        api.put(&api.admin, &path, shared).await.ok();
    }
    api.invoice("2026-05", "1.00", &row("other")).await;
    (removed, lines().await.remove(0))
}

/// Closes a month, of which DigitalOcean then corrects the invoice.
async fn corrected(api: &TestApi, period: &str) {
    api.invoice(period, "1.00", "Droplets,,a,1,,,$1.00,,").await;
    api.close(period).await;
    api.invoice(period, "2.00", "Droplets,,a,1,,,$2.00,,").await;
}

impl Objects {
    async fn create(api: &TestApi) -> Self {
        for period in ["2026-01", "2026-02"] {
            corrected(api, period).await;
        }
        let lines = "/api/v1/billing/cost-lines?period=2026-04";
        let lines = api.get(&api.admin, lines).await.ok();
        let (orphans, new_line) = orphans(api).await;
        Self {
            orphans,
            new_line,
            resource: api.resource_id("web-1").await,
            project: api.project_id("alpha").await,
            line: column(&lines, "id").remove(0),
            volumes: with_hold_of(api, ResourceKind::VOLUME).await,
            vpcs: with_hold_of(api, ResourceKind::named("vpc")).await,
            token: token(&api.store, &Role::PlatformAdmin).await.0,
        }
    }
}

/// Returns the acts in an order in which each changes something.
async fn acts(api: &TestApi) -> Vec<Act> {
    let objects = Objects::create(api).await;
    let mut acts = acts_of_the_api(&objects);
    acts.extend(acts_of_pages(&objects, &api.admin));
    acts
}

const OVERRIDDEN: &[&str] = &["cost_line_match_overridden"];
const WITHDRAWN: &[&str] = &["cost_line_match_withdrawn"];
const APPLIED: &[&str] = &["orphaned_override_applied"];
const DISMISSED: &[&str] = &["orphaned_override_dismissed"];
const ACCEPTED: &[&str] = &["correction_accepted"];
const REOPENED: &[&str] = &["month_reopened"];
const RUN: &[&str] = &["run_requested", "run_started"];

fn acts_of_the_api(objects: &Objects) -> Vec<Act> {
    let Objects {
        resource,
        project,
        line,
        volumes,
        orphans,
        new_line,
        ..
    } = objects;
    let orphan = |place: usize| format!("/api/v1/billing/orphaned-overrides/{}", orphans[place]);
    let match_path = format!("/api/v1/billing/cost-lines/{line}/match");
    vec![
        act(
            "POST /api/v1/billing/months/{period}/close",
            "/api/v1/billing/months/2026-04/close",
            "{}",
            RUN,
        ),
        act(
            "POST /api/v1/billing/months/{period}/correction",
            "/api/v1/billing/months/2026-01/correction",
            r#"{"accept": true, "after": "2.00"}"#,
            ACCEPTED,
        ),
        act(
            "POST /api/v1/billing/months/{period}/reopen",
            "/api/v1/billing/months/2026-01/reopen",
            r#"{"reason": "a wrong tenant"}"#,
            REOPENED,
        ),
        act(
            "PATCH /api/v1/projects/{id}",
            format!("/api/v1/projects/{project}"),
            r#"{"tenant_id": "globex"}"#,
            &["project_changed"],
        ),
        act(
            "PATCH /api/v1/inventory/{id}",
            format!("/api/v1/inventory/{resource}"),
            r#"{"tenant_id": "globex"}"#,
            &["resource_override_changed"],
        ),
        act(
            "PUT /api/v1/billing/cost-lines/{id}/match",
            &match_path,
            format!(r#"{{"resource_id": "{resource}"}}"#),
            OVERRIDDEN,
        ),
        act(
            "DELETE /api/v1/billing/cost-lines/{id}/match",
            &match_path,
            "",
            WITHDRAWN,
        ),
        act(
            "POST /api/v1/billing/orphaned-overrides/{id}/apply",
            format!("{}/apply", orphan(0)),
            format!(r#"{{"line_id": "{new_line}"}}"#),
            APPLIED,
        ),
        act(
            "DELETE /api/v1/billing/orphaned-overrides/{id}",
            orphan(1),
            "",
            DISMISSED,
        ),
        act(
            "PUT /api/v1/billing/spread-rules/{valid_from}",
            "/api/v1/billing/spread-rules/2026-04",
            r#"{"rule": "even"}"#,
            &["allocation_rule_set"],
        ),
        act(
            "PATCH /api/v1/held-deletions/{id}",
            format!("/api/v1/held-deletions/{volumes}"),
            r#"{"decision": "approve"}"#,
            &["held_deletion_approved"],
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "one list of acts")]
fn acts_of_pages(objects: &Objects, admin: &str) -> Vec<Act> {
    let Objects {
        resource,
        project,
        line,
        vpcs,
        token,
        orphans,
        new_line,
        ..
    } = objects;
    vec![
        act(
            "POST /months/{period}/close",
            "/months/2026-04/close",
            "approve=",
            RUN,
        ),
        act(
            "POST /months/{period}/correction",
            "/months/2026-02/correction",
            "after=2.00",
            ACCEPTED,
        ),
        act(
            "POST /months/{period}/reopen",
            "/months/2026-02/reopen",
            "reason=a+wrong+tenant",
            REOPENED,
        ),
        act(
            "POST /lines/overrides/{id}",
            format!("/lines/overrides/{}", orphans[2]),
            format!("line={new_line}"),
            APPLIED,
        ),
        act(
            "POST /lines/overrides/{id}/dismiss",
            format!("/lines/overrides/{}/dismiss", orphans[3]),
            "reason=old",
            DISMISSED,
        ),
        act(
            "POST /projects/{id}/tenant",
            format!("/projects/{project}/tenant"),
            "tenant=acme&since=2026-04-01",
            &["project_changed"],
        ),
        act(
            "POST /inventory/{id}/override",
            format!("/inventory/{resource}/override"),
            "tenant=acme",
            &["resource_override_changed"],
        ),
        act(
            "POST /lines/{id}/match",
            format!("/lines/{line}/match"),
            "choice=shared&reason=old",
            OVERRIDDEN,
        ),
        act(
            "POST /lines/{id}/match",
            format!("/lines/{line}/match"),
            "choice=rules",
            WITHDRAWN,
        ),
        act(
            "POST /months/{period}/rule",
            "/months/2026-04/rule",
            "rule=proportional&save=yes",
            &["allocation_rule_set"],
        ),
        act(
            "POST /sync/held-deletions/{id}",
            format!("/sync/held-deletions/{vpcs}"),
            "decision=reject",
            &["held_deletion_rejected"],
        ),
        act("POST /sync/run", "/sync/run", "schedule=sync-projects", RUN),
        act("POST /sync/run", "/sync/run", "kind=volume", RUN),
        act(
            "POST /invoices/{uuid}/ingest",
            format!("/invoices/{APRIL}/ingest"),
            "",
            RUN,
        ),
        act(
            "POST /settings/tokens",
            "/settings/tokens",
            "name=ci&role=tenant&tenant=acme",
            &["token_created"],
        ),
        act(
            "POST /settings/tokens/{id}/rotate",
            format!("/settings/tokens/{token}/rotate"),
            "overlap=7d&expires=90d",
            &["token_rotated"],
        ),
        act(
            "POST /settings/tokens/{id}/revoke",
            format!("/settings/tokens/{token}/revoke"),
            "",
            &["token_revoked"],
        ),
        act(
            "POST /login",
            "/login",
            format!("token={admin}"),
            &["logged_in"],
        ),
        act("POST /logout", "/logout", "", &["logged_out"]),
    ]
}

/// Returns the paths of `.route(PATH, METHODS)` in a source with the methods that change data.
fn routes_of(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for call in source.split(".route(").skip(1) {
        let mut depth = 1;
        let end = call.find(|letter: char| {
            depth += match letter {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let call = &call[..end.unwrap()];
        let (path, methods) = call.split_once(',').unwrap();
        let path = match path.trim() {
            text if text.starts_with('"') => text.trim_matches('"').to_owned(),
            name => {
                let constant = format!("const {name}: &str = \"");
                let (_, text) = source.split_once(&constant).unwrap();
                text.split('"').next().unwrap().to_owned()
            }
        };
        for method in ["post", "put", "patch", "delete"] {
            if methods.contains(&format!("{method}(")) {
                found.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    found
}

/// Collects the routes of all pages that change data.
fn collect_pages(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_pages(&path, found);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for unseen in [
            "route_service",
            "MethodRouter",
            "MethodFilter",
            "routing::any",
        ] {
            assert!(!source.contains(unseen), "{unseen} in {}", path.display());
        }
        found.extend(routes_of(&source));
    }
}

/// Returns all routes that change data.
async fn changing_routes(api: &TestApi) -> BTreeSet<String> {
    let document = api.get("", "/api/v1/openapi.json").await.ok();
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys();
        let changing = methods.filter(|method| *method != "get");
        routes.extend(changing.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages");
    collect_pages(&pages, &mut routes);
    routes
}

/// Returns the number of the last entry.
async fn last_number(api: &TestApi) -> i64 {
    let last = api.store.audit(&AuditFilter::default(), None, 1).await;
    last.unwrap().first().map_or(0, |entry| entry.number)
}

/// Sends the request of an act, with the token or with a session.
async fn send(api: &TestApi, session: &Session<'_>, act: &Act, query: &str) -> u16 {
    let path = format!("{}{query}", act.path);
    let (method, _) = act.route.split_once(' ').unwrap();
    let response = match method {
        "PATCH" => api.patch(&api.admin, &path, &act.body).await,
        "PUT" => api.put(&api.admin, &path, &act.body).await,
        "DELETE" => api.delete(&api.admin, &path).await,
        "POST" if path.starts_with("/api/") => api.post(&api.admin, &path, &act.body).await,
        _ => session.post(&path, &act.body).await,
    };
    assert!(
        response.status.as_u16() < 400,
        "{}: {response:?}",
        act.route
    );
    response.status.as_u16()
}

#[tokio::test]
async fn every_route_that_changes_data_leaves_an_entry() {
    let mut api = TestApi::with_account().await;
    connect(&mut api);
    let acts = acts(&api).await;
    let covered = acts.iter().map(|act| act.route.to_owned());
    let exempt = EXEMPT.iter().map(|(route, _)| (*route).to_owned());
    let covered: BTreeSet<String> = covered.chain(exempt).collect();
    assert_eq!(changing_routes(&api).await, covered);

    let session = Session::start(&api, &api.admin).await;
    let token = api.store.authenticate(&api.admin).await.unwrap().unwrap();
    for act in &acts {
        let before = last_number(&api).await;
        let has_no_dry_run = ["held-deletions", "/months/"];
        let has_no_dry_run = has_no_dry_run.iter().any(|part| act.route.contains(part));
        if act.route.contains("/api/v1/") && !has_no_dry_run {
            send(&api, &session, act, "?dry_run=true").await;
            assert_eq!(last_number(&api).await, before, "{}", act.route);
        }
        send(&api, &session, act, "").await;
        let is_page = !act.route.contains("/api/v1/");
        let entries = api.store.audit(&AuditFilter::default(), None, 10).await;
        let mut entries = entries.unwrap();
        entries.retain(|entry| entry.number > before);
        entries.reverse();
        let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, act.actions, "{}", act.route);
        for entry in entries {
            assert_eq!(entry.token_id, Some(token.token_id), "{}", act.route);
            let channel = if is_page { "page" } else { "api" };
            assert_eq!(entry.channel, channel, "{}", act.route);
            assert_eq!(entry.session_id.is_some(), is_page, "{}", act.route);
            assert!(entry.request_id.is_some(), "{}", act.route);
        }
    }
    let chain = api.store.verify_audit().await.unwrap();
    assert_eq!(chain.broken_at, None);
}

#[tokio::test]
async fn a_refused_request_leaves_no_entry() {
    let mut api = TestApi::with_account().await;
    let temporal = connect(&mut api);
    let acts = acts(&api).await;
    let session = Session::start(&api, &api.acme).await;
    let before = last_number(&api).await;
    let for_all = ["POST /login", "POST /logout"];
    for act in acts.iter().filter(|act| !for_all.contains(&act.route)) {
        let (method, _) = act.route.split_once(' ').unwrap();
        let response = match method {
            "PATCH" => api.patch(&api.acme, &act.path, &act.body).await,
            "PUT" => api.put(&api.acme, &act.path, &act.body).await,
            "DELETE" => api.delete(&api.acme, &act.path).await,
            "POST" if act.path.starts_with("/api/") => {
                api.post(&api.acme, &act.path, &act.body).await
            }
            _ => session.post(&act.path, &act.body).await,
        };
        assert_eq!(response.status, 403, "{}", act.route);
    }
    let session = Session::start(&api, &api.admin).await;
    let before = before + 1;
    assert_eq!(last_number(&api).await, before, "the login");
    for (path, fields) in [
        ("/login", "token=arc_unknown"),
        ("/login", "code=unknown"),
        ("/sync/run", "schedule=unknown"),
        ("/sync/run", "kind=unknown"),
        ("/settings/tokens", "name=&role=tenant&tenant=acme"),
        ("/months/2026-04/rule", "rule=even"),
        ("/theme", "theme=dark"),
    ] {
        session.post(path, fields).await;
        assert_eq!(last_number(&api).await, before, "{path} {fields}");
    }
    assert!(temporal.starts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_entry_contains_a_token_a_code_or_a_session() {
    let api = TestApi::empty().await;
    let access = api.store.authenticate(&api.admin).await.unwrap().unwrap();
    let (code, actor) = ("code-of-a-test", operator());
    let link = api.store.create_login_link(access.token_id, code, &actor);
    link.await.unwrap();
    let logged_in = crate::pages::post(&api, None, "/login", &format!("code={code}")).await;
    let cookie = logged_in.headers["set-cookie"].to_str().unwrap().to_owned();
    let session = cookie.split(['=', ';']).nth(1).unwrap();
    let list = super::entries(&api, "").await;
    assert_eq!(rows(&list).len(), 5, "{list}");
    let text = list.to_string();
    for secret in [&*api.admin, &*api.acme, code, session] {
        assert!(!text.contains(secret), "{secret}");
        let hash = sha256_hex(&api, secret).await;
        assert!(!text.contains(&hash), "the hash of {secret}");
    }
}

/// Returns the SHA-256 of a text in hexadecimal digits.
async fn sha256_hex(api: &TestApi, text: &str) -> String {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(&api.database_url())
        .await
        .unwrap();
    sqlx::query_scalar("select encode(sha256(convert_to($1, 'UTF8')), 'hex')")
        .bind(text)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}
