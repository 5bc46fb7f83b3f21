//! Recorded histories of all workflows, replayed by the workflow code as it is now.
//!
//! A change that would take another course than a run under way has taken breaks that run. Such a change fails here: wrap it in
//! `ctx.patched("what-it-is")`, so that old runs keep to the old course, and record the new course beside the old one:
//!
//! ```sh
//! ARCADIA_RECORD_HISTORIES=1 cargo test -p tests record_histories
//! ```
//!
//! This overwrites `tests/histories/*.history`. Keep the old file under another name for as long as runs of its age may be under
//! way. Why the files look as they do: `docs/decisions/2026-11-23-recorded-histories.md`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use simulator::{Account, Fault, FaultKind, Invoice, InvoiceLine};
use temporalio_common::protos::temporal::api::history::v1::History;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::workflow_replayer::{
    WorkflowReplayError, WorkflowReplayFailure, WorkflowReplayer, WorkflowReplayerOptions,
};
use temporalio_workflow::{WorkflowContext, WorkflowResult};
use workflows::balance::PollBalance;
use workflows::held_deletions::HeldDeletion;
use workflows::inventory::SyncInventory;
use workflows::invoices::{BillingHistory, IngestInvoice};
use workflows::projects::SyncProjects;
use workflows::task_queue::CLOUD_SYNC_FULL;

use crate::budget::{close_budgets, pauses};
use crate::held_deletions::decide;
use crate::support::{TestSystem, eventually};

const WORKFLOWS: [&str; 6] = [
    "BillingHistory",
    "HeldDeletion",
    "IngestInvoice",
    "PollBalance",
    "SyncInventory",
    "SyncProjects",
];
/// As in e-mail: lines that every tool shows whole.
const WIDTH: usize = 76;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("histories")
}

/// Comment lines that start with `#`, then the encoded `temporal.api.history.v1.History` in base64.
fn write_history(name: &str, what: &str, history: &History) {
    let encoded = STANDARD.encode(history.encode_to_vec());
    let mut text = format!("# {what}\n# Recorded; see tests/system/replay.rs.\n");
    for line in encoded.as_bytes().chunks(WIDTH) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    fs::create_dir_all(directory()).unwrap();
    fs::write(directory().join(format!("{name}.history")), text).unwrap();
}

fn read_history(path: &Path) -> History {
    let text = fs::read_to_string(path).unwrap();
    let encoded: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    History::decode(STANDARD.decode(encoded).unwrap().as_slice()).unwrap()
}

fn recorded() -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "history")
        })
        .collect();
    paths.sort();
    paths
}

fn workflow_type(history: &History) -> String {
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) =
        &history.events[0].attributes
    else {
        panic!("a history that does not begin with a start");
    };
    started.workflow_type.clone().unwrap().name
}

/// Of the workflows as they are now.
fn replayer() -> Result<WorkflowReplayer, anyhow::Error> {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<BillingHistory>()?
        .register_workflow::<HeldDeletion>()?
        .register_workflow::<IngestInvoice>()?
        .register_workflow::<PollBalance>()?
        .register_workflow::<SyncInventory>()?
        .register_workflow::<SyncProjects>()?;
    Ok(WorkflowReplayer::new(options.build())?)
}

#[tokio::test]
async fn recorded_histories_take_the_same_course_today() {
    let mut types = Vec::new();
    for path in recorded() {
        let history = read_history(&path);
        types.push(workflow_type(&history));
        let replayed = replayer().unwrap().replay_workflow(history.into()).await;
        replayed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    types.sort();
    types.dedup();
    assert_eq!(types, WORKFLOWS);
}

/// Takes another course than the real one.
#[workflow]
#[derive(Default)]
struct PollBalanceLater;

#[workflow_methods]
impl PollBalanceLater {
    #[run(name = "PollBalance")]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        ctx.timer(Duration::from_secs(1)).await;
        Ok(())
    }
}

#[tokio::test]
async fn a_workflow_that_takes_another_course_is_found_out() {
    let options = WorkflowReplayerOptions::new().register_workflow::<PollBalanceLater>();
    let replayer = WorkflowReplayer::new(options.unwrap().build()).unwrap();
    let history = read_history(&directory().join("poll-balance.history"));
    let error = replayer.replay_workflow(history.into()).await.unwrap_err();
    assert!(
        matches!(
            error,
            WorkflowReplayError::Replay(WorkflowReplayFailure::Nondeterminism { .. })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_run_over_more_invoices_than_a_page_continues_as_new_and_replays() {
    let mut account = Account::empty();
    for year in 1970..2013 {
        for month in 1..=12 {
            account.add_invoice(Invoice::for_month(year, month, Vec::new()));
        }
    }
    let system = TestSystem::start(account).await;
    let progress = system.billing_history().await.unwrap();
    assert_eq!((progress.listed, progress.ingested), (516, 516));

    let mut lengths = Vec::new();
    for workflow in system.workflows().await {
        if workflow.workflow_type() == "BillingHistory" {
            let events = system.history(workflow.id(), Some(workflow.run_id())).await;
            lengths.push(events.len());
            replayer()
                .unwrap()
                .replay_workflow(History { events }.into())
                .await
                .unwrap();
        }
    }
    assert_eq!(lengths.len(), 2);
    assert!(lengths.iter().all(|length| *length < 4_000), "{lengths:?}");
}

/// Not a check: writes the files, where it is asked to.
#[tokio::test]
async fn record_histories() {
    if env::var_os("ARCADIA_RECORD_HISTORIES").is_none() {
        return;
    }
    let system = TestSystem::start(account_to_record()).await;
    let forbid = |path| {
        let fault = Fault::new(FaultKind::Forbidden, path).times(1);
        system.simulator.fail(fault);
    };
    let record = async |name, id: &str, what| record_latest(&system, name, id, what).await;

    system.sync_projects().await.unwrap();
    let what = "SyncProjects that creates the internal project";
    record("sync-projects", "sync-projects", what).await;
    forbid("/v2/projects");
    system.sync_projects().await.unwrap_err();
    let what = "SyncProjects that may not list the projects";
    record("sync-projects-failed", "sync-projects", what).await;

    system.sync_inventory().await.unwrap();
    let what = "SyncInventory of all kinds";
    record("sync-inventory", "sync-inventory", what).await;
    let unauthorized = Fault::new(FaultKind::Unauthorized, "/v2/volumes").times(1);
    system.simulator.fail(unauthorized);
    system.sync_inventory().await.unwrap_err();
    let what = "SyncInventory whose token is refused for the volumes";
    record("sync-inventory-kind-failed", "sync-inventory", what).await;
    record_held_deletions(&system).await;
    let invalid = system.run_with("SyncInventory", CLOUD_SYNC_FULL, &["[1]"]);
    invalid.await.unwrap_err();
    let what = "SyncInventory with an input that is none";
    record("sync-inventory-invalid-input", "SyncInventory", what).await;

    system.poll_balance().await.unwrap();
    record("poll-balance", "poll-balance", "PollBalance").await;

    let broken = system.simulator.change(|account| {
        let broken = account.invoices()[1].uuid;
        account.set_invoice_csv(broken, "product,description\n");
        broken
    });
    system.billing_history().await.unwrap();
    let what = "BillingHistory over three invoices, of which one cannot be read";
    record("billing-history-child-failed", "billing-history", what).await;
    let what = "IngestInvoice of a CSV that cannot be read";
    let id = format!("ingest-invoice-{broken}");
    record("ingest-invoice-failed", &id, what).await;
    let newest = system.simulator.read(|account| account.invoices()[0].uuid);
    let id = format!("ingest-invoice-{newest}");
    record("ingest-invoice", &id, "IngestInvoice").await;
    // What the worker has drawn before is good for some seconds.
    eventually("an ingest has to wait", async || {
        close_budgets(&system, "10 seconds").await;
        system.ingest(newest).await.unwrap();
        let (_, timers) = pauses(&system.history(&id, None).await);
        (!timers.is_empty()).then_some(())
    })
    .await;
    let what = "IngestInvoice that has to wait for requests";
    record("ingest-invoice-waited", &id, what).await;
}

/// A sync that finds too much gone, and both ends of the workflow that waits for an operator then.
async fn record_held_deletions(system: &TestSystem) {
    system.simulator.change(|account| {
        for number in 0..12 {
            account.add_droplet(&format!("gone-{number}"), "s-1vcpu-1gb", "syd1");
        }
    });
    system.sync_inventory().await.unwrap();
    for approve in [true, false] {
        system.simulator.change(|account| {
            for id in account.resource_ids("droplet").split_off(1) {
                account.remove_resource("droplet", &id);
            }
        });
        for _ in 0..2 {
            system.sync_inventory().await.unwrap();
        }
        let report = system.sync_inventory().await.unwrap();
        let what = "SyncInventory that finds too many droplets gone";
        record_latest(system, "sync-inventory-held", "sync-inventory", what).await;
        let held = report.kinds[0].held.clone().unwrap();
        let id = format!("held-deletion-{}", held.hold);
        let decision = format!(r#"{{"approve": {approve}, "by": "ann"}}"#);
        decide(system, &id, &decision).await;
        let (name, what) = if approve {
            ("held-deletion-approved", "HeldDeletion that is approved")
        } else {
            ("held-deletion-rejected", "HeldDeletion that is rejected")
        };
        record_latest(system, name, &id, what).await;
        system.simulator.change(|account| {
            for number in 0..12 {
                account.add_droplet(&format!("back-{number}"), "s-1vcpu-1gb", "syd1");
            }
        });
        system.sync_inventory().await.unwrap();
    }
}

/// Writes the history of the latest workflow whose id begins like that.
async fn record_latest(system: &TestSystem, name: &str, id: &str, what: &str) {
    // The newest comes first.
    let workflows = system.workflows().await;
    let mut matching = workflows
        .iter()
        .filter(|workflow| workflow.id().starts_with(id));
    let latest = matching.next().unwrap();
    let events = system.history(latest.id(), Some(latest.run_id())).await;
    write_history(name, what, &History { events });
}

fn account_to_record() -> Account {
    let mut account = Account::empty();
    account.add_droplet("web-1", "s-1vcpu-1gb", "syd1");
    for month in 2..=4 {
        let line = InvoiceLine::new("Droplets", "web-1 (s-1vcpu-1gb)", 6.into());
        account.add_invoice(Invoice::for_month(2026, month, vec![line]));
    }
    account
}
