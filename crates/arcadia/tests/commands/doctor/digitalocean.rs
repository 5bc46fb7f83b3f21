//! Checks of tokens, their scopes and the keys of Spaces.

use axum::Router;
use axum::http::StatusCode;
use devstack::testing::unused_address;
use simulator::{Fault, FaultKind, RateLimit, Scopes};

use super::{Healthy, SECRET};
use crate::dev::{connection, count};

#[tokio::test]
async fn missing_invalid_and_ambiguous_tokens_are_reported() {
    let healthy = Healthy::start().await;
    let report = healthy.report(&[("DO_API_TOKEN", "")]).await;
    report.has_only(&["FAIL  digitalocean:", "set DO_API_TOKEN"]);

    let wrong = [("DO_API_TOKEN_CLOUD_BILLING", "dop_v1_revoked")];
    let report = healthy.report(&wrong).await;
    report.has_only(&["FAIL  token cloud-billing:", "DO_API_TOKEN_CLOUD_BILLING"]);

    let report = healthy.report(&[("DO_API_TOKEN_FILE", "/token")]).await;
    report.has_only(&["FAIL  digitalocean:", "DO_API_TOKEN_FILE"]);
}

#[tokio::test]
async fn a_missing_or_empty_token_file_is_reported() {
    let healthy = Healthy::start().await;
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let of_file = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let variables = [("DO_API_TOKEN_CLOUD_SYNC_FAST_FILE", of_file(&missing))];
    let report = healthy.report(&[(variables[0].0, &variables[0].1)]).await;
    report.has_only(&["FAIL  token cloud-sync-fast:", &variables[0].1]);

    let empty = directory.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let path = of_file(&empty);
    let report = healthy
        .report(&[("DO_API_TOKEN_CLOUD_SYNC_FAST_FILE", &path)])
        .await;
    report.has_only(&["FAIL  token cloud-sync-fast:", &path, "empty"]);

    std::fs::write(&empty, format!("{SECRET}\n")).unwrap();
    let report = healthy
        .report(&[("DO_API_TOKEN_CLOUD_SYNC_FAST_FILE", &path)])
        .await;
    assert_eq!(report.status, Some(0), "{:#?}", report.lines);
}

#[tokio::test]
async fn an_unconfigured_or_unreachable_vault_is_reported() {
    let healthy = Healthy::start().await;
    let path = ("ARCADIA_VAULT_PATH", "secret/arcadia");
    healthy
        .report(&[path])
        .await
        .has_only(&["FAIL  digitalocean:", "VAULT_ADDR"]);

    let address = format!("http://{}", unused_address());
    let vault = ("VAULT_ADDR", address.as_str());
    healthy.report(&[path, vault]).await.has_only(&[
        "FAIL  digitalocean:",
        "VAULT_TOKEN",
        "VAULT_ROLE_ID",
    ]);

    let full = ("DO_API_TOKEN_CLOUD_SYNC_FULL", SECRET);
    let fast = ("DO_API_TOKEN_CLOUD_SYNC_FAST", SECRET);
    let login = ("VAULT_TOKEN", "hvs.token");
    let unused = ("DO_API_TOKEN", "");
    healthy
        .report(&[path, vault, login, full, fast, unused])
        .await
        .has_only(&["FAIL  token cloud-billing:", "Vault", &address]);
}

#[tokio::test]
async fn each_missing_scope_is_reported_with_the_lost_data() {
    let healthy = Healthy::start().await;
    let granted = |purpose: ::digitalocean::Purpose, except: &[&str]| {
        let needs = purpose.needs();
        let scopes = needs.iter().map(|need| need.scope);
        let scopes = scopes.chain(["account:read"]);
        Scopes::only(scopes.filter(|scope| !except.contains(scope)))
    };
    let purpose = ::digitalocean::Purpose::CloudSyncFull;
    let accept = |token: &str, scopes: Scopes| {
        healthy
            .simulator
            .change(|account| account.accept_token(token, scopes));
    };
    let full = [("DO_API_TOKEN_CLOUD_SYNC_FULL", "dop_v1_full")];

    accept("dop_v1_full", granted(purpose, &["load_balancer:read"]));
    let report = healthy.report(&full).await;
    report.has_only(&[
        "warn  scopes cloud-sync-full:",
        "load balancers are not mirrored; grant load_balancer:read",
    ]);
    assert_eq!(report.status, Some(0));

    accept("dop_v1_full", granted(purpose, &["nfs:list"]));
    healthy
        .report(&full)
        .await
        .has_only(&["nfs shares are not mirrored, nfs snapshots are not mirrored; grant nfs:list"]);

    accept("dop_v1_full", granted(purpose, &["project:read"]));
    healthy
        .report(&full)
        .await
        .has_only(&["FAIL  scopes cloud-sync-full:", "grant project:read"]);

    accept(
        "dop_v1_billing",
        Scopes::only(["account:read", "droplet:read"]),
    );
    healthy
        .report(&[("DO_API_TOKEN_CLOUD_BILLING", "dop_v1_billing")])
        .await
        .has_only(&["FAIL  scopes cloud-billing:", "grant billing:read"]);

    accept("dop_v1_full", granted(purpose, &["account:read"]));
    healthy
        .report(&full)
        .await
        .has_only(&["warn  team cloud-sync-full:", "grant account:read"]);
}

#[tokio::test]
async fn tokens_of_another_team_than_the_databases_are_reported() {
    let healthy = Healthy::start().await;
    healthy.mirror_the_team("0f9e", "Merlin").await;
    let report = healthy.report(&[]).await;
    let problems = report.problems();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    for (line, purpose) in problems.into_iter().zip(::digitalocean::Purpose::ALL) {
        let check = format!("FAIL  team {purpose}:");
        assert!(line.starts_with(&check), "{line}");
        for part in ["DO_API_TOKEN", "Kestrel", "Merlin", "0f9e"] {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
    }
}

#[tokio::test]
async fn the_doctors_requests_count_against_the_workers_budget() {
    let healthy = Healthy::start().await;
    let limited = [
        ("ARCADIA_REQUESTS_PER_MINUTE", "240"),
        ("ARCADIA_REQUESTS_PER_HOUR", "4500"),
    ];
    let report = healthy.report(&limited).await;
    assert_eq!(report.status, Some(0), "{:#?}", report.lines);
    for purpose in ["cloud-sync-full", "cloud-billing"] {
        let start = format!("ok    budget {purpose}:");
        let line = report.lines.iter().find(|line| line.starts_with(&start));
        assert!(line.unwrap().contains("budget allows"), "{line:?}");
    }
    // A request is regained in about a second: more than thirty were counted.
    let mut database = connection(&healthy.database.url()).await;
    let counted = "select count(*) from cloud_request_budgets where hour_full_at > now() + interval '20 seconds'";
    assert_eq!(count(&mut database, counted).await, 1);

    sqlx::query("update cloud_request_budgets set closed_until = now() + interval '1 hour'")
        .execute(&mut database)
        .await
        .unwrap();
    let before = healthy.simulator.requests().len();
    let report = healthy.report(&limited).await;
    assert_eq!(report.status, Some(0), "{:#?}", report.lines);
    let problems = report.problems();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    for line in problems {
        assert!(line.starts_with("warn  scopes cloud-"), "{line}");
        assert!(line.contains("skipped"), "{line}");
    }
    let requests = healthy.simulator.requests();
    let made = requests[before..]
        .iter()
        .filter(|request| request.path.starts_with("/v2/"));
    assert_eq!(made.count(), 3, "one check of each token");
}

#[tokio::test]
async fn a_missing_internal_project_is_reported_and_not_created() {
    let healthy = Healthy::start().await;
    let missing = [("ARCADIA_INTERNAL_PROJECT", "missing-project")];
    let report = healthy.report(&missing).await;
    report.has_only(&[
        "warn  internal project:",
        "missing-project",
        "project:create",
    ]);
    let requests = healthy.simulator.requests();
    assert!(requests.iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn the_scopes_of_an_exhausted_token_are_not_checked() {
    let healthy = Healthy::start().await;
    healthy.simulator.change(|account| {
        account.set_rate_limit(RateLimit {
            per_hour: 100,
            ..RateLimit::GENEROUS
        });
    });
    let others = ::digitalocean::Client::new(&healthy.simulator.url(), SECRET.into()).unwrap();
    for _ in 0..91 {
        others.get_balance().await.unwrap();
    }
    let report = healthy.report(&[]).await;
    assert_eq!(report.status, Some(0));
    for (purpose, left) in [
        ("cloud-sync-full", 8),
        ("cloud-sync-fast", 7),
        ("cloud-billing", 6),
    ] {
        let expected = format!("warn  budget {purpose}: {left} of 100 requests");
        let is_reported = report.lines.iter().any(|line| line.starts_with(&expected));
        assert!(is_reported, "{expected}: {:#?}", report.lines);
    }
    let requests = healthy.simulator.requests();
    let made = requests
        .iter()
        .filter(|request| request.path.starts_with("/v2/"));
    assert_eq!(made.count(), 91 + 3);
}

#[tokio::test]
async fn the_limits_apply_to_every_spelling_of_digitaloceans_url() {
    let healthy = Healthy::start().await;
    // An unreachable proxy, so that no request leaves this machine.
    let proxy = format!("http://{}", unused_address());
    let limits = async |url: &str, changes: &[(&str, &str)]| {
        let mut variables = vec![("DIGITALOCEAN_API_URL", url), ("HTTPS_PROXY", &proxy)];
        variables.extend(changes);
        let report = healthy.report(&variables).await;
        let mut lines = report.lines.into_iter();
        lines.find(|line| line[6..].starts_with("limits:")).unwrap()
    };
    for url in [
        "https://api.digitalocean.com",
        "https://api.digitalocean.com/v2",
        "HTTPS://API.digitalocean.com/",
    ] {
        let line = limits(url, &[]).await;
        assert!(line.starts_with("ok"), "{line}");
        let expected = "240 requests per minute, 4500 requests per hour";
        assert!(line.contains(expected), "{line}");
    }
    let excessive = [
        ("ARCADIA_REQUESTS_PER_MINUTE", "0"),
        ("ARCADIA_REQUESTS_PER_HOUR", "5001"),
    ];
    let line = limits("https://api.digitalocean.com", &excessive).await;
    for part in [
        "warn",
        "unlimited requests per minute, 5001 requests per hour",
        "ARCADIA_REQUESTS_PER_MINUTE to less than 250",
        "ARCADIA_REQUESTS_PER_HOUR to less than 5000",
    ] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    let line = limits(&healthy.simulator.url(), &[]).await;
    assert!(line.starts_with("ok    limits: not limited"), "{line}");
}

#[tokio::test]
async fn an_unused_shared_token_is_reported() {
    let healthy = Healthy::start().await;
    let report = healthy
        .report(&[
            ("DO_API_TOKEN_CLOUD_SYNC_FULL", SECRET),
            ("DO_API_TOKEN_CLOUD_SYNC_FAST", SECRET),
            ("DO_API_TOKEN_CLOUD_BILLING", SECRET),
        ])
        .await;
    report.has_only(&["warn  tokens:", "DO_API_TOKEN is set but unused"]);
}

#[tokio::test]
async fn invalid_or_incomplete_spaces_keys_are_reported() {
    let healthy = Healthy::start().await;
    let report = healthy
        .report(&[("SPACES_SECRET_ACCESS_KEY", "another")])
        .await;
    report.has_only(&["FAIL  spaces:", "SPACES_ACCESS_KEY_ID"]);

    let report = healthy.report(&[("SPACES_ACCESS_KEY_ID", "")]).await;
    report.has_only(&["FAIL  digitalocean:", "SPACES_ACCESS_KEY_ID"]);
}

#[tokio::test]
async fn an_unreachable_digitalocean_is_reported_once() {
    let healthy = Healthy::start().await;
    let address = format!("http://{}", unused_address());
    let unreachable = ("DIGITALOCEAN_API_URL", address.as_str());
    let report = healthy.report(&[unreachable]).await;
    report.has_only(&[
        "FAIL  digitalocean:",
        &address,
        "check DIGITALOCEAN_API_URL",
    ]);

    let down = Fault::new(FaultKind::HtmlError { status: 503 }, "/v2/*");
    healthy.simulator.fail(down);
    let report = healthy.report(&[]).await;
    report.has_only(&[
        "FAIL  digitalocean:",
        "503",
        "https://status.digitalocean.com",
    ]);
}

#[tokio::test]
async fn another_server_is_reported_once_and_no_token_is_valid() {
    let healthy = Healthy::start().await;
    let page = "<!doctype html><title>Welcome</title>";
    let not_found = r#"{"id":"not_found","message":"nothing here"}"#;
    let (account, projects) = ("GET /v2/account", "GET /v2/projects?per_page=1");
    for (status, body, request, detail) in [
        (404, not_found, projects, "404: not_found"),
        (404, page, projects, "\"Welcome\""),
        (200, page, account, "HTML page"),
        (301, "", account, "301"),
    ] {
        let url = answering(status, body).await;
        let report = healthy.report(&[("DIGITALOCEAN_API_URL", &url)]).await;
        let fix = "correct DIGITALOCEAN_API_URL";
        report.has_only(&["FAIL  digitalocean:", request, detail, fix]);
        let is_valid = report.lines.iter().any(|line| line.contains("valid, from"));
        assert!(!is_valid, "{:#?}", report.lines);
    }
}

/// Starts a server that returns the same response to every request, and returns its URL.
async fn answering(status: u16, body: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let status = StatusCode::from_u16(status).unwrap();
    let app = Router::new().fallback(move || async move { (status, body) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn failed_lists_are_one_line_and_an_unknown_list_is_a_warning() {
    let healthy = Healthy::start().await;
    for path in ["/v2/volumes", "/v2/snapshots", "/v2/certificates"] {
        let fault = FaultKind::ServerError { status: 500 };
        healthy.simulator.fail(Fault::new(fault, path));
    }
    let report = healthy.report(&[]).await;
    report.has_only(&["FAIL  scopes cloud-sync-full:", "3 of "]);

    healthy.simulator.clear_faults();
    let fault = Fault::new(FaultKind::NotFound, "/v2/certificates");
    healthy.simulator.fail(fault);
    let report = healthy.report(&[]).await;
    report.has_only(&[
        "warn  scopes cloud-sync-full:",
        "certificates are not mirrored",
    ]);
}
