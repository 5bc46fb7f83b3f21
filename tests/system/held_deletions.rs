//! Held deletions: deletions that wait for an operator's decision through Temporal.

use simulator::Account;
use temporalio_client::{WorkflowDescribeOptions, WorkflowExecutionInfo, WorkflowGetResultOptions};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

use crate::by_hand::{temporal, temporal_fails};
use crate::support::{LIMIT, TestSystem, eventually, within};

/// Starts a system in which twelve of sixteen droplets were missing from three complete listings.
/// Returns it with the id of the workflow that waits for the decision.
pub(crate) async fn with_a_hold() -> (TestSystem, String) {
    let mut account = Account::empty();
    let droplets: Vec<u64> = (0..16)
        .map(|number| account.add_droplet(&format!("web-{number}"), "s-1vcpu-1gb", "syd1"))
        .collect();
    let system = TestSystem::start(account).await;
    system.sync_inventory().await.unwrap();
    system.simulator.change(|account| {
        for id in &droplets[..12] {
            account.remove_droplet(*id);
        }
    });
    for _ in 0..2 {
        system.sync_inventory().await.unwrap();
    }
    let report = system.sync_inventory().await.unwrap();
    let held = report.kinds[0].held.as_ref().unwrap();
    assert_eq!((held.would_delete, held.live), (12, 16));
    let id = format!("held-deletion-{}", held.hold);
    eventually("the workflow waits", async || {
        let workflows = system.workflows().await;
        workflows.iter().any(|one| one.id() == id).then_some(())
    })
    .await;
    // Another sync with the same hold succeeds and does not start a second workflow.
    system.sync_inventory().await.unwrap();
    (system, id)
}

pub(crate) async fn result(system: &TestSystem, id: &str) -> String {
    let info = WorkflowExecutionInfo::builder()
        .namespace(&system.namespace)
        .workflow_id(id)
        .build();
    let handle = info.bind_untyped(system.client.clone());
    let ended = handle.get_result(WorkflowGetResultOptions::default());
    let output = within(LIMIT, id, ended).await.unwrap();
    let payload = &output.payloads[0];
    String::from_utf8(payload.data.clone()).unwrap()
}

/// Decides with the `temporal` program, and returns its output and the result of the run.
pub(crate) async fn decide(system: &TestSystem, id: &str, decision: &str) -> (String, String) {
    let arguments = update(id, decision);
    let output = temporal(system, &arguments).await;
    (output, result(system, id).await)
}

fn update<'a>(id: &'a str, decision: &'a str) -> [&'a str; 9] {
    [
        "workflow",
        "update",
        "execute",
        "--workflow-id",
        id,
        "--name",
        "decide",
        "--input",
        decision,
    ]
}

const DELETED: &str = "select count(*) from cloud_resources where deleted_at is not null";

#[tokio::test]
async fn an_operator_approves_with_the_temporal_program() {
    let (system, id) = with_a_hold().await;
    assert_eq!(system.count(DELETED).await, 0);
    #[rustfmt::skip]
    let query = ["workflow", "query", "--workflow-id", &id, "--type", "progress"];
    let progress = temporal(&system, &query).await;
    assert!(
        progress.contains(r#""state":"pending""#) && progress.contains(r#""would_delete":12"#),
        "{progress}"
    );
    let (output, outcome) = decide(&system, &id, r#"{"approve": true, "by": "ann"}"#).await;
    assert!(output.contains("approved"), "{output}");
    assert!(
        outcome.contains(r#""state":"approved""#) && outcome.contains(r#""deleted":12"#),
        "{outcome}"
    );
    assert_eq!(system.count(DELETED).await, 12);
    let by = "select distinct changes #>> '{approved_by,after}' || ' ' || workflow_id from cloud_resource_events
        where event = 'deleted'";
    assert_eq!(system.rows(by).await, [format!("ann {id}")]);
    let hold = "select state || ' ' || decided_by from cloud_held_deletions";
    assert_eq!(system.rows(hold).await, ["approved ann"]);
}

#[tokio::test]
async fn an_operator_rejects_and_invalid_decisions_are_refused() {
    let (system, id) = with_a_hold().await;
    for (input, why) in [
        (r#"{"approve": true, "by": " "}"#, "`by`"),
        (r#"{"approve": "perhaps"}"#, "perhaps"),
    ] {
        let refused = temporal_fails(&system, &update(&id, input)).await;
        assert!(refused.contains(why), "{refused}");
    }
    let (_, outcome) = decide(&system, &id, r#"{"approve": false, "by": "bob"}"#).await;
    assert!(outcome.contains(r#""state":"rejected""#), "{outcome}");
    assert_eq!(system.count(DELETED).await, 0);
}

#[tokio::test]
async fn an_older_hold_is_reported_and_its_run_is_not_started_by_every_sync() {
    let (system, id) = with_a_hold().await;
    let starts = async || {
        let events = system.all_events().await.into_iter();
        let starts = events.filter(|event| {
            matches!(
                event.attributes,
                Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(_))
            )
        });
        starts.count()
    };
    assert_eq!(starts().await, 2, "by the sync with the hold and the next");
    let moved = "update cloud_held_deletions set held_at = held_at - interval '1 hour'";
    execute(&system, moved.to_owned()).await;
    let report = system.sync_inventory().await.unwrap();
    let droplets = &report.kinds[0];
    assert_eq!(droplets.held, None);
    let waiting = droplets.still_held.as_ref().unwrap();
    assert_eq!(id, format!("held-deletion-{}", waiting.hold));
    assert_eq!((waiting.would_delete, waiting.live), (12, 16));
    assert_eq!(starts().await, 2);

    // The run is terminated. A day after the hold, a sync starts it again.
    temporal(&system, &["workflow", "terminate", "--workflow-id", &id]).await;
    let moved = "update cloud_held_deletions set held_at = held_at - interval '23 hours'";
    execute(&system, moved.to_owned()).await;
    system.sync_inventory().await.unwrap();
    assert_eq!(starts().await, 3);
    let (_, outcome) = decide(&system, &id, r#"{"approve": false, "by": "bob"}"#).await;
    assert!(outcome.contains(r#""state":"rejected""#), "{outcome}");
}

/// Decides while the database rejects writes, calls `repair` after the first failure, and returns
/// the result of the run.
async fn decide_during_failure(
    system: &TestSystem,
    id: &str,
    failures: &'static str,
    repair: impl AsyncFnOnce(),
) -> String {
    let input = r#"{"approve": true, "by": "ann"}"#;
    let output = temporal(system, &update(id, input)).await;
    assert!(output.contains("approved"), "{output}");
    eventually("the decision is refused", async || {
        let info = WorkflowExecutionInfo::builder()
            .namespace(&system.namespace)
            .workflow_id(id)
            .build();
        let handle = info.bind_untyped(system.client.clone());
        let described = handle.describe(WorkflowDescribeOptions::default()).await;
        let described = described.unwrap();
        let pending = &described.raw().pending_activities;
        let refused = pending.iter().filter_map(|one| one.last_failure.as_ref());
        let refused = refused.map(|failure| failure.message.clone());
        let ended = system.history(id, None).await.into_iter();
        let ended = ended.filter_map(|event| match event.attributes {
            Some(Attributes::ActivityTaskFailedEventAttributes(failed)) => failed.failure,
            _ => None,
        });
        let mut all = refused.chain(ended.map(|failure| failure.message));
        all.any(|message| message.contains(failures)).then_some(())
    })
    .await;
    repair().await;
    result(system, id).await
}

async fn execute(system: &TestSystem, sql: String) {
    let sql = sqlx::AssertSqlSafe(sql);
    sqlx::raw_sql(sql).execute(&system.pool).await.unwrap();
}

#[tokio::test]
async fn a_failover_to_a_read_only_server_loses_no_decision() {
    let (system, id) = with_a_hold().await;
    let database = "select current_database()::text";
    let database = system.rows(database).await.remove(0);
    // Applies to new sessions. The existing ones are terminated, as in a failover.
    let read_only = async |value: &str| {
        let set = format!("alter database {database} set default_transaction_read_only = {value}");
        execute(&system, set).await;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'arcadia'";
        execute(&system, end.to_owned()).await;
    };
    read_only("on").await;
    let outcome = decide_during_failure(&system, &id, "read-only transaction", async || {
        read_only("off").await;
    });
    let outcome = outcome.await;
    assert!(outcome.contains(r#""state":"approved""#), "{outcome}");
    assert_eq!(system.count(DELETED).await, 12);
}

#[tokio::test]
async fn a_decision_that_the_database_rejects_is_retried() {
    let (system, id) = with_a_hold().await;
    let rename = |from, to| format!("alter table {from} rename to {to}");
    execute(&system, rename("cloud_resource_events", "elsewhere")).await;
    let outcome = decide_during_failure(&system, &id, "does not exist", async || {
        execute(&system, rename("elsewhere", "cloud_resource_events")).await;
    });
    let outcome = outcome.await;
    assert!(outcome.contains(r#""state":"approved""#), "{outcome}");
    assert_eq!(system.count(DELETED).await, 12);
}
