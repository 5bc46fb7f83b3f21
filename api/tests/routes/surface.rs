//! Tests of protections against abuse: rate limits, header and path limits, security headers and
//! slow clients.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use api::{Rate, RateLimits, Settings};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sqlx::{Connection as _, PgConnection};
use store::{Role, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Response, TestApi, operator, respond, token, with_token};

const INVENTORY: &str = "/api/v1/inventory";

/// Returns settings with limits per minute, for requests per token and unknown tokens per address.
/// A minute is longer than any of these tests.
fn limited(api: &TestApi, requests: u32, failures: u32) -> Settings {
    let rate = |count| Rate::per_minute(NonZeroU32::new(count).unwrap());
    Settings {
        rate_limits: RateLimits {
            requests: rate(requests),
            failures: rate(failures),
            ..RateLimits::default()
        },
        ..Settings::from(api.store.clone())
    }
}

async fn get(router: &Router, token: &str, path: &str) -> Response {
    let request = with_token(token, Request::get(path)).body(Body::empty());
    respond(router.clone(), request.unwrap()).await
}

async fn serve(settings: Settings) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(api::serve(listener, settings, std::future::pending()));
    address
}

/// Sends a request on a new connection and returns the response until the server closes it.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// Returns the status of a request for the inventory.
async fn status(address: SocketAddr, token: &str) -> u16 {
    status_with_fields("", address, token).await
}

/// Returns the status of a request for the inventory with further header fields.
async fn status_with_fields(fields: &str, address: SocketAddr, token: &str) -> u16 {
    let request = format!(
        "GET {INVENTORY} HTTP/1.1\r\nhost: localhost\r\n{fields}authorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    let text = exchange(address, &request).await;
    let status = text.split(' ').nth(1).unwrap();
    status.parse().unwrap()
}

#[tokio::test]
async fn a_token_over_its_rate_limit_gets_retry_after_and_others_do_not() {
    let api = TestApi::empty().await;
    let router = api::router(limited(&api, 3, 1));
    for _ in 0..3 {
        get(&router, &api.admin, INVENTORY).await.ok();
    }
    let refused = get(&router, &api.admin, INVENTORY).await;
    refused.problem(429);
    let wait: u64 = refused.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    // With three requests a minute, one is available every 20 seconds.
    assert!((1..=21).contains(&wait), "{wait}");
    get(&router, &api.acme, INVENTORY).await.ok();
}

#[tokio::test]
async fn routes_without_a_token_are_not_limited() {
    let api = TestApi::empty().await;
    let router = api::router(limited(&api, 1, 1));
    for _ in 0..3 {
        for path in ["/healthz", "/readyz", "/api/v1/openapi.json"] {
            let response = get(&router, &api.admin, path).await;
            assert_eq!(response.status, 200, "{path}");
        }
    }
    get(&router, &api.admin, INVENTORY).await.ok();
}

#[tokio::test]
async fn slow_requests_of_one_token_do_not_block_other_tokens() {
    let api = TestApi::empty().await;
    let store = Store::connect(&api.database_url(), 3).await.unwrap();
    let router = api::router(Settings {
        rate_limits: RateLimits {
            at_once: NonZeroU32::new(2).unwrap(),
            ..RateLimits::default()
        },
        ..Settings::from(store)
    });
    let mut other = PgConnection::connect(&api.database_url()).await.unwrap();
    let mut locking = other.begin().await.unwrap();
    sqlx::query("lock table cloud_resources in access exclusive mode")
        .execute(&mut *locking)
        .await
        .unwrap();
    let requests: Vec<_> = (0..10)
        .map(|_| {
            let (router, token) = (router.clone(), api.acme.clone());
            tokio::spawn(async move { get(&router, &token, INVENTORY).await.status })
        })
        .collect();
    let wait = async {
        let waiting = "select count(*) from pg_locks
            where not granted and relation in ('cloud_resources'::regclass, 'cloud_resource_rows'::regclass)";
        while sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&mut *locking)
            .await
            .unwrap()
            < 2
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap();
    for path in ["/api/v1/billing/invoices", "/readyz"] {
        get(&router, &api.admin, path).await.ok();
    }
    // Requests without a permit are refused with 429; the others complete.
    let (mut completed, mut refused) = (0, 0);
    let mut requests: FuturesUnordered<_> = requests.into_iter().collect();
    while refused < 8 {
        assert_eq!(requests.next().await.unwrap().unwrap(), 429);
        refused += 1;
    }
    locking.rollback().await.unwrap();
    while let Some(status) = requests.next().await {
        assert_eq!(status.unwrap(), 200);
        completed += 1;
    }
    assert_eq!((completed, refused), (2, 8));
}

#[tokio::test]
async fn metrics_without_a_token_are_on_a_separate_listener_only() {
    let api = TestApi::empty().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let metrics = listener.local_addr().unwrap();
    let settings = Settings {
        metrics_listener: Some(listener),
        ..Settings::from(api.store.clone())
    };
    let all = serve(settings).await;
    let get = async |address, path| {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        exchange(address, &request).await
    };
    let page = get(metrics, "/metrics").await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("arcadia_database_up 1"),
        "{page}"
    );
    let refused = get(all, "/metrics").await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    for (address, path) in [(metrics, "/healthz"), (metrics, "/api/v1/billing/balance")] {
        let response = get(address, path).await;
        assert!(response.starts_with("HTTP/1.1 404"), "{path}: {response}");
    }
    let alive = get(all, "/healthz").await;
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    // The metrics listener also has the metrics of the main listener.
    let page = get(metrics, "/metrics").await;
    assert!(page.contains(r#"route="/healthz""#), "{page}");
}

#[tokio::test]
async fn an_address_with_many_unknown_tokens_is_limited_to_known_tokens() {
    let api = TestApi::empty().await;
    let address = serve(limited(&api, 100, 3)).await;
    assert_eq!(status(address, &api.admin).await, 200);
    let mut statuses = Vec::new();
    for number in 0..6 {
        statuses.push(status(address, &format!("arc_guess{number}")).await);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429]);

    assert_eq!(status(address, &api.admin).await, 200);
    // A valid token without a previous request is refused too, because it is not looked up.
    assert_eq!(status(address, &api.acme).await, 429);
}

#[tokio::test]
async fn unknown_tokens_behind_a_proxy_do_not_block_other_addresses() {
    let api = TestApi::empty().await;
    let settings = Settings {
        trusted_proxies: 1,
        ..limited(&api, 100, 3)
    };
    let address = serve(settings).await;
    // The first entry is set by the caller; the proxy appends the caller's address.
    for number in 0..6 {
        let forwarded = format!("x-forwarded-for: 192.0.2.{number}, 198.51.100.1\r\n");
        let guess = format!("arc_guess{number}");
        let status = status_with_fields(&forwarded, address, &guess).await;
        assert_eq!(status, if number < 4 { 401 } else { 429 }, "{number}");
    }
    let of_another = "x-forwarded-for: 203.0.113.1\r\n";
    let status = status_with_fields(of_another, address, &api.acme).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let api = TestApi::empty().await;
    let (id, revoked) = token(&api.store, &Role::PlatformAdmin).await;
    api.get(&revoked, INVENTORY).await.ok();
    api.store.revoke_token(id, &operator()).await.unwrap();
    api.get(&revoked, INVENTORY).await.problem(401);
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let api = TestApi::empty().await;
    for (path, expected) in [
        ("/healthz", 200),
        ("/metrics", 200),
        (INVENTORY, 200),
        ("/api/v1/inventory/nonsense", 400),
        ("/nothing", 404),
    ] {
        let response = api.get(&api.admin, path).await;
        assert_eq!(response.status, expected, "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
        ] {
            let values: Vec<_> = response.headers.get_all(name).iter().collect();
            assert_eq!(values, [value], "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn the_hsts_header_is_sent_only_if_configured() {
    let api = TestApi::empty().await;
    for https_only in [true, false] {
        let router = api::router(Settings {
            https_only,
            ..Settings::from(api.store.clone())
        });
        let response = get(&router, &api.admin, INVENTORY).await;
        let has_header = response.headers.contains_key("strict-transport-security");
        assert_eq!(has_header, https_only);
    }
}

#[tokio::test]
async fn no_header_reveals_the_program_or_its_version() {
    let api = TestApi::empty().await;
    let address = serve(Settings::from(api.store.clone())).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let text = exchange(address, request).await;
    let head = text.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    for revealing in ["server:", "x-powered-by:", "via:", "axum", "hyper"] {
        assert!(!head.contains(revealing), "{revealing} is in\n{head}");
    }
}

#[tokio::test]
async fn a_long_path_or_large_headers_are_refused() {
    let api = TestApi::empty().await;
    let long = "x".repeat(8 * 1024);
    api.get(&api.admin, &format!("{INVENTORY}?q={long}"))
        .await
        .problem(414);
    let request = with_token(&api.admin, Request::get(INVENTORY))
        .header("x-one", &long)
        .header("x-other", &long);
    api.send(request.body(Body::empty())).await.problem(431);
}

#[tokio::test]
async fn an_endless_head_is_not_read_completely() {
    let api = TestApi::empty().await;
    let address = serve(Settings::from(api.store.clone())).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-endless: ")
        .await
        .unwrap();
    let mut written = 0;
    let chunk = [b'x'; 1024];
    // The server stops reading and closes the connection, so that writing fails once the buffers
    // are full.
    while stream.write_all(&chunk).await.is_ok() {
        written += chunk.len();
        assert!(written < 64 * 1024 * 1024, "the server reads all of it");
    }
}

#[tokio::test]
async fn a_connection_without_a_complete_request_is_closed() {
    let api = TestApi::empty().await;
    let address = serve(Settings::from(api.store.clone())).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HT").await.unwrap();
    // A response on another connection shows that this one is accepted.
    exchange(
        address,
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    // From here on all tasks wait for timers only, so that Tokio advances the paused clock at once.
    tokio::time::pause();
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    let closed = tokio::time::timeout(Duration::from_mins(2), read).await;
    // The server may close with or without a response.
    assert!(closed.is_ok(), "the connection stays open");
}
