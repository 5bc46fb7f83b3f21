//! Replays recorded histories of all workflows with the current workflow code.
//!
//! A change that is incompatible with the commands of open runs fails here. Until 0.1.0 there are
//! no older runs, so record the histories again:
//!
//! ```sh
//! cargo test -p tests --test system record_ -- --ignored
//! ```
//!
//! From 0.1.0 on, patch the workflow instead, as `docs/upgrades.md` describes. The file format is
//! in `docs/decisions/2026-11-23-recorded-histories.md`.

mod recording;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use prost::Message as _;
use simulator::{Account, Invoice};
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
use workflows::maintenance::Maintain;
use workflows::months::CloseMonth;
use workflows::projects::SyncProjects;
use workflows::reallocations::Reallocate;

use crate::support::TestSystem;

const WORKFLOWS: [&str; 9] = [
    "BillingHistory",
    "CloseMonth",
    "HeldDeletion",
    "IngestInvoice",
    "Maintain",
    "PollBalance",
    "Reallocate",
    "SyncInventory",
    "SyncProjects",
];
/// The magic number of gzip, with which no encoded history starts.
const GZIP: [u8; 2] = [0x1f, 0x8b];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("histories")
}

fn read_history(path: &Path) -> History {
    let text = fs::read_to_string(path).unwrap();
    let encoded: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut decoded = STANDARD.decode(encoded).unwrap();
    if decoded.starts_with(&GZIP) {
        let mut whole = Vec::new();
        GzDecoder::new(&*decoded).read_to_end(&mut whole).unwrap();
        decoded = whole;
    }
    History::decode(decoded.as_slice()).unwrap()
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
        panic!("the first event of the history is not a start");
    };
    started.workflow_type.clone().unwrap().name
}

/// Returns a replayer with the current workflows.
fn replayer() -> Result<WorkflowReplayer, anyhow::Error> {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<BillingHistory>()?
        .register_workflow::<CloseMonth>()?
        .register_workflow::<HeldDeletion>()?
        .register_workflow::<IngestInvoice>()?
        .register_workflow::<Maintain>()?
        .register_workflow::<PollBalance>()?
        .register_workflow::<Reallocate>()?
        .register_workflow::<SyncInventory>()?
        .register_workflow::<SyncProjects>()?;
    Ok(WorkflowReplayer::new(options.build())?)
}

#[tokio::test]
async fn recorded_histories_replay_without_nondeterminism() {
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

/// A variant of the workflow with different commands.
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
async fn a_workflow_with_different_commands_fails_the_replay() {
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

async fn with_more_invoices_than_a_page() -> TestSystem {
    let mut account = Account::empty();
    for year in 1970..2013 {
        for month in 1..=12 {
            account.add_invoice(Invoice::for_month(year, month, Vec::new()));
        }
    }
    TestSystem::start(account).await
}

#[tokio::test]
async fn a_run_over_more_than_a_page_continues_as_new_and_replays() {
    let system = with_more_invoices_than_a_page().await;
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
