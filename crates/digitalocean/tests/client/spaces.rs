//! Tests the list of Spaces buckets.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use digitalocean::spaces::{Bucket, REGIONS};
use digitalocean::{SpacesClient, SpacesError, SpacesKeys};
use simulator::{
    Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, Fault, FaultKind, MemberStatus, Simulator,
};

use crate::scripted::{ReceivedRequest, Scripted, with_type};

fn client_with(url: &str, id: &str, secret: &str) -> SpacesClient {
    let keys = SpacesKeys::new(Some(id.to_owned()), Some(secret.into()));
    SpacesClient::new(url, keys.unwrap().unwrap()).unwrap()
}

fn client(url: &str) -> SpacesClient {
    client_with(url, DEMO_SPACES_KEY, DEMO_SPACES_SECRET)
}

fn scripted_client(scripted: &Scripted) -> SpacesClient {
    client(&format!("{}/{{region}}", scripted.url))
}

fn list(buckets: &str, rest: &str) -> Response {
    let body = format!(
        "<ListAllMyBucketsResult><Buckets>{buckets}</Buckets>{rest}</ListAllMyBucketsResult>"
    );
    with_type(StatusCode::OK, "application/xml", &body)
}

fn bucket(name: &str, created_at: &str) -> String {
    format!("<Bucket><Name>{name}</Name><CreationDate>{created_at}</CreationDate></Bucket>")
}

fn names(buckets: &[Bucket]) -> Vec<(&str, Option<&str>)> {
    buckets
        .iter()
        .map(|bucket| (bucket.name.as_str(), bucket.region.as_deref()))
        .collect()
}

fn is_of(request: &ReceivedRequest, region: &str) -> bool {
    request.target.starts_with(&format!("/{region}/?"))
}

/// Asserts that the texts of an error contain neither the secret nor a signature.
fn assert_contains_no_secret(error: &SpacesError, signed: &[ReceivedRequest]) {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    let mut text = format!("{error:?}");
    while let Some(error) = source {
        text = format!("{text} {error}");
        source = error.source();
    }
    assert!(!text.contains(DEMO_SPACES_SECRET), "{text}");
    assert!(!text.contains("X-Amz"), "{text}");
    for request in signed {
        let signature = signature(request);
        assert!(!text.contains(&signature), "{text}");
    }
}

fn signature(request: &ReceivedRequest) -> String {
    let (_, signature) = request.target.split_once("X-Amz-Signature=").unwrap();
    assert_eq!(signature.len(), 64);
    signature.to_owned()
}

#[tokio::test]
async fn buckets_of_all_regions_are_listed_with_region_and_time() {
    let mut account = Account::empty();
    for (name, region) in [("images", "syd1"), ("exports", "nyc3"), ("archive", "syd1")] {
        account.add_resource("spaces_bucket", name, region);
    }
    // Buckets known only from a grant or from a project are not listed.
    let key = account.add_resource("spaces_key", "uploader", "syd1");
    account.grant_bucket(&key, "elsewhere", "read");
    let default = account.default_project();
    account.add_member(default, "do:space:gone", MemberStatus::NotFound);
    let expected = account.buckets().to_vec();
    let simulator = Simulator::start(account).await.unwrap();
    let listed = client(&simulator.spaces_url())
        .list_buckets()
        .await
        .unwrap();
    assert_eq!(
        names(&listed),
        [
            ("archive", Some("syd1")),
            ("exports", Some("nyc3")),
            ("images", Some("syd1")),
        ]
    );
    for bucket in expected {
        let found = listed.iter().find(|listed| listed.name == bucket.name);
        assert_eq!(found.unwrap().created_at, Some(bucket.created_at));
    }
    simulator.change(|account| account.remove_resource("spaces_bucket", "images"));
    let listed = client(&simulator.spaces_url()).list_buckets().await;
    assert_eq!(listed.unwrap().len(), 2);
}

#[tokio::test]
async fn every_region_is_requested_once_without_the_secret() {
    let server = Scripted::start(|_, _| list("", "")).await;
    let client = scripted_client(&server);
    assert_eq!(client.list_buckets().await.unwrap(), []);
    let requests = server.requests();
    assert_eq!(requests.len(), REGIONS.len());
    for region in REGIONS {
        let of_region = requests.iter().filter(|request| is_of(request, region));
        assert_eq!(of_region.count(), 1);
    }
    for request in requests {
        assert!(
            request
                .target
                .contains("X-Amz-Credential=DO00SIMULATORDEMOKEY%2F")
        );
        assert!(!request.headers.contains_key("authorization"));
        let all = format!("{} {:?}", request.target, request.headers);
        assert!(!all.contains(DEMO_SPACES_SECRET), "{all}");
    }
}

#[tokio::test]
async fn a_name_in_several_regions_is_one_bucket_without_a_region() {
    let server = Scripted::start(|_, request| {
        let time = "2025-03-01T00:00:00.000Z";
        match request {
            request if is_of(request, "ams3") => list(&bucket("both", time), ""),
            request if is_of(request, "fra1") => {
                let other = bucket("differs", "2025-03-01T00:00:01Z");
                list(&(bucket("both", time) + &bucket("one", time) + &other), "")
            }
            request if is_of(request, "tor1") => list(&bucket("differs", time), ""),
            _ => list("", ""),
        }
    })
    .await;
    let listed = scripted_client(&server).list_buckets().await.unwrap();
    let both = [("both", None), ("differs", None), ("one", Some("fra1"))];
    assert_eq!(names(&listed), both);
    assert!(listed[0].created_at.is_some() && listed[2].created_at.is_some());
    assert_eq!(listed[1].created_at, None);
}

#[tokio::test]
async fn continuation_pages_are_followed_up_to_a_limit() {
    let time = "2025-03-01T00:00:00.000Z";
    let server = Scripted::start(move |_, request| {
        if !is_of(request, "nyc3") {
            return list("", "");
        }
        // A token with special characters must be escaped and signed correctly.
        if request
            .target
            .contains("&continuation-token=a%2Fb%2B%20c%3D")
        {
            return list(&bucket("second", time), "");
        }
        let next = "<ContinuationToken>a/b+ c=</ContinuationToken>";
        list(&bucket("first", time), next)
    })
    .await;
    let listed = scripted_client(&server).list_buckets().await.unwrap();
    let both = [("first", Some("nyc3")), ("second", Some("nyc3"))];
    assert_eq!(names(&listed), both);

    for endless in [true, false] {
        let server = Scripted::start(move |number, _| {
            let token = if endless { number } else { 0 };
            let next = format!("<ContinuationToken>t{token}</ContinuationToken>");
            list("", &next)
        })
        .await;
        let error = scripted_client(&server).list_buckets().await.unwrap_err();
        assert!(
            matches!(error, SpacesError::UnexpectedBody { .. }),
            "{error}"
        );
        assert_contains_no_secret(&error, &[]);
    }
}

#[tokio::test]
async fn wrong_keys_and_keys_without_permission_are_distinct() {
    let simulator = Simulator::start(Account::everything()).await.unwrap();
    let url = simulator.spaces_url();
    for (id, secret, code) in [
        ("DO00UNKNOWN", DEMO_SPACES_SECRET, "InvalidAccessKeyId"),
        (DEMO_SPACES_KEY, "another", "SignatureDoesNotMatch"),
    ] {
        let error = client_with(&url, id, secret)
            .list_buckets()
            .await
            .unwrap_err();
        assert!(!error.is_retryable(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("SPACES_SECRET_ACCESS_KEY"), "{text}");
        let SpacesError::WrongKeys { response } = error else {
            panic!("{error:?}")
        };
        assert_eq!((response.region, response.status), ("ams3", 403));
        assert_eq!(response.code.as_deref(), Some(code));
        assert!(response.request_id.unwrap().starts_with("tx"));
    }
    simulator.fail(Fault::new(FaultKind::Forbidden, "/spaces/*").times(1));
    let error = client(&url).list_buckets().await.unwrap_err();
    assert!(matches!(error, SpacesError::Forbidden { .. }) && !error.is_retryable());
    assert_contains_no_secret(&error, &[]);
    client(&url).list_buckets().await.unwrap();
}

#[tokio::test]
async fn one_failed_region_fails_the_list_and_is_retryable() {
    let simulator = Simulator::start(Account::everything()).await.unwrap();
    let client = client(&simulator.spaces_url());
    for fault in [
        FaultKind::ServerError { status: 503 },
        FaultKind::RateLimited { retry_after: 1 },
        FaultKind::HtmlError { status: 504 },
        FaultKind::CutOff,
    ] {
        simulator.fail(Fault::new(fault, "/spaces/syd1/").times(1));
        let error = client.list_buckets().await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(error.to_string().contains("syd1"), "{error}");
        assert_contains_no_secret(&error, &[]);
        client.list_buckets().await.unwrap();
    }
}

#[tokio::test]
async fn errors_repeat_nothing_of_the_signed_request() {
    let repeat = |request: &ReceivedRequest, status: StatusCode| {
        let target = request.target.replace('&', "&amp;");
        let signature = signature(request);
        let body = format!(
            "<Error><Code>{signature}</Code><Message>{target} {DEMO_SPACES_SECRET}</Message>\
             <RequestId>{target}</RequestId></Error>"
        );
        with_type(status, "application/xml", &body)
    };
    for status in [200, 301, 307, 400, 403, 418, 500] {
        let status = StatusCode::from_u16(status).unwrap();
        let server = Scripted::start(move |_, request| {
            let mut response = repeat(request, status);
            if status.is_redirection() {
                let elsewhere = format!("/elsewhere{}", request.target).parse().unwrap();
                response.headers_mut().insert("location", elsewhere);
            }
            response
        })
        .await;
        let error = scripted_client(&server).list_buckets().await.unwrap_err();
        let requests = server.requests();
        assert!(
            requests
                .iter()
                .all(|request| !request.target.starts_with("/elsewhere"))
        );
        assert_contains_no_secret(&error, &requests);
    }
}

#[tokio::test]
async fn an_unreachable_endpoint_is_named_without_the_signature() {
    let address = "127.0.0.1:1";
    let client = client(&format!("http://{address}/{{region}}"));
    let error = client.list_buckets().await.unwrap_err();
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.contains(&format!("http://{address}/ams3")), "{text}");
    assert_contains_no_secret(&error, &[]);
}

#[tokio::test]
async fn the_retry_after_of_a_failing_region_is_reported() {
    for status in [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ] {
        let server =
            Scripted::start(move |_, _| (status, [("retry-after", "42")]).into_response()).await;
        let error = scripted_client(&server).list_buckets().await.unwrap_err();
        let SpacesError::Server { retry_after, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(retry_after, Some(std::time::Duration::from_secs(42)));
    }
}
