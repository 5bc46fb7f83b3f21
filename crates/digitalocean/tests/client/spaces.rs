//! Buckets by S3.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use digitalocean::spaces::{Bucket, REGIONS};
use digitalocean::{SpacesClient, SpacesError, SpacesKeys};
use simulator::{
    Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, Fault, FaultKind, MemberStatus, Simulator,
};

use crate::scripted::{Asked, Scripted, with_type};

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

fn is_of(asked: &Asked, region: &str) -> bool {
    asked.target.starts_with(&format!("/{region}/?"))
}

/// Neither the secret nor what could be used in its place.
fn assert_tells_no_secret(error: &SpacesError, signed: &[Asked]) {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    let mut text = format!("{error:?}");
    while let Some(error) = source {
        text = format!("{text} {error}");
        source = error.source();
    }
    assert!(!text.contains(DEMO_SPACES_SECRET), "{text}");
    assert!(!text.contains("X-Amz"), "{text}");
    for asked in signed {
        let signature = signature(asked);
        assert!(!text.contains(&signature), "{text}");
    }
}

fn signature(asked: &Asked) -> String {
    let (_, signature) = asked.target.split_once("X-Amz-Signature=").unwrap();
    assert_eq!(signature.len(), 64);
    signature.to_owned()
}

#[tokio::test]
async fn every_regions_buckets_are_listed_with_their_region_and_time() {
    let mut account = Account::empty();
    for (name, region) in [("images", "syd1"), ("exports", "nyc3"), ("archive", "syd1")] {
        account.add_resource("spaces_bucket", name, region);
    }
    // That of a key alone, and a member that is no bucket (any more).
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
async fn every_region_is_asked_once_and_the_secret_is_not_sent() {
    let server = Scripted::start(|_, _| list("", "")).await;
    let client = scripted_client(&server);
    assert_eq!(client.list_buckets().await.unwrap(), []);
    let asked = server.asked();
    assert_eq!(asked.len(), REGIONS.len());
    for region in REGIONS {
        assert_eq!(asked.iter().filter(|asked| is_of(asked, region)).count(), 1);
    }
    for asked in asked {
        assert!(
            asked
                .target
                .contains("X-Amz-Credential=DO00SIMULATORDEMOKEY%2F")
        );
        assert!(!asked.headers.contains_key("authorization"));
        let all = format!("{} {:?}", asked.target, asked.headers);
        assert!(!all.contains(DEMO_SPACES_SECRET), "{all}");
    }
}

#[tokio::test]
async fn a_name_in_several_regions_is_one_bucket_without_a_region() {
    let server = Scripted::start(|_, asked| {
        let time = "2025-03-01T00:00:00.000Z";
        match asked {
            asked if is_of(asked, "ams3") => list(&bucket("both", time), ""),
            asked if is_of(asked, "fra1") => {
                let other = bucket("differs", "2025-03-01T00:00:01Z");
                list(&(bucket("both", time) + &bucket("one", time) + &other), "")
            }
            asked if is_of(asked, "tor1") => list(&bucket("differs", time), ""),
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
async fn further_pages_are_followed_up_to_a_bound() {
    let time = "2025-03-01T00:00:00.000Z";
    let server = Scripted::start(move |_, asked| {
        if !is_of(asked, "nyc3") {
            return list("", "");
        }
        // What has to be escaped must arrive, and be signed, as it is.
        if asked.target.contains("&continuation-token=a%2Fb%2B%20c%3D") {
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
        assert_tells_no_secret(&error, &[]);
    }
}

#[tokio::test]
async fn wrong_keys_are_told_from_keys_that_may_not_list() {
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
        assert!(matches!(error, SpacesError::WrongKeys { .. }) && !error.is_retryable());
        let text = error.to_string();
        assert!(
            text.starts_with("ListBuckets in ams3 answered 403"),
            "{text}"
        );
        assert!(
            text.contains(code) && text.contains("(request tx"),
            "{text}"
        );
        assert!(text.contains("SPACES_SECRET_ACCESS_KEY"), "{text}");
    }
    simulator.fail(Fault::new(FaultKind::Forbidden, "/spaces/*").times(1));
    let error = client(&url).list_buckets().await.unwrap_err();
    assert!(matches!(error, SpacesError::Forbidden { .. }) && !error.is_retryable());
    assert_tells_no_secret(&error, &[]);
    client(&url).list_buckets().await.unwrap();
}

#[tokio::test]
async fn one_region_that_fails_fails_the_whole_list_and_may_be_tried_again() {
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
        assert_tells_no_secret(&error, &[]);
        client.list_buckets().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_repeats_the_request_or_redirects_it_gets_nothing_into_an_error() {
    let repeat = |asked: &Asked, status: StatusCode| {
        let target = asked.target.replace('&', "&amp;");
        let signature = signature(asked);
        let body = format!(
            "<Error><Code>{signature}</Code><Message>{target} {DEMO_SPACES_SECRET}</Message>\
             <RequestId>{target}</RequestId></Error>"
        );
        with_type(status, "application/xml", &body)
    };
    for status in [200, 301, 307, 400, 403, 418, 500] {
        let status = StatusCode::from_u16(status).unwrap();
        let server = Scripted::start(move |_, asked| {
            let mut response = repeat(asked, status);
            if status.is_redirection() {
                let elsewhere = format!("/elsewhere{}", asked.target).parse().unwrap();
                response.headers_mut().insert("location", elsewhere);
            }
            response
        })
        .await;
        let error = scripted_client(&server).list_buckets().await.unwrap_err();
        let asked = server.asked();
        assert!(
            asked
                .iter()
                .all(|asked| !asked.target.starts_with("/elsewhere"))
        );
        assert_tells_no_secret(&error, &asked);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named_without_the_signature() {
    let address = "127.0.0.1:1";
    let client = client(&format!("http://{address}/{{region}}"));
    let error = client.list_buckets().await.unwrap_err();
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "ListBuckets in ams3: cannot connect to http://{address}/ams3"
        )),
        "{text}"
    );
    assert_tells_no_secret(&error, &[]);
}

#[tokio::test]
async fn a_region_that_is_down_or_asked_too_often_says_when_to_come_back() {
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
