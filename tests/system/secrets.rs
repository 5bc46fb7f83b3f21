//! Checks that secrets are in no table, log line, Temporal payload or response.

mod vault;

use std::fmt::Write as _;
use std::io;
use std::sync::{Mutex, Once, PoisonError};

use digitalocean::{Purpose, Tokens};
use prost::Message as _;
use simulator::{Account, DEMO_SPACES_SECRET, Fault, FaultKind, Scopes};
use sqlx::AssertSqlSafe;
use store::Role;
use store::rate_limit::Limits;
use tracing_subscriber::EnvFilter;

use crate::api::{Api, token};
use crate::support::TestSystem;

/// A token that no other test uses.
const SECRET: &str = "dop_v1_7d1f0c52b6a94e3f8a0e6c1b2d3f4a5e6b7c8d9e0f1a2b3c4d5e6f708192a3b4";
/// Tokens and keys that grant access.
const KEYS: [&str; 4] = [SECRET, DEMO_SPACES_SECRET, vault::SECRET_ID, vault::LOGIN];
/// Texts that the log must contain, as proof that it was recorded.
const KNOWN: [&str; 2] = [
    "created the internal project",
    "cannot read the DigitalOcean token",
];
/// All levels of this system's crates, and those of HTTP libraries that could log a request.
const LOGGED: &str = "debug,activities=trace,digitalocean=trace,store=trace,hyper_util=trace,reqwest=trace,temporalio_sdk_core=info";
/// Maximum size of an event in bytes, well below the payload size at which Temporal warns.
const LARGEST_EVENT: usize = 100_000;

/// The log of the process, filtered to the lines that the tests examine.
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Filter;

impl io::Write for Filter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        let texts = KEYS.iter().chain(&KNOWN).chain(&["arc_"]);
        let texts = texts.chain(simulator::SECRETS);
        if texts.into_iter().any(|text| line.contains(text)) {
            let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(line.into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log_with(text: &str) -> Vec<String> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.iter()
        .filter(|line| line.contains(text))
        .cloned()
        .collect()
}

/// Returns every row of every table as text.
async fn dump(system: &TestSystem) -> Vec<String> {
    let tables = system
        .rows(
            "select table_name::text from information_schema.tables where table_schema = 'public'",
        )
        .await;
    assert!(tables.len() > 6, "{tables:?}");
    let mut dump = Vec::new();
    for table in tables {
        let sql = format!("select '{table}: ' || row::text from \"{table}\" as row");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&system.pool)
            .await
            .unwrap();
        dump.extend(rows);
    }
    dump
}

/// Returns a text in the hexadecimal format of `bytea` columns.
fn in_hex(text: &str) -> String {
    let mut hex = String::new();
    for byte in text.bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Starts recording the log, once for both tests.
fn record_log() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(LOGGED))
            .with_ansi(false)
            .with_writer(|| Filter)
            .init();
    });
}

#[tokio::test]
async fn secrets_in_response_bodies_are_neither_stored_nor_logged() {
    record_log();
    let system = TestSystem::start(Account::everything()).await;
    // Errors about unreadable bodies could leak their secrets.
    system.simulator.change(|account| {
        let cluster = account.resource_ids("database_cluster").remove(0);
        account.remove_resource_field("database_cluster", &cluster, "id");
        let app = account.resource_ids("app").remove(0);
        account.set_resource_field("app", &app, "id", serde_json::Value::Null);
    });
    let fault = Fault::new(FaultKind::CutOff, "/v2/functions/namespaces").times(1);
    system.simulator.fail(fault);
    system.sync_projects().await.unwrap();
    let report = system.sync_inventory().await.unwrap();
    let unreadable = report.kinds.iter().filter(|kind| kind.incomplete.is_some());
    assert!(unreadable.count() >= 2, "{report:?}");

    let dump = dump(&system).await;
    assert!(dump.len() > 100, "only {} rows", dump.len());
    let events = system.all_events().await;
    for secret in simulator::SECRETS {
        let row = dump
            .iter()
            .find(|row| row.contains(secret) || row.contains(&in_hex(secret)));
        assert_eq!(row, None, "{secret}");
        let event = events
            .iter()
            .find(|event| contains(&event.encode_to_vec(), secret));
        assert!(event.is_none(), "{secret}: {event:?}");
        assert_eq!(log_with(secret), Vec::<String>::new());
    }
}

#[tokio::test]
async fn tokens_and_keys_are_neither_stored_nor_logged() {
    record_log();
    let mut account = Account::demo();
    account.accept_token(SECRET, Scopes::all());
    let oldest = account.invoices().last().unwrap().uuid;
    let variables = vault::start(SECRET).await;
    let tokens = Tokens::from_variables(&Purpose::ALL, &|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| value.clone())
    });
    let system = TestSystem::start_with_tokens(account, tokens.unwrap(), Limits::NONE).await;
    // Errors could leak tokens.
    let csv = format!("/v2/customers/my/invoices/{oldest}/csv");
    for fault in [
        Fault::new(FaultKind::Unauthorized, &csv),
        Fault::new(FaultKind::Forbidden, "/v2/volumes"),
        Fault::new(FaultKind::CutOff, "/v2/domains").times(1),
        Fault::new(FaultKind::HtmlError { status: 502 }, "/v2/projects").times(1),
    ] {
        system.simulator.fail(fault);
    }
    system.run_every_schedule_once().await;
    let admin = token(&system.store, Role::PlatformAdmin).await;
    let api = Api::start(&system.store).await;
    api.data("/api/v1/billing/invoices", &admin).await;

    let failed =
        "select coalesce(last_error, '') from cloud_invoices where ingest_status = 'failed'";
    assert!(system.rows(failed).await[0].contains("401"));
    for row in dump(&system).await {
        let found = KEYS
            .iter()
            .chain(&[&*admin])
            .any(|key| row.contains(key) || row.contains(&in_hex(key)));
        assert!(!found, "{row}");
    }
    let events = system.all_events().await;
    assert!(events.len() > 137 * 5, "only {} events", events.len());
    for event in events {
        let bytes = event.encode_to_vec();
        let found = KEYS.iter().any(|key| contains(&bytes, key));
        assert!(!found, "{event:?}");
        assert!(
            bytes.len() <= LARGEST_EVENT,
            "{} bytes: {event:?}",
            bytes.len()
        );
    }
    for known in KNOWN {
        assert!(!log_with(known).is_empty(), "the log lacks {known:?}");
    }
    for key in KEYS.iter().chain(&[&*admin]) {
        assert_eq!(log_with(key), Vec::<String>::new());
    }
}
