//! The buttons of the page Sync, with the program `arcadia api`, a worker and Temporal.

use digitalocean::Purpose;
use futures::TryStreamExt as _;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use simulator::Account;
use store::Role;
use temporalio_client::WorkflowListOptions;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use uuid::Uuid;
use worker::schedules::{self, Installation, MEMO};

use crate::api::token;
use crate::program::Program;
use crate::support::{TestSystem, eventually};

/// The program `arcadia api`, and a browser session with it.
struct Pages {
    program: Program,
    client: Client,
    cookie: String,
}

impl Pages {
    /// Starts the program and logs in as an administrator.
    async fn start(system: &TestSystem) -> Self {
        let program = Program::api(system).await;
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().tls_certs_only([]).no_proxy();
        let mut pages = Self {
            client: client.redirect(Policy::none()).build().unwrap(),
            cookie: String::new(),
            program,
        };
        let admin = token(&system.store, Role::PlatformAdmin).await;
        let login = pages.post("/login", &format!("token={admin}")).await;
        let cookie = login.headers()["set-cookie"].to_str().unwrap();
        let first = cookie.split(';').next().unwrap();
        first.clone_into(&mut pages.cookie);
        pages
    }

    async fn get(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.program.url));
        let response = request.header("cookie", &self.cookie).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.unwrap()
    }

    async fn post(&self, path: &str, fields: &str) -> Response {
        let request = self.client.post(format!("{}{path}", self.program.url));
        let request = request
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        request.body(fields.to_owned()).send().await.unwrap()
    }

    /// Presses a button, and returns the path of the run that it leads to.
    async fn press(&self, path: &str, fields: &str) -> String {
        let response = self.post(path, fields).await;
        let status = response.status();
        let location = response.headers().get("location").cloned();
        let text = response.text().await.unwrap();
        assert_eq!(status, StatusCode::SEE_OTHER, "{path} {fields}: {text}");
        location.unwrap().to_str().unwrap().to_owned()
    }

    /// Waits until the page of a run shows that it is complete.
    async fn completed(&self, run: &str) {
        eventually(run, async || {
            let page = self.get(run).await;
            assert!(!page.contains(">failed<"), "{page}");
            page.contains(">completed<").then_some(())
        })
        .await;
    }
}

/// Waits until a query finds a run.
async fn found(system: &TestSystem, query: &str) {
    eventually(query, async || {
        let options = WorkflowListOptions::default();
        let runs: Vec<_> = system
            .client
            .list_workflows(query, options)
            .try_collect()
            .await
            .unwrap();
        (!runs.is_empty()).then_some(())
    })
    .await;
}

async fn apply(system: &TestSystem, installation: &Installation) {
    schedules::apply(&system.client, installation)
        .await
        .unwrap();
}

#[tokio::test]
async fn sync_now_starts_one_run_and_leads_to_it() {
    // No worker polls the task queue of the inventory at first, so that its runs wait.
    let system = TestSystem::start_serving(Account::demo(), &[Purpose::CloudBilling]).await;
    apply(&system, &Installation::of(&system.store).await.unwrap()).await;
    let pages = Pages::start(&system).await;
    let page = pages.get("/sync").await;
    for schedule in schedules::SCHEDULES {
        let button = format!("name=\"schedule\" value=\"{}\"", schedule.id);
        assert!(page.contains(&button), "{button}: {page}");
    }
    let all = pages.press("/sync/run", "schedule=sync-inventory").await;
    assert!(all.starts_with("/sync/runs/sync-inventory-"), "{all}");
    let volumes = pages.press("/sync/run", "kind=volume").await;
    assert!(
        volumes.starts_with("/sync/runs/sync-inventory-manual-volume/"),
        "{volumes}"
    );
    assert!(pages.get(&volumes).await.contains(">running<"));
    assert_eq!(
        pages.press("/sync/run", "schedule=sync-inventory").await,
        all
    );
    assert_eq!(pages.press("/sync/run", "kind=volume").await, volumes);
    assert_eq!(system.requests("GET", "/v2/volumes"), 0);

    let _another = system.start_another_worker(&[Purpose::CloudSyncFull]);
    pages.completed(&volumes).await;
    pages.completed(&all).await;
    assert!(system.requests("GET", "/v2/volumes") >= 2);
    assert_ne!(pages.press("/sync/run", "kind=volume").await, volumes);
    let page = pages.get("/sync").await;
    assert!(page.contains("name=\"kind\" value=\"droplet\""), "{page}");
    for query in [
        r#"WorkflowId = "sync-inventory-manual-volume" AND ArcadiaKind = "volume"
            AND ArcadiaPurpose = "cloud-sync-full" AND ExecutionStatus = "Completed""#,
        r#"WorkflowId STARTS_WITH "sync-inventory-2" AND ArcadiaKind = "volume""#,
    ] {
        found(&system, query).await;
    }
}

#[tokio::test]
async fn an_invoice_is_ingested_again_from_its_page() {
    let account = Account::demo();
    let april = account.invoices()[0].uuid;
    let system = TestSystem::start(account).await;
    apply(&system, &Installation::of(&system.store).await.unwrap()).await;
    system.ingest(april).await.unwrap();
    let pages = Pages::start(&system).await;
    let path = format!("/invoices/{april}/ingest");
    let first = pages.press(&path, "").await;
    assert!(
        first.starts_with(&format!("/sync/runs/ingest-invoice-{april}/")),
        "{first}"
    );
    pages.completed(&first).await;
    let second = pages.press(&path, "").await;
    assert_ne!(first, second);
    pages.completed(&second).await;
    let run = first.rsplit('/').next().unwrap();
    let query = format!(
        r#"RunId = "{run}" AND ArcadiaInvoiceUuid = "{april}" AND ArcadiaPeriod = "2026-04" AND ArcadiaPurpose = "cloud-billing""#
    );
    found(&system, &query).await;
    let id = format!("ingest-invoice-{april}");
    let events = system.history(&id, Some(run)).await;
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &events[0].attributes
    else {
        panic!("{events:?}");
    };
    let memo = &started.memo.as_ref().unwrap().fields[MEMO];
    let installation: Installation = serde_json::from_slice(&memo.data).unwrap();
    assert_eq!(installation, Installation::of(&system.store).await.unwrap());
    let lines = "select count(*) from cloud_cost_lines";
    assert_eq!(system.count(lines).await, 33);
}

#[tokio::test]
async fn nothing_is_started_on_the_temporal_of_another_installation() {
    let system = TestSystem::start(Account::demo()).await;
    let mut other = Installation::of(&system.store).await.unwrap();
    other.id = Uuid::from_u128(2);
    let pages = Pages::start(&system).await;
    let missing = pages.post("/sync/run", "schedule=sync-inventory").await;
    assert_eq!(missing.status(), StatusCode::CONFLICT);
    assert!(missing.text().await.unwrap().contains("schedules apply"));

    apply(&system, &other).await;
    for fields in ["schedule=sync-inventory", "kind=volume"] {
        let response = pages.post("/sync/run", fields).await;
        assert_eq!(response.status(), StatusCode::CONFLICT, "{fields}");
        let text = response.text().await.unwrap();
        assert!(text.contains("another installation"), "{text}");
    }
    let workflows = system.workflows().await;
    let manual = workflows
        .iter()
        .find(|workflow| workflow.id().contains("manual"));
    assert!(manual.is_none());
}
