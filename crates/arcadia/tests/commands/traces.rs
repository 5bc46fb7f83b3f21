//! Spans of workers and the API, as a collector receives them.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use simulator::{DEMO_SPACES_SECRET, DEMO_TOKEN};
use store::Store;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::dev::{Dev, dev, reqwest_client};
use crate::receiver::{ReceivedSpan, Receiver};
use crate::support::{arcadia, eventually, refusal, stop};

/// A trace and the span of a client in it, which is the parent of a request's span.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent(trace: &str) -> String {
    format!("00-{trace}-{PARENT}-01")
}

/// Starts an API that sends its spans to `endpoint` and writes its log to `log`. Returns its URL.
async fn api(database: &str, endpoint: &str, log: &std::path::Path) -> (Child, String) {
    let mut command = arcadia(&["api", "--api-bind", "127.0.0.1:0"]);
    command
        .env("DATABASE_URL", database)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("NO_COLOR", "1")
        .stdout(Stdio::null())
        .stderr(fs::File::create(log).unwrap());
    let process = configured(&mut command).spawn().unwrap();
    let url = eventually("the API serves", async || {
        let text = fs::read_to_string(log).ok()?;
        let url = text.split("serving the API on ").nth(1)?.lines().next()?;
        Some(url.to_owned())
    })
    .await;
    (process, url)
}

/// Sends a batch when it has three spans or the process stops: no test waits for the delay.
fn configured(command: &mut Command) -> &mut Command {
    command
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3")
        .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
}

async fn migrated() -> devstack::testing::TestDatabase {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 1).await.unwrap();
    store.migrate().await.unwrap();
    database
}

#[tokio::test]
async fn an_ingest_has_spans_of_its_run_activity_and_requests() {
    let receiver = Receiver::start().await;
    let state = tempfile::tempdir().unwrap();
    let mut command = dev(state.path());
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        // Logs a line per response of DigitalOcean, which would be none without errors.
        .env("RUST_LOG", "info,sqlx=warn,digitalocean=debug");
    let process = Dev::start(command, state.path()).await;
    let secrets = [
        process.field("admin_token").to_owned(),
        DEMO_TOKEN.to_owned(),
        DEMO_SPACES_SECRET.to_owned(),
    ];
    let history = eventually("the run over all invoices has ended", async || {
        receiver
            .spans()
            .into_iter()
            .find(|span| span.name == "RunWorkflow:BillingHistory")
    })
    .await;
    assert_eq!(history.parent, "");
    assert_eq!(history.text("arcadia.ended_by"), "completed");
    assert_eq!(history.service, "arcadia");
    // A run ends before the spans of its last activity are sent.
    process.stop().await;

    let spans = receiver.spans();
    let in_trace: Vec<&ReceivedSpan> = spans
        .iter()
        .filter(|span| span.trace == history.trace)
        .collect();
    let named = |name: &'static str| {
        in_trace
            .iter()
            .copied()
            .filter(move |span| span.name == name)
    };
    assert_eq!(named("RunWorkflow:IngestInvoice").count(), 137);
    let children = |parent: &ReceivedSpan| -> Vec<&ReceivedSpan> {
        let parent = parent.span.clone();
        in_trace
            .iter()
            .copied()
            .filter(|span| span.parent == parent)
            .collect()
    };
    for run in named("RunWorkflow:IngestInvoice") {
        assert_eq!(run.parent, history.span);
        let workflow_id = run.text("temporalWorkflowID");
        // Earlier attempts may have failed because the request budget was exhausted.
        let attempts = children(run);
        let is_ingest = |span: &&ReceivedSpan| span.name == "RunActivity:invoices.ingest";
        assert!(attempts.iter().all(is_ingest), "{run:?} has {attempts:?}");
        let mut completed = attempts.into_iter();
        let completed = completed.find(|span| !span.attributes.contains_key("error.type"));
        let ingest = completed.unwrap_or_else(|| panic!("{run:?}"));
        assert_eq!(ingest.text("temporalWorkflowID"), workflow_id);
        assert_eq!(ingest.text("temporalRunID"), run.text("temporalRunID"));
        assert_eq!(
            format!("ingest-invoice-{}", ingest.text("arcadia.invoice_uuid")),
            workflow_id
        );
        assert_eq!(ingest.number("arcadia.attempt"), 1);
        let requests = children(ingest);
        let csv = "GET /v2/customers/my/invoices/{id}/csv";
        let csv = requests.iter().find(|span| span.name == csv);
        let csv = csv.unwrap_or_else(|| panic!("{requests:?}"));
        assert_eq!(
            csv.text("url.template"),
            "/v2/customers/my/invoices/{id}/csv"
        );
        assert_eq!(csv.number("http.response.status_code"), 200);
        assert!(csv.started >= ingest.started && csv.ended <= ingest.ended);
        assert!(csv.started < csv.ended);
    }
    let all = spans
        .iter()
        .find(|span| span.name == "RunActivity:inventory.sync_all");
    let all = all.expect("all kinds are listed");
    assert!(
        spans
            .iter()
            .any(|span| span.parent == all.span && span.name == "GET /v2/volumes")
    );
    assert_eq!(all.text("arcadia.workflow_type"), "SyncInventory");
    // No span is sent twice.
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.span).collect();
    assert_eq!(ids.len(), spans.len());

    let sent = receiver.everything();
    let log = fs::read_to_string(state.path().join("log/arcadia.log")).unwrap();
    for secret in secrets {
        assert!(!sent.contains(&secret), "a secret was sent");
        assert!(!log.contains(&secret), "a secret was logged");
    }
    assert!(log.contains(&history.trace), "the log names the trace");
}

#[tokio::test]
async fn a_requests_span_has_the_callers_parent_and_no_path_or_token() {
    let receiver = Receiver::start().await;
    let database = migrated().await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let (process, url) = api(&database.url(), &receiver.url(), &log).await;
    let http = reqwest_client();
    let secret = "arc_pasted-into-the-path";
    let path = format!("{url}/api/v1/billing/invoices/0000-{secret}?token={secret}");
    let answer = http
        .get(path)
        .bearer_auth(secret)
        .header("traceparent", traceparent(TRACE))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(receiver.spans(), [], "a batch is not full yet");
    // Remaining spans are sent when the process stops.
    stop(process).await;
    let spans = receiver.spans();
    let [request] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(request.name, "GET /api/v1/billing/invoices/{uuid}");
    assert_eq!((&*request.trace, &*request.parent), (TRACE, PARENT));
    assert_eq!(request.text("http.request.method"), "GET");
    assert_eq!(
        request.text("http.route"),
        "/api/v1/billing/invoices/{uuid}"
    );
    assert_eq!(request.number("http.response.status_code"), 401);
    assert_eq!(request.service, "arcadia-api");
    assert!(!receiver.everything().contains(secret), "{spans:?}");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains(TRACE), "{log}");
}

#[tokio::test]
async fn an_endpoint_that_rejects_spans_is_logged_once_per_outage() {
    let receiver = Receiver::start().await;
    receiver.refuse(true);
    let database = migrated().await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let (process, url) = api(&database.url(), &receiver.url(), &log).await;
    let http = reqwest_client();
    let request = async || {
        let answer = http.get(format!("{url}/healthz")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    eventually("three batches were refused", async || {
        request().await;
        (receiver.refused() >= 3).then_some(())
    })
    .await;
    receiver.refuse(false);
    eventually("spans are received again", async || {
        request().await;
        (!receiver.spans().is_empty()).then_some(())
    })
    .await;
    stop(process).await;
    let log = fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("spans cannot be sent").count(), 1, "{log}");
    assert_eq!(log.matches("spans are sent again").count(), 1, "{log}");
}

#[tokio::test]
async fn an_unresponsive_endpoint_does_not_delay_the_stop() {
    let unresponsive = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", unresponsive.local_addr().unwrap());
    let database = migrated().await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let (process, url) = api(&database.url(), &endpoint, &log).await;
    reqwest_client()
        .get(format!("{url}/healthz"))
        .send()
        .await
        .unwrap();
    let started = Instant::now();
    stop(process).await;
    // The shutdown timeout is 3 s, that of a request to the endpoint 10 s.
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "{:?}",
        started.elapsed()
    );
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("the last spans were not sent"), "{log}");
}

#[tokio::test]
async fn an_invalid_endpoint_or_protocol_fails_the_start() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ] {
        let mut command = arcadia(&["api"]);
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
            .env(name, value);
        let refusal = refusal(command).await;
        assert!(refusal.contains(name), "{refusal}");
    }
}
