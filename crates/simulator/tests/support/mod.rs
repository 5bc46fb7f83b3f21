//! A client of the simulator.

#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "each test file uses a part of it; a failure fails the test"
)]

pub(crate) mod specification;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use simulator::{Account, DEMO_TOKEN, Simulator};

pub(crate) struct TestClient {
    pub(crate) simulator: Simulator,
    client: Client,
}

impl TestClient {
    pub(crate) async fn of(account: Account) -> Self {
        // reqwest requires a provider even for unencrypted connections. Fails if another test has
        // installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            simulator: Simulator::start(account).await.unwrap(),
            client: Client::new(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.simulator.url()))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.get_with(path, DEMO_TOKEN).await
    }

    pub(crate) async fn get_with(&self, path: &str, token: &str) -> Response {
        self.request(Method::GET, path)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path).bearer_auth(DEMO_TOKEN);
        answered(request.body(body.to_string()).send().await.unwrap()).await
    }

    /// Returns the status and the JSON body.
    pub(crate) async fn json(&self, path: &str) -> (StatusCode, Value) {
        answered(self.get(path).await).await
    }

    /// Returns the body of a response that must have the status 200.
    pub(crate) async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.json(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// Returns all items of a list, read in pages of 200.
    pub(crate) async fn all(&self, path: &str, key: &str) -> Vec<Value> {
        let mut items = Vec::new();
        for page in 1.. {
            let join = if path.contains('?') { '&' } else { '?' };
            let body = self
                .ok(&format!("{path}{join}page={page}&per_page=200"))
                .await;
            items.extend(body[key].as_array().unwrap().iter().cloned());
            if body["links"]["pages"]["next"].is_null() {
                break;
            }
        }
        items
    }
}

pub(crate) async fn answered(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap())
}
