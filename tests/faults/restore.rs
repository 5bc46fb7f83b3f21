//! PostgreSQL and Temporal restored from different moments, in both directions. In the end every row is as in a run in which nothing
//! was restored.

use simulator::{Droplet, Fault, FaultKind};
use store::inventory::Commit;
use store::{NewToken, Role, Store};
use temporalio_client::{WorkflowGetResultOptions, WorkflowStartOptions};
use workflows::inventory::{InventoryScope, SyncInventory};
use workflows::{Input, task_queue};

use super::backups::{DatabaseBackup, copy_temporal, restore_temporal};
use super::books::{self, Books, Ends, compare};
use super::run::{assign_tenants, deleted_but_there, expected};
use super::site::{STEP_LIMIT, Servers, Site};
use super::story::{CHAPTERS, Story, WITH_BILL, turn};
use crate::support::waiting::{eventually, within};

const STORY: Story = Story::Everything;
/// Syncs after a restore: as many as a tombstone takes.
const SYNCS: usize = 3;

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn an_older_database_beside_a_newer_temporal_converges() {
    let (restored, never) = tokio::join!(
        Box::pin(told_with_lost_syncs(true)),
        Box::pin(told_with_lost_syncs(false))
    );
    assert_same(&never, &restored);
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn an_older_temporal_beside_a_newer_database_converges() {
    let restored = Box::pin(told_with_another_temporal(Replacement::Older));
    let (restored, never) = tokio::join!(restored, expected(STORY));
    assert_same(never, &restored);
}

#[tokio::test]
#[cfg_attr(missing_long_tests, ignore = "needs long_tests")]
async fn an_empty_temporal_beside_a_newer_database_converges() {
    let restored = Box::pin(told_with_another_temporal(Replacement::Empty));
    let (restored, never) = tokio::join!(restored, expected(STORY));
    assert_same(never, &restored);
}

fn assert_same(never: &Books, restored: &Books) {
    let difference = compare(never, restored);
    assert!(difference.rows > 100, "there is hardly anything to compare");
    assert!(
        difference.lost.is_empty() && difference.doubled.is_empty(),
        "never restored, and not in the restored:\n{}\nonly in the restored:\n{}",
        difference.lost.join("\n"),
        difference.doubled.join("\n")
    );
}

/// A database of the first chapter meets the account of the fourth. With `syncs`, the chapters between were synced, decided on and
/// lost by a restore; without, nobody looked at the account meanwhile.
async fn told_with_lost_syncs(syncs: bool) -> Books {
    let mut site = Site::start(STORY.account(), Servers::Own).await;
    site.add_worker(None);
    let (mut ends, mut leaver) = (Ends::new(), None);
    sync(&site, true).await;
    site.let_an_hour_go_by().await;
    assign_tenants(&site).await;
    ends.push(site.store().await.now().await.unwrap());

    let revoked = create_token(&site, "revoked later").await;
    let backup = DatabaseBackup::of(&mut site).await;
    for chapter in 1..=3 {
        site.simulator
            .change(|account| turn(chapter, account, &mut leaver));
        if syncs {
            sync(&site, WITH_BILL.contains(&chapter)).await;
            site.let_an_hour_go_by().await;
        }
    }
    if syncs {
        reassign_a_tenant(&site).await;
        let created = create_token(&site, "created later").await;
        let store = site.store().await;
        store
            .revoke_token(token_id(&store, "revoked later").await)
            .await
            .unwrap();
        drop(store);
        let deleted = "select count(*) from cloud_resources where deleted_at is not null";
        assert!(count(&site, deleted).await > 0, "nothing to lose");
        site.stop_workers().await;
        backup.restore(&site).await;
        site.add_worker(None);
        // As docs/backup-and-restore.md warns.
        let store = site.store().await;
        assert!(store.authenticate(&revoked).await.unwrap().is_some());
        assert!(store.authenticate(&created).await.unwrap().is_none());
    }

    let left = leaver.as_ref().map(|droplet: &Droplet| droplet.id).unwrap();
    for strikes in 1..=SYNCS {
        sync(&site, strikes == 1).await;
        let expected = format!("{strikes} {}", strikes == SYNCS);
        assert_eq!(strikes_of(&site, left).await, expected);
        site.let_an_hour_go_by().await;
        ends.push(site.store().await.now().await.unwrap());
    }
    site.simulator
        .change(|account| turn(4, account, &mut leaver));
    sync(&site, true).await;
    assert_eq!(strikes_of(&site, left).await, "0 false");
    ends.push(site.store().await.now().await.unwrap());

    let books = books::read(&site, &ends).await;
    assert_eq!(deleted_but_there(&site).await, 0);
    site.end().await;
    books
}

/// Nothing fails here: each run comes to a good end the first time.
async fn sync(site: &Site, with_bill: bool) {
    let setbacks = site.sync(with_bill).await;
    assert!(setbacks.is_empty(), "{setbacks:?}");
}

/// An operator's decision that the restore takes back.
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
        .change_project(project, &change, "tests", Commit::Keep)
        .await
        .unwrap();
}

async fn create_token(site: &Site, name: &str) -> String {
    let token = format!("arc_{}", uuid::Uuid::new_v4());
    let role = &Role::PlatformAdmin;
    let new = NewToken {
        name,
        role,
        token: &token,
    };
    site.store().await.create_token(new).await.unwrap();
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

/// How often a droplet was struck, and whether it is deleted.
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

/// What takes Temporal's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replacement {
    /// Its own store of an earlier moment, in which a run was open that has ended since.
    Older,
    /// A new server.
    Empty,
}

const OPEN: &str = "open-at-the-copy";

/// The story, with another Temporal after its second chapter. Workflow ids are given out again from the copy on.
async fn told_with_another_temporal(replacement: Replacement) -> Books {
    let mut site = Site::start(STORY.account(), Servers::Own).await;
    site.add_worker(None);
    let (mut ends, mut leaver) = (Ends::new(), None);
    let mut copy = None;
    let mut counted = 0;
    for chapter in 0..CHAPTERS {
        site.simulator
            .change(|account| turn(chapter, account, &mut leaver));
        if chapter == 1 {
            counted = site.workflows_counted();
            copy = Some(copy_with_an_open_run(&site).await);
        }
        sync(&site, WITH_BILL.contains(&chapter)).await;
        site.let_an_hour_go_by().await;
        if chapter == 0 {
            assign_tenants(&site).await;
        }
        if chapter == 1 {
            site.stop_workers().await;
            let kept = copy.as_ref().filter(|_| replacement == Replacement::Older);
            restore_temporal(&site, kept).await;
            site.count_workflows_from(counted);
            site.add_worker(None);
            if replacement == Replacement::Older {
                let requests = requests_for_apps(&site);
                wait_for_the_open_run(&site).await;
                assert!(requests_for_apps(&site) > requests, "nothing repeated");
                // Were its second strike counted, the next sync's would come too early.
                site.let_an_hour_go_by().await;
            }
        }
        ends.push(site.store().await.now().await.unwrap());
    }
    let books = books::read(&site, &ends).await;
    assert_eq!(deleted_but_there(&site).await, 0);
    site.end().await;
    books
}

/// Copies Temporal's store while a sync cannot list the apps, and waits until it can: it strikes one.
async fn copy_with_an_open_run(site: &Site) -> tempfile::TempDir {
    site.sync_projects().await;
    let fault = FaultKind::ServerError { status: 503 };
    site.simulator.fail(Fault::new(fault, "/v2/apps"));
    let options = WorkflowStartOptions::new(task_queue::CLOUD_SYNC_FULL, OPEN).build();
    let scope = Input::Given(InventoryScope::default());
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
    let struck =
        "select count(*) from cloud_resources where kind = 'app' and stale_strike_count = 1";
    assert_eq!(count(site, struck).await, 1);
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
