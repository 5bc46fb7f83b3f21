//! Starts the runs for the recorded histories, and writes the histories to files.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use simulator::{Account, Fault, FaultKind, Invoice, InvoiceLine};
use temporalio_client::{
    UntypedWorkflow, WorkflowCancelOptions, WorkflowExecutionInfo, WorkflowGetResultOptions,
    WorkflowStartOptions,
};
use temporalio_common::data_converters::RawValue;
use temporalio_common::protos::temporal::api::history::v1::History;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use uuid::Uuid;
use workflows::reallocations::WORKFLOW_ID;
use workflows::task_queue::{CLOUD_BILLING, CLOUD_SYNC_FULL};

use super::directory;
use crate::cancelled::wait_until_started;
use crate::held_deletions::decide;
use crate::rate_limit::{close_budgets, pauses};
use crate::support::{LIMIT_OF_RETRIES, TestSystem, eventually, json_payload, within};

/// Line width of the encoded text, as in e-mail.
const WIDTH: usize = 76;
/// Size in bytes above which histories are compressed.
const LONG: usize = 64 << 10;

/// Writes a history: comment lines that start with `#`, then the encoded
/// `temporal.api.history.v1.History` in base64, compressed with gzip if large.
fn write_history(name: &str, description: &str, history: &History) {
    let mut encoded = history.encode_to_vec();
    if encoded.len() > LONG {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&encoded).unwrap();
        encoded = gzip.finish().unwrap();
    }
    let encoded = STANDARD.encode(encoded);
    let mut text = format!("# {description}\n# Recorded; see tests/system/replay.rs.\n");
    for line in encoded.as_bytes().chunks(WIDTH) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    fs::create_dir_all(directory()).unwrap();
    fs::write(directory().join(format!("{name}.history")), text).unwrap();
}

/// Records the runs of an account with three invoices.
#[tokio::test]
#[ignore = "writes tests/histories"]
async fn record_histories() {
    let system = TestSystem::start(account_to_record()).await;
    let forbid = |path| {
        let fault = Fault::new(FaultKind::Forbidden, path).times(1);
        system.simulator.fail(fault);
    };
    let record =
        async |name, id: &str, description| record_latest(&system, name, id, description).await;

    system.sync_projects().await.unwrap();
    let description = "SyncProjects that creates the internal project";
    record("sync-projects", "sync-projects", description).await;
    forbid("/v2/projects");
    system.sync_projects().await.unwrap_err();
    let description = "SyncProjects that may not list the projects";
    record("sync-projects-failed", "sync-projects", description).await;

    system.sync_inventory().await.unwrap();
    let description = "SyncInventory of all kinds";
    record("sync-inventory", "sync-inventory", description).await;
    let unauthorized = Fault::new(FaultKind::Unauthorized, "/v2/volumes").times(1);
    system.simulator.fail(unauthorized);
    system.sync_inventory().await.unwrap_err();
    let description = "SyncInventory that gets 401 for volumes";
    record("sync-inventory-kind-failed", "sync-inventory", description).await;
    record_held_deletions(&system).await;
    let invalid = system.run_with("SyncInventory", CLOUD_SYNC_FULL, &["[1]"]);
    invalid.await.unwrap_err();
    let description = "SyncInventory with an invalid input";
    record("sync-inventory-invalid-input", "SyncInventory", description).await;

    system.poll_balance().await.unwrap();
    record("poll-balance", "poll-balance", "PollBalance").await;
    system.maintain().await.unwrap();
    record("maintain", "maintain", "Maintain").await;

    let broken = system.simulator.change(|account| {
        let broken = account.invoices()[1].uuid;
        account.set_invoice_csv(broken, "product,description\n");
        broken
    });
    system.billing_history().await.unwrap();
    let description = "BillingHistory over three invoices, of which one cannot be read";
    record(
        "billing-history-child-failed",
        "billing-history",
        description,
    )
    .await;
    let description = "IngestInvoice of a CSV that cannot be read";
    let id = format!("ingest-invoice-{broken}");
    record("ingest-invoice-failed", &id, description).await;
    let newest = system.simulator.read(|account| account.invoices()[0].uuid);
    let id = format!("ingest-invoice-{newest}");
    record("ingest-invoice", &id, "IngestInvoice").await;
    // The worker's existing lease is valid for some seconds.
    eventually("an ingest waits for requests", async || {
        close_budgets(&system, "10 seconds").await;
        system.ingest(newest).await.unwrap();
        let (_, timers) = pauses(&system.history(&id, None).await);
        (!timers.is_empty()).then_some(())
    })
    .await;
    let description = "IngestInvoice that has to wait for requests";
    record("ingest-invoice-waited", &id, description).await;
}

/// Records a sync that starts the reallocation of lines, and the reallocation.
#[tokio::test]
#[ignore = "writes tests/histories"]
async fn record_reallocations() {
    let system = TestSystem::start(account_to_record()).await;
    system.sync_projects().await.unwrap();
    system.billing_history().await.unwrap();
    sqlx::query(
        "insert into cloud_reallocations (cause, project_ids, resource_ids, resources_done)
         select 'inventory', array_agg(id), '{}', false from cloud_projects",
    )
    .execute(&system.pool)
    .await
    .unwrap();
    system.sync_projects().await.unwrap();
    let description = "SyncProjects that starts Reallocate";
    let name = "sync-projects-reallocating";
    record_latest(&system, name, "sync-projects", description).await;
    ended(&system, WORKFLOW_ID).await;
    record_latest(&system, WORKFLOW_ID, WORKFLOW_ID, "Reallocate").await;
}

/// Records closes of months: approved, dropped and cancelled.
#[tokio::test]
#[ignore = "writes tests/histories"]
async fn record_closes() {
    let system = TestSystem::start(account_to_record()).await;
    system.billing_history().await.unwrap();
    crate::months::close(&system, "2026-04").await;
    let id = "close-month-2026-04";
    let description = "CloseMonth that is approved";
    record_latest(&system, "close-month-approved", id, description).await;
    let id = "close-month-2026-05";
    crate::months::approve_too_early(&system, "2026-05").await;
    cancel(&system, id).await;
    let description = "CloseMonth that drops an approval, and is cancelled";
    record_latest(&system, "close-month-dropped", id, description).await;
    crate::months::start(&system, "2026-04").await;
    ended(&system, "close-month-2026-04").await;
    let description = "CloseMonth of a closed month";
    record_latest(
        &system,
        "close-month-closed",
        "close-month-2026-04",
        description,
    )
    .await;
}

/// Closes the request budget with a 429, as another user of the token could cause it. Existing
/// leases are not used either.
async fn close_budget(system: &TestSystem) {
    let refused = FaultKind::RateLimited { retry_after: 65 };
    let refused = Fault::new(refused, "/v2/customers/my/balance");
    system.simulator.fail(refused.times(1));
    let id = format!("closes-{}", Uuid::new_v4());
    start(system, "PollBalance", CLOUD_BILLING, &id, &[]).await;
    eventually("the budget is closed", async || {
        let closed = "select count(*) from cloud_request_budgets
            where closed_until > clock_timestamp() + interval '30 seconds'";
        (system.count(closed).await > 0).then_some(())
    })
    .await;
}

/// Records runs of syncs that wait or are cancelled.
#[tokio::test]
#[ignore = "writes tests/histories"]
async fn record_waits_and_cancellations() {
    let system = TestSystem::start(account_to_record()).await;
    let record =
        async |name, id: &str, description| record_latest(&system, name, id, description).await;
    system.sync_projects().await.unwrap();
    close_budget(&system).await;
    system.sync_projects().await.unwrap();
    let description = "SyncProjects that has to wait for requests";
    record("sync-projects-waited", "sync-projects", description).await;
    close_budget(&system).await;
    start(
        &system,
        "SyncInventory",
        CLOUD_SYNC_FULL,
        "inventory-waited",
        DROPLETS,
    )
    .await;
    ended(&system, "inventory-waited").await;
    let description = "SyncInventory of droplets that has to wait for requests";
    record("sync-inventory-waited", "inventory-waited", description).await;

    slow_once(&system, "/v2/droplets");
    let id = "inventory-cancelled";
    start(&system, "SyncInventory", CLOUD_SYNC_FULL, id, DROPLETS).await;
    wait_until_started(&system, id, "inventory.sync_kind").await;
    cancel(&system, id).await;
    let description = "SyncInventory that is cancelled while it lists";
    record("sync-inventory-cancelled", id, description).await;
    close_budget(&system).await;
    let id = "projects-cancelled";
    start(&system, "SyncProjects", CLOUD_SYNC_FULL, id, &[]).await;
    wait_for_event(&system, id, is_timer).await;
    cancel(&system, id).await;
    let description = "SyncProjects that is cancelled while it waits for requests";
    record("sync-projects-cancelled", id, description).await;
}

/// Records runs of billing that wait or are cancelled.
#[tokio::test]
#[ignore = "writes tests/histories"]
async fn record_waits_and_cancellations_of_billing() {
    let system = TestSystem::start(account_to_record()).await;
    let record =
        async |name, id: &str, description| record_latest(&system, name, id, description).await;
    let newest = system.simulator.read(|account| account.invoices()[0].uuid);
    slow_once(&system, &format!("/v2/customers/my/invoices/{newest}/csv"));
    let id = "billing-cancelled";
    start(&system, "BillingHistory", CLOUD_BILLING, id, &[]).await;
    let is_child = |event: &Attributes| {
        matches!(
            event,
            Attributes::ChildWorkflowExecutionStartedEventAttributes(_)
        )
    };
    wait_for_event(&system, id, is_child).await;
    cancel(&system, id).await;
    let description = "BillingHistory that is cancelled while its invoices are ingested";
    record("billing-history-cancelled", id, description).await;
    close_budget(&system).await;
    system.billing_history().await.unwrap();
    let description = "BillingHistory that has to wait for requests";
    record("billing-history-waited", "billing-history", description).await;
    close_budget(&system).await;
    let id = format!("ingest-invoice-{newest}");
    let input = format!("\"{newest}\"");
    start(&system, "IngestInvoice", CLOUD_BILLING, &id, &[&input]).await;
    wait_for_event(&system, &id, is_timer).await;
    cancel(&system, &id).await;
    let description = "IngestInvoice that is cancelled while it waits for requests";
    record("ingest-invoice-cancelled", &id, description).await;
}

/// Records a run that continues as new.
#[tokio::test]
#[ignore = "writes tests/histories"]
async fn record_continue_as_new() {
    let system = super::with_more_invoices_than_a_page().await;
    system.billing_history().await.unwrap();
    for workflow in system.workflows().await {
        if workflow.workflow_type() != "BillingHistory" {
            continue;
        }
        let events = system.history(workflow.id(), Some(workflow.run_id())).await;
        let history = History { events };
        let is_first = history.events.iter().any(|event| {
            let attributes = event.attributes.as_ref();
            matches!(
                attributes,
                Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(
                    _
                ))
            )
        });
        let (name, description) = if is_first {
            (
                "billing-history-continued",
                "BillingHistory that continues as new after a page of invoices",
            )
        } else {
            (
                "billing-history-continuation",
                "BillingHistory that continues a previous run",
            )
        };
        write_history(name, description, &history);
    }
}

/// Records holds without a decision. Takes five minutes, the poll interval of `HeldDeletion`.
#[tokio::test]
#[ignore = "writes tests/histories"]
async fn record_holds_without_a_decision() {
    let (system, id) = crate::held_deletions::with_a_hold().await;
    let other = "held-deletion-cancelled";
    let hold = format!("\"{}\"", id.trim_start_matches("held-deletion-"));
    start(&system, "HeldDeletion", CLOUD_SYNC_FULL, other, &[&hold]).await;
    wait_for_event(&system, other, is_timer).await;
    cancel(&system, other).await;
    let description = "HeldDeletion that is cancelled";
    record_latest(&system, "held-deletion-cancelled", other, description).await;
    system.simulator.change(|account| {
        for number in 0..60 {
            account.add_droplet(&format!("more-{number}"), "s-1vcpu-1gb", "syd1");
        }
    });
    wait_for_event(&system, &id, is_timer).await;
    // With the added droplets, the missing ones no longer exceed the guard's limit.
    system.sync_inventory().await.unwrap();
    let until_next_poll = Duration::from_mins(7);
    within(until_next_poll, &id, ended(&system, &id)).await;
    let description = "HeldDeletion that finds its hold superseded";
    record_latest(&system, "held-deletion-superseded", &id, description).await;
}

const DROPLETS: &[&str] = &[r#"{"kinds": ["droplet"]}"#];

fn is_timer(event: &Attributes) -> bool {
    matches!(event, Attributes::TimerStartedEventAttributes(_))
}

/// Delays one response for longer than it takes until a heartbeat delivers a cancellation.
fn slow_once(system: &TestSystem, path: &str) {
    let delay = Duration::from_secs(15);
    let slow = Fault::new(FaultKind::Slow { delay }, path);
    system.simulator.fail(slow.times(1));
}

async fn start(system: &TestSystem, workflow: &str, queue: &str, id: &str, input: &[&str]) {
    let payloads = input.iter().map(|json| json_payload(json)).collect();
    let options = WorkflowStartOptions::new(queue, id).build();
    let workflow = UntypedWorkflow::new(workflow);
    let starting = system
        .client
        .start_workflow(workflow, RawValue::new(payloads), options);
    starting.await.unwrap();
}

/// Waits for an event in a run's history.
async fn wait_for_event(system: &TestSystem, id: &str, matches: impl Fn(&Attributes) -> bool) {
    eventually(id, async || {
        let events = system.history(id, None).await;
        let mut attributes = events.iter().filter_map(|event| event.attributes.as_ref());
        attributes.any(&matches).then_some(())
    })
    .await;
}

/// Waits for the end of a run, successful or not.
async fn ended(system: &TestSystem, id: &str) {
    let info = WorkflowExecutionInfo::builder()
        .namespace(&system.namespace)
        .workflow_id(id)
        .build();
    let run = info.bind_untyped(system.client.clone());
    drop(run.get_result(WorkflowGetResultOptions::default()).await);
}

async fn cancel(system: &TestSystem, id: &str) {
    let info = WorkflowExecutionInfo::builder()
        .namespace(&system.namespace)
        .workflow_id(id)
        .build();
    let run = info.bind_untyped(system.client.clone());
    run.cancel(WorkflowCancelOptions::default()).await.unwrap();
    within(LIMIT_OF_RETRIES, id, ended(system, id)).await;
}

/// Records a sync that holds deletions, and both decisions of the workflow that waits for an
/// operator.
async fn record_held_deletions(system: &TestSystem) {
    system.simulator.change(|account| {
        for number in 0..12 {
            account.add_droplet(&format!("removed-{number}"), "s-1vcpu-1gb", "syd1");
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
        let description = "SyncInventory that holds the deletion of too many droplets";
        record_latest(system, "sync-inventory-held", "sync-inventory", description).await;
        let held = report.kinds[0].held.clone().unwrap();
        let id = format!("held-deletion-{}", held.hold);
        let decision = format!(r#"{{"approve": {approve}, "by": "ann"}}"#);
        decide(system, &id, &decision).await;
        let (name, description) = if approve {
            ("held-deletion-approved", "HeldDeletion that is approved")
        } else {
            ("held-deletion-rejected", "HeldDeletion that is rejected")
        };
        record_latest(system, name, &id, description).await;
        system.simulator.change(|account| {
            for number in 0..12 {
                account.add_droplet(&format!("back-{number}"), "s-1vcpu-1gb", "syd1");
            }
        });
        system.sync_inventory().await.unwrap();
    }
}

/// Writes the history of the latest workflow with an id that starts with `id`.
async fn record_latest(system: &TestSystem, name: &str, id: &str, description: &str) {
    // Temporal lists the newest run first.
    let workflows = system.workflows().await;
    let mut matching = workflows
        .iter()
        .filter(|workflow| workflow.id().starts_with(id));
    let latest = matching.next().unwrap();
    let events = system.history(latest.id(), Some(latest.run_id())).await;
    write_history(name, description, &History { events });
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
