//! PostgreSQL and Temporal restored from different points in time, in both directions. In the end,
//! every row must equal that of a run without a restore.

use secrecy::ExposeSecret as _;
use simulator::{Droplet, Fault, FaultKind};
use store::inventory::Commit;
use store::{Actor, NewToken, Role, Store};
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use super::backups::{DatabaseBackup, copy_temporal, restore_temporal};
use super::run::{assign_tenants, deleted_but_there, expected};
use super::scenario::{PHASES, Scenario, WITH_BILL, change_account};
use super::site::{STEP_LIMIT, Servers, Site};
use super::snapshot::{self, Ends, Snapshot, compare};
use crate::support::waiting::{eventually, within};

const SCENARIO: Scenario = Scenario::Everything;
/// Number of syncs after a restore: as many as a tombstone requires.
const SYNCS: usize = 3;

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn an_older_database_with_a_newer_temporal_converges() {
    let (restored, expected) = tokio::join!(
        Box::pin(play_with_lost_syncs(true)),
        Box::pin(play_with_lost_syncs(false))
    );
    assert_same(&expected, &restored);
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn an_older_temporal_with_a_newer_database_converges() {
    let restored = Box::pin(play_with_replaced_temporal(Replacement::Older));
    let (restored, expected) = tokio::join!(restored, expected(SCENARIO));
    assert_same(expected, &restored);
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn an_empty_temporal_with_a_newer_database_converges() {
    let restored = Box::pin(play_with_replaced_temporal(Replacement::Empty));
    let (restored, expected) = tokio::join!(restored, expected(SCENARIO));
    assert_same(expected, &restored);
}

fn assert_same(expected: &Snapshot, restored: &Snapshot) {
    let difference = compare(expected, restored);
    assert!(difference.rows > 100, "too few rows to compare");
    assert!(
        difference.lost.is_empty() && difference.doubled.is_empty(),
        "missing after the restore:\n{}\nonly after the restore:\n{}",
        difference.lost.join("\n"),
        difference.doubled.join("\n")
    );
}

/// Syncs a database of the first phase with the account of the fourth. With `syncs`, the phases
/// between were synced and then lost by a restore; without, they were never synced.
async fn play_with_lost_syncs(syncs: bool) -> Snapshot {
    let mut site = Site::start(SCENARIO.account(), Servers::Own).await;
    site.add_worker(None);
    let (mut ends, mut removed) = (Ends::new(), None);
    sync(&site, true).await;
    site.let_an_hour_pass().await;
    assign_tenants(&site).await;
    ends.push(site.store().await.now().await.unwrap());

    let revoked = create_token(&site, "revoked later").await;
    let backup = DatabaseBackup::of(&mut site).await;
    for phase in 1..=3 {
        site.simulator
            .change(|account| change_account(phase, account, &mut removed));
        if syncs {
            sync(&site, WITH_BILL.contains(&phase)).await;
            site.let_an_hour_pass().await;
        }
    }
    if syncs {
        reassign_a_tenant(&site).await;
        let created = create_token(&site, "created later").await;
        let store = site.store().await;
        store
            .revoke_token(
                token_id(&store, "revoked later").await,
                &Actor::of_command("tests"),
            )
            .await
            .unwrap();
        drop(store);
        let deleted = "select count(*) from cloud_resources where deleted_at is not null";
        assert!(
            count(&site, deleted).await > 0,
            "no deletions that the restore could lose"
        );
        site.stop_workers().await;
        backup.restore(&site).await;
        site.add_worker(None);
        // See the warning in docs/backup-and-restore.md.
        let store = site.store().await;
        assert!(store.authenticate(&revoked).await.unwrap().is_some());
        assert!(store.authenticate(&created).await.unwrap().is_none());
    }

    let removed_id = removed
        .as_ref()
        .map(|droplet: &Droplet| droplet.id)
        .unwrap();
    for strikes in 1..=SYNCS {
        sync(&site, strikes == 1).await;
        let expected = format!("{strikes} {}", strikes == SYNCS);
        assert_eq!(strikes_of(&site, removed_id).await, expected);
        site.let_an_hour_pass().await;
        ends.push(site.store().await.now().await.unwrap());
    }
    site.simulator
        .change(|account| change_account(4, account, &mut removed));
    sync(&site, true).await;
    assert_eq!(strikes_of(&site, removed_id).await, "0 false");
    ends.push(site.store().await.now().await.unwrap());

    let snapshot = snapshot::read(&site, &ends).await;
    assert_eq!(deleted_but_there(&site).await, 0);
    site.end().await;
    snapshot
}

/// Syncs everything. There are no faults, so every run must succeed on the first attempt.
async fn sync(site: &Site, with_bill: bool) {
    let setbacks = site.sync(with_bill).await;
    assert!(setbacks.is_empty(), "{setbacks:?}");
}

/// Reassigns a tenant as an operator would; the restore reverts it.
async fn reassign_a_tenant(site: &Site) {
    let mut database = site.database().await;
    let project: uuid::Uuid = sqlx::query_scalar(
        "select id from cloud_projects where tenant_id is not null order by provider_id limit 1",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();
    let change = store::projects::ProjectChange {
        tenant_id: Some(Some("lost".parse().unwrap())),
        tenant_since: None,
        purpose: None,
    };
    let store = site.store().await;
    store
        .change_project(project, &change, &Actor::of_command("tests"), Commit::Keep)
        .await
        .unwrap();
}

async fn create_token(site: &Site, name: &str) -> String {
    let token = api::generate_token().expose_secret().to_owned();
    let role = &Role::PlatformAdmin;
    let new = NewToken {
        name,
        role,
        costs: false,
        token: &token,
        lifetime: None,
    };
    site.store()
        .await
        .create_token(new, &Actor::of_command("tests"))
        .await
        .unwrap();
    token
}

async fn token_id(store: &Store, name: &str) -> uuid::Uuid {
    let tokens = store.tokens().await.unwrap();
    let token = tokens.into_iter().find(|token| token.name == name);
    token.unwrap().id
}

async fn count(site: &Site, query: &'static str) -> i64 {
    let mut database = site.database().await;
    sqlx::query_scalar(query)
        .fetch_one(&mut database)
        .await
        .unwrap()
}

/// Returns the strikes of a droplet, and whether it is deleted.
async fn strikes_of(site: &Site, droplet: u64) -> String {
    let mut database = site.database().await;
    sqlx::query_scalar(
        "select stale_strike_count || ' ' || (deleted_at is not null)::text from cloud_resources
         where kind = 'droplet' and provider_id = $1",
    )
    .bind(droplet.to_string())
    .fetch_one(&mut database)
    .await
    .unwrap()
}

/// The replacement of the Temporal server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replacement {
    /// An earlier copy of its store, with an open run that has ended since.
    Older,
    /// A new server.
    Empty,
}

const OPEN: &str = "open-at-the-copy";

/// Plays the scenario, and replaces Temporal after the second phase. Workflow ids that were used
/// after the copy are used again.
async fn play_with_replaced_temporal(replacement: Replacement) -> Snapshot {
    let mut site = Site::start(SCENARIO.account(), Servers::Own).await;
    site.add_worker(None);
    let (mut ends, mut removed) = (Ends::new(), None);
    let mut copy = None;
    let mut counted = 0;
    for phase in 0..PHASES {
        site.simulator
            .change(|account| change_account(phase, account, &mut removed));
        if phase == 1 {
            counted = site.workflows_counted();
            copy = Some(copy_with_an_open_run(&site).await);
        }
        sync(&site, WITH_BILL.contains(&phase)).await;
        site.let_an_hour_pass().await;
        if phase == 0 {
            assign_tenants(&site).await;
        }
        if phase == 1 {
            site.stop_workers().await;
            let kept = copy.as_ref().filter(|_| replacement == Replacement::Older);
            restore_temporal(&site, kept).await;
            site.count_workflows_from(counted);
            site.add_worker(None);
            if replacement == Replacement::Older {
                let requests = requests_for_apps(&site);
                wait_for_the_open_run(&site).await;
                assert!(
                    requests_for_apps(&site) > requests,
                    "no request was repeated"
                );
                // Otherwise a second strike by this run would make that of the next sync too early.
                site.let_an_hour_pass().await;
            }
        }
        ends.push(site.store().await.now().await.unwrap());
    }
    let snapshot = snapshot::read(&site, &ends).await;
    assert_eq!(deleted_but_there(&site).await, 0);
    site.end().await;
    snapshot
}

/// Copies Temporal's store while a sync cannot list the apps, then lets the sync complete, which
/// gives one app a strike.
async fn copy_with_an_open_run(site: &Site) -> tempfile::TempDir {
    site.sync_projects().await;
    let fault = FaultKind::ServerError { status: 503 };
    site.simulator.fail(Fault::new(fault, "/v2/apps"));
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, OPEN).build();
    let scope = Input::Valid(InventoryScope::default());
    site.client
        .start_workflow(SyncInventory::run, scope, options)
        .await
        .unwrap();
    let listed =
        "select count(*) from cloud_listings where workflow_id = 'open-at-the-copy' and complete";
    eventually("all other kinds are listed", async || {
        let kinds = "select count(*) from cloud_kind_freshness where last_state = 'complete' and kind not like 'project%'";
        (count(site, listed).await + 1 >= count(site, kinds).await).then_some(())
    })
    .await;
    let apps = "select count(*) from cloud_listings where workflow_id = 'open-at-the-copy' and kind = 'app' and complete";
    let copy = copy_temporal(site).await;
    assert_eq!(count(site, apps).await, 0);
    site.simulator.clear_faults();
    wait_for_the_open_run(site).await;
    let with_strike =
        "select count(*) from cloud_resources where kind = 'app' and stale_strike_count = 1";
    assert_eq!(count(site, with_strike).await, 1);
    copy
}

fn requests_for_apps(site: &Site) -> usize {
    let all = site.simulator.requests();
    let apps = all.iter().filter(|request| request.path == "/v2/apps");
    apps.count()
}

async fn wait_for_the_open_run(site: &Site) {
    let handle = site
        .client
        .get_workflow_handle::<temporalio_client::UntypedWorkflow>(OPEN);
    let result = handle.get_result(WorkflowGetResultOptions::default());
    within(STEP_LIMIT, OPEN, result).await.unwrap();
}
