//! Changes that affect many cost lines: the workflow that updates them, and its starts.

use digitalocean::Purpose;
use rust_decimal::Decimal;
use simulator::{Account, Invoice, InvoiceLine};
use sqlx::{Connection as _, PgConnection};
use store::Actor;
use store::inventory::Commit;
use store::projects::ProjectChange;
use store::reallocations::{Reallocation, ReallocationState};
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use uuid::Uuid;
use workflows::reallocations::{Reallocate, WORKFLOW_ID};
use workflows::{Input, task_queue};

use crate::support::{LIMIT_OF_RETRIES, TestSystem, eventually, within};

/// Lines of each month: together four portions.
const LINES: usize = 1_000;
const MONTHS: u32 = 8;
const ALL: i64 = 8_000;

/// An account with many lines of the project "shop".
fn account() -> Account {
    let mut account = Account::empty();
    account.add_project("shop");
    for month in 1..=MONTHS {
        let lines = (0..LINES).map(|number| {
            let name = format!("web-{number} (s-1vcpu-1gb)");
            let mut line = InvoiceLine::new("Droplets", &name, Decimal::ONE);
            "shop".clone_into(&mut line.project_name);
            line
        });
        account.add_invoice(Invoice::for_month(2026, month, lines.collect()));
    }
    account
}

/// Syncs the account, and assigns the project to a tenant without starting the workflow.
async fn assigned(system: &TestSystem) -> Uuid {
    system.sync_projects().await.unwrap();
    system.billing_history().await.unwrap();
    let projects = system.store.projects(None, None, 10).await.unwrap();
    let shop = projects.iter().find(|project| project.name == "shop");
    let change = ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        tenant_since: Some("2020-01-01T00:00:00Z".parse().unwrap()),
        purpose: None,
    };
    let ann = Actor::of_command("ann");
    let changed = system
        .store
        .change_project(shop.unwrap().id, &change, &ann, Commit::Keep);
    changed.await.unwrap().1.reallocation.unwrap()
}

async fn done(system: &TestSystem, id: Uuid) -> Reallocation {
    let read = eventually("the reallocation is done", async || {
        let found = system.store.reallocation(id).await.unwrap();
        (found.state == ReallocationState::Done).then_some(found)
    });
    within(LIMIT_OF_RETRIES, "the reallocation", read).await
}

const OF_ACME: &str = "select count(*) from cloud_cost_lines where tenant_id = 'acme'";

#[tokio::test]
async fn a_sync_starts_the_reallocation_after_a_lost_start() {
    let system = TestSystem::start(account()).await;
    let left = assigned(&system).await;
    system.sync_projects().await.unwrap();
    let done = done(&system, left).await;
    assert_eq!((done.lines_done, done.lines_changed), (ALL, ALL));
    assert_eq!(system.count(OF_ACME).await, ALL);
    let workflows = system.workflows().await;
    let runs = workflows.iter().filter(|run| run.id() == WORKFLOW_ID);
    assert_eq!(runs.count(), 1);
}

#[tokio::test]
async fn a_killed_worker_loses_and_doubles_no_portion() {
    let system = TestSystem::start_serving(account(), &[Purpose::CloudSyncFull]).await;
    let billing = [Purpose::CloudBilling];
    let first = system.start_killable_worker(&billing).await;
    let left = assigned(&system).await;
    let mut session = PgConnection::connect(&system.database_url()).await.unwrap();
    let options = WorkflowStartOptions::new(task_queue::CLOUD_BILLING, WORKFLOW_ID).build();
    let run = system
        .client
        .start_workflow(Reallocate::run, Input::Missing, options)
        .await
        .unwrap();
    eventually("the first portion", async || {
        let found = system.store.reallocation(left).await.unwrap();
        (found.lines_done > 0).then_some(())
    })
    .await;
    // Holds the lock of cost lines between two portions.
    sqlx::query("select pg_advisory_lock(4, hashtext(''))")
        .execute(&mut session)
        .await
        .unwrap();
    first.kill();
    let part = system.store.reallocation(left).await.unwrap();
    assert!(part.lines_done < ALL, "{part:?}");
    assert_eq!(system.count(OF_ACME).await, part.lines_done);
    session.close().await.unwrap();

    let _second = system.start_killable_worker(&billing).await;
    let result = run.get_result(WorkflowGetResultOptions::default());
    within(LIMIT_OF_RETRIES, "the run", result).await.unwrap();
    let done = done(&system, left).await;
    assert_eq!((done.lines_done, done.lines_changed), (ALL, ALL));
    assert_eq!(system.count(OF_ACME).await, ALL);
    let changes = "select count(*) from cloud_cost_line_changes where changed_by = 'ann'";
    assert_eq!(system.count(changes).await, ALL);
    assert!(system.store.cost_discrepancies().await.unwrap().is_empty());
}
