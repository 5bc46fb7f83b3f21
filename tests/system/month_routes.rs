//! The close of a month by the program `arcadia api`, a worker and Temporal.

use domain::proof;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use simulator::Account;
use store::Role;
use worker::schedules::{self, Installation};

use crate::api::token;
use crate::months::mirror;
use crate::program::Program;
use crate::support::{TestSystem, eventually};

/// A client of the program with a token of an administrator.
struct Admin {
    program: Program,
    client: Client,
    token: String,
}

impl Admin {
    async fn start(system: &TestSystem) -> Self {
        let program = Program::api(system).await;
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().tls_certs_only([]).no_proxy();
        Self {
            client: client.build().unwrap(),
            token: token(&system.store, Role::PlatformAdmin).await,
            program,
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, String) {
        let url = format!("{}/api/v1/billing/{path}", self.program.url);
        let request = self.client.request(method, url).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, String) {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, text) = self.send(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test]
async fn the_api_closes_a_month_and_reopens_it() {
    let system = TestSystem::start(Account::demo()).await;
    mirror(&system).await;
    let installation = Installation::of(&system.store).await.unwrap();
    schedules::apply(&system.client, &installation)
        .await
        .unwrap();
    let admin = Admin::start(&system).await;

    // The run waits for the approval; a second request finds it.
    let (status, first) = admin.send(Method::POST, "months/2026-04/close", None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    let (status, second) = admin.post("months/2026-04/close", json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{second}");
    let run = |text: &str| -> Value {
        let response: Value = serde_json::from_str(text).unwrap();
        assert_eq!(response["data"]["workflow_id"], "close-month-2026-04");
        response["data"]["run_id"].clone()
    };
    assert_eq!(run(&first), run(&second));
    assert_eq!(admin.get("months/2026-04").await["data"]["state"], "final");

    let approval = json!({ "approve": true, "reason": "checked" });
    let (status, approved) = admin.post("months/2026-04/close", approval.clone()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{approved}");
    let closed = eventually("the month is closed", async || {
        let month = admin.get("months/2026-04").await;
        (month["data"]["state"] == "closed").then_some(month)
    })
    .await;
    assert_eq!(closed["data"]["close"]["line_total"], "86.92", "{closed}");

    let statements = admin.get("statements?period=2026-04").await;
    assert_eq!(statements["meta"]["total"], "86.92");
    for row in statements["data"].as_array().unwrap() {
        let tenant = row["tenant_id"].as_str().unwrap_or("~unallocated");
        let path = format!("statements/{tenant}?period=2026-04");
        let statement = admin.get(&path).await;
        let verified = proof::verify(&statement).unwrap();
        assert_eq!(
            json!(verified.total.to_string()),
            row["total"],
            "{statement}"
        );
        // Byte for byte, apart from the time of the response.
        let data = |text: &str| text.split("\"meta\"").next().unwrap().to_owned();
        let (_, one) = admin.send(Method::GET, &path, None).await;
        let (_, two) = admin.send(Method::GET, &path, None).await;
        assert_eq!(data(&one), data(&two));
    }

    let (status, again) = admin.post("months/2026-04/close", approval.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{again}");
    // A running month is not final.
    let (status, early) = admin.post("months/2026-05/close", approval).await;
    assert_eq!(status, StatusCode::CONFLICT, "{early}");
    let (status, reopened) = admin.post("months/2026-04/reopen", json!({})).await;
    assert!(status.is_client_error(), "without a reason: {reopened}");
    let reason = json!({ "reason": "wrong tenant" });
    let (status, reopened) = admin.post("months/2026-04/reopen", reason).await;
    assert_eq!(status, StatusCode::OK, "{reopened}");
    assert_eq!(admin.get("months/2026-04").await["data"]["state"], "final");
    let acts = "select concat_ws(' ', channel, action, reason) from audit_entries
                where object_type = 'month' order by number";
    assert_eq!(
        system.rows(acts).await,
        [
            "api run_requested",
            "api run_requested",
            "api run_requested checked",
            "temporal month_closed checked",
            "api month_reopened wrong tenant"
        ]
    );
}
