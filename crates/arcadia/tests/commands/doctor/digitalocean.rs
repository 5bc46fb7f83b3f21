//! Tokens, what they may read, and the keys of Spaces.

use axum::Router;
use axum::http::StatusCode;
use devstack::testing::unused_address;
use simulator::{Fault, FaultKind, RateLimit, Scopes};

use super::{Healthy, SECRET};
use crate::dev::{connection, count};

#[tokio::test]
async fn a_missing_token_a_wrong_one_and_two_for_one_purpose_are_told() {
    let healthy = Healthy::start().await;
    let said = healthy.says(&[("DO_API_TOKEN", "")]).await;
    said.only(&["FAIL  digitalocean:", "set DO_API_TOKEN"]);

    let wrong = [("DO_API_TOKEN_CLOUD_BILLING", "dop_v1_revoked")];
    let said = healthy.says(&wrong).await;
    said.only(&[
        "FAIL  token cloud-billing:",
        "the token of DO_API_TOKEN_CLOUD_BILLING is wrong, expired or revoked",
    ]);

    let said = healthy.says(&[("DO_API_TOKEN_FILE", "/token")]).await;
    said.only(&["FAIL  digitalocean:", "both set: set one of them"]);
}

#[tokio::test]
async fn a_token_file_that_is_missing_or_empty_is_told() {
    let healthy = Healthy::start().await;
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let of_file = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let variables = [("DO_API_TOKEN_CLOUD_SYNC_FAST_FILE", of_file(&missing))];
    let said = healthy.says(&[(variables[0].0, &variables[0].1)]).await;
    said.only(&[
        "FAIL  token cloud-sync-fast:",
        &variables[0].1,
        "put the secret there",
    ]);

    let empty = directory.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let path = of_file(&empty);
    let said = healthy
        .says(&[("DO_API_TOKEN_CLOUD_SYNC_FAST_FILE", &path)])
        .await;
    said.only(&["FAIL  token cloud-sync-fast:", &path, "is empty"]);

    std::fs::write(&empty, format!("{SECRET}\n")).unwrap();
    let said = healthy
        .says(&[("DO_API_TOKEN_CLOUD_SYNC_FAST_FILE", &path)])
        .await;
    assert_eq!(said.status, Some(0), "{:#?}", said.lines);
}

#[tokio::test]
async fn a_vault_without_an_address_without_a_login_or_away_is_told() {
    let healthy = Healthy::start().await;
    let path = ("ARCADIA_VAULT_PATH", "secret/arcadia");
    healthy
        .says(&[path])
        .await
        .only(&["FAIL  digitalocean:", "VAULT_ADDR is not"]);

    let address = format!("http://{}", unused_address());
    let vault = ("VAULT_ADDR", address.as_str());
    healthy
        .says(&[path, vault])
        .await
        .only(&["FAIL  digitalocean:", "nothing says how to log in to Vault"]);

    let full = ("DO_API_TOKEN_CLOUD_SYNC_FULL", SECRET);
    let fast = ("DO_API_TOKEN_CLOUD_SYNC_FAST", SECRET);
    let login = ("VAULT_TOKEN", "hvs.token");
    let unused = ("DO_API_TOKEN", "");
    healthy
        .says(&[path, vault, login, full, fast, unused])
        .await
        .only(&[
            "FAIL  token cloud-billing:",
            "Vault cannot be reached",
            &address,
        ]);
}

#[tokio::test]
async fn each_missing_scope_is_told_with_what_it_costs() {
    let healthy = Healthy::start().await;
    let granted = |purpose: ::digitalocean::Purpose, but: &[&str]| {
        let needs = purpose.needs();
        let scopes = needs.iter().map(|need| need.scope);
        let scopes = scopes.chain(["account:read"]);
        Scopes::only(scopes.filter(|scope| !but.contains(scope)))
    };
    let purpose = ::digitalocean::Purpose::CloudSyncFull;
    let accept = |token: &str, scopes: Scopes| {
        healthy
            .simulator
            .change(|account| account.accept_token(token, scopes));
    };
    let full = [("DO_API_TOKEN_CLOUD_SYNC_FULL", "dop_v1_full")];

    accept("dop_v1_full", granted(purpose, &["load_balancer:read"]));
    let said = healthy.says(&full).await;
    said.only(&[
        "warn  scopes cloud-sync-full:",
        "load balancers are not mirrored; grant load_balancer:read",
    ]);
    assert_eq!(said.status, Some(0));

    accept("dop_v1_full", granted(purpose, &["nfs:list"]));
    healthy
        .says(&full)
        .await
        .only(&["nfs shares are not mirrored, nfs snapshots are not mirrored; grant nfs:list"]);

    accept("dop_v1_full", granted(purpose, &["project:read"]));
    healthy.says(&full).await.only(&[
        "FAIL  scopes cloud-sync-full:",
        "no resource is given to a project or a tenant; grant project:read",
    ]);

    accept(
        "dop_v1_billing",
        Scopes::only(["account:read", "droplet:read"]),
    );
    healthy
        .says(&[("DO_API_TOKEN_CLOUD_BILLING", "dop_v1_billing")])
        .await
        .only(&["FAIL  scopes cloud-billing:", "grant billing:read"]);

    accept("dop_v1_full", granted(purpose, &["account:read"]));
    healthy.says(&full).await.only(&[
        "warn  team cloud-sync-full:",
        "one of another team would go unnoticed: grant account:read",
    ]);
}

#[tokio::test]
async fn tokens_of_another_team_than_the_one_in_the_database_are_told() {
    let healthy = Healthy::start().await;
    healthy.mirror_the_team("0f9e", "Merlin").await;
    let said = healthy.says(&[]).await;
    let wrong = said.lines.iter().filter(|line| !line.starts_with("ok"));
    let wrong: Vec<_> = wrong.collect();
    assert_eq!(wrong.len(), 3, "{wrong:#?}");
    for (line, purpose) in wrong.into_iter().zip(::digitalocean::Purpose::ALL) {
        for part in [
            &format!(
                "FAIL  team {purpose}: the token of DO_API_TOKEN is one of the team \"Kestrel\""
            ),
            "what is read here is the team \"Merlin\" (0f9e)'s: put a token of that team there",
        ] {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
    }
}

#[tokio::test]
async fn what_the_doctor_asks_counts_as_the_workers_own_and_waits_where_they_have_used_up_all() {
    let healthy = Healthy::start().await;
    let limited = [
        ("ARCADIA_REQUESTS_PER_MINUTE", "240"),
        ("ARCADIA_REQUESTS_PER_HOUR", "4500"),
    ];
    let said = healthy.says(&limited).await;
    assert_eq!(said.status, Some(0), "{:#?}", said.lines);
    let is_told = |purpose: &str| {
        let start = format!("ok    budget {purpose}:");
        said.lines.iter().any(|line| {
            line.starts_with(&start) && line.contains("an hour are left, and our own budget has ")
        })
    };
    assert!(
        is_told("cloud-sync-full") && is_told("cloud-billing"),
        "{:#?}",
        said.lines
    );
    // A request is regained in about a second: more than thirty were counted.
    let mut database = connection(&healthy.database.url()).await;
    let counted = "select count(*) from cloud_request_budgets where hour_full_at > now() + interval '20 seconds'";
    assert_eq!(count(&mut database, counted).await, 1);

    sqlx::query("update cloud_request_budgets set closed_until = now() + interval '1 hour'")
        .execute(&mut database)
        .await
        .unwrap();
    let before = healthy.simulator.requests().len();
    let said = healthy.says(&limited).await;
    assert_eq!(said.status, Some(0), "{:#?}", said.lines);
    let wrong = said.lines.iter().filter(|line| !line.starts_with("ok"));
    let wrong: Vec<_> = wrong.collect();
    assert_eq!(wrong.len(), 3, "{wrong:#?}");
    for line in wrong {
        assert!(line.starts_with("warn  scopes cloud-"), "{line}");
        assert!(
            line.contains("lists were not tried, since the workers need"),
            "{line}"
        );
    }
    let requests = healthy.simulator.requests();
    let asked = requests[before..]
        .iter()
        .filter(|request| request.path.starts_with("/v2/"));
    assert_eq!(asked.count(), 3, "whether each token is valid");
}

#[tokio::test]
async fn an_internal_project_that_is_missing_is_told_with_its_scope_and_not_made() {
    let healthy = Healthy::start().await;
    let missing = [("ARCADIA_INTERNAL_PROJECT", "nobody-has-made-it")];
    let said = healthy.says(&missing).await;
    said.only(&[
        "warn  internal project:",
        "no project nobody-has-made-it",
        "project:create",
    ]);
    let requests = healthy.simulator.requests();
    assert!(requests.iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn a_token_that_others_have_used_up_is_told_and_left_alone() {
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
    let said = healthy.says(&[]).await;
    assert_eq!(said.status, Some(0));
    for (purpose, left) in [
        ("cloud-sync-full", 8),
        ("cloud-sync-fast", 7),
        ("cloud-billing", 6),
    ] {
        let expected = format!("warn  budget {purpose}: {left} of 100 requests an hour are left");
        let is_told = said.lines.iter().any(|line| line.starts_with(&expected));
        assert!(is_told, "{expected}: {:#?}", said.lines);
    }
    let requests = healthy.simulator.requests();
    let asked = requests
        .iter()
        .filter(|request| request.path.starts_with("/v2/"));
    assert_eq!(asked.count(), 91 + 3);
}

#[tokio::test]
async fn the_limits_in_force_are_told_however_digitaloceans_address_is_written() {
    let healthy = Healthy::start().await;
    // Nobody is there, so that no request leaves this machine.
    let proxy = format!("http://{}", unused_address());
    let limits = async |url: &str, otherwise: &[(&str, &str)]| {
        let mut variables = vec![("DIGITALOCEAN_API_URL", url), ("HTTPS_PROXY", &proxy)];
        variables.extend(otherwise);
        let said = healthy.says(&variables).await;
        let mut lines = said.lines.into_iter();
        lines.find(|line| line[6..].starts_with("limits:")).unwrap()
    };
    for url in [
        "https://api.digitalocean.com",
        "https://api.digitalocean.com/v2",
        "HTTPS://API.digitalocean.com/",
    ] {
        let line = limits(url, &[]).await;
        assert!(line.starts_with("ok"), "{line}");
        let told = "make 240 requests per minute and 4500 requests per hour";
        assert!(line.contains(told), "{line}");
    }
    let wrong = [
        ("ARCADIA_REQUESTS_PER_MINUTE", "0"),
        ("ARCADIA_REQUESTS_PER_HOUR", "5001"),
    ];
    let line = limits("https://api.digitalocean.com", &wrong).await;
    for part in [
        "warn",
        "any number of requests per minute and 5001 requests per hour",
        "ARCADIA_REQUESTS_PER_MINUTE below the 250",
        "ARCADIA_REQUESTS_PER_HOUR below the 5000",
    ] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    let line = limits(&healthy.simulator.url(), &[]).await;
    assert!(line.starts_with("ok    limits: none of our own"), "{line}");
}

#[tokio::test]
async fn a_shared_token_that_nothing_uses_is_told() {
    let healthy = Healthy::start().await;
    let said = healthy
        .says(&[
            ("DO_API_TOKEN_CLOUD_SYNC_FULL", SECRET),
            ("DO_API_TOKEN_CLOUD_SYNC_FAST", SECRET),
            ("DO_API_TOKEN_CLOUD_BILLING", SECRET),
        ])
        .await;
    said.only(&["warn  tokens:", "DO_API_TOKEN is set and used for nothing"]);
}

#[tokio::test]
async fn keys_of_spaces_that_are_no_pair_are_told() {
    let healthy = Healthy::start().await;
    let said = healthy
        .says(&[("SPACES_SECRET_ACCESS_KEY", "another")])
        .await;
    said.only(&["FAIL  spaces:", "SPACES_ACCESS_KEY_ID"]);

    let said = healthy.says(&[("SPACES_ACCESS_KEY_ID", "")]).await;
    said.only(&["FAIL  digitalocean:", "SPACES_ACCESS_KEY_ID is not"]);
}

#[tokio::test]
async fn a_digitalocean_that_is_away_is_told_once() {
    let healthy = Healthy::start().await;
    let address = format!("http://{}", unused_address());
    let away = ("DIGITALOCEAN_API_URL", address.as_str());
    let said = healthy.says(&[away]).await;
    said.only(&["FAIL  digitalocean:", &address, "this machine's way to it"]);

    let down = Fault::new(FaultKind::HtmlError { status: 503 }, "/v2/*");
    healthy.simulator.fail(down);
    let said = healthy.says(&[]).await;
    said.only(&[
        "FAIL  digitalocean:",
        "503",
        "https://status.digitalocean.com",
    ]);
}

#[tokio::test]
async fn something_else_in_digitaloceans_place_is_told_once_and_no_token_is_called_valid() {
    let healthy = Healthy::start().await;
    let page = "<!doctype html><title>Welcome</title>";
    let not_found = r#"{"id":"not_found","message":"nothing here"}"#;
    for (status, body, told) in [
        (
            404,
            not_found,
            "GET /v2/projects?per_page=1 answered 404: not_found",
        ),
        (
            404,
            page,
            "GET /v2/projects?per_page=1 answered 404: an HTML page titled \"Welcome\"",
        ),
        (200, page, "GET /v2/account answered with an HTML page"),
        (301, "", "GET /v2/account answered 301"),
    ] {
        let url = answering(status, body).await;
        let said = healthy.says(&[("DIGITALOCEAN_API_URL", &url)]).await;
        said.only(&["FAIL  digitalocean:", told, "correct DIGITALOCEAN_API_URL"]);
        let is_valid = said.lines.iter().any(|line| line.contains("valid, from"));
        assert!(!is_valid, "{:#?}", said.lines);
    }
}

/// The address of a server that has one answer for everything.
async fn answering(status: u16, body: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let status = StatusCode::from_u16(status).unwrap();
    let app = Router::new().fallback(move || async move { (status, body) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn lists_that_cannot_be_tried_are_one_line_and_one_that_is_not_there_is_no_failure() {
    let healthy = Healthy::start().await;
    for path in ["/v2/volumes", "/v2/snapshots", "/v2/certificates"] {
        let fault = FaultKind::ServerError { status: 500 };
        healthy.simulator.fail(Fault::new(fault, path));
    }
    let said = healthy.says(&[]).await;
    said.only(&[
        "FAIL  scopes cloud-sync-full:",
        "3 of ",
        "run the doctor again",
    ]);

    healthy.simulator.clear_faults();
    let fault = Fault::new(FaultKind::NotFound, "/v2/certificates");
    healthy.simulator.fail(fault);
    let said = healthy.says(&[]).await;
    said.only(&[
        "warn  scopes cloud-sync-full:",
        "certificates are not mirrored",
    ]);
}
