//! Held deletions after the database and Temporal were restored from different points in time. No
//! resource is deleted without a decision that is stored in the database.

use simulator::Account;
use store::Actor;
use store::inventory::Decision;
use uuid::Uuid;

use super::backups::{DatabaseBackup, copy_temporal, restore_temporal, temporal_cli};
use super::site::{Servers, Site};
use crate::support::waiting::eventually;

const DROPLETS: i64 = 12;
const DELETED: &str = "select count(*) from cloud_resources where deleted_at is not null";

#[tokio::test]
async fn a_decision_lost_by_a_restore_is_requested_again() {
    let mut site = before_a_hold().await;
    let hold = hold_deletions(&site).await;
    let backup = DatabaseBackup::of(&mut site).await;
    decide(&site, hold, true).await;
    until_deleted(&site).await;
    // Otherwise the sync after the restore finds the old run open, and does not start a new one.
    until_run_ends(&site, hold).await;

    site.stop_workers().await;
    backup.restore(&site).await;
    site.add_worker(None);
    assert_eq!(count(&site, DELETED).await, 0);
    assert_eq!(hold_deletions(&site).await, hold);
    assert_eq!(count(&site, DELETED).await, 0);
    decide(&site, hold, true).await;
    until_deleted(&site).await;
    site.end().await;
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn the_run_of_a_hold_lost_by_a_restore_deletes_nothing() {
    let mut site = before_a_hold().await;
    let backup = DatabaseBackup::of(&mut site).await;
    let lost = hold_deletions(&site).await;

    site.stop_workers().await;
    backup.restore(&site).await;
    site.add_worker(None);
    let held = hold_deletions(&site).await;
    assert_ne!(held, lost);
    decide(&site, lost, true).await;
    let id = id_of(lost);
    eventually("the run without a hold has failed", async || {
        let show = ["workflow", "show", "--workflow-id", &id, "--output", "json"];
        let history = temporal_cli(&site, &show).await;
        let is_failed = |text: String| {
            text.contains("EVENT_TYPE_WORKFLOW_EXECUTION_FAILED") && text.contains("NotFound")
        };
        history.is_ok_and(is_failed).then_some(())
    })
    .await;
    assert_eq!(count(&site, DELETED).await, 0);
    decide(&site, held, true).await;
    until_deleted(&site).await;
    site.end().await;
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn a_run_reopened_by_a_restore_keeps_the_decision() {
    let mut site = before_a_hold().await;
    let hold = hold_deletions(&site).await;
    let copy = copy_temporal(&site).await;
    decide_by_api(&site, hold).await;
    assert_eq!(count(&site, DELETED).await, DROPLETS);

    site.stop_workers().await;
    restore_temporal(&site, Some(&copy)).await;
    site.add_worker(None);
    decide(&site, hold, false).await;
    let id = id_of(hold);
    eventually("the run ends with the stored decision", async || {
        let result = temporal_cli(&site, &["workflow", "result", "--workflow-id", &id]).await;
        result
            .is_ok_and(|text| text.contains("approved"))
            .then_some(())
    })
    .await;
    assert_eq!(count(&site, DELETED).await, DROPLETS);
    let decided =
        "select count(*) from cloud_held_deletions where state = 'approved' and decided_by = 'ann'";
    assert_eq!(count(&site, decided).await, 1);
    site.end().await;
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn the_run_of_a_hold_is_restarted_in_an_empty_temporal() {
    let mut site = before_a_hold().await;
    let hold = hold_deletions(&site).await;
    site.stop_workers().await;
    restore_temporal(&site, None).await;
    site.add_worker(None);
    // The hold is recent, so the next sync starts its run.
    assert_eq!(hold_deletions(&site).await, hold);
    decide(&site, hold, false).await;
    let rejected = "select count(*) from cloud_held_deletions where state = 'rejected'";
    eventually("the deletions are rejected", async || {
        (count(&site, rejected).await == 1).then_some(())
    })
    .await;

    // The next hold is older, so its run must be started by hand: see docs/backup-and-restore.md.
    for _ in 0..2 {
        sync(&site).await;
    }
    let hold = hold_deletions(&site).await;
    let aged = "update cloud_held_deletions set held_at = held_at - interval '1 hour' where state = 'pending'";
    sqlx::raw_sql(aged)
        .execute(&mut site.database().await)
        .await
        .unwrap();
    site.stop_workers().await;
    restore_temporal(&site, None).await;
    site.add_worker(None);
    sync(&site).await;
    let (id, input) = (id_of(hold), format!("\"{hold}\""));
    #[rustfmt::skip]
    let start = [
        "workflow", "start", "--type", "HeldDeletion", "--task-queue", "cloud-sync-full", "--workflow-id", &id, "--input", &input,
    ];
    temporal_cli(&site, &start).await.unwrap();
    decide(&site, hold, true).await;
    until_deleted(&site).await;
    site.end().await;
}

/// Starts a site in which twelve of sixteen droplets are missing and have two strikes.
pub(crate) async fn before_a_hold() -> Site {
    let mut account = Account::empty();
    let droplets: Vec<u64> = (0..16)
        .map(|number| account.add_droplet(&format!("web-{number}"), "s-1vcpu-1gb", "syd1"))
        .collect();
    let mut site = Site::start(account, Servers::Own).await;
    site.add_worker(None);
    sync(&site).await;
    site.simulator.change(|account| {
        for id in &droplets[..12] {
            account.remove_droplet(*id);
        }
    });
    for _ in 0..2 {
        sync(&site).await;
    }
    assert_eq!(count(&site, DELETED).await, 0);
    site
}

async fn sync(site: &Site) {
    let setbacks = site.sync(false).await;
    assert!(
        setbacks
            .iter()
            .all(|setback| setback.reason.contains("held deletion")),
        "{setbacks:?}"
    );
    site.let_an_hour_pass().await;
}

/// Runs one more sync, which holds the deletions, and returns the hold once its run waits.
pub(crate) async fn hold_deletions(site: &Site) -> Uuid {
    sync(site).await;
    let mut database = site.database().await;
    let hold: Uuid =
        sqlx::query_scalar("select id from cloud_held_deletions where state = 'pending'")
            .fetch_one(&mut database)
            .await
            .unwrap();
    let id = id_of(hold);
    let query = ["workflow", "query", "--workflow-id", &id, "--type"];
    let query = [&query[..], &["progress"]].concat();
    eventually("the run of the hold waits", async || {
        let progress = temporal_cli(site, &query).await;
        progress
            .is_ok_and(|text| text.contains("pending"))
            .then_some(())
    })
    .await;
    hold
}

fn id_of(hold: Uuid) -> String {
    workflows::held_deletions::workflow_id(&hold.to_string())
}

/// Approves like the API, and closes the connection.
async fn decide_by_api(site: &Site, hold: Uuid) {
    let store = site.store().await;
    store
        .decide_held_deletion(hold, Decision::Approve, &Actor::of_command("ann"))
        .await
        .unwrap();
}

/// Decides with the `temporal` program.
pub(crate) async fn decide(site: &Site, hold: Uuid, approve: bool) {
    let (id, decision) = (
        id_of(hold),
        format!(r#"{{"approve": {approve}, "by": "bob"}}"#),
    );
    #[rustfmt::skip]
    let update = [
        "workflow", "update", "execute", "--workflow-id", &id, "--name", "decide", "--input", &decision,
    ];
    temporal_cli(site, &update).await.unwrap();
}

/// Waits for the end of a hold's run.
async fn until_run_ends(site: &Site, hold: Uuid) {
    let id = id_of(hold);
    temporal_cli(site, &["workflow", "result", "--workflow-id", &id])
        .await
        .unwrap();
}

/// Waits until the twelve droplets are deleted.
pub(crate) async fn until_deleted(site: &Site) {
    eventually("the decision is carried out", async || {
        (count(site, DELETED).await == DROPLETS).then_some(())
    })
    .await;
}

async fn count(site: &Site, query: &'static str) -> i64 {
    let mut database = site.database().await;
    sqlx::query_scalar(query)
        .fetch_one(&mut database)
        .await
        .unwrap()
}
