//! The buckets in the S3 API. Signed requests are tested in the package of the client, which signs
//! them.

mod support;

use reqwest::{Method, StatusCode};
use simulator::{Account, DEMO_SPACES_SECRET};
use support::TestClient;

#[tokio::test]
async fn a_request_without_a_valid_signature_is_rejected() {
    let client = TestClient::of(Account::everything()).await;
    let scope = "20261124%2Fsyd1%2Fs3%2Faws4_request";
    let signed = |key: &str, scope: &str| {
        format!(
            "/spaces/syd1/?X-Amz-Credential={key}%2F{scope}&X-Amz-Date=20261124T000000Z\
             &X-Amz-SignedHeaders=host&X-Amz-Signature=00"
        )
    };
    let demo = simulator::DEMO_SPACES_KEY;
    for (path, status, code) in [
        ("/spaces/syd1".to_owned(), 403, "AccessDenied"),
        (signed("DO00UNKNOWN", scope), 403, "InvalidAccessKeyId"),
        (signed(demo, scope), 403, "SignatureDoesNotMatch"),
        (
            signed(demo, &scope.replace("syd1", "nyc3")),
            400,
            "AuthorizationHeaderMalformed",
        ),
    ] {
        let response = client.get(&path).await;
        assert_eq!(response.status(), StatusCode::from_u16(status).unwrap());
        let body = response.text().await.unwrap();
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
        assert!(!body.contains(DEMO_SPACES_SECRET), "{body}");
    }
    let post = client.request(Method::POST, "/spaces/syd1/").send().await;
    assert_eq!(post.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    // Requests of S3 are not logged, because their queries can contain signatures.
    assert!(client.simulator.requests().is_empty());
}

#[tokio::test]
async fn a_bucket_is_in_its_region_and_in_a_project() {
    let mut account = Account::empty();
    account.add_resource("spaces_bucket", "images", "syd1");
    account.add_resource("spaces_bucket", "exports", "nyc3");
    assert_eq!(account.resource_ids("spaces_bucket"), ["images", "exports"]);
    let regions: Vec<_> = account
        .buckets()
        .iter()
        .map(|bucket| &bucket.region)
        .collect();
    assert_eq!(regions, ["syd1", "nyc3"]);
    assert!(account.buckets()[0].created_at < account.buckets()[1].created_at);
    assert!(account.project_of("do:space:images").is_some());
    account.remove_resource("spaces_bucket", "images");
    assert_eq!(account.project_of("do:space:images"), None);
    assert_eq!(account.buckets().len(), 1);
}
