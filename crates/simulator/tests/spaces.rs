//! The buckets by S3. That a signed request is answered is tested where one is signed: in the client.

mod support;

use reqwest::{Method, StatusCode};
use simulator::{Account, DEMO_SPACES_SECRET};
use support::Asker;

#[tokio::test]
async fn no_request_is_let_in_by_a_token_or_by_the_name_of_a_key() {
    let asker = Asker::of(Account::everything()).await;
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
        let response = asker.get(&path).await;
        assert_eq!(response.status(), StatusCode::from_u16(status).unwrap());
        let body = response.text().await.unwrap();
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
        assert!(!body.contains(DEMO_SPACES_SECRET), "{body}");
    }
    let post = asker.request(Method::POST, "/spaces/syd1/").send().await;
    assert_eq!(post.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    // A signature in a query would stay in the log of requests.
    assert!(asker.simulator.requests().is_empty());
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
