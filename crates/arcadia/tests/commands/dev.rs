//! `arcadia dev` as a process: start, kill, restart, stop.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use simulator::{Account, DEMO_TOKEN, Fault, FaultKind, Simulator};
use sqlx::{ConnectOptions as _, PgConnection};
use tokio::process::{Child, Command};

use crate::support::{LIMIT, arcadia, eventually, refusal, stop};

const INGESTED: &str = "select count(*) from cloud_invoices where ingest_status = 'ingested'";

/// Returns the command `arcadia dev` with separate ports, because a concurrent test may use the
/// default ones.
pub(crate) fn dev(state: &Path) -> Command {
    for note in ["postgres.port", "temporal.port"] {
        let note = state.join(note);
        if state.exists() && !note.exists() {
            let port = devstack::free_port().unwrap();
            fs::write(note, port.to_string()).unwrap();
        }
    }
    let mut command = arcadia(&["dev", "--api-bind", "127.0.0.1:0"]);
    command
        .arg("--state-dir")
        .arg(state)
        .arg("--ready-file")
        .arg(state.join("ready.json"));
    command
}

/// A running `arcadia dev`, killed when dropped.
pub(crate) struct Dev {
    process: Child,
    /// The content of the ready file.
    ready: Value,
}

impl Dev {
    pub(crate) async fn start(mut command: Command, state: &Path) -> Self {
        let ready_file = state.join("ready.json");
        // The file of an earlier run would be read as this run's.
        let _ = fs::remove_file(&ready_file);
        let stderr = state.join("stderr.log");
        let mut process = command
            .stdout(File::create(state.join("printed.txt")).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let ready = eventually("arcadia dev is ready", async || {
            let ended = process.try_wait().unwrap();
            let errors = || fs::read_to_string(&stderr).unwrap_or_default();
            assert!(ended.is_none(), "arcadia dev ended: {}", errors());
            let text = fs::read_to_string(&ready_file).ok()?;
            Some(serde_json::from_str(&text).unwrap())
        })
        .await;
        Self { process, ready }
    }

    /// Returns a field of the ready file.
    pub(crate) fn field(&self, field: &str) -> &str {
        self.ready[field].as_str().unwrap()
    }

    async fn database(&self) -> PgConnection {
        connection(self.field("database_url")).await
    }

    /// Stops the process by a signal and waits for its exit.
    pub(crate) async fn stop(self) {
        stop(self.process).await;
    }

    /// Waits until the process ends without a signal, and returns its exit status and stderr.
    pub(crate) async fn end(mut self, state: &Path) -> (Option<i32>, String) {
        let ended = tokio::time::timeout(LIMIT, self.process.wait());
        let status = ended.await.expect("the process did not end").unwrap();
        let errors = fs::read_to_string(state.join("stderr.log")).unwrap();
        (status.code(), errors)
    }

    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}

pub(crate) async fn connection(url: &str) -> PgConnection {
    let url: Url = url.parse().unwrap();
    let options = sqlx::postgres::PgConnectOptions::from_url(&url).unwrap();
    options.connect().await.unwrap()
}

pub(crate) async fn count(database: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(database).await.unwrap()
}

async fn wait_for_every_invoice(database: &mut PgConnection) {
    let all = async || (count(database, INGESTED).await == 137).then_some(());
    eventually("every invoice is ingested", all).await;
}

/// Returns the command lines of all processes that contain the path of that directory.
fn processes(state: &Path) -> Vec<String> {
    let output = std::process::Command::new("ps")
        .args(["-A", "-ww", "-o", "args="])
        .output()
        .unwrap();
    let state = state.to_string_lossy().into_owned();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines
        .lines()
        .filter(|line| line.contains(&state))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn dev_serves_the_demo_account_until_it_is_stopped() {
    let state = tempfile::tempdir().unwrap();
    let dev_process = Dev::start(dev(state.path()), state.path()).await;
    wait_for_every_invoice(&mut dev_process.database().await).await;

    let api = dev_process.field("api_url");
    let http = reqwest_client();
    let lines = http
        .get(format!("{api}/api/v1/billing/cost-lines?period=2026-04-01"))
        .bearer_auth(dev_process.field("admin_token"))
        .send()
        .await
        .unwrap();
    let lines: Value = lines.json().await.unwrap();
    assert_eq!(lines["data"].as_array().unwrap().len(), 33);
    let ui = http.get(dev_process.field("temporal_ui_url")).send().await;
    assert!(ui.unwrap().status().is_success());

    let second = refusal(dev(state.path())).await;
    let directory = state.path().file_name().unwrap().to_string_lossy();
    assert!(second.contains(&*directory), "{second}");

    let (api, token) = (api.to_owned(), dev_process.field("admin_token").to_owned());
    dev_process.stop().await;
    assert_eq!(processes(state.path()), Vec::<String>::new());
    // A concurrent test may use the port by now, but its instance knows another token.
    let projects = http.get(format!("{api}/api/v1/projects"));
    let response = projects.bearer_auth(&token).send().await;
    assert!(!response.is_ok_and(|response| response.status().is_success()));
    let log = fs::read_to_string(state.path().join("log/arcadia.log")).unwrap();
    assert!(!log.is_empty() && !log.contains(&token) && !log.contains(DEMO_TOKEN));
}

#[tokio::test]
async fn the_demo_account_is_alive_and_keeps_its_fixed_figures() {
    let state = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = dev(state.path());
        command.env("ARCADIA_STRIKE_INTERVAL", "1s");
        command
    };
    let first = Dev::start(command(), state.path()).await;
    let mut database = first.database().await;
    let held = "select count(*) from cloud_held_deletions where kind = 'snapshot' and state = 'pending' and would_delete = 12";
    let is_held = async || (count(&mut database, held).await == 1).then_some(());
    eventually("a deletion is held", is_held).await;
    wait_for_every_invoice(&mut database).await;
    let count_of_open = "select count(*) from cloud_estimates where state = 'open'";
    let is_estimated = async || (count(&mut database, count_of_open).await == 1).then_some(());
    eventually("the open month is estimated", is_estimated).await;
    assert_demo(&mut database).await;

    let (api, token) = (first.field("api_url"), first.field("admin_token"));
    let get = async |path: &str| {
        let request = reqwest_client().get(format!("{api}/api/v1/{path}"));
        let response = request.bearer_auth(token).send().await.unwrap();
        response.json::<Value>().await.unwrap()
    };
    assert_eq!(get("billing/checks").await["data"], serde_json::json!([]));
    let statements = get("billing/statements?period=2026-04").await;
    assert_eq!(statements["meta"]["total"], "86.92", "{statements}");
    assert_eq!(statements["meta"]["difference"], "0.00", "{statements}");
    let names = statements["data"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|row| row["tenant_id"].as_str()).collect();
    let expected = [None, Some("marketing"), Some("platform"), Some("product")];
    assert_eq!(names, expected);
    let estimates = get("billing/estimates").await;
    let month = chrono::Utc::now().format("%Y-%m-01").to_string();
    assert_eq!(estimates["data"][0]["period"], month, "{estimates}");
    // The deletion can be held before the first runs end, which is a reason too.
    let mut codes = Vec::new();
    eventually("held deletions are the only reason", async || {
        let sync = get("sync").await;
        let reasons = sync["data"]["reasons"].as_array().unwrap().iter();
        let current: Vec<_> = reasons.map(|reason| reason["code"].clone()).collect();
        if codes != current {
            println!("reasons of the status: {current:?}");
            codes = current;
        }
        (codes == ["deletions_held"]).then_some(())
    })
    .await;
    let log = fs::read_to_string(state.path().join("log/arcadia.log")).unwrap();
    let is_bad = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    // On a busy machine, statements, connections and responses of the server are slow.
    let is_slowness = |line: &&str| line.contains(" sqlx::") || line.contains(" temporalio");
    let bad = log.lines().filter(is_bad).filter(|line| !is_slowness(line));
    assert_eq!(bad.collect::<Vec<_>>(), [""; 0]);
    drop(database);
    first.stop().await;

    // A restart continues the account instead of repeating its changes.
    let second = Dev::start(command(), state.path()).await;
    let printed = fs::read_to_string(state.path().join("stderr.log")).unwrap();
    assert!(!printed.contains("demo account: assigned"), "{printed}");
    let (_, simulator) = printed.split_once("demo account at ").unwrap();
    let simulator = simulator.lines().next().unwrap();
    let snapshots = reqwest_client().get(format!("{simulator}/v2/snapshots"));
    let snapshots = snapshots.bearer_auth(DEMO_TOKEN).send().await.unwrap();
    let snapshots: Value = snapshots.json().await.unwrap();
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 2);
    assert_demo(&mut second.database().await).await;
    second.stop().await;
}

/// Waits for the moved droplet, the held deletion, and the figures that never change.
async fn assert_demo(database: &mut PgConnection) {
    for (sql, expected) in [
        ("select count(*) from cloud_resources where kind = 'droplet' and deleted_at is null", 5),
        ("select count(*) from cloud_resources where kind = 'dns_zone' and deleted_at is null", 7),
        ("select count(*) from cloud_resources where kind = 'snapshot' and deleted_at is null", 14),
        ("select count(*) from cloud_invoices where is_final", 137),
        ("select count(*) from cloud_invoices", 137),
        ("select count(*) from cloud_projects where tenant_id is not null", 3),
        ("select count(*) from cloud_held_deletions where state = 'pending'", 1),
        ("select count(*) from cloud_project_memberships m join cloud_resources r on r.id = m.resource_id
            where r.name = 'status-page'", 2),
        ("select count(*) from cloud_cost_lines l join cloud_invoices i on i.id = l.invoice_id where i.period = '2026-04-01'", 33),
        ("select (sum(l.amount) * 100)::bigint from cloud_cost_lines l join cloud_invoices i on i.id = l.invoice_id
            where i.period = '2026-04-01'", 8692),
        ("select count(l.resource_id) from cloud_cost_lines l join cloud_invoices i on i.id = l.invoice_id
            where i.period = '2026-04-01'", 6),
    ] {
        eventually(&format!("{expected} is the result of {sql}"), async || {
            (count(database, sql).await == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn dev_refuses_the_database_of_an_unreleased_commit_until_reset() {
    let state = tempfile::tempdir().unwrap();
    let first = Dev::start(dev(state.path()), state.path()).await;
    let mut database = first.database().await;
    sqlx::query("update _sqlx_migrations set checksum = '\\x00' where version = 2")
        .execute(&mut database)
        .await
        .unwrap();
    drop(database);
    first.stop().await;

    let refused = refusal(dev(state.path())).await;
    assert!(refused.contains("`arcadia dev --reset`"), "{refused}");
    assert_eq!(refused.trim().lines().count(), 1, "{refused}");

    let mut command = dev(state.path());
    command.arg("--reset");
    let second = Dev::start(command, state.path()).await;
    wait_for_every_invoice(&mut second.database().await).await;
    second.stop().await;
}

#[tokio::test]
async fn dev_killed_during_an_ingest_loses_and_duplicates_nothing() {
    let simulator = Simulator::start(Account::demo()).await.unwrap();
    let csv = "/v2/customers/my/invoices/*/csv";
    let delay = Duration::from_millis(200);
    simulator.fail(Fault::new(FaultKind::Slow { delay }, csv));
    let state = tempfile::tempdir().unwrap();
    let command = || {
        let mut command = dev(state.path());
        command
            .env("DIGITALOCEAN_API_URL", simulator.url())
            .env("DO_API_TOKEN", DEMO_TOKEN);
        command
    };
    let first = Dev::start(command(), state.path()).await;
    let mut database = first.database().await;
    eventually("some invoices are ingested", async || {
        (count(&mut database, INGESTED).await > 10).then_some(())
    })
    .await;
    assert!(count(&mut database, INGESTED).await < 137);
    first.kill().await;

    simulator.clear_faults();
    let second = Dev::start(command(), state.path()).await;
    let mut database = second.database().await;
    wait_for_every_invoice(&mut database).await;
    let unreconciled = "select count(*) from cloud_invoices i where not reconciled
        or line_count <> (select count(*) from cloud_cost_lines where invoice_id = i.id)
        or line_total <> (select coalesce(sum(amount), 0) from cloud_cost_lines where invoice_id = i.id)";
    assert_eq!(count(&mut database, unreconciled).await, 0);
    let duplicates = "select count(*) - count(distinct resource_id) from cloud_resource_events where event = 'discovered'";
    assert_eq!(count(&mut database, duplicates).await, 0);
    let created = simulator.requests();
    let created = created.iter().filter(|request| request.method == "POST");
    assert_eq!(created.count(), 1);
    drop(database);
    second.stop().await;
    assert_eq!(processes(state.path()), Vec::<String>::new());
}

pub(crate) fn reqwest_client() -> reqwest::Client {
    // reqwest requires a provider even for unencrypted connections.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy();
    client.build().unwrap()
}
