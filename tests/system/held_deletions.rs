//! Deletions that wait for an operator, seen and answered through Temporal.

use simulator::Account;
use temporalio_client::{WorkflowDescribeOptions, WorkflowExecutionInfo, WorkflowGetResultOptions};
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;

use crate::by_hand::{temporal, temporal_refuses};
use crate::support::{LIMIT, TestSystem, eventually, within};

/// A system whose droplets have lost twelve of sixteen, three complete listings ago; and the workflow that waits.
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
    // Another sync with the same hold starts no other workflow, and fails not.
    system.sync_inventory().await.unwrap();
    (system, id)
}

async fn result(system: &TestSystem, id: &str) -> String {
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

/// Answers by the `temporal` program, and waits for what becomes of it.
pub(crate) async fn decide(system: &TestSystem, id: &str, decision: &str) -> (String, String) {
    let arguments = update(id, decision);
    let said = temporal(system, &arguments).await;
    (said, result(system, id).await)
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
    let ask = ["workflow", "query", "--workflow-id", &id, "--type", "progress"];
    let progress = temporal(&system, &ask).await;
    assert!(
        progress.contains(r#""state":"pending""#) && progress.contains(r#""would_delete":12"#),
        "{progress}"
    );
    let (said, outcome) = decide(&system, &id, r#"{"approve": true, "by": "ann"}"#).await;
    assert!(said.contains("approved by ann"), "{said}");
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
async fn an_operator_rejects_and_what_is_no_decision_is_refused() {
    let (system, id) = with_a_hold().await;
    for (input, why) in [
        (r#"{"approve": true, "by": " "}"#, "say who decides"),
        (r#"{"approve": "perhaps"}"#, "expected a word like"),
    ] {
        let refused = temporal_refuses(&system, &update(&id, input)).await;
        assert!(refused.contains(why), "{refused}");
    }
    let (_, outcome) = decide(&system, &id, r#"{"approve": false, "by": "bob"}"#).await;
    assert!(outcome.contains(r#""state":"rejected""#), "{outcome}");
    assert_eq!(system.count(DELETED).await, 0);
}

#[tokio::test]
async fn a_hold_that_has_waited_for_a_while_is_told_of_and_its_run_is_not_asked_for_by_every_sync()
{
    let (system, id) = with_a_hold().await;
    let asks = async || {
        let events = system.all_events().await.into_iter();
        let asked = events.filter(|event| {
            matches!(
                event.attributes,
                Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(_))
            )
        });
        asked.count()
    };
    assert_eq!(asks().await, 2, "by the sync that held, and by the next");
    let moved = "update cloud_held_deletions set held_at = held_at - interval '1 hour'";
    execute(&system, moved.to_owned()).await;
    let report = system.sync_inventory().await.unwrap();
    let droplets = &report.kinds[0];
    assert_eq!(droplets.held, None);
    let waiting = droplets.still_held.as_ref().unwrap();
    assert_eq!(id, format!("held-deletion-{}", waiting.hold));
    assert_eq!((waiting.would_delete, waiting.live), (12, 16));
    assert_eq!(asks().await, 2);

    // Somebody ended it. A day after the hold it is there again.
    temporal(&system, &["workflow", "terminate", "--workflow-id", &id]).await;
    let moved = "update cloud_held_deletions set held_at = held_at - interval '23 hours'";
    execute(&system, moved.to_owned()).await;
    system.sync_inventory().await.unwrap();
    assert_eq!(asks().await, 3);
    let (_, outcome) = decide(&system, &id, r#"{"approve": false, "by": "bob"}"#).await;
    assert!(outcome.contains(r#""state":"rejected""#), "{outcome}");
}

/// An operator's word that the database refuses for a while. Gives what becomes of it.
async fn decide_meanwhile(
    system: &TestSystem,
    id: &str,
    failures: &'static str,
    mend: impl AsyncFnOnce(),
) -> String {
    let input = r#"{"approve": true, "by": "ann"}"#;
    let said = temporal(system, &update(id, input)).await;
    assert!(said.contains("approved by ann"), "{said}");
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
    mend().await;
    result(system, id).await
}

async fn execute(system: &TestSystem, sql: String) {
    let sql = sqlx::AssertSqlSafe(sql);
    sqlx::raw_sql(sql).execute(&system.pool).await.unwrap();
}

#[tokio::test]
async fn a_failover_to_a_server_that_only_reads_loses_no_decision() {
    let (system, id) = with_a_hold().await;
    let database = "select current_database()::text";
    let database = system.rows(database).await.remove(0);
    // New sessions have it: the others end, as they do when a server fails over.
    let read_only = async |value: &str| {
        let set = format!("alter database {database} set default_transaction_read_only = {value}");
        execute(&system, set).await;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = 'arcadia'";
        execute(&system, end.to_owned()).await;
    };
    read_only("on").await;
    let outcome = decide_meanwhile(&system, &id, "read-only transaction", async || {
        read_only("off").await;
    });
    let outcome = outcome.await;
    assert!(outcome.contains(r#""state":"approved""#), "{outcome}");
    assert_eq!(system.count(DELETED).await, 12);
}

#[tokio::test]
async fn a_decision_that_the_database_refuses_is_asked_for_again() {
    let (system, id) = with_a_hold().await;
    let rename = |from, to| format!("alter table {from} rename to {to}");
    execute(&system, rename("cloud_resource_events", "elsewhere")).await;
    let outcome = decide_meanwhile(&system, &id, "does not exist", async || {
        execute(&system, rename("elsewhere", "cloud_resource_events")).await;
    });
    let outcome = outcome.await;
    assert!(outcome.contains(r#""state":"approved""#), "{outcome}");
    assert_eq!(system.count(DELETED).await, 12);
}
