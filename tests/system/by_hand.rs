//! Workflows that a person starts, with valid and invalid input.

use devstack::testing::TestTemporal;
use simulator::Account;
use temporalio_client::{WorkflowExecutionInfo, WorkflowGetResultOptions};
use tokio::process::Command;
use uuid::Uuid;
use workflows::task_queue::{CLOUD_BILLING, CLOUD_SYNC_FULL};

use crate::support::{LIMIT, TestSystem, within};

/// Runs the `temporal` program, which must succeed, and returns its output.
pub(crate) async fn temporal(system: &TestSystem, arguments: &[&str]) -> String {
    match run_temporal(system, arguments).await {
        Ok(output) => output,
        Err(errors) => panic!("{errors}"),
    }
}

/// Runs the `temporal` program, which must fail, and returns its errors.
pub(crate) async fn temporal_fails(system: &TestSystem, arguments: &[&str]) -> String {
    match run_temporal(system, arguments).await {
        Ok(output) => panic!("it succeeded: {output}"),
        Err(errors) => errors,
    }
}

async fn run_temporal(system: &TestSystem, arguments: &[&str]) -> Result<String, String> {
    let temporal: &TestTemporal = devstack::testing::temporal().await;
    let mut command = Command::new(temporal.cli());
    command
        .args(arguments)
        .args(["--address", temporal.address()])
        .args(["--namespace", &system.namespace]);
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr) + &text(&output.stdout))
    }
}

/// Runs an ad-hoc ingest with the documented command, and waits for its end.
async fn ingest_by_command_line(system: &TestSystem, invoice: Uuid) -> Result<(), String> {
    let id = format!("ingest-invoice-{invoice}");
    let input = format!("\"{invoice}\"");
    #[rustfmt::skip]
    let arguments = [
        "workflow", "start", "--type", "IngestInvoice", "--task-queue", "cloud-billing",
        "--workflow-id", &id, "--input", &input,
    ];
    let output = temporal(system, &arguments).await;
    assert!(output.contains(&id), "{output}");
    let info = WorkflowExecutionInfo::builder()
        .namespace(&system.namespace)
        .workflow_id(&id)
        .build();
    let handle = info.bind_untyped(system.client.clone());
    let result = handle.get_result(WorkflowGetResultOptions::default());
    match within(LIMIT, &id, result).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn the_temporal_program_ingests_an_invoice_that_was_never_listed() {
    let account = Account::demo();
    let april = account.invoices()[0].uuid;
    let system = TestSystem::start(account).await;
    ingest_by_command_line(&system, april).await.unwrap();
    let invoice = "select concat_ws(' ', period, ingest_status, line_count, line_total, off_by = 0) from cloud_invoices";
    assert_eq!(
        system.rows(invoice).await,
        ["2026-04-01 ingested 33 86.92 t"]
    );
    // Ingests the invoice again, now that it is stored.
    ingest_by_command_line(&system, april).await.unwrap();
    assert_eq!(
        system.count("select count(*) from cloud_cost_lines").await,
        33
    );
}

#[tokio::test]
async fn an_unknown_invoice_fails_with_digitaloceans_status() {
    let system = TestSystem::start(Account::empty()).await;
    let message = system.ingest(Uuid::new_v4()).await.unwrap_err();
    assert!(message.contains("404"), "{message}");
    assert_eq!(system.count("select count(*) from cloud_invoices").await, 0);
}

#[tokio::test]
async fn an_invalid_input_fails_the_workflow_and_names_the_expected_one() {
    let system = TestSystem::start(Account::demo()).await;
    let uuid = format!("\"{}\"", Uuid::new_v4());
    let invoice = "JSON string";
    let scope = r#"{"kinds": ["droplet"]}"#;
    let cases: [(&str, &str, &[&str], &str); 10] = [
        ("IngestInvoice", CLOUD_BILLING, &[], invoice),
        ("IngestInvoice", CLOUD_BILLING, &["null"], invoice),
        ("IngestInvoice", CLOUD_BILLING, &["\"not-a-uuid\""], invoice),
        ("IngestInvoice", CLOUD_BILLING, &["not json"], invoice),
        ("IngestInvoice", CLOUD_BILLING, &[&uuid, &uuid], "got 2"),
        ("IngestInvoice", CLOUD_BILLING, &[r#"{"uuid":7}"#], invoice),
        ("CloseMonth", CLOUD_BILLING, &[], "\"2026-04\""),
        ("CloseMonth", CLOUD_BILLING, &["\"2026-13\""], "YYYY-MM"),
        ("SyncInventory", CLOUD_SYNC_FULL, &["[1]"], scope),
        (
            "SyncInventory",
            CLOUD_SYNC_FULL,
            &[r#"{"kind":"droplet"}"#],
            "kind",
        ),
    ];
    for (workflow_type, queue, arguments, expected) in cases {
        let outcome = system.run_with(workflow_type, queue, arguments).await;
        let message = outcome.expect_err(&format!("{workflow_type} {arguments:?} completed"));
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
    assert!(system.simulator.requests().is_empty());
}

#[tokio::test]
async fn a_kind_without_a_listing_is_reported_by_name() {
    let system = TestSystem::start(Account::demo()).await;
    let scope = [r#"{"kinds":["nonsense","droplet"]}"#];
    let message = system
        .run_with("SyncInventory", CLOUD_SYNC_FULL, &scope)
        .await
        .unwrap_err();
    assert!(
        message.contains("not synced: nonsense") && message.contains("synced: droplet"),
        "{message}"
    );
}
