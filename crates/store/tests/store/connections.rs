//! The use of connections: one at a time, with a limit for the wait for a lock.

use domain::ResourceKind;
use store::Store;
use store::inventory::{Commit, Decision};
use store::projects::ProjectChange;

use super::bills::{APRIL, header, ingest};
use super::held_deletions::lose_droplets;
use super::support::{Fixture, by, fixture, resource};

/// Returns a fixture with a store of a single connection.
async fn single_connection() -> Fixture {
    let mut fixture = fixture().await;
    fixture.store = Store::connect(&fixture.database_url(), 1).await.unwrap();
    fixture
}

#[tokio::test]
async fn no_transaction_needs_a_second_connection() {
    let fixture = single_connection().await;
    fixture.sync_three_projects().await;
    let hold = lose_droplets(&fixture, 40, 20).await.held.unwrap();
    let ann = by("ann");
    let decide = fixture.decide_held_deletion(hold.id, Decision::Approve, &ann);
    decide.await.unwrap();
    fixture
        .discover_invoices(&[header(1, "2026-04", -99_501)])
        .await
        .unwrap();
    ingest(&fixture, 1, APRIL).await;
    let change = ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        ..ProjectChange::default()
    };
    let web = fixture.project_row("web").await;
    let changed = fixture.change_project(web, &change, &ann, Commit::Keep);
    changed.await.unwrap();
    fixture
        .sweep_kind(&[resource(ResourceKind::VOLUME, "v")])
        .await;
    let period = "2026-04-01".parse().unwrap();
    fixture.statements(period).await.unwrap();
    fixture.gauges().await.unwrap();
    fixture.status_facts().await.unwrap();
}

#[tokio::test]
async fn requests_under_the_lock_of_project_creation_have_a_connection() {
    let fixture = single_connection().await;
    let guard = fixture.lock_project_creation().await.unwrap();
    fixture.now().await.unwrap();
    let locked = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
        where l.locktype = 'advisory' and l.granted and d.datname = current_database()";
    assert_eq!(fixture.count(locked).await, 1);
    drop(guard);
    while fixture.count(locked).await > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_wait_for_a_lock_is_shorter_than_the_attempt() {
    let fixture = fixture().await;
    let guard = fixture.lock_project_creation().await.unwrap();
    let url = format!("{}?options[lock_timeout]=50ms", fixture.database_url());
    let impatient = Store::connect(&url, 1).await.unwrap();
    let error = impatient.lock_project_creation().await.err().unwrap();
    assert!(error.is_transient(), "{error}");
    drop(guard);
}
